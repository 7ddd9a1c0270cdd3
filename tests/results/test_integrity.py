"""A store whose files are lost is refused with the block's name, or trained again; nothing else is removed."""

import dataclasses
import itertools
import json
import pathlib
import re
import shutil
import warnings

import numpy as np
import pytest
import zarr

import vgrad_jax as vg
from vgrad_jax.results import files as files_module
from vgrad_jax.results.older import EVERY_FILE_WRITTEN
from vgrad_jax.results.opening import verify_results
from vgrad_jax.results.schema import VARIABLES
from vgrad_jax.results.store import Store

SEEDS = 6
STORED = [name for name in VARIABLES if name not in ("parameters", "gradients")]

FEW = ("outcome", "converged", "train_loss", "gradient_log10_rms")
"""Variables whose files every run of the tests damages: each kind of value and each number of axes."""


@pytest.fixture(scope="module")
def arms():
    """Describe two arms; the second never converges, so that all its outcomes but the word are fill values."""
    rest = {
        "data": vg.Data("moons", samples=16, random_state=2),
        "training": vg.Training(epochs=12, batch_size=4, threshold=0.75),
    }
    return {
        "learns": vg.Experiment(mlp=vg.MLP(hidden=(4,)), optimizer=vg.Optimizer("adam", learning_rate=0.1), **rest),
        "stays": vg.Experiment(
            mlp=vg.MLP(hidden=(4,), kernel_init="zeros"), optimizer=vg.Optimizer("sgd", learning_rate=1e-9), **rest
        ),
    }


def train(arms, path, seeds=SEEDS, **options):
    return vg.sweep(arms, seeds, chunk=2, engine="plain", store=path, progress=False, **options)


@pytest.fixture(scope="module")
def original(arms, tmp_path_factory):
    path = tmp_path_factory.mktemp("original") / "results.zarr"
    return path, train(arms, path).load()


@pytest.fixture
def copy(original, tmp_path):
    path = tmp_path / "results.zarr"
    shutil.copytree(original[0], path)
    return path


def without_checksums(path):
    """Make a store one of an earlier version, which had no checksums and no metadata of all arrays in one file."""
    shutil.rmtree(path / "checksums")
    root = json.loads((path / "zarr.json").read_text())
    del root["attributes"]["checksums"], root["consolidated_metadata"]
    (path / "zarr.json").write_text(json.dumps(root))


@pytest.fixture
def older(copy):
    without_checksums(copy)
    return copy


def block_files(path, name, arm=0):
    return sorted(file for file in (path / name / "c" / str(arm)).rglob("*") if file.is_file())


def test_every_file_of_every_block_is_written(original):
    path, results = original
    assert results["converged"].sel(arm="learns").values.all()
    assert not results["converged"].sel(arm="stays").values.any()
    assert zarr.open_group(str(path), mode="r").attrs[EVERY_FILE_WRITTEN] is True
    for arm in range(2):
        assert {len(block_files(path, name, arm)) for name in STORED} == {3}


def harm(file, damage):
    """Damage a file in the given way."""
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        garbage = np.random.default_rng(0).bytes(len(content))
        file.write_bytes({"empty": b"", "truncated": content[:-3], "garbage": garbage}[damage])


@pytest.mark.parametrize(
    ("name", "arm", "damage"),
    [
        *(
            pytest.param(name, "learns", "missing", marks=[] if name in FEW else [pytest.mark.slow])
            for name in STORED
            if name != "completed"
        ),
        # Files of fill values alone, and a file without a byte.
        *((name, "stays", "missing") for name in ("converged", "epochs_to_converge", "update_ratio_log10")),
        *((name, "learns", "empty") for name in ("outcome", "train_loss")),
    ],
)
def test_a_lost_file_is_refused_by_name_and_trained_again(arms, original, copy, name, arm, damage):
    row = list(arms).index(arm)
    harm(block_files(copy, name, row)[1], damage)
    with pytest.raises(vg.InputError, match=rf"{name}/c/{row}/1.* is {damage} \(arm '{arm}', seeds 2 to 3\)"):
        vg.open_results(copy)
    with pytest.warns(UserWarning, match=rf"{name}/c/{row}/1.* trained again"):
        resumed = train(arms, copy, resume=True)
    assert resumed.load().equals(original[1])
    assert vg.open_results(copy).load().equals(original[1])


