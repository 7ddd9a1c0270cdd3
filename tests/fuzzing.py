"""Fuzzers of everything that comes from outside: files, descriptions, command lines, arguments of public functions.

    python -m tests.fuzzing --inputs 100000

An input is either used or refused by `InputError`, and by exit code 2 on the command line. Anything else is a fault:
another exception, more than five seconds of the processor, a number that is not the file's, a file that is touched.
The tests run a few hundred inputs of each kind, as Hypothesis draws them.
"""

import argparse
import collections
import contextlib
import copy
import csv
import gzip
import io
import json
import os
import re
import signal
import tempfile
import traceback
import warnings
from pathlib import Path
from random import Random

import jax
import jax.numpy as jnp
import numpy as np
import optax
import typer
from click.testing import CliRunner

import vgrad_jax as vg
from vgrad_jax.cli import app
from vgrad_jax.studies import read_study
from vgrad_jax.studies.grid import parsed_setting

SECONDS = 5
"""Seconds of the processor that an input may take."""

TEXTS = (
    "",
    " ",
    "nan",
    "-inf",
    "1e400",
    "-1",
    "0",
    "3",
    "1_000",
    "0x10",
    "١٢",
    "tanh",
    "relu(",
    "uniform(0,1)",
    "$x^{2$",
    "%s",
    "{0}",
    "../..",
    "/dev/null",
    "/dev/full",
    "/proc/self/mem",
    "/",
    ".",
    "-",
    "--",
    "none",
    "null",
    "a\0b",
    "\ud800",
    "\u202eabc",
    "\x1b[31m",
    "a\nb",
    "é",
    "\U0001f525",
    "x" * 5000,
    "[" * 2000,
    "{" * 2000,
    "1" * 5000,
    "=",
    "a=",
    "=1",
    "mlp.hidden=[[[1]]]",
    "data.path=/dev/zero",
    "__class__",
    "mlp",
    "file",
    "arrays",
    "circles",
    "wine",
)

VALUES = (
    None,
    True,
    False,
    0,
    1,
    -1,
    3,
    10**9,
    10**30,
    -(10**30),
    2**63,
    0.5,
    -0.0,
    1e300,
    1e-320,
    float("nan"),
    float("inf"),
    1j,
    b"bytes",
    [],
    {},
    (),
    [[]],
    [1, "a"],
    {"a": 1},
    {"function": "os:system"},
    {"function": 3},
    {"function": "jax.nn:relu"},
    (1, 2),
    object(),
    int,
    print,
    np.float32(1),
    np.array([1.0, np.nan]),
    np.array("text"),
    np.array([None, 1]),
    range(3),
    {1, 2},
    Ellipsis,
    NotImplemented,
    np.zeros((0, 3)),
    np.zeros((2, 2, 2)),
    *TEXTS,
)

PLAIN = tuple(value for value in VALUES if isinstance(value, str | int | float | list | dict | None))


class WrongError(AssertionError):
    """A fault that no exception tells: a wrong number, or a file that was touched."""


class Reached(BaseException):
    """Input that was accepted: what would follow is long."""


def mutated(random, content):
    """A few random changes of a file's bytes."""
    data = bytearray(content)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data) + 1)
        kind = random.randrange(6)
        if kind == 0 and data:
            data[at % len(data)] = random.randrange(256)
        elif kind == 1:
            del data[at : at + random.choice((1, 2, 40, 10**6))]
        elif kind == 2:
            data[at:at] = bytes(random.randrange(256) for _ in range(random.randint(1, 9)))
        elif kind == 3:
            data[at:at] = random.choice(TEXTS).encode("utf-8", "surrogatepass")
        elif kind == 4:
            other = random.randrange(len(data) + 1)
            data[at:at] = data[other : other + 30]
        elif data:
            data[at % len(data)] ^= 1 << random.randrange(8)
    return bytes(data)


