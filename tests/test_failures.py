"""No failure of a command is a traceback: a sentence, and the exit code that is documented."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import vgrad_jax as vg
from vgrad_jax.cli import app
from vgrad_jax.cli.failures import guarded
from vgrad_jax.process import TRACEBACK
from vgrad_jax.report.files import write_page


def failing(error):
    def command():
        raise error

    return guarded(command)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (vg.InputError("a sentence"), 2, "vgrad: a sentence\n"),
        (OSError(28, "No space left on device", "x"), 2, "vgrad: 'x': No space left on device\n"),
        (OSError(28, "No space left on device"), 2, "vgrad: cannot write the output: No space left on device\n"),
        (ImportError("lib.so: failed to map segment from shared object"), 2, "not enough memory"),
        (KeyboardInterrupt(), 130, "vgrad: interrupted\n"),
        (KeyboardInterrupt("3 runs are kept"), 130, "vgrad: 3 runs are kept\n"),
        (MemoryError(), 2, "not enough memory; ask for a smaller --chunk"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes"), 2, "not enough memory"),
        (ZeroDivisionError("division\nby zero"), 2, "ZeroDivisionError: division by zero. This is a fault of vgrad"),
        (RecursionError("x" * 999), 2, "xxx..."),
    ],
)
def test_every_failure_is_a_sentence(error, code, words, capfd):
    with pytest.raises(typer.Exit) as ended:
        failing(error)()
    assert ended.value.exit_code == code
    shown = capfd.readouterr()
    assert words in shown.err
    assert shown.err.count("\n") == 1
    assert "Traceback" not in shown.err


def test_a_traceback_is_shown_to_those_who_ask_for_it(monkeypatch, capfd):
    monkeypatch.setenv(TRACEBACK, "1")
    with pytest.raises(typer.Exit):
        failing(ZeroDivisionError("here"))()
    assert "Traceback" in capfd.readouterr().err


def test_a_closed_pipe_is_silence():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "vgrad_jax", "arms"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_without_the_characters_and_a_platform_without_a_device():
    code = "from vgrad_jax.cli import failures; failures.prepare_process(); print('\\u2500')"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "?\n"), done.stderr
    command = [sys.executable, "-m", "vgrad_jax", "run", "--arm", "relu_he", "--epochs", "1"]
    done = subprocess.run(command, env={**os.environ, "JAX_PLATFORMS": "cuda"}, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("vgrad: JAX finds no device for JAX_PLATFORMS=cuda")
    assert "Traceback" not in done.stderr


def test_closed_streams_and_a_device_as_a_page(tmp_path):
    command = [sys.executable, "-m", "vgrad_jax", "arms"]
    done = subprocess.run(["sh", "-c", '"$@" >&- 2>&-', "sh", *command], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with pytest.raises(vg.InputError, match="is not a page of vgrad_jax"):
        write_page(Path("/dev/full"), b"")  # Reading it would never end.


def test_a_package_that_cannot_be_imported_is_named(tmp_path, monkeypatch, capfd):
    (tmp_path / "half_a_package.py").write_text("raise RuntimeError('half of it')")
    monkeypatch.syspath_prepend(tmp_path)

    def command():
        importlib.import_module("half_a_package")

    with pytest.raises(typer.Exit):
        guarded(command)()
    assert "the package 'half_a_package' cannot be imported (RuntimeError: half of it)" in capfd.readouterr().err


@pytest.mark.parametrize("arguments", [["-h"], ["--help"], ["sweep", "-h"]])
def test_help_has_two_names(arguments):
    assert CliRunner().invoke(app, arguments).exit_code == 0


def test_version_and_exit_codes_are_printed():
    assert CliRunner().invoke(app, ["--version"]).stdout == f"vgrad_jax {vg.__version__}\n"
    assert "130 Ctrl-C" in " ".join(CliRunner().invoke(app, ["--help"]).stdout.split())


def test_verify_names_what_is_damaged(tmp_path):
    arms = {"a": vg.Experiment(training=vg.Training(epochs=1, batch_size=20), data=vg.Data("moons", samples=40))}
    vg.sweep(arms, 3, store=tmp_path / "results.zarr", engine="plain", progress=False)
    sound = CliRunner().invoke(app, ["verify", str(tmp_path)])
    assert (sound.exit_code, sound.stdout.split(": ")[1]) == (
        0,
        "all 1 blocks hold what was written\n",
    )
    (file,) = [path for path in (tmp_path / "results.zarr" / "train_loss" / "c").rglob("*") if path.is_file()]
    file.write_bytes(file.read_bytes()[:-9])
    damaged = CliRunner().invoke(app, ["verify", str(tmp_path)])
    assert damaged.exit_code == 2
    assert "train_loss" in damaged.stderr
    assert "seeds 0 to 2" in damaged.stderr
    assert CliRunner().invoke(app, ["verify", str(tmp_path), "--json"]).exit_code == 2
