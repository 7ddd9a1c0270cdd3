"""A table and a question on the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import vgrad_jax as vg
from vgrad_jax.cli import app
from vgrad_jax.cli.chosen import choose
from vgrad_jax.results.reading import data_of, experiment_of
from vgrad_jax.studies import read_study
from vgrad_jax.sweeps import estimate

pytestmark = pytest.mark.usefixtures("quick_reports")


SETTINGS = (
    *("--target", "kind", "--set", "mlp.activation=tanh,relu", "--set", "mlp.hidden=[4]"),
    *("--epochs", 1, "--engine", "plain"),
)


def vgrad(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_table(path, kinds="pqr", seed=0):
    values = np.random.default_rng(seed).normal(size=24)
    rows = "".join(f"{value:.6f},{'ab'[i % 2]},{kinds[i % len(kinds)]}\n" for i, value in enumerate(values))
    path.write_text("size,side,kind\n" + rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A sweep of a table with three classes: two activations, two seeds, one epoch."""
    folder = tmp_path_factory.mktemp("own")
    write_table(folder / "table.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = vgrad("sweep", "--data", "table.csv", *SETTINGS, "--seeds", 2, "--out", "out", "--json")
    assert done.exit_code == 0, done.output
    assert [row["arm"] for row in json.loads(done.stdout)["arms"]] == ["tanh", "relu"]
    return folder


def test_the_page_says_what_became_of_the_data(folder):
    page = (folder / "out" / "index.html").read_text()
    assert "12 rows for training, 12 for testing; 3 features." in page
    assert "The column &#39;side&#39; became 2 features of zeros and ones: a, b." in page
    assert "3 classes: &#39;p&#39; is class 0, &#39;q&#39; is class 1, &#39;r&#39; is class 2" in page
    assert "vgrad sweep study.toml --seeds 2 --study-seed 0" in page


def test_the_study_beside_the_page_is_the_sweeps(folder, monkeypatch):
    monkeypatch.chdir(folder)
    study = read_study(folder / "out" / "study.toml")
    wanted = vg.load_data(vg.Data(path="table.csv")).train_x
    assert list(study.arms) == ["tanh", "relu"]
    assert study.arms["tanh"].training == vg.Training(epochs=1, batch_size=12, loss="softmax_cross_entropy")
    for arm in study.arms.values():
        np.testing.assert_array_equal(vg.load_data(arm.data).train_x, wanted)


def test_a_sweep_goes_on_from_its_folder_alone(folder, monkeypatch):
    monkeypatch.chdir(folder)
    before = vg.open_results("out").load()
    done = vgrad("sweep", "--from", "out", "--seeds", 3)
    assert done.exit_code == 0, done.output
    assert vg.open_results("out").isel(seed=slice(2)).equals(before)
    assert bool(vg.open_results("out")["completed"].all())
    content = (folder / "table.csv").read_text()
    write_table(folder / "table.csv", seed=1)
    done = vgrad("sweep", "--from", "out", "--seeds", 4)
    (folder / "table.csv").write_text(content)
    assert done.exit_code == 2
    assert "the file 'table.csv' has changed since 'out/results.zarr' was made" in done.stderr


def test_the_store_itself_names_the_sweep_around_it(folder, monkeypatch):
    monkeypatch.chdir(folder)
    done = vgrad("sweep", "--from", "out/results.zarr", "--seeds", 3)
    assert done.exit_code == 0, done.output
    assert not (folder / "out" / "results.zarr" / "results.zarr").exists()
    assert "--epochs would change" in vgrad("sweep", "--from", "out", "--epochs", 9).stderr


def test_a_dry_run_trains_nothing_and_says_what_it_would(folder, monkeypatch):
    monkeypatch.chdir(folder)
    settings = ("--data", "table.csv", "--set", "mlp.activation=tanh,gelu", "--seeds", 9)
    done = vgrad("sweep", *settings, "--dry-run", "--json")
    told = json.loads(done.stdout)
    assert list(told["arms"]) == ["tanh", "gelu"]
    assert told["seeds"] == 9
    assert told["seconds"] > 0
    assert told["peak_bytes"] > told["result_bytes"] > 0
    assert not (folder / "runs").exists()


def test_a_dry_run_shows_which_class_is_which_number(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(estimate, "estimated_seconds", lambda experiments, plan: 1.0)
    done = vgrad("sweep", "--data", "table.csv", "--target", "kind", "--seeds", 9, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "3 classes: 'p' is class 0, 'q' is class 1, 'r' is class 2." in " ".join(done.stdout.split())


def test_a_sweep_of_a_relative_path_is_repeated_from_another_folder(folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "other").mkdir()
    monkeypatch.chdir(tmp_path / "copy" / "other")
    arms = choose(None, None, earlier=Path("../out")).arms
    assert list(arms) == ["tanh", "relu"]
    expected = vg.load_data(vg.Data(path="../table.csv")).train_x
    np.testing.assert_array_equal(vg.load_data(arms["relu"].data).train_x, expected)
    (tmp_path / "copy" / "table.csv").unlink()
    with pytest.raises(vg.InputError, match=r"no file 'table.csv', as the sweep in .* names it"):
        choose(None, None, earlier=Path("../out"))


def test_a_sweep_is_resumed_from_another_folder(folder, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(copy / "deep" / "er")
    before = vg.open_results("../../out").load()
    seeds = before.sizes["seed"] + 1
    resumed = (*SETTINGS, "--out", "../../out", "--resume", "--seeds", seeds)
    nowhere = vgrad("sweep", "--data", "table.csv", *resumed)
    assert nowhere.exit_code == 2
    tried = f"no file 'table.csv', which is '{copy / 'deep' / 'er' / 'table.csv'}' from here"
    assert tried in " ".join(nowhere.stderr.split())
    done = vgrad("sweep", "--data", "../../table.csv", *resumed)
    assert done.exit_code == 0, done.output
    after = vg.open_results("../../out")
    assert bool(after["completed"].all())
    assert after.sizes["seed"] == seeds
    assert after.isel(seed=slice(seeds - 1)).equals(before)
    assert experiment_of(after, "relu").data.path == "../../table.csv"
    assert data_of(after, "relu") is not None
    assert vgrad("verify", "../../out").exit_code == 0
    write_table(Path("table.csv"), seed=1)
    other = vgrad("sweep", "--data", "table.csv", *resumed)
    assert other.exit_code == 2
    assert "data.path is '../../table.csv' there and 'table.csv' here" in " ".join(other.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "tabel.csv"), "no file 'tabel.csv'"),
        (("--data", "table.csv", "--target", "knid"), "did you mean 'kind'"),
        (("--data", "table.csv", "--set", "mlp.activaton=tanh"), "did you mean 'activation'"),
        (("--set", "mlp.activation=tanj"), "did you mean 'tanh'"),
        (("--set", "mlp.activation=tanh", "--set", "mlp.activation=relu"), "given twice"),
        (("--set", "mlp.activation=tanh", "--study", "article"), "describe an own study"),
        (("out/study.toml", "--study", "article"), "name a study each"),
        (("out/study.toml", "--arm", "gelu"), "unknown arm 'gelu'"),
        (("--from", "nowhere"), "no results"),
        (("nowhere.toml",), "cannot be read as a study"),
    ],
)
def test_a_mistake_is_a_sentence(folder, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    done = vgrad("sweep", *arguments)
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert isinstance(done.exception, SystemExit)
