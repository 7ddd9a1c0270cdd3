"""Real faulty training programs and their fixed twins, as bare JAX: `python tests/verdicts/real_faults.py` scores them.

    real_faults.json ──► Program: data, init, loss, optimiser, train(key) ──► records of all seeds ──► verdicts

A loss takes the dropout's key as its third argument; without a key nothing is dropped.
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from real_data import made

import vgrad_jax as vg
from vgrad_jax.diagnosis.statuses import FAULTLESS, UNCLEAR

FACTS = json.loads(Path(__file__).with_suffix(".json").read_text())
DOCUMENT = Path(__file__).parents[2] / "docs" / "verdicts.md"
SEEDS, RECORDS = 32, 100
TINY = 1e-7

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "linear": lambda z: z,
    "sigmoid": jax.nn.sigmoid,
    "softmax": jax.nn.softmax,
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "exponential": jnp.exp,
}
INITIALIZERS: dict[str, Any] = {
    "uniform": lambda key, shape: jax.random.uniform(key, shape, minval=-0.05, maxval=0.05),
    "normal": jax.nn.initializers.normal(0.05),
    "ones": jax.nn.initializers.ones,
    "glorot_uniform": jax.nn.initializers.glorot_uniform(),
    "he_uniform": jax.nn.initializers.he_uniform(),
}


def clipped(p):
    return jnp.clip(p, TINY, 1 - TINY)


def binary_crossentropy(p, y):
    p = clipped(p)
    return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))


def categorical_crossentropy(p, y):
    p = clipped(p / jnp.sum(p, axis=-1, keepdims=True))
    return -jnp.mean(jnp.sum(y * jnp.log(p), axis=-1))


LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "mean_squared_error": lambda p, y: jnp.mean((p - y) ** 2),
    "mean_absolute_error": lambda p, y: jnp.mean(jnp.abs(p - y)),
    "binary_crossentropy": binary_crossentropy,
    "categorical_crossentropy": categorical_crossentropy,
}


def optimizer_of(facts: dict[str, Any]) -> optax.GradientTransformation:
    """Return the optimiser as Keras means it."""
    rate, decay = facts["learning_rate"], facts.get("decay", 0.0)
    schedule = (lambda step: rate / (1 + decay * step)) if decay else rate
    if facts["name"] == "sgd":
        return optax.sgd(schedule, facts.get("momentum"), nesterov=facts.get("nesterov", False))
    if facts["name"] == "rmsprop":
        return optax.rmsprop(rate, decay=0.9, eps=TINY)
    if facts["name"] == "adadelta":
        return optax.adadelta(rate, rho=0.95, eps=TINY)
    return optax.adam(rate, eps=TINY)


@dataclass(frozen=True)
class Program:
    """One training program: the faulty one of a case, or its fixed twin."""

    id: str
    kind: str
    """"buggy" or "fixed"."""
    causes: tuple[str, ...]
    """True causes of the faulty program."""
    facts: dict[str, Any]
    task: dict[str, Any]
    metric: str

    @cached_property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of all rows."""
        return made(self.task, self.facts["inputs"], self.facts["labels"])

    @property
    def rows(self) -> int:
        """Number of rows of a minibatch."""
        return min(self.facts["batch_size"], len(self.data[0]))

    @property
    def layers(self) -> list[dict[str, Any]]:
        return self.facts["layers"]

    @property
    def has_dropout(self) -> bool:
        return any(layer["type"] == "dropout" for layer in self.layers)

    def batch(self) -> tuple[np.ndarray, np.ndarray]:
        """Return a first minibatch."""
        order = np.random.default_rng(0).permutation(len(self.data[0]))[: self.rows]
        return self.data[0][order], self.data[1][order]

    def init(self, key: Any) -> list[dict[str, jax.Array]]:
        """Draw the parameters: kernel and bias of each layer that has them."""
        shape, params = self.data[0].shape[1:], []
        for number, layer in enumerate(self.layers):
            if layer["type"] in ("dense", "conv"):
                window = (layer["window"],) * 2 if layer["type"] == "conv" else ()
                draw = INITIALIZERS[layer.get("init", "glorot_uniform")]
                kernel = draw(jax.random.fold_in(key, number), (*window, shape[-1], layer["units"]))
                params.append({"kernel": kernel, "bias": jnp.zeros(layer["units"])})
            shape = _shape_after(layer, shape)
        return params

    def outputs(self, params: Any, x: Any, key: Any = None, *, fast: bool = False) -> Any:
        """Return what the last layer gives.

        Args:
            params: kernels and biases.
            x: inputs.
            key: the dropout's key; None for no dropout.
            fast: take convolutions as products of patches, which are fast with kernels of their own for each seed.
        """
        left = iter(params)
        for number, layer in enumerate(self.layers):
            own = next(left) if layer["type"] in ("dense", "conv") else None
            convolve = _product_of_patches if fast else _convolution
            x = _apply(layer, own, x, None if key is None else jax.random.fold_in(key, number), convolve)
        return x

    def loss_fn(self, params: Any, batch: Any, key: Any = None, *, fast: bool = False) -> Any:
        """Return the loss, with the penalties of the layers."""
        x, y = batch
        loss = LOSSES[self.facts["loss"]](self.outputs(params, x, key, fast=fast), y)
        with_weights = [layer for layer in self.layers if layer["type"] in ("dense", "conv")]
        for layer, own in zip(with_weights, params, strict=True):
            if "l1" in layer:
                loss += layer["l1"] * jnp.sum(jnp.abs(own["kernel"]))
        return loss

    def checked_loss(self, params: Any, batch: Any) -> Any:
        """Return the loss as it is trained, with a fixed mask of the dropout."""
        return self.loss_fn(params, batch, jax.random.key(0) if self.has_dropout else None)

    def train(self, key: Any) -> tuple[Any, Any]:
        """Train one seed; return the recorder's state and the score on all rows."""
        steps = self.facts["steps"]
        every = max(1, steps // RECORDS)
        optimizer = vg.record(every, -(-steps // every), around=optimizer_of(self.facts["optimizer"]))
        x, y = map(jnp.asarray, self.data)
        params, rows = self.init(key), self._rows_of_steps(jax.random.fold_in(key, 1))

        def step(carry, now):
            params, state = carry
            number, rows = now
            drop = jax.random.fold_in(jax.random.fold_in(key, 2), number) if self.has_dropout else None
            loss, gradient = jax.value_and_grad(partial(self.loss_fn, fast=True))(params, (x[rows], y[rows]), drop)
            updates, state = optimizer.update(gradient, state, params, value=loss)
            return (optax.apply_updates(params, updates), state), None

        (params, state), _ = jax.lax.scan(step, (params, optimizer.init(params)), (jnp.arange(steps), rows))
        return state, self.score(params)

    def _rows_of_steps(self, key: Any) -> jax.Array:
        """Draw the rows of each step's minibatch, in an order of its own each epoch."""
        rows, steps = len(self.data[0]), self.facts["steps"]
        per_epoch = rows // self.rows
        keys = jax.random.split(key, -(-steps // per_epoch))
        orders = jax.vmap(partial(jax.random.permutation, x=rows))(keys)
        return orders[:, : per_epoch * self.rows].reshape(-1, self.rows)[:steps]

    def score(self, params: Any) -> Any:
        """Return the score on all rows: accuracy, share of labels right, or R squared, at least -1."""
        x, y = map(jnp.asarray, self.data)
        p = self.outputs(params, x, fast=True)
        if self.metric == "R squared":
            return jnp.maximum(1 - jnp.sum((p - y) ** 2) / jnp.sum((y - y.mean(0)) ** 2), -1)
        one_hot = self.metric == "accuracy" and y.shape[-1] > 1
        right = jnp.mean(jnp.argmax(p, -1) == jnp.argmax(y, -1) if one_hot else (p > 0.5) == y)
        return jnp.where(jnp.isfinite(p).all(), right, 0.0)


def _shape_after(layer: dict[str, Any], shape: tuple[int, ...]) -> tuple[int, ...]:
    if layer["type"] == "maxpool":
        return (shape[0] // 2, shape[1] // 2, shape[2])
    if layer["type"] == "conv":
        lost = 0 if layer.get("padding") == "SAME" else layer["window"] - 1
        return (shape[0] - lost, shape[1] - lost, layer["units"])
    if layer["type"] == "flatten":
        return (math.prod(shape),)
    return (*shape[:-1], layer["units"]) if layer["type"] == "dense" else shape


def _convolution(x: Any, kernel: Any, padding: str) -> Any:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _product_of_patches(x: Any, kernel: Any, padding: str) -> Any:
    window = kernel.shape[0]
    margin = (window - 1) // 2 if padding == "SAME" else 0
    x = jnp.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    height, width = x.shape[1] - window + 1, x.shape[2] - window + 1
    shifted = [x[:, i : i + height, j : j + width] for i in range(window) for j in range(window)]
    return jnp.concatenate(shifted, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


def _apply(layer: dict[str, Any], own: Any, x: Any, key: Any, convolve: Callable[..., Any]) -> Any:
    if layer["type"] == "dropout":
        if key is None:
            return x
        kept = jax.random.bernoulli(key, 1 - layer["rate"], x.shape)
        return jnp.where(kept, x / (1 - layer["rate"]), 0)
    if layer["type"] == "maxpool":
        rows, height, width, units = x.shape
        x = x[:, : height // 2 * 2, : width // 2 * 2]
        return x.reshape(rows, height // 2, 2, width // 2, 2, units).max((2, 4))
    if layer["type"] == "flatten":
        return x.reshape(len(x), -1)
    is_dense = layer["type"] == "dense"
    z = x @ own["kernel"] if is_dense else convolve(x, own["kernel"], layer.get("padding", "VALID"))
    return ACTIVATIONS[layer["activation"]](z + own["bias"].reshape((1,) * (z.ndim - 1) + (-1,)))


def programs() -> list[Program]:
    """Return every program: of each case the faulty one, then its fixed twin."""
    return [
        Program(case["id"], kind, tuple(case["causes"]), case[kind], case["task"]["data"], case["measured"]["metric"])
        for case in FACTS["cases"]
        for kind in ("buggy", "fixed")
    ]


class Trained(NamedTuple):
    """Outcome of a program over its seeds."""

    record: vg.Record
    scores: np.ndarray


def trained(program: Program, num_seeds: int = SEEDS) -> Trained:
    """Train the seeds of a program."""
    keys = jax.random.split(jax.random.key(0), num_seeds)
    state, scores = jax.jit(jax.vmap(program.train))(keys)
    return Trained(jax.tree.map(np.asarray, vg.get_record(state)), np.asarray(scores))


def cached(program: Program, num_seeds: int, folder: Path | None) -> Trained:
    """Return the outcome that a folder holds, or train and put it there."""
    if folder is None:
        return trained(program, num_seeds)
    record = folder / f"{program.id}-{program.kind}-{num_seeds}.npz"
    scores = record.with_suffix(".scores.npy")
    if not scores.exists():
        folder.mkdir(parents=True, exist_ok=True)
        outcome = trained(program, num_seeds)
        outcome.record.save(record)
        np.save(scores, outcome.scores)
    return Trained(vg.Record.load(record), np.load(scores))


def checked(program: Program, num_seeds: int = SEEDS) -> vg.InitCheck:
    """Check the initial parameters of the same seeds."""
    return vg.check_init(
        program.checked_loss, program.init, program.batch(), key=jax.random.key(0), num_seeds=num_seeds
    )


def run(program: Program, num_seeds: int = SEEDS, folder: Path | None = None) -> tuple[vg.Record, vg.InitCheck]:
    """Return the records of all seeds, with the seeds in front, and the check before training."""
    return cached(program, num_seeds, folder).record, checked(program, num_seeds)


class Judged(NamedTuple):
    """Verdicts on the seeds of a program."""

    program: Program
    statuses: Counter[str]
    causes: list[tuple[str, ...]]
    """Words that each detected seed's verdict names, most likely first."""
    score: float
    """Median."""

    @property
    def detected(self) -> int:
        return sum(count for status, count in self.statuses.items() if status not in FAULTLESS)


def judged(program: Program, num_seeds: int, folder: Path | None) -> Judged:
    """Judge each seed of a program on its own."""
    outcome, check = cached(program, num_seeds, folder), checked(program, num_seeds)
    statuses: Counter[str] = Counter()
    causes = []
    for seed in range(num_seeds):
        diagnosis = vg.diagnose(jax.tree.map(lambda leaf, seed=seed: leaf[seed], outcome.record), check=check)
        statuses[diagnosis.status] += 1
        if diagnosis.status not in FAULTLESS:
            speaking = [finding for finding in diagnosis.findings if finding.status == diagnosis.status]
            words = [word for finding in speaking for word in getattr(finding, "causes", ())]
            causes.append(tuple(dict.fromkeys(words)))
    return Judged(program, statuses, causes, float(np.median(outcome.scores)))


def table(rows: list[Judged]) -> str:
    """Return a line for each program, and the scores over all of them."""
    measured = {case["id"]: case["measured"] for case in FACTS["cases"]}
    lines = []
    for row in rows:
        named = Counter(word for words in row.causes for word in words)
        marked = [f"{'' if word in row.program.causes else '!'}{word} {count}" for word, count in named.most_common()]
        published = measured[row.program.id][f"{row.program.kind}_median"]
        statuses = ", ".join(f"{status} {count}" for status, count in row.statuses.most_common())
        lines.append(
            f"{row.program.id:24}{row.program.kind:6} score {row.score:6.3f} ({published:6.3f})  {statuses}"
            + (f"  [{', '.join(marked)}]" if marked else "")
        )
        if row.program.kind == "buggy":
            lines[-1] += f"  true: {', '.join(row.program.causes)}"
    return "\n".join([*lines, *summary(rows)])


def summary(rows: list[Judged]) -> list[str]:
    """Return the shares over all seeds: detection, causes, false alarms."""
    buggy, fixed = ([row for row in rows if row.program.kind == kind] for kind in ("buggy", "fixed"))
    seeds = {kind: sum(sum(row.statuses.values()) for row in part) for kind, part in (("b", buggy), ("f", fixed))}
    named = [(word in row.program.causes) for row in buggy for words in row.causes for word in words]
    hits = [any(word in row.program.causes for word in words) for row in buggy for words in row.causes]
    unclear = sum(row.statuses[UNCLEAR] for row in buggy)
    return [
        f"detection {sum(row.detected for row in buggy) / max(seeds['b'], 1):.3f} (aim 0.90), "
        f"unclear {unclear / max(seeds['b'], 1):.3f}",
        f"a true cause named {sum(hits) / max(seeds['b'], 1):.3f} (aim 0.70)",
        f"named causes that are true {sum(named) / max(len(named), 1):.3f} of {len(named)} (aim 0.60)",
        f"false alarms on the fixed {sum(row.detected for row in fixed) / max(seeds['f'], 1):.3f} (aim 0.05)",
    ]


def document(rows: list[Judged]) -> str:
    """Return the Markdown of docs/verdicts.md: our shares beside the published marks, then a line for each case."""
    ours = [row for row in rows if row.program.kind == "buggy"]
    twins = {row.program.id: row for row in rows if row.program.kind == "fixed"}
    marks: dict[str, dict[str, list[float]]] = {}
    for case in FACTS["cases"]:
        for tool, mark in case["rivals"].items():
            for name in ("detection", "diagnosis"):
                if isinstance(mark.get(name), int | float):
                    marks.setdefault(tool, {}).setdefault(name, []).append(mark[name])
    lines = ["| tool | cases | detected | a true cause named |", "|---|---|---|---|"]
    share = np.mean([row.detected / sum(row.statuses.values()) for row in ours])
    lines.append(
        f"| vgrad_jax, {SEEDS} seeds | {len(ours)} | {share:.2f} | {np.mean([_hits(row) for row in ours]):.2f} |"
    )
    for tool, by_name in sorted(marks.items()):
        detected, diagnosed = (by_name.get(name, []) for name in ("detection", "diagnosis"))
        cells = [f"{np.mean(values):.2f}" if values else "-" for values in (detected, diagnosed)]
        lines.append(f"| {tool} | {max(len(detected), len(diagnosed))} | {' | '.join(cells)} |")
    lines += ["", *(f"- {line}" for line in summary(rows)), ""]
    lines += ["| case | true causes | verdicts | causes named | verdicts on the fixed twin |", "|---|---|---|---|---|"]
    for row in ours:
        named = Counter(word for words in row.causes for word in words)
        words = ", ".join(f"{word} {count}" for word, count in named.most_common())
        statuses, of_twin = (
            ", ".join(f"{status} {count}" for status, count in counts.most_common())
            for counts in (row.statuses, twins[row.program.id].statuses)
        )
        lines.append(f"| {row.program.id} | {', '.join(row.program.causes)} | {statuses} | {words} | {of_twin} |")
    return "\n".join(lines)


def _hits(row: Judged) -> float:
    """Return the share of a program's seeds in which a true cause is named."""
    return sum(any(word in row.program.causes for word in words) for words in row.causes) / sum(row.statuses.values())


def main() -> None:
    """Print the table, and put it into docs/verdicts.md where asked to."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--folder", type=Path, help="keeps the records, so that they can be judged again")
    parser.add_argument("--only", nargs="*", help="names of cases")
    parser.add_argument("--document", action="store_true", help="write docs/verdicts.md")
    chosen = parser.parse_args()
    rows = []
    for program in programs():
        if not chosen.only or program.id in chosen.only:
            rows.append(judged(program, chosen.seeds, chosen.folder))
            print(table(rows[-1:]).splitlines()[0], flush=True)
    print(*summary(rows), sep="\n")
    if chosen.document:
        write_document(document(rows))


def write_document(made: str) -> None:
    """Put the tables into docs/verdicts.md, in place of those that are there."""
    text = DOCUMENT.read_text()
    start, end = "<!-- real faults -->\n", "<!-- end of real faults -->"
    before, rest = text.split(start)
    DOCUMENT.write_text(f"{before}{start}{made}\n{end}{rest.split(end)[1]}")


if __name__ == "__main__":
    main()
