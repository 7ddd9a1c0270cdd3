"""Manners that all commands share: options, examples, errors, progress, pages that open, arms that are listed."""

import json
import re
import subprocess
import sys
import webbrowser
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests.fuzzing.records import saved_record
from vgrad_jax import presets
from vgrad_jax.cli import app
from vgrad_jax.cli.shared import terminal
from vgrad_jax.sweeps import progress
from vgrad_jax.sweeps.plan import make_plan

COMMANDS = typer.main.get_command(app).commands

OPTIONS = {command: {name: own for own in made.params for name in own.opts} for command, made in COMMANDS.items()}

NUMBERS = set(COMMANDS) - {"pack", "study"}
"""Commands that print numbers."""

TRAIN = {"sweep", "run", "bench", "prescribe"}
"""Commands that show progress."""

PAGES = {"sweep", "report", "diagnose", "prescribe", "run"}
"""Commands that write a page or a picture to be looked at."""

SEVERAL = {"--arm", "--baseline"}
"""Options that take several values in one command, or another kind of number."""


def vgrad(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)), prog_name="vgrad")


def kind_of(option):
    """The Python type of an option, by the name that this version of typer gives it."""
    return option.type_descriptor.annotation if hasattr(option, "type_descriptor") else option.type


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_an_example_and_the_common_options(command):
    done = vgrad(command, "--help")
    assert done.exit_code == 0
    assert f"Example: vgrad {command}" in " ".join(done.stdout.split())
    assert vgrad(command, "-h").stdout == done.stdout
    own = OPTIONS[command]
    assert ("--json" in own) == (command in NUMBERS)
    assert ("--open" in own) == (command in PAGES)
    assert command not in TRAIN or {"--quiet", "-q", "--out"} <= own.keys()


def test_an_option_is_the_same_in_every_command():
    kinds = {}
    for command, options in OPTIONS.items():
        for name, option in options.items():
            if name.startswith("--") and name not in SEVERAL:
                kinds.setdefault(name, {})[command] = (str(kind_of(option)), option.multiple, option.nargs)
    different = {name: own for name, own in kinds.items() if len(set(own.values())) > 1}
    assert not different
    words = [name for name in kinds if not re.fullmatch(r"--[a-z]+(-[a-z]+)*", name)]
    assert not words


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (["swep"], "vgrad: no such command 'swep'"),
        (["sweep", "--bogus"], "vgrad: no such option: --bogus"),
        (["run"], "vgrad: missing option '--arm' (see `vgrad run --help`)"),
        (["sweep", "--seeds", "many"], "vgrad: invalid value for '--seeds'"),
        (["report", "nowhere"], "vgrad: "),
        (["diagnose", "--open", "record.npz"], "vgrad: --open needs a page"),
        (["seeds", "--effect", "2"], "vgrad: effect must be a finite number"),
        (["sweep", "--seeds", "0"], "vgrad: --seeds must be a whole number"),
    ],
)
def test_every_error_has_one_style(line, sentence):
    done = vgrad(*line)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1


def test_the_help_of_no_command_is_help():
    assert "Commands" in vgrad().output
    assert "vgrad: " not in vgrad().output


def test_quiet_prints_errors_alone_and_open_opens_the_page(tmp_path, monkeypatch):
    (tmp_path / "record.npz").write_bytes(saved_record())
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: bool(opened.append(address)) or len(opened) > 1)
    line = ["diagnose", tmp_path / "record.npz", "--out", tmp_path / "verdict.html", "--quiet"]
    first = vgrad(*line, "--open")
    assert (first.exit_code, first.stdout) == (0, "")
    assert first.stderr == f"vgrad: warning: no browser opens {tmp_path / 'verdict.html'}\n"
    assert vgrad(*line, "--open").output == ""
    assert opened == [(tmp_path / "verdict.html").as_uri()] * 2
    assert json.loads(vgrad(*line, "--json").stdout)["status"]


def test_no_color_is_heard(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")

    def shown():
        terminal().print("a name", style="bold red")
        return capsys.readouterr().out

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "31m" in shown()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "31m" not in shown()


def test_progress_elsewhere_than_on_a_terminal_is_a_line_now_and_then(monkeypatch, capsys):
    times = iter([0.0, 1.0, 29.0, 31.0, 32.0, 33.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    monkeypatch.setattr(progress, "seldom", lambda show: SELDOM(show, lambda: next(times)))
    from vgrad_jax.sweeps.arms import check_arms

    arms = check_arms({"a": presets.article(epochs=1)["tanh_he"]})
    with progress.progress_bar(make_plan(arms, 4)) as report:
        for done in (0, 1, 2, 3, 4):
            report(done, 4)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("training")]
    assert lines == ["training: 2/4 seeds", "training: 4/4 seeds"]


SELDOM = progress.seldom


def test_arms_of_any_study_are_listed(tmp_path):
    (tmp_path / "own.py").write_text("arms = {'mine': lambda key: key, 'yours': lambda key: key}")
    (tmp_path / "own.toml").write_text("[arms.mine]\n[arms.yours]\nmlp.hidden = [3]\n")
    for name in ("own.py", "own.toml"):
        done = vgrad("arms", tmp_path / name, "--json")
        assert json.loads(done.stdout) == {str(tmp_path / name): ["mine", "yours"]}, done.output
    assert vgrad("arms", tmp_path / "nowhere.py").exit_code == 2


def test_a_closed_pipe_is_silence_for_the_help_too():
    root = Path(__file__).parent.parent
    command = f"{sys.executable} -m vgrad_jax sweep --help | true"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
