"""Command line, tested in a process of its own where the process matters."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import jax
import pytest
from typer.testing import CliRunner

import vgrad_jax as vg
from tests import quickly
from tests.once import made_once
from vgrad_jax import report
from vgrad_jax.cli import app
from vgrad_jax.cli.program_files import trim
from vgrad_jax.sweeps import speed
from vgrad_jax.sweeps.engine import ENGINES

VGRAD = [sys.executable, "-m", "vgrad_jax"]


def vgrad(*arguments, cwd):
    """Run a command here, which takes a fifth of the time of a process: package and programs are there already."""
    with contextlib.chdir(cwd), quickly.reports() if arguments[0] in ("sweep", "report") else contextlib.nullcontext():
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return SimpleNamespace(returncode=done.exit_code, stdout=done.stdout, stderr=done.stderr)


def process(*arguments, cwd):
    return subprocess.run([*VGRAD, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    arms = [part for arm in ("tanh_uniform", "tanh_he") for part in ("--arm", arm)]

    def make(folder):
        return folder, vgrad("sweep", *arms, "--seeds", 3, "--epochs", 2, "--out", "pair", "--json", cwd=folder)

    made, done = made_once(tmp_path_factory, "study-of-the-command-line", make)
    assert done.returncode == 0, done.stderr
    folder = tmp_path_factory.mktemp("study")
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return folder, done


def test_sweep_leaves_page_figures_and_results(study):
    folder, done = study
    numbers = json.loads(done.stdout)
    assert [arm["arm"] for arm in numbers["arms"]] == ["tanh_uniform", "tanh_he"]
    assert all(arm["n"] == 3 for arm in numbers["arms"])
    assert "6/6 seeds" in done.stderr
    assert "estimated peak memory" in " ".join(done.stderr.split())
    assert {path.name for path in (folder / "pair").iterdir()} == {
        ".vgrad-report.json",
        "figures",
        "index.html",
        "results.zarr",
        "study.toml",
        "tables",
    }
    results = vg.open_results(folder / "pair")
    assert dict(results.sizes)["seed"] == 3
    assert json.loads((folder / "pair" / "tables" / "summary.json").read_text())["answer"] == numbers["answer"]


def test_report_makes_the_page_again(study):
    folder, _ = study
    (folder / "pair" / "index.html").unlink()
    done = vgrad("report", "pair", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "tanh_uniform" in done.stdout
    assert (folder / "pair" / "index.html").exists()


def test_resuming_what_is_finished_makes_no_page_again(study, tmp_path, monkeypatch):
    folder, done = study
    shutil.copytree(folder / "pair", tmp_path / "pair")
    (tmp_path / "pair" / "index.html").touch()
    made = []
    monkeypatch.setattr(
        report, "write_report", lambda results, folder, **title: made.append(folder) or ask_for_no_more()
    )
    monkeypatch.chdir(tmp_path)
    line = ["sweep", "--arm", "tanh_uniform", "--arm", "tanh_he", "--seeds", "3", "--epochs", "2", "--out", "pair"]
    again = CliRunner().invoke(app, [*line, "--resume"])
    assert (again.exit_code, made) == (0, []), again.output
    assert again.stdout.startswith("nothing to train: all runs are there; page: pair/index.html")
    assert json.loads(CliRunner().invoke(app, [*line, "--resume", "--json"]).stdout) == json.loads(done.stdout)
    (tmp_path / "pair" / "index.html").write_text("another page")
    assert CliRunner().invoke(app, [*line, "--resume"]).exit_code == 7
    assert len(made) == 1


def ask_for_no_more():
    raise SystemExit(7)


def test_run_shows_one_training_and_is_the_sweeps_seed(study):
    folder, _ = study
    done = vgrad("run", "--arm", "tanh_he", "--seed", 2, "--epochs", 2, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    stored = vg.open_results(folder / "pair").sel(arm="tanh_he", seed=2)
    assert shown["train_accuracy"] == pytest.approx(stored["train_accuracy"].values.tolist())
    assert (folder / shown["figure"]).stat().st_size > 5000


def test_run_ends_with_what_the_article_prints(tmp_path):
    done = vgrad("run", "--arm", "tanh_uniform", "--epochs", 100, "--out", "one", "--weights", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for text in ("first layer's weights after epoch 50", "after epoch 100", "mean absolute change", "one/accuracy.png"):
        assert text in done.stdout
    assert "gradient 0 (input side)" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sweep", "--arm", "tanh_unifrom"), "did you mean 'tanh_uniform'"),
        (("sweep", "--study", "artikel"), "did you mean 'article'"),
        (("sweep", "--seeds", "0"), "--seeds must be a whole number, 1 or larger; got 0"),
        (("sweep", "--seeds", "many"), "integer"),
        (("sweep", "--epochs", "0"), "epochs must be a whole number, 1 or larger; got 0"),
        (("sweep", "--out", "pair"), "already in use"),
        (("sweep", "--out", "pair/index.html"), "pair/index.html"),
        (("sweep", "--out", "/proc/nothing"), "cannot write"),
        (("sweep", "--out", "pair", "--resume", "--seeds", "3", "--epochs", "2"), "holds another study"),
        (("sweep", "--resume"), "--out"),
        (("sweep", "--resume", "--out", "typo"), "--resume needs the folder of an interrupted sweep"),
        (("sweep", "--study-seed", "99999999999999999999"), "4294967295 at the most"),
        (("sweep", "--epochs", "1000000000000"), "10000000 at the most"),
        (("run", "--arm", "relu_he", "--seed", "5000000000"), "4294967295 at the most"),
        (("run", "--arm", "relu_he", "--out", "pair"), "already in use"),
        (("run", "--arm", "relu_he", "--out", "pair/index.html"), "pair/index.html"),
        (("report", "pair/results.zarr"), "give the folder that holds it"),
        (("sweep", "--bogus"), "bogus"),
        (("run", "--arm", "relu"), "did you mean 'relu_he'"),
        (("run",), "--arm"),
        (("run", "--arm", "relu_he", "--seed", "-1"), "--seed"),
        (("report", "nowhere"), "no results of a sweep"),
        (("swep",), "swep"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(study, monkeypatch, arguments, message):
    folder, _ = study
    before = sorted(folder.rglob("*"))
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2, done.stderr
    assert isinstance(done.exception, SystemExit)
    assert message in done.stderr
    assert done.stdout == ""
    assert sorted(folder.rglob("*")) == before


def test_a_process_with_bad_input_ends_so_too(tmp_path):
    done = process("report", "nowhere", cwd=tmp_path)
    assert done.returncode == 2
    assert "no results of a sweep" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_the_pages_own_command_gives_the_same_numbers(study, tmp_path):
    folder, _ = study
    page = (folder / "pair" / "index.html").read_text()
    command = re.search(r"<pre>vgrad (sweep[^<]*)</pre>", page).group(1).split()
    done = process(*command, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    again = vg.open_results(json.loads(done.stdout)["folder"].replace("runs", str(tmp_path / "runs")))
    assert vg.open_results(folder / "pair").equals(again)


@pytest.mark.parametrize("damage", ["attribute", "variable", "chunk"])
def test_damaged_results_are_refused_in_a_sentence(study, tmp_path, monkeypatch, damage):
    folder, _ = study
    shutil.copytree(folder / "pair", tmp_path / "pair")
    store = tmp_path / "pair" / "results.zarr"
    if damage == "attribute":
        (store / "zarr.json").write_text((store / "zarr.json").read_text().replace('"versions"', '"other"'))
    elif damage == "variable":
        shutil.rmtree(store / "test_accuracy")
    else:
        (chunk,) = (store / "train_accuracy" / "c" / "0").rglob("*/0")
        chunk.write_bytes(b"not compressed")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["report", "pair"])
    assert done.exit_code == 2, done.stderr
    assert "damaged" in done.stderr
    assert isinstance(done.exception, SystemExit)


@pytest.fixture
def heard():
    """Let Ctrl-C reach processes that the tests start.

    A shell that runs the tests in the background makes them ignore Ctrl-C. A process inherits an ignored signal, but
    never a handler.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