def table(random):
    """A table of numbers with a class in the last column, as text, in some dialect."""
    rows, columns = random.choice((6, 12, 30)), random.choice((1, 2, 3))
    style = random.choice((".3f", "g", ".2e", "d"))
    numbers = [[random.choice((-1, 1)) * random.randint(0, 10**6) for _ in range(columns)] for _ in range(rows)]
    cells = [[format(n if style == "d" else n / 1000, style) for n in row] for row in numbers]
    words = random.choice((("a", "b"), ("yes", "no"), ("0", "1"), ("-1", "1"), ("none", "some")))
    for index, row in enumerate(cells):
        row.append(words[index % 2])
    if random.random() < 0.3:
        cells[random.randrange(rows)][random.randrange(columns)] = random.choice(TEXTS)
    names = [*(f"f{n}" for n in range(columns)), "kind"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=random.choice(",;\t|"), quoting=random.choice((0, 1)))
    writer.writerows([names, *cells] if random.random() < 0.7 else cells)
    return buffer.getvalue()


CLASSES = {"a", "b"}


def data_files(random, folder):
    """Tables as text and as NPZ, changed at random, with options at random."""
    kind = random.choice((".csv", ".csv", ".csv.gz", ".npz", ".txt"))
    path = folder / f"table{kind}"
    if kind == ".npz":
        buffer = io.BytesIO()
        x = np.array([[random.gauss(0, 1) for _ in range(2)] for _ in range(12)])
        np.savez(buffer, x=x.astype(random.choice(("f4", "f8", "i8", "U4"))), y=np.arange(12) % 2)
        path.write_bytes(mutated(random, buffer.getvalue()))
    else:
        text = table(random).encode("utf-8", "surrogatepass")
        text = mutated(random, text) if random.random() < 0.6 else text
        path.write_bytes(gzip.compress(text, 1) if kind == ".csv.gz" else text)
    options = {"scale": "none"}
    for name, values in (
        ("header", (None, True, False)),
        ("missing", ("refuse", "drop", "median")),
        ("target", (None, 0, -1, "kind", "f0", 7)),
        ("categorical", ((), (0,), "f0")),
        ("ignore", ((), ("f0",), 1)),
        ("task", (None, "classes", "numbers")),
        ("train_samples", (None, 2, 8)),
    ):
        if random.random() < 0.3 and (kind != ".npz" or name != "header"):
            options[name] = random.choice(values)
    dataset = vg.load_data(vg.Data(path=path, **options))
    if options.get("missing") != "median" and kind != ".npz":
        text = gzip.decompress(path.read_bytes()) if kind == ".csv.gz" else path.read_bytes()
        tokens = re.findall(r"[-+.\w]+", text.decode("utf-8-sig"))
        known = {0.0, 1.0}
        for token in tokens:
            with contextlib.suppress(ValueError):
                known.add(np.float32(token).item())
        strange = set(np.concatenate([dataset.train_x, dataset.test_x]).ravel().tolist()) - known
        if strange:
            raise WrongError(f"the file does not hold {sorted(strange)[:3]}: {text[:300]!r}, {options}")


def made_record():
    optimizer = vg.record(every=1, history=6, around=optax.sgd(0.1))
    params = {"first": jnp.ones((3, 3)), "second": jnp.ones((3, 2))}
    state = optimizer.init(params)
    for step in range(6):
        gradient = jax.tree.map(lambda leaf, step=step: leaf * 0.5**step, params)
        _, state = optimizer.update(gradient, state, params, value=jnp.asarray(1.0 / (1 + step)))
    return jax.tree.map(np.asarray, vg.get_record(state))


RECORD = made_record()


