"""`vgrad sweep my_study.py` and `vgrad sweep module:name`: the arms that a user's own file names."""

import json

import pytest
from typer.testing import CliRunner

import vgrad_jax as vg
from vgrad_jax.cli import app
from vgrad_jax.cli.study_file import read_study

pytestmark = pytest.mark.usefixtures("quick_reports")

STUDY = """
import jax
import vgrad_jax as vg
from helpers import draw

arms = {
    "low": vg.Arm(lambda key: {"x": draw(key)}, converged="x > 0.5"),
    "high": vg.Arm(lambda key: {"x": draw(key) + 0.3}, converged="x > 0.5"),
}


def made():
    return {"only": arms["low"]}
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    (tmp_path / "helpers.py").write_text("import jax\n\n\ndef draw(key):\n    return jax.random.uniform(key)\n")
    (tmp_path / "my_study.py").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", __import__("sys").path[:])
    return tmp_path / "my_study.py"


def test_a_file_is_swept_resumed_and_has_a_page(study):
    options = ["sweep", str(study), "--out", "out", "--chunk", "4", "--workers", "1", "--engine", "plain", "--json"]
    done = CliRunner().invoke(app, [*options, "--seeds", "8"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, [*options, "--seeds", "20", "--resume"])
    numbers = json.loads(done.stdout)
    assert [row["arm"] for row in numbers["arms"]] == ["low", "high"]
    results = vg.open_results("out")
    assert results.attrs["chunk"] == 4
    assert results.sizes["seed"] == 20
    assert numbers["arms"][0]["converged"]["value"] == float((results["x"].sel(arm="low") > 0.5).mean())
    assert "high" in (study.parent / "out" / "index.html").read_text()


@pytest.mark.parametrize(("target", "names"), [("my_study:arms", ["low", "high"]), ("my_study:made", ["only"])])
def test_a_module_names_its_arms(study, target, names):
    assert list(read_study(target, None).arms) == names


def test_arms_are_chosen_by_name(study):
    assert list(read_study(str(study), ["high"]).arms) == ["high"]
    with pytest.raises(vg.InputError, match="did you mean 'high'"):
        read_study(str(study), ["hihg"])


@pytest.mark.parametrize(
    ("target", "text", "message"),
    [
        ("nothing.py", None, "there is no file 'nothing.py'"),
        ("bad.py", "arms = 1 / 0", "'bad.py' raised ZeroDivisionError"),
        ("bad.py", "x = 1", "'bad.py' names no 'arms'"),
        ("bad.py", "arms = []", "must map names to arms"),
        ("no_module:arms", None, "the module 'no_module' cannot be imported"),
        ("my_study:nothing", None, "names no 'nothing'"),
        ("article", None, "expected a Python file"),
    ],
)
def test_what_names_no_arms_is_refused(study, target, text, message):
    if text is not None:
        (study.parent / target).write_text(text)
    with pytest.raises(vg.InputError, match=message):
        read_study(target, None)


def test_epochs_are_the_arms_own(study):
    done = CliRunner().invoke(app, ["sweep", str(study), "--epochs", "3"])
    assert done.exit_code == 2
    assert "a Python file names arms itself" in done.output
