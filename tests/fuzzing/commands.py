"""Command lines."""

import typer
from click.testing import CliRunner

import vgrad_jax as vg
from tests.fuzzing.descriptions import SMALL
from tests.fuzzing.records import saved_record
from tests.fuzzing.values import TEXTS, WrongError
from vgrad_jax.cli import app

ARGUMENTS = (
    "record.npz",
    "study.toml",
    "kept.txt",
    "out",
    "article",
    "depth",
    "tanh_he",
    "relu_he",
    "2",
    "0.05",
    "0.9",
    "mlp.activation=tanh,relu",
    "optimizer.learning_rate=0.1",
    "init",
    "vanishing",
    "plain",
    "lanes",
    "torch",
    "x:y",
)


COMMAND = typer.main.get_command(app)

WORDS = (
    "sweep",
    "run",
    "report",
    "bench",
    "diagnose",
    "prescribe",
    "theory",
    "seeds",
    "arms",
    "study",
    "verify",
)


def options_of(command):
    return [name for own in COMMAND.commands[command].params for name in own.opts if name.startswith("-")]


OPTIONS = {word: options_of(word) for word in WORDS}


def command_lines(random, folder):
    """Commands with options and values at random; what would train, measure or draw is only reached."""
    word = random.choice(WORDS)
    line = [word]
    for _ in range(random.randint(0, 4)):
        kind = random.random()
        if kind < 0.75:
            line.append(random.choice(OPTIONS[word] or ["--help"]))
        if kind > 0.1:
            line.append(random.choice((*TEXTS, *ARGUMENTS)))
    (folder / "kept.txt").write_text("kept")
    (folder / "record.npz").write_bytes(saved_record())
    (folder / "study.toml").write_text(SMALL)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = CliRunner().invoke(COMMAND, line, obj=None)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if done.exit_code not in (0, 1, 2) or "a fault of vgrad" in done.output or "Traceback" in done.output:
        raise WrongError(f"{line}: exit code {done.exit_code}: {done.output[-400:]}")
    changed = [path for path, content in before.items() if not path.exists() or path.read_bytes() != content]
    named = "--out" in line or word in ("bench", "theory", "run", "sweep")
    new = set(folder.iterdir()) - {path for path in before if path.parent == folder}
    new -= {folder / "runs", folder / "home"}
    if changed or (new and not named):
        raise WrongError(f"{line}: touched {[*changed, *new]}")
    if done.exit_code == 2:
        raise vg.InputError(done.output)
