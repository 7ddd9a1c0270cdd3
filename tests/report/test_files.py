"""A report writes over its own files alone, and through no symbolic link."""

import itertools
import os
import pathlib

import numpy as np
import pytest

import vgrad_jax as vg
from tests.made import made_results
from vgrad_jax.report import Report, write_report
from vgrad_jax.report.files import MANIFEST, write_files

pytestmark = pytest.mark.usefixtures("quick_reports")

PNG = b"\x89PNG\r\n\x1a\n Software Matplotlib version3"
FILES = {
    "index.html": b'<script id="explorer-data">1</script>',
    "figures/overview.png": PNG,
    "tables/arms.csv": b"arm,n,converged\r\na,1,0\r\n",
    "tables/arms.tex": b"\\begin{tabular}{l}\n\\toprule\n",
    "tables/summary.json": b'{"answer": "", "arms": []}',
}
MINE = b"what,nobody,may lose\r\nfor any reason\r\n"


def content(folder):
    """Every file but the manifest."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_files_of_an_earlier_report_are_replaced(tmp_path):
    assert write_files(tmp_path / "new" / "report", FILES) == [tmp_path / "new" / "report" / name for name in FILES]
    later = {name: text + b"later" for name, text in FILES.items()}
    write_files(tmp_path / "new" / "report", later)
    assert content(tmp_path / "new" / "report") == later


@pytest.mark.parametrize("name", FILES)
def test_a_link_in_place_of_a_file_is_refused_and_not_followed(tmp_path, name):
    mine, folder = tmp_path / "mine", tmp_path / "report"
    write_files(folder, FILES)
    mine.write_bytes(FILES[name])  # Even where a report wrote what the link leads to.
    (folder / name).unlink()
    (folder / name).symlink_to(mine)
    before = content(folder)
    with pytest.raises(vg.InputError, match=r"is a symbolic link, which a report does not follow"):
        write_files(folder, {name: text + b"later" for name, text in FILES.items()})
    assert mine.read_bytes() == FILES[name]
    assert (folder / name).is_symlink()
    assert content(folder) == before


@pytest.mark.parametrize("name", ["figures", "tables"])
def test_a_link_in_place_of_a_folder_is_refused_and_not_followed(tmp_path, name):
    mine, folder = tmp_path / "mine", tmp_path / "report"
    mine.mkdir()
    folder.mkdir()
    (folder / name).symlink_to(mine)
    with pytest.raises(vg.InputError, match=rf"/{name}' is a symbolic link"):
        write_files(folder, FILES)
    assert not list(mine.iterdir())
    assert [path.name for path in folder.iterdir()] == [name]


def test_the_folder_itself_may_be_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_files(tmp_path / "link", FILES)
    assert content(tmp_path / "real") == FILES


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_no_report_wrote_is_refused(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(MINE)
    with pytest.raises(vg.InputError, match="was not written by a report"):
        write_files(tmp_path, FILES)
    assert content(tmp_path) == {name: MINE}


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    write_files(tmp_path, FILES)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(vg.InputError, match=r"cannot write the report into .*: No space left on device"):
        write_files(tmp_path, {name: text + b"later" for name, text in FILES.items()})
    assert content(tmp_path) == FILES


def test_a_new_file_has_the_usual_permissions(tmp_path):
    before = os.umask(0o027)
    try:
        (path,) = write_files(tmp_path, {"index.html": FILES["index.html"]})
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_report_writes_its_files_this_way(tmp_path, monkeypatch):
    """The second report replaces the first, and a file that the user changed is refused."""
    results = made_results({"tanh_he": np.full(3, 9.0)}, epochs=20)
    charts = [*itertools.islice(Report(results).charts(), 2)]
    monkeypatch.setattr("vgrad_jax.report.report.Report.charts", lambda report: iter(charts))
    for _ in range(2):
        write_report(results, tmp_path / "report")
    written = content(tmp_path / "report")
    assert len(written) == 1 + 2 + 6
    for name in ("index.html", "figures/overview.svg", "tables/predictors.csv", "tables/arms.tex"):
        (tmp_path / "report" / name).write_bytes(MINE)
        with pytest.raises(vg.InputError, match="was not written by a report"):
            write_report(results, tmp_path / "report")
        assert (tmp_path / "report" / name).read_bytes() == MINE
        (tmp_path / "report" / name).write_bytes(written[name])


def test_a_table_of_a_version_with_fewer_columns_is_replaced(tmp_path):
    write_files(tmp_path, FILES)
    (tmp_path / MANIFEST).unlink()
    (tmp_path / "tables" / "arms.csv").write_bytes(b"arm,n\r\na,1\r\n")
    write_files(tmp_path, FILES)
    assert content(tmp_path) == FILES


@pytest.mark.parametrize("name", FILES)
def test_a_users_file_that_looks_like_a_reports_is_refused(tmp_path, name):
    """A figure by Matplotlib, a table of a paper: without a page beside it nothing says that a report wrote it."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(FILES[name])
    if name == "index.html":  # The mark in it is a report's alone.
        return
    with pytest.raises(vg.InputError, match="was not written by a report"):
        write_files(tmp_path, FILES)
    assert content(tmp_path) == {name: FILES[name]}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_the_user_changed_is_refused(tmp_path, name):
    write_files(tmp_path, FILES)
    (tmp_path / name).write_bytes(FILES[name] + b"my own words")
    with pytest.raises(vg.InputError, match="or was changed since"):
        write_files(tmp_path, {name: text + b"later" for name, text in FILES.items()})
    assert content(tmp_path) == {**FILES, name: FILES[name] + b"my own words"}


def test_files_that_the_new_report_lacks_are_removed(tmp_path):
    write_files(tmp_path, {**FILES, "figures/old.png": PNG, "figures/changed.png": PNG})
    (tmp_path / "figures" / "changed.png").write_bytes(MINE)
    (tmp_path / "figures" / "mine.png").write_bytes(PNG)
    write_files(tmp_path, FILES)
    assert content(tmp_path) == {**FILES, "figures/changed.png": MINE, "figures/mine.png": PNG}


@pytest.mark.parametrize("kept", range(len(FILES) + 2))
def test_a_report_that_was_killed_is_written_again(tmp_path, monkeypatch, kept):
    write_files(tmp_path, FILES)
    later = {name: text + b"later" for name, text in FILES.items()}
    replace, left = pathlib.Path.replace, [kept]

    def dying(self, target):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as context:
        context.setattr(pathlib.Path, "replace", dying)
        with pytest.raises(KeyboardInterrupt):
            write_files(tmp_path, later)
    write_files(tmp_path, later)
    assert content(tmp_path) == later


@pytest.mark.parametrize("text", [b"", b"{", b'{"files": 3}', b'{"files": {"index.html": null}}'])
def test_a_damaged_manifest_is_as_none(tmp_path, text):
    write_files(tmp_path, FILES)
    (tmp_path / MANIFEST).write_bytes(text)
    write_files(tmp_path, FILES)
    assert content(tmp_path) == FILES
