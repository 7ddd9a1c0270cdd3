"""An archive of a store is opened as the store is; a harmful or damaged one is refused before anything is read."""

import shutil
import subprocess
import zipfile

import numpy as np
import pytest
from typer.testing import CliRunner

import vgrad_jax as vg
from tests.stores import sweep
from vgrad_jax.cli import app
from vgrad_jax.results import pack_results, verify_results
from vgrad_jax.results.archive import COMMENT, MANIFEST, stored_member

SEEDS = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    sweep(path / "results.zarr", SEEDS)
    (path / "results.zarr" / "notes.txt").write_text("mine")
    return path


@pytest.fixture
def archive(folder, tmp_path):
    return pack_results(folder, tmp_path / "run.zip")


def names(archive):
    with zipfile.ZipFile(archive) as opened:
        return opened.namelist()


def test_an_archive_is_opened_as_the_store_is(folder, archive):
    results = vg.open_results(archive)
    assert results.load().identical(vg.open_results(folder).load())
    assert verify_results(archive) == (4, [], True)
    assert names(archive)[0] == MANIFEST
    assert not any("notes" in name for name in names(archive))


def test_equal_stores_give_equal_bytes(folder, archive, tmp_path):
    assert pack_results(folder / "results.zarr", tmp_path / "again.zip").read_bytes() == archive.read_bytes()
    shutil.copytree(folder, tmp_path / "copy")
    assert pack_results(tmp_path / "copy", archive).read_bytes() == (tmp_path / "again.zip").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"run.zip", "again.zip", "copy"}


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_other_tools_unpack_and_compare_it_and_a_sweep_goes_on_there(archive, tmp_path):
    inside = tmp_path / "unpacked"
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(inside)
    subprocess.run(["sha256sum", "-c", "--quiet", MANIFEST], cwd=inside, check=True)
    assert sweep(inside / "results.zarr", SEEDS) == []
    assert sweep(inside / "results.zarr", SEEDS + 2) == [(0, 6, 8), (1, 6, 8)]


def test_blocks_that_are_not_finished_stay_out(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    store = tmp_path / "copy" / "results.zarr"
    for lost in ("completed/c/0/1", "checksums/0/1.json"):
        (store / lost).unlink()
    archive = pack_results(store, tmp_path / "run.zip")
    assert not any("/c/0/1" in name for name in names(archive))
    assert vg.open_results(archive)["completed"].values.tolist() == [[True] * 4 + [False] * 2, [True] * 6]


def test_a_damaged_store_is_not_packed(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "results.zarr" / "size" / "c" / "1" / "0" / "0").write_bytes(b"?")
    with pytest.raises(vg.InputError, match=r"size/c/1/0/0 is damaged.*arm 'second', seeds 0 to 3.*resume"):
        pack_results(tmp_path / "copy", tmp_path / "run.zip")
    assert not list(tmp_path.glob("*.zip*"))


@pytest.mark.parametrize("content", [b"a year of work", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_no_archive_is_not_replaced(folder, tmp_path, content):
    mine = tmp_path / "run.zip"
    mine.write_bytes(content)
    with pytest.raises(vg.InputError, match="is there and is no archive"):
        pack_results(folder, mine)
    (tmp_path / "link.zip").symlink_to(tmp_path / "elsewhere.zip")
    with pytest.raises(vg.InputError, match="is no file"):
        pack_results(folder, tmp_path / "link.zip")
    assert mine.read_bytes() == content
    assert not (tmp_path / "elsewhere.zip").exists()


def remade(archive, change, comment=COMMENT):
    """Write the archive again with its members changed: a list of name or `ZipInfo`, and content."""
    with zipfile.ZipFile(archive) as opened:
        members = [(info, opened.read(info)) for info in opened.infolist()]
    with pytest.MonkeyPatch.context() as context:
        context.setattr("warnings.warn", lambda *arguments, **options: None)  # Two members of one name.
        with zipfile.ZipFile(archive, "w") as opened:
            opened.comment = comment
            for info, content in change(members):
                opened.writestr(info, content)


def compressed(name, content):
    info = stored_member(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info, content


HARMFUL = {
    "a step upwards": (lambda m: [*m, (stored_member("results.zarr/../../x"), b"")], "which no store has"),
    "a root": (lambda m: [*m, (stored_member("/tmp/x"), b"")], "which no store has"),
    "a drive": (lambda m: [*m, (stored_member("results.zarr/c:x"), b"")], "which no store has"),
    "a backslash": (lambda m: [*m, (stored_member("results.zarr/..\\x"), b"")], "which no store has"),
    "a bomb": (lambda m: [*m, compressed("results.zarr/x", bytes(10**6))], "compressed or encrypted"),
    "a name twice": (lambda m: [*m, m[3]], "two members of the name"),
    "a member more": (lambda m: [*m, (stored_member("results.zarr/x"), b"")], "manifest and the members"),
    "a member less": (lambda m: m[:-1], "manifest and the members"),
    "no manifest": (lambda m: m[1:], "no manifest"),
    "another manifest": (lambda m: [(m[0][0], b"?"), *m[1:]], "manifest of the archive is damaged"),
    "nothing": (lambda m: [], "no manifest"),
}


@pytest.mark.parametrize("kind", HARMFUL)
def test_a_harmful_archive_is_refused(archive, kind):
    change, message = HARMFUL[kind]
    remade(archive, change)
    with pytest.raises(vg.InputError, match=message):
        vg.open_results(archive)


def test_an_archive_of_another_program_is_refused(archive):
    remade(archive, lambda members: members, comment=b"")
    with pytest.raises(vg.InputError, match="no archive of `vgrad pack`"):
        vg.open_results(archive)


def test_a_number_that_was_changed_in_an_archive_is_not_shown(archive):
    def change(members):
        return [(i, bytes(len(c)) if i.filename.endswith("size/c/1/0/0") else c) for i, c in members]

    remade(archive, change)
    with pytest.raises(vg.InputError, match=r"size/c/1/0/0 is damaged"):
        vg.open_results(archive)["size"].load()
    (damage,) = verify_results(archive).damage
    assert "size/c/1/0/0 is damaged" in damage.reason


def test_a_truncated_archive_is_refused_everywhere(archive):
    content = archive.read_bytes()
    for size in np.linspace(0, len(content) - 1, 12).astype(int):
        archive.write_bytes(content[:size])
        with pytest.raises(vg.InputError):
            vg.open_results(archive)


def test_the_commands_take_archives(folder, tmp_path):
    def run(*arguments):
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return done.exit_code, done.output

    archive = tmp_path / "run.zip"
    code, shown = run("pack", folder, "--out", archive)
    assert code == 0
    assert "with a checksum of every file" in shown
    assert run("verify", archive) == (0, f"{archive}: all 4 blocks hold what was written\n")
    code, shown = run("sweep", "--from", archive)
    assert code == 2
    code, shown = run("report", archive)
    assert (code, "page:" in shown) == (0, True), shown
    assert (tmp_path / "run" / "index.html").is_file()
    archive.write_bytes(archive.read_bytes()[:-30])
    for command in ("verify", "report", "sweep --from"):
        code, shown = run(*command.split(), archive)
        assert code == 2
        assert "damaged" in shown
        assert shown.count("\n") == 1