INTERRUPTED_RUN = """
import os, signal, sys
from vgrad_jax import cli
from vgrad_jax.report import live

table, seen = live.live_table, []

def interrupting(watched, total, title):
    if watched.epoch[-1] >= 60 and not seen:
        seen.append(watched.epoch[-1])
        os.kill(os.getpid(), signal.SIGINT)
    return table(watched, total, title)

live.live_table = interrupting
sys.argv = ["vgrad", "run", "--arm", "tanh_he", "--epochs", "4000", "--out", "one", "--weights"]
cli.main()
"""


def test_ctrl_c_in_a_single_run_keeps_what_was_seen(tmp_path, heard):
    """The process sends the signal to itself, so that it comes during the training on every machine."""
    command = [sys.executable, "-c", INTERRUPTED_RUN]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 130, done.stderr
    assert 60 <= int(re.search(r"interrupted after epoch (\d+)", done.stderr).group(1)) < 4000
    assert "Traceback" not in done.stderr
    assert (tmp_path / "one" / "accuracy.png").exists()
    assert "first layer's weights after epoch 50" in done.stdout


INTERRUPTED_SWEEP = """
import os, pathlib, signal, sys
from vgrad_jax import cli, report
from vgrad_jax.results import store

write, written = store.Store.write, []

def interrupting(*arguments):
    write(*arguments)
    written.append(arguments)
    if len(written) == 2:
        os.kill(os.getpid(), signal.SIGINT)

store.Store.write = interrupting
report.write_report = lambda results, folder, **title: (folder / "page").touch()
cli.main()
"""