@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("damage", ["truncated", "garbage"])
def test_a_file_that_is_not_what_was_written_is_trained_again(arms, original, copy, name, damage):
    harm(block_files(copy, name)[1], damage)
    message = rf"the file {name}/c/0/1.* is damaged: its checksum .* \(arm 'learns', seeds 2 to 3\)"
    if damage == "truncated" or VARIABLES[name].dims == ("arm", "seed"):
        with pytest.raises(vg.InputError, match=message):
            vg.open_results(copy)
    else:  # A large file is compared when it is read.
        results = vg.open_results(copy)
        with pytest.raises(vg.InputError, match=rf"the file {name}/c/0/1.* is damaged: its checksum"):
            results[name].load()
    (damage,) = verify_results(copy).damage
    assert re.search(message, damage.reason)
    if name in ("train_loss", "completed"):
        with pytest.warns(UserWarning, match=rf"{message}; trained again"):
            resumed = train(arms, copy, resume=True)
        assert resumed.load().equals(original[1])
        assert verify_results(copy) == (6, [], True)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *(
            pytest.param(name, "truncated", marks=[] if name in ("completed", *FEW) else [pytest.mark.slow])
            for name in STORED
        ),
        ("completed", "garbage"),
        ("train_loss", "garbage"),
    ],
)
def test_an_unreadable_file_of_an_older_store_is_trained_again(arms, original, older, name, damage):
    harm(block_files(older, name)[1], damage)
    message = rf"the file {name}/c/0/1.* cannot be read \(.*\) \(arm 'learns', seeds 2 to 3\)"
    if VARIABLES[name].dims == ("arm", "seed"):
        with pytest.raises(vg.InputError, match=message):
            vg.open_results(older)
    else:
        with pytest.raises(vg.InputError, match=rf"a file of {name} cannot be read"):
            vg.open_results(older)[name].load()
    if name in ("train_loss", "completed"):
        with pytest.warns(UserWarning, match=rf"{message}; trained again"):
            resumed = train(arms, older, resume=True)
        assert resumed.load().equals(original[1])
        assert verify_results(older) == (6, [], False)


@pytest.mark.parametrize("name", STORED)
def test_files_that_are_swapped_are_noticed(arms, original, copy, name):
    """Swap the files of two blocks, each of which can be decoded."""
    first, second = block_files(copy, name)[:2]
    content = first.read_bytes()
    if content == second.read_bytes():
        pytest.skip("the files are equal")
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    with pytest.raises(vg.InputError, match=rf"the file {name}/c/0/[01].* is damaged"):
        vg.open_results(copy)[name].load()
    assert len(verify_results(copy).damage) == 2


def test_an_empty_file_of_marks_is_trained_again(arms, original, copy):
    harm(block_files(copy, "completed")[1], "empty")
    with pytest.raises(vg.InputError, match="the file completed/c/0/1 is empty"):
        vg.open_results(copy)
    with pytest.warns(UserWarning, match=r"completed/c/0/1 is empty .* trained again"):
        assert train(arms, copy, resume=True).load().equals(original[1])


@pytest.mark.parametrize("damage", [None, "truncated"])
def test_a_block_of_an_older_store_without_a_file_of_marks_counts_as_not_trained(arms, original, older, damage):
    harm(block_files(older, "completed")[1], "missing")
    if damage:
        harm(block_files(older, "train_loss")[1], damage)
    expected = original[1]["completed"].values.copy()
    expected[0, 2:4] = False
    np.testing.assert_array_equal(vg.open_results(older)["completed"].values, expected)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert train(arms, older, resume=True).load().equals(original[1])
    assert len([w for w in caught if "train_loss/c/0/1" in str(w.message)]) == bool(damage)


@pytest.mark.parametrize("lost", ["completed/c/0/1", "checksums/0/1.json"])
def test_marks_or_checksums_that_vanish_are_noticed(arms, original, copy, lost):
    (copy / lost).unlink()
    with pytest.raises(vg.InputError, match=rf"the file {lost} is missing \(arm 'learns', seeds 2 to 3\)"):
        vg.open_results(copy)
    with pytest.warns(UserWarning, match=rf"{lost} is missing .* trained again"):
        assert train(arms, copy, resume=True).load().equals(original[1])


