"""Signals and failures of a command, from before its imports on: a sentence, the documented exit code, no traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

ALONE = f"""
import hashlib, importlib.util, os, signal, sys, threading, time
specification = importlib.util.spec_from_file_location("process", {str(ROOT / "vgrad_jax" / "process.py")!r})
process = importlib.util.module_from_spec(specification)
specification.loader.exec_module(process)

def send(name):
    os.kill(os.getpid(), getattr(signal, name))

"""
"""The file alone: it needs no other of the package."""


@pytest.fixture(autouse=True)
def heard():
    """Let Ctrl-C reach the children, also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def ended(body):
    done = subprocess.run([sys.executable, "-c", ALONE + body], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("SIGINT", "interrupted"), ("SIGTERM", "ended by SIGTERM"), ("SIGHUP", "ended by SIGHUP")],
)
def test_a_signal_ends_a_command_that_keeps_nothing(name, sentence):
    body = f"process.hear_signals()\nsend({name!r})\ntime.sleep(50)"
    assert ended(body) == (130, "", f"vgrad: {sentence}\n")


def test_compiled_code_does_not_delay_the_end():
    body = "process.hear_signals()\nthreading.Timer(0.1, send, ['SIGINT']).start()\n"
    assert ended(body + "hashlib.pbkdf2_hmac('sha1', b'', b'', 2**31 - 1)") == (130, "", "vgrad: interrupted\n")


FINISHES = """
process.hear_signals()
with process.finishing(), process.keeping("3 runs are kept"):
    try:
        send("SIGINT")
        time.sleep(50)
    except KeyboardInterrupt:
        print("finished", flush=True)
    AGAIN
"""

SAID = "vgrad: finishing what is being trained; press Ctrl-C once more to stop now\n"


def test_a_first_signal_finishes_and_says_so_and_a_second_stops():
    assert ended(FINISHES.replace("AGAIN", "")) == (0, "finished\n", SAID)
    again = FINISHES.replace("AGAIN", "send('SIGINT'); time.sleep(50)")
    assert ended(again) == (130, "finished\n", f"{SAID}vgrad: interrupted; 3 runs are kept\n")


def test_after_finishing_nothing_is_kept_any_more():
    code, _, errors = ended(FINISHES.replace("AGAIN", "") + "\nsend('SIGTERM')\ntime.sleep(50)")
    assert (code, errors) == (130, f"{SAID}vgrad: ended by SIGTERM\n")


def test_an_ignored_signal_stays_ignored():
    body = "signal.signal(signal.SIGHUP, signal.SIG_IGN)\nprocess.hear_signals()\nsend('SIGHUP')\nprint('on')"
    assert ended(body) == (0, "on\n", "")


@pytest.mark.parametrize(
    ("optax", "code", "sentence"),
    [
        ("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(50)", 130, "interrupted"),
        ("raise KeyboardInterrupt", 130, "interrupted"),
        ("raise MemoryError", 2, "there is not enough memory to start"),
        ("raise RuntimeError('half of it')", 2, "'optax' cannot be imported (RuntimeError: half of it)"),
    ],
)
def test_imports_end_without_a_traceback(tmp_path, optax, code, sentence):
    (tmp_path / "optax.py").write_text(optax)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "vgrad_jax", "seeds", "--effect", "0.1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)


def test_a_program_of_the_users_is_left_alone():
    code = "import signal, sys; before = sys.excepthook; import vgrad_jax.process as process; "
    check = "print(sys.excepthook is before, signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, process._State.hears)"
    done = subprocess.run([sys.executable, "-c", code + check], capture_output=True, text=True)
    assert done.stdout == "True True False\n", done.stderr