def records(random, folder):
    """Records that were saved, changed byte by byte or array by array."""
    path = folder / "record.npz"
    RECORD.save(path)
    whole = random.random() < 0.5
    if whole:
        path.write_bytes(mutated(random, path.read_bytes()))
    else:
        with np.load(path) as file:
            arrays = dict(file)
        for _ in range(random.randint(0, 2)):
            name = random.choice(sorted(arrays))
            if name == "labels":
                labels = json.loads(str(arrays["labels"]))
                labels[random.choice(sorted(labels))] = random.choice([v for v in PLAIN if not isinstance(v, float)])
                arrays["labels"] = np.asarray(json.dumps(labels))
                continue
            shape = tuple(random.choice((0, 1, 2, 6, 7)) for _ in range(random.randrange(4)))
            same = random.random() < 0.4
            value = random.choice((0, 1, -1, 7, np.nan, np.inf, -np.inf, True, "text"))
            changed = np.full(arrays[name].shape if same else shape, value)
            keeps = same and random.random() < 0.5 and not isinstance(value, str)
            arrays[name] = changed.astype(arrays[name].dtype) if keeps else changed
        if random.random() < 0.2:
            del arrays[random.choice(sorted(arrays))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.savez(path, **arrays)
    record = vg.Record.load(path)
    if whole:
        for name, value in vars(RECORD).items():
            if isinstance(value, np.ndarray) and value.tobytes() != getattr(record, name).tobytes():
                raise WrongError(f"{name} is {getattr(record, name)}, and {value} was saved")
    verdict = vg.diagnose(record)
    repr(record), str(verdict), verdict.to_dict()


STUDY = vg.presets.article(epochs=2)["tanh_he"].to_dict()


def replaced(random, values):
    """Nested tables with one value replaced, removed, or added."""
    values = copy.deepcopy(values)
    node = values
    while isinstance(node, dict) and node:
        name = random.choice(sorted(node))
        if not isinstance(node[name], dict) or random.random() < 0.1:
            break
        node = node[name]
    kind = random.random()
    if kind < 0.7 and node:
        node[name] = random.choice(PLAIN)
    elif kind < 0.8 and node:
        node.pop(name)
    else:
        node[random.choice(TEXTS)] = random.choice(PLAIN)
    return values


def descriptions(random, folder):
    """Experiments as JSON, studies as TOML, and settings of the command line."""
    kind = random.randrange(4)
    if kind == 0:
        read_back(replaced(random, STUDY))
    elif kind == 1:
        text = mutated(random, json.dumps(STUDY).encode()).decode("utf-8", "replace")
        vg.Experiment.from_json(text)
    elif kind == 2:
        path = folder / random.choice(("study.toml", "study.json"))
        base = SMALL if path.suffix == ".toml" else json.dumps(STUDY)
        path.write_bytes(mutated(random, base.encode()))
        read_study(path)
    else:
        path, values = parsed_setting(f"{random.choice(FIELDS)}={random.choice(TEXTS)}")
        read_study(folder / "study.toml", {path: values}) if (folder / "study.toml").exists() else None


SMALL = """
title = "t"
seeds = 3
[base]
mlp.hidden = [4, 4]
training.epochs = 2
[arms.a]
mlp.activation = "relu"
[grid]
"optimizer.learning_rate" = [0.1, 0.01]
"""
FIELDS = (
    *(f"{part}.{name}" for part, fields in STUDY.items() for name in fields),
    *TEXTS[:12],
)


def read_back(values):
    """Make an Experiment of JSON; its numbers are the text's, and it is equal to itself written and read."""
    text = json.dumps(values)
    experiment = vg.Experiment.from_json(text)
    if vg.Experiment.from_json(experiment.to_json()) != experiment:
        raise WrongError(f"an experiment changed when it was written: {text}")
    for part, fields in values.items():
        for name, value in fields.items():
            own = getattr(getattr(experiment, part), name)
            if isinstance(value, int | float) and own not in (value, float(value)):
                raise WrongError(f"{part}.{name} is {own}, and the text says {value}")


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
    (folder / "record.npz").write_bytes(SAVED)
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


def user_loss(params, batch):
    return jnp.mean((jnp.tanh(batch[0] @ params)[:, 0] - batch[1]) ** 2)


def user_init(key):
    return jax.random.normal(key, (3, 2))


BATCH = (np.ones((4, 3), np.float32), np.ones(4, np.float32))
MLP = vg.MLP(hidden=(3,))
KEY = jax.random.key(0)
PARAMS = vg.init_mlp(KEY, MLP, 2)
LITTLE = vg.Experiment(mlp=MLP, data=vg.Data("moons", samples=8), training=vg.Training(epochs=1, batch_size=4))
RECORDER = vg.record(history=2, around=optax.sgd(0.1))
STATE = RECORDER.init(jnp.ones((3, 2)))
OBSERVED = [True, False]

CALLS = {
    "apply_mlp": {"params": PARAMS, "x": jnp.ones(2), "mlp": MLP},
    "check_init": {"loss_fn": user_loss, "params_or_init_fn": user_init, "batch": BATCH, "key": KEY, "num_seeds": 1},
    "compare_times": {
        "a_times": [1, 2],
        "a_observed": OBSERVED,
        "b_times": [2, 2],
        "b_observed": OBSERVED,
        "budget": 2,
    },
    "critical_weight_variance": {"activation": "tanh", "bias_variance": 0.1},
    "diagnose": {"record_or_stats": RECORD, "check": None, "baseline": None},
    "get_record": {"opt_state": STATE, "name": None},
    "gradient_stats": {
        "tree": {"a": jnp.ones((2, 2))},
        "per_leaf": False,
        "batch_axes": 0,
        "stacked": None,
        "order": None,
    },
    "init_mlp": {"key": KEY, "mlp": MLP, "in_features": 2, "out_features": 1},
    "input_jacobian": {"params": PARAMS, "x": jnp.ones(2), "mlp": MLP, "to": "logits"},
    "lanes": {"f": jnp.sin, "in_axes": 0, "out_axes": 0},
    "load_data": {"data": vg.Data("moons", samples=8)},
    "locate_nonfinite": {"loss_fn": user_loss, "params": jnp.ones((3, 2)), "batch": BATCH},
    "make_train": {
        "init": user_init,
        "loss_fn": user_loss,
        "optimizer": optax.sgd(0.1),
        "data": BATCH,
        "epochs": 1,
        "batch_size": 2,
    },
    "mean_field": {"activation": "tanh", "weight_variance": 1.5, "bias_variance": 0.05},
    "open_results": {"path": "nowhere"},
    "record": {"every": 1, "history": 0, "name": "g", "around": optax.sgd(0.1), "params": False, "order": None},
    "run_key": {"seed": 0, "run": 1},
    "seeds_needed": {"effect": 0.1, "power": 0.9, "baseline": None, "significance": 0.05},
    "sweep": {"arms": {"a": LITTLE}, "num_seeds": 2, "seed": 0, "chunk": None, "engine": "plain", "precision": None},
    "prescribe": {"patient": LITTLE, "seeds": 8, "most": 2, "enough": 0.5, "progress": False},
    "watch": {"opt_state": STATE, "baseline": None, "patience": 2},
    "Data": {"source": "moons", "samples": 8, "noise": 0.1, "x": None, "y": None, "path": None, "target": None},
    "MLP": {"hidden": (3,), "activation": "tanh", "kernel_init": "he_normal", "norm": None, "residual": None},
    "Optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.0, "clip_norm": None},
    "Training": {"epochs": 1, "batch_size": 4, "loss": "hinge", "threshold": 0.5},
    "Recording": {"every": 1, "parameters_at": (), "gradients_at": ()},
    "Experiment": {"mlp": MLP, "data": vg.Data(), "training": vg.Training()},
    "Arm": {"train": user_init, "converged": "w > 0", "factors": None, "dims": None, "coords": None, "units": None},
}


def signatures(random, folder):
    """Public names called with some arguments of another kind."""
    del folder
    name = random.choice(sorted(CALLS))
    arguments = dict(CALLS[name])
    for _ in range(random.randint(1, 2)):
        arguments[random.choice(sorted(arguments))] = random.choice(VALUES)
    if random.random() < 0.05 and name != "Arm":  # The run-time type checker of the tests answers before an Arm.
        arguments[random.choice(("", "unknown", "key_"))] = 1
    getattr(vg, name)(**arguments)


KINDS = {
    "data files": data_files,
    "records": records,
    "descriptions": descriptions,
    "command lines": command_lines,
    "signatures": signatures,
}

RECORD_FILE = io.BytesIO()
with tempfile.TemporaryDirectory() as own:
    RECORD.save(Path(own) / "record.npz")
    SAVED = (Path(own) / "record.npz").read_bytes()


@contextlib.contextmanager
def prepared():
    """A folder to work in, without training, measuring and the network of an address."""

    def reached(*arguments, **options):
        raise Reached

    from vgrad_jax import prescription
    from vgrad_jax.prescription import prescribing
    from vgrad_jax.report import live
    from vgrad_jax.sweeps import cluster, estimate, running, speed
    from vgrad_jax.theory import comparison

    heavy = (
        (running, "_target"),
        (running, "connected"),
        (cluster, "connected"),
        (live, "run_live"),
        (speed, "measure_speed"),
    )
    heavy += (
        (comparison, "compare"),
        (estimate, "estimated_seconds"),
        (prescription, "prescribe"),
        (prescribing, "Trials"),
    )
    heavy = [(module, name) for module, name in heavy if hasattr(module, name)]
    before = [getattr(module, name) for module, name in heavy]
    where = Path.cwd()
    try:
        for module, name in heavy:
            setattr(module, name, reached)
        yield
    finally:
        os.chdir(where)
        for (module, name), original in zip(heavy, before, strict=True):
            setattr(module, name, original)


def outcome(kind, random):
    """Try one input: "used", "refused", or the fault in words."""

    def late(*_):
        raise WrongError(f"more than {SECONDS} seconds of the processor")

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.chdir(folder)
        alarm = signal.signal(signal.SIGVTALRM, late)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            KINDS[kind](random, Path(folder))
        except Reached:
            return "used"
        except OSError:
            return "refused"  # The message names the file.
        except vg.InputError as error:
            return "refused" if len(str(error)) < 20_000 else f"a sentence of {len(str(error))} characters"
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            if any(frame.name in ("user_loss", "user_init") for frame in frames):
                return "refused"  # A function of the user's own has raised, and says where.
            if type(error).__name__.startswith("Beartype"):
                return "refused"  # The run-time type checker of the tests, which users do not have.
            last = [frame for frame in frames if "vgrad_jax" in frame.filename][-1:]
            place = f"{Path(last[0].filename).name}:{last[0].lineno}" if last else ""
            return f"{kind}: {type(error).__name__} at {place}: {str(error)[:300]}"
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, alarm)
            os.chdir("/")
    return "used"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--kind", choices=KINDS, action="append")
    options = parser.parse_args()
    kinds = options.kind or list(KINDS)
    faults = collections.defaultdict(list)
    with prepared():
        for kind in kinds:
            counts = collections.Counter()
            for number in range(options.first, options.first + options.inputs // len(kinds)):
                said = outcome(kind, Random(f"{options.seed} {kind} {number}"))
                counts[said if said in ("used", "refused") else "faults"] += 1
                if said not in ("used", "refused"):
                    print(f"input {number}: {said}", flush=True)
                    faults[re.sub(r"\d+", "0", said[:90])].append((number, said))
            print(kind, dict(counts), flush=True)
    for examples in faults.values():
        print(f"{len(examples)} times, such as input {examples[0][0]}: {examples[0][1]}")
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