@pytest.mark.parametrize("name", ["checksums/0/1.json", "checksums/metadata.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000, b'{"sha256": "0", "content": {}}', b'{"content": 3}'])
def test_damaged_checksums_are_no_reason_to_trust(copy, name, content):
    (copy / name).write_bytes(content)
    with pytest.raises(vg.InputError, match=rf"the file {name} (is damaged|cannot be read)"):
        vg.open_results(copy)


def test_checksums_that_are_all_gone_do_not_make_an_older_store(copy):
    shutil.rmtree(copy / "checksums")
    with pytest.raises(vg.InputError, match=r"the file checksums/metadata.json is missing"):
        vg.open_results(copy)


@pytest.mark.parametrize("name", ["arm", "seed", "record", "epoch", "layer"])
@pytest.mark.parametrize("damage", ["empty", "truncated"])
def test_an_unreadable_coordinate_is_refused(arms, copy, name, damage):
    harm(copy / name / "c" / "0", damage)
    for use in (vg.open_results, lambda path: train(arms, path, resume=True)):
        with pytest.raises(vg.InputError, match=rf"damaged results .* the file {name}/c/0 is damaged"):
            use(copy)


def test_a_file_that_vanishes_during_the_check_is_missing(copy, monkeypatch):
    walk, file = files_module._walk, block_files(copy, "train_loss")[1]

    def removing(folder):
        for entry in walk(folder):
            if entry.path == str(file):
                file.unlink(missing_ok=True)
            yield entry

    monkeypatch.setattr(files_module, "_walk", removing)
    with pytest.raises(vg.InputError, match=r"train_loss/c/0/1.* is missing"):
        vg.open_results(copy)


def test_only_the_damaged_block_is_trained_again(arms, copy):
    block_files(copy, "train_loss")[1].unlink()
    seen = []
    with pytest.warns(UserWarning, match="trained again"):
        vg.sweep(
            arms,
            SEEDS,
            chunk=2,
            engine="plain",
            store=copy,
            resume=True,
            progress=lambda done, total: seen.append((done, total)),
        )
    assert seen[0] == (10, 12)
    assert seen[-1] == (12, 12)


@pytest.mark.parametrize("name", ["outcome", "converged", "epochs_to_converge"])
def test_a_file_of_another_time_is_noticed(arms, original, older, name):
    """Mix two states of a store, as a copy during a sweep may: a complete file holds values of an empty store."""
    group = zarr.open_group(str(older), mode="r+")
    group[name].with_config({"write_empty_chunks": True})[0, 2:4] = VARIABLES[name].fill
    with pytest.raises(vg.InputError, match=r"disagree \(arm 'learns', seeds 2 to 3\)"):
        vg.open_results(older)
    with pytest.warns(UserWarning, match="trained again"):
        assert train(arms, older, resume=True).load().equals(original[1])


@pytest.mark.parametrize("coordinate", ["seed", "record", "epoch", "arm"])
def test_a_lost_coordinate_is_refused(copy, coordinate):
    shutil.rmtree(copy / coordinate / "c")
    with pytest.raises(vg.InputError, match=f"damaged results .*the file {coordinate}/c/0 is missing"):
        vg.open_results(copy)


@pytest.mark.parametrize(
    ("coordinate", "message"),
    [("seed", "does not count from 0"), ("record", "does not count"), ("epoch", "does not increase"), ("arm", "lost")],
)
def test_a_lost_coordinate_of_an_older_store_is_refused(older, coordinate, message):
    shutil.rmtree(older / coordinate / "c")
    with pytest.raises(
        vg.InputError, match=f"damaged results .*'{coordinate}' .*{message}|'{coordinate}' are {message}"
    ):
        vg.open_results(older)


class Killed(BaseException):
    """Exception that no handler catches, as if the process were killed."""


def test_a_store_whose_growth_was_killed_is_completed_by_resuming(arms, original, tmp_path, monkeypatch):
    """Stop before each file that growing a store writes."""
    grown = train(arms, None, seeds=10).drop_attrs()
    study = json.loads(original[1].attrs["study"])
    replace, refusals, grew, moment = pathlib.Path.replace, [], [], 0
    while True:
        path = tmp_path / f"{moment}.zarr"
        shutil.copytree(original[0], path)
        writes = itertools.count()

        def dying(self, target):
            if next(writes) == moment:  # noqa: B023
                raise Killed
            return replace(self, target)

        with monkeypatch.context() as context:
            context.setattr(pathlib.Path, "replace", dying)
            try:
                Store.resume(path, study, 10)
            except Killed:
                pass
            else:
                break
        try:
            kept = vg.open_results(path).load()
        except vg.InputError as error:
            assert "resuming the sweep corrects it" in str(error)  # noqa: PT017
            refusals.append(moment)
        else:
            grew.append(kept.sizes["seed"] == 10)
            assert kept.isel(seed=slice(SEEDS)).equals(original[1])
            assert not kept["completed"][:, SEEDS:].any()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert train(arms, path, seeds=10, resume=True).load().drop_attrs().equals(grown)
        moment += 1
    # The first renames are those of the checksums and of an array; the last one is that of the checksums again.
    # Each between them leaves arrays of different lengths, or zeros in `seed`.
    assert refusals == list(range(2, len(STORED) + 4))
    assert grew == [False, False, True]


def test_a_store_whose_growth_was_killed_never_loses_runs(arms, older):
    seeds = zarr.open_group(str(older), mode="r+")["seed"]
    seeds[:] = 0
    with pytest.raises(vg.InputError, match="was laid out for 6 seeds, more than 2"):
        train(arms, older, seeds=2, resume=True)


def test_a_store_of_before_may_lack_files_that_hold_nothing(arms, original, copy):
    """Remove files of fill values alone, which earlier versions did not write."""
    without_checksums(copy)
    group = zarr.open_group(str(copy), mode="r+")
    del group.attrs[EVERY_FILE_WRITTEN]
    for name in ("converged", "epochs_to_converge"):
        for file in block_files(copy, name, arm=1):
            file.unlink()
    assert vg.open_results(copy).load().equals(original[1])
    block_files(copy, "epochs_to_converge", arm=0)[0].unlink()
    with pytest.raises(vg.InputError, match=r"epochs_to_converge/c/0/0 is missing \(arm 'learns', seeds 0 to 1\)"):
        vg.open_results(copy)


FLOATS = [name for name in STORED if VARIABLES[name].dtype == "float32"]


@pytest.fixture(scope="module")
def diverged(arms, tmp_path_factory):
    """Train arms of which the second diverges, into a store of a version that wrote no file of fill values alone."""
    path = tmp_path_factory.mktemp("diverged") / "results.zarr"
    learns = arms["learns"]
    too_fast = dataclasses.replace(learns, optimizer=vg.Optimizer("sgd", learning_rate=1e38))
    arms = {"learns": learns, "diverges": too_fast}
    results = train(arms, path).load()
    without_checksums(path)
    del zarr.open_group(str(path), mode="r+").attrs[EVERY_FILE_WRITTEN]
    return arms, path, results


def test_an_older_store_of_diverged_runs_may_lack_files_of_nan(diverged, tmp_path):
    arms, path, results = diverged
    copy = tmp_path / "results.zarr"
    shutil.copytree(path, copy)
    assert set(results["outcome"].sel(arm="diverges").values) == {"diverged"}
    expected = results.copy(deep=True)
    for name in FLOATS:
        expected[name][1] = np.nan
        for file in block_files(copy, name, arm=1):
            file.unlink()
    assert vg.open_results(copy).load().equals(expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert train(arms, copy, resume=True).load().equals(expected)


@pytest.mark.parametrize(("name", "arm"), [(name, 0) for name in FLOATS] + [("outcome", 1)])
def test_an_older_store_may_lack_no_other_file(diverged, tmp_path, name, arm):
    copy = tmp_path / "results.zarr"
    shutil.copytree(diverged[1], copy)
    block_files(copy, name, arm)[0].unlink()
    with pytest.raises(vg.InputError, match=rf"{name}/c/{arm}/0.* is missing"):
        vg.open_results(copy)


def test_nothing_of_the_users_is_removed(arms, tmp_path):
    notes = tmp_path / "results.zarr.incomplete" / "notes.txt"
    lookalike = tmp_path / ".results.zarr.mine.incomplete" / "notes.txt"
    for file in (notes, lookalike):
        file.parent.mkdir()
        file.write_text("a year of work")
    path = tmp_path / "results.zarr"
    train(arms, path)
    partial = path / "train_loss" / "c" / "mine.partial"
    partial.write_text("mine")
    train(arms, path, resume=True)
    assert notes.read_text() == lookalike.read_text() == "a year of work"
    assert partial.read_text() == "mine"


def test_a_layout_that_was_killed_is_removed_by_the_next(arms, tmp_path, monkeypatch):
    from vgrad_jax.results import store

    path = tmp_path / "results.zarr"
    monkeypatch.setattr(store, "lay_out", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(arms, path)
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.undo()
    results = train(arms, path)
    assert [file.name for file in tmp_path.iterdir()] == ["results.zarr"]
    assert np.asarray(results["completed"]).all()


@pytest.mark.parametrize("name", ["a.b", "axb", "a[b]"])
def test_the_layout_of_another_store_is_kept(arms, tmp_path, name):
    """Lay out a store beside a layout of `name`; another process may be writing that layout at the same time."""
    from vgrad_jax.results import store

    layouts = [tmp_path / f".{stem}.{'0f' * 16}.incomplete" for stem in (name, "a")]
    for layout in layouts:
        layout.mkdir()
        (layout / store.MARKER).touch()
    train(arms, tmp_path / "a")
    assert [layout.exists() for layout in layouts] == [True, False]