def test_ctrl_c_keeps_what_is_done_and_resume_goes_on(tmp_path, heard):
    """The process sends the signal to itself, so that it comes during the sweep on every machine."""
    command = ["sweep", "--arm", "tanh_he", "--seeds", "12", "--epochs", "2", "--chunk", "2", "--out", "long"]
    command = [*command, "--workers", "1"]
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_SWEEP, *command], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert "--resume goes on" in done.stderr
    assert (tmp_path / "long" / "page").exists()
    assert 0 < int(vg.open_results(tmp_path / "long")["completed"].sum()) < 12
    done = vgrad(*command, "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert bool(vg.open_results(tmp_path / "long")["completed"].all())


def test_a_warning_is_a_sentence():
    script = "import warnings, vgrad_jax.cli as cli; cli.app = lambda **_: warnings.warn('slower'); cli.main()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "vgrad: warning: slower\n")


def test_help_has_an_example_for_every_command():
    for command in ("sweep", "run", "report"):
        assert f"Example: vgrad {command}" in CliRunner().invoke(app, [command, "--help"]).stdout


def test_bench_times_every_way_and_writes_them_down(tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "EPOCHS", 1)
    monkeypatch.setattr(speed, "SECONDS_EACH", 0.0)
    monkeypatch.setitem(ENGINES, "lanes", ENGINES["plain"])  # Compiling the command's programs takes long.
    done = CliRunner().invoke(app, ["bench", "--out", str(tmp_path / "b"), "--json"])
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert shown["speeds"] == json.loads((tmp_path / "b" / "speed.json").read_text())["speeds"]
    assert [way["engine"] for way in shown["speeds"]] == ["plain", "plain", "lanes"]
    for way in shown["speeds"]:
        assert way["run_milliseconds"] == pytest.approx(way["step_microseconds"] * 16 * 500 / 1000)
        assert way["runs_per_second"] * way["run_milliseconds"] == pytest.approx(1000)
    assert (tmp_path / "b" / "speed.png").stat().st_size > 10_000


def test_an_app_called_in_a_process_leaves_its_settings():
    before = jax.config.jax_compilation_cache_dir
    assert CliRunner().invoke(app, ["seeds", "--effect", "0.1"]).exit_code == 0
    assert jax.config.jax_compilation_cache_dir == before


def test_the_least_recently_used_programs_are_removed(tmp_path):
    for age, name in enumerate(["new", "middle", "old"]):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    trim(tmp_path, 300)
    assert len(list(tmp_path.iterdir())) == 3
    trim(tmp_path, 150)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    trim(tmp_path / "nowhere", 0)


def test_the_second_start_of_a_command_compiles_nothing(tmp_path):
    command = [sys.executable, "-c", SECOND_START]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    hits = []
    for _ in range(2):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        hits.append(json.loads(done.stdout.splitlines()[-1]))
    (_, first_misses), (second_hits, second_misses) = hits
    assert first_misses > 3
    assert second_misses == 0
    assert second_hits >= first_misses


SECOND_START = """
import json
import sys
import jax
from vgrad_jax import cli

counts = {"/jax/compilation_cache/cache_hits": 0, "/jax/compilation_cache/cache_misses": 0}

def count(event, **details):
    if event in counts:
        counts[event] += 1

jax.monitoring.register_event_listener(count)
sys.argv = ["vgrad", "run", "--arm", "tanh_he", "--epochs", "1"]
try:
    cli.main()
except SystemExit as ending:
    assert not ending.code
print(json.dumps(list(counts.values())))
"""
