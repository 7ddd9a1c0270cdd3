"""`vgrad prescribe`: its exit codes, its page and its JSON."""

import json
import re
from html import unescape

import pytest
from typer.testing import CliRunner

import vgrad_jax as vg
from vgrad_jax.cli import app
from vgrad_jax.prescription.cabinet import NOT_IN_CABINET

NETWORK = (
    *("--set", "data.source=moons", "--set", "data.samples=40", "--set", "mlp.hidden=[4]"),
    *("--set", "optimizer.name=sgd", "--set", "training.batch_size=8", "--set", "training.threshold=0.75"),
    *("--epochs", "20", "--seeds", "24"),
)


def vgrad(*arguments):
    return CliRunner().invoke(app, ["prescribe", *map(str, arguments)])


def test_a_cure_is_named_and_the_page_shows_what_was_tried(few, tmp_path):
    few("learning_rate x 100", "learning_rate x 0.1", "scale=standard")
    done = vgrad(*NETWORK, "--set", "optimizer.learning_rate=0.001", "--out", tmp_path, "--framework", "nnx")
    assert done.exit_code == 0, done.output
    assert "The smallest change that works: multiply the learning rate by 100" in done.output
    assert "optax.sgd(0.1)" in done.output
    page = (tmp_path / "index.html").read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    text = unescape(page)
    for words in ("learning_rate x 0.1", "scale=standard: scale: for own data", *NOT_IN_CABINET, "torch.optim.SGD("):
        assert words in text
    plain = json.loads((tmp_path / "prescription.json").read_text())
    assert plain["smallest"] == "learning_rate x 100"
    mended = vg.Experiment.from_json((tmp_path / "mended.json").read_text())
    assert mended.optimizer.learning_rate == pytest.approx(0.1)


def test_nothing_helps(few):
    few("learning_rate x 0.01")
    done = vgrad(*NETWORK, "--set", "optimizer.learning_rate=0.00001", "--json", "--seeds", 8)
    assert done.exit_code == 1
    assert json.loads(done.stdout)["helps"] is False


def test_nothing_was_wrong(few, tmp_path):
    few("learning_rate x 10")
    done = vgrad(*NETWORK, "--set", "optimizer.learning_rate=0.1", "--seeds", 8, "--out", tmp_path)
    assert done.exit_code == 0
    assert "Nothing to mend" in done.stdout
    assert "Nothing to mend" in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--study", "article"), "name it with --arm: tanh_uniform"),
        ((*NETWORK, "--framework", "tensorflow"), "unknown framework 'tensorflow'"),
        (("--set", "mlp.activation=tanh,relu"), "takes one network"),
        (("nowhere.toml",), "nowhere.toml"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    done = vgrad(*arguments)
    assert done.exit_code == 2
    assert message in done.output
