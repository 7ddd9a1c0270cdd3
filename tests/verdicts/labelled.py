"""Models whose truth is known by construction and by the outcome of their training.

A family is one small architecture, whose cases run in one compiled program. They differ in numbers only: gain of the
kernels, shift of the biases, learning rate, data. Each case is trained for 200 steps with a recorder. Its
truth is checked against its outcome, and against the outcome of the same model without the cause.
"""

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen, nnx

import vgrad_jax as vg
from vgrad_jax.gradients.layers import Grouping
from vgrad_jax.gradients.look import Look, look_at

STEPS, EVERY = 200, 10
ROWS, FEATURES, WIDTH = 32, 4, 10


class Knobs(NamedTuple):
    """Changes to a model of a family."""

    gain: float = 1.0
    """Factor of every kernel's initial values."""
    shift: float = 0.0
    """Added to every bias but the last layer's."""
    rate: float = 0.3
    loss: float = 1.0
    """Factor of the loss; the learning rate is divided by it, so that without rounding nothing changes."""
    broken: float = 0.0
    """1: the loss takes the root of zero; 2: one input is missing (NaN)."""
    noise: float = 0.4
    """Spread of the two classes about their centres, which are 2 apart."""
    seed: int = 0


class Family(NamedTuple):
    """One architecture."""

    shapes: Any
    """Shapes of the parameters, as a pytree of the framework."""
    apply: Callable[[Any, jax.Array], jax.Array]
    """Logits `(rows,)` of inputs `(rows, FEATURES)`."""
    variance: float = 2.0
    """Variance of an initial kernel, times its fan-in."""
    dtype: Any = jnp.float32
    stacked: str | None = None


class Case(NamedTuple):
    """A model with a truth."""

    family: str
    truth: str
    knobs: Knobs


class Outcome(NamedTuple):
    """Outcome of a case's training."""

    record: vg.Record
    look: Look
    first_loss: float
    last_loss: float


def struct(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def bare(activation, depth, variance, norm=lambda h: h):
    """Make a family of plain layers, each a dictionary."""
    widths = [FEATURES, *[WIDTH] * depth, 1]
    shapes = [{"kernel": struct(*pair), "bias": struct(pair[1])} for pair in itertools.pairwise(widths)]

    def apply(params, x):
        for layer in params[:-1]:
            x = activation(norm(x @ layer["kernel"] + layer["bias"]))
        return (x @ params[-1]["kernel"] + params[-1]["bias"])[:, 0]

    return Family(shapes, apply, variance)


def deep(activation, depth, variance, branch=None):
    """Make a family of hidden layers stacked for a scan; with residual branches of a factor."""
    shapes = {
        "a_input": {"kernel": struct(FEATURES, WIDTH), "bias": struct(WIDTH)},
        "hidden": {"kernel": struct(depth, WIDTH, WIDTH), "bias": struct(depth, WIDTH)},
        "output": {"kernel": struct(WIDTH, 1), "bias": struct(1)},
    }

    def apply(params, x):
        def layer(h, p):
            z = activation(h @ p["kernel"] + p["bias"])
            return (z if branch is None else h + branch * z), None

        h = activation(x @ params["a_input"]["kernel"] + params["a_input"]["bias"])
        h, _ = jax.lax.scan(layer, h, params["hidden"])
        return (h @ params["output"]["kernel"] + params["output"]["bias"])[:, 0]

    return Family(shapes, apply, variance, stacked="hidden")


def normalised(h):
    return (h - h.mean(-1, keepdims=True)) / (h.std(-1, keepdims=True) + 1e-5)


class Convolutional(linen.Module):
    """Inputs as a row of four places; convolutions as products of patches, fast with a kernel for each case."""

    @linen.compact
    def __call__(self, x):
        x = x[..., None]
        for _ in range(4):
            padded = jnp.pad(x, ((0, 0), (1, 1), (0, 0)))
            patches = jnp.concatenate([padded[:, n : n + FEATURES] for n in range(3)], axis=-1)
            x = linen.relu(linen.Dense(8)(patches))
        return linen.Dense(1)(x.reshape(x.shape[0], -1))[:, 0]


class Attention(nnx.Module):
    """Each input is a token: a block of attention and a layer, with residual branches and a norm."""

    def __init__(self, rngs):
        self.embedding = nnx.Linear(1, 8, rngs=rngs)
        self.places = nnx.Param(jnp.zeros((FEATURES, 8)))
        self.attention = nnx.List([nnx.MultiHeadAttention(2, 8, decode=False, rngs=rngs) for _ in range(1)])
        self.norm = nnx.List([nnx.LayerNorm(8, rngs=rngs) for _ in range(1)])
        self.linear = nnx.List([nnx.Linear(8, 8, rngs=rngs) for _ in range(1)])
        self.output = nnx.Linear(8, 1, rngs=rngs)

    def __call__(self, x):
        h = self.embedding(x[..., None]) + self.places[...][None]
        for attention, norm, linear in zip(self.attention, self.norm, self.linear, strict=True):
            h = h + attention(norm(h))
            h = h + nnx.relu(linear(h))
        return self.output(h.mean(1))[:, 0]


def flax_linen(module):
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, FEATURES)))
    return Family(shapes, module.apply)


def flax_nnx(kind, variance):
    graph, shapes, rest = nnx.split(nnx.eval_shape(lambda: kind(nnx.Rngs(0))), nnx.Param, ...)
    return Family(shapes, lambda params, x: nnx.merge(graph, params, rest)(x), variance)


def equinox_mlp(activation, depth):
    model = equinox.filter_eval_shape(equinox.nn.MLP, FEATURES, 1, WIDTH, depth, activation, key=jax.random.key(0))
    shapes, static = equinox.partition(model, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))
    return Family(shapes, lambda params, x: jax.vmap(equinox.combine(params, static))(x)[:, 0])


FAMILIES: dict[str, Family] = {
    "tanh": bare(jnp.tanh, 5, 1.0),
    "layer norm": bare(jax.nn.relu, 6, 2.0, normalised),
    "deep tanh": deep(jnp.tanh, 12, 1.0),
    "deep relu": deep(jax.nn.relu, 12, 2.0),
    "deep sigmoid": deep(jax.nn.sigmoid, 10, 1.0),
    "residual": deep(jax.nn.relu, 12, 2.0, branch=1 / math.sqrt(12)),
    "convolutional": flax_linen(Convolutional()),
    "attention": flax_nnx(Attention, 1.0),
    "equinox": equinox_mlp(jax.nn.relu, 4),
    "half precision": bare(jnp.tanh, 4, 1.0)._replace(dtype=jnp.float16),
}


def initial_params(family: Family, knobs: Knobs):
    """Draw normal kernels and zero biases, changed by the knobs; by NumPy, whose random numbers need no compiling."""
    rng = np.random.default_rng(knobs.seed)
    paths, structure = jax.tree_util.tree_flatten_with_path(family.shapes)

    def leaf(path, shape):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        size = shape.shape
        own = size[1:] if family.stacked and family.stacked in name else size
        if "bias" in name:
            return np.full(size, knobs.shift if math.prod(own) > 1 else 0.0)
        if len(own) < 2:
            return np.ones(size)
        # The outputs are first in equinox, last elsewhere, and an attention's heads are two axes.
        fan_in = (
            own[1]
            if "weight" in name
            else 8
            if "/out/" in name
            else own[0]
            if "/" in name and len(own) == 3
            else math.prod(own[:-1])
        )
        return rng.normal(size=size) * math.sqrt(family.variance / fan_in) * knobs.gain

    leaves = [leaf(path, shape).astype(np.float32) for path, shape in paths]
    return jax.tree.unflatten(structure, leaves)


def data(knobs: Knobs):
    """Draw two classes about opposite corners of a cube."""
    rng = np.random.default_rng(1000 + knobs.seed)
    y = (rng.permutation(ROWS) % 2).astype(np.float32)
    corner = np.array([1.0, -1.0, 1.0, -1.0])
    x = (2 * y[:, None] - 1) * corner + 2 * knobs.noise * rng.normal(size=(ROWS, FEATURES))
    if knobs.broken == 2:
        x[0, 0] = np.nan
    return x.astype(np.float32), y


def run_one(family: Family, knobs: Knobs, params, batch):
    """Train one case; a pure function of the knobs, the parameters and the data."""
    params, batch = jax.tree.map(lambda leaf: leaf.astype(family.dtype), (params, batch))

    def loss(params, batch):
        x, y = batch
        logits = family.apply(params, x)
        value = jnp.mean(jax.nn.softplus(logits) - y * logits)
        # The slope of the root is infinite at zero, and infinity times zero is missing.
        root = jnp.sqrt(jnp.where(knobs.broken == 1, 0 * logits.sum(), 1.0)) - jnp.where(knobs.broken == 1, 0.0, 1.0)
        return ((value + root) * knobs.loss).astype(value.dtype)

    grouping = Grouping(stacked=family.stacked)
    first = look_at(loss, params, batch, grouping)
    optimizer = vg.record(
        EVERY,
        STEPS // EVERY,
        around=optax.sgd(knobs.rate / knobs.loss),
        order=first.stats.paths,
        stacked=family.stacked,
    )

    def step(carry, _):
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params, batch)
        updates, state = optimizer.update(gradient, state, params, value=value)
        return (optax.apply_updates(params, updates), state), value

    (params, state), losses = jax.lax.scan(step, (params, optimizer.init(params)), None, length=STEPS)
    return state, first, losses


def run(cases: list[Case]) -> list[Outcome]:
    """Train all cases, those of a family in one program."""
    outcomes: dict[Case, Outcome] = {}
    for name in dict.fromkeys(case.family for case in cases):
        family, members = FAMILIES[name], [case.knobs for case in cases if case.family == name]
        knobs = Knobs(*(np.array(values, np.float32) for values in zip(*members, strict=True)))
        starts = [(initial_params(family, own), data(own)) for own in members]
        params, batch = jax.tree.map(lambda *leaves: np.stack(leaves), *starts)
        with jax.numpy_rank_promotion("allow"):  # The frameworks' own layers need it.
            program = jax.jit(jax.vmap(partial(run_one, family))).lower(knobs, params, batch)
        # Compiling is nearly all of the time.
        state, first, losses = program.compile({"xla_backend_optimization_level": 0})(knobs, params, batch)
        record, first, losses = vg.get_record(state), jax.tree.map(np.asarray, first), np.asarray(losses, np.float64)
        for number, case in enumerate(case for case in cases if case.family == name):
            pick = lambda array, n=number: array[n]  # noqa: E731
            outcomes[case] = Outcome(
                jax.tree.map(pick, record), jax.tree.map(pick, first), losses[number, 0], losses[number, -1]
            )
    return [outcomes[case] for case in cases]


GOOD = {name: Knobs(rate=0.1) for name in FAMILIES} | {"deep sigmoid": Knobs(gain=10.0)}
"""With these a family learns."""


def all_cases(*, held: bool) -> list[Case]:
    """Return one half of the labelled set: several families for each status, causes of several sizes.

    Args:
        held: the half that was not looked at while thresholds were chosen. Its causes have other sizes, and its
            weights and data other seeds.
    """
    made: list[Case] = []

    def add(truth: str, family: str, **knobs: tuple[float, ...]) -> None:
        ((name, values),) = knobs.items()
        for value in values:
            seed = 1 + len(made) % 23 + 50 * held
            size = value * 1.15 if held and name != "broken" else value
            made.append(Case(family, truth, Knobs(**{name: size, "seed": seed})))

    learning = {
        "tanh": (0.003, 0.005, 0.008),
        "equinox": (0.008, 0.015),
        "layer norm": (0.002, 0.004),
        "deep tanh": (0.006, 0.012),
        "deep relu": (0.008, 0.015),
        "residual": (0.002, 0.004),
        "convolutional": (0.005, 0.01),
        "attention": (0.01, 0.02),
        "half precision": (0.005, 0.01),
    }
    for family, rates in learning.items():
        add("healthy", family, rate=rates)
        add("learning_rate_small", family, rate=(1e-5, 3e-6) if family != "half precision" else (1e-4,))
        add("solved", family, rate=(0.3, 0.15) if family != "half precision" else (0.3,))
        add("non_finite", family, broken=(1.0, 2.0))
    add("vanishing", "tanh", gain=(0.05, 0.08, 0.1, 0.12))
    add("vanishing", "equinox", gain=(0.05, 0.08))
    add("vanishing", "convolutional", gain=(0.05, 0.08, 0.1))
    add("vanishing", "deep tanh", gain=(0.1, 0.2, 0.3, 0.4))
    add("vanishing", "deep relu", gain=(0.1, 0.2, 0.3, 0.4))
    add("vanishing", "deep sigmoid", gain=(0.1, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0))
    add("saturated", "tanh", shift=(-6.0, -5.0, -4.0, 4.0, 5.0, 6.0))
    add("saturated", "deep tanh", shift=(-6.0, -5.0, -4.0, -3.0, 3.0, 4.0, 5.0, 6.0))
    add("exploding", "deep relu", gain=(2.0, 3.0, 5.0, 10.0, 30.0))
    add("exploding", "residual", gain=(4.0, 6.0, 10.0, 30.0))
    add("exploding", "convolutional", gain=(5.0, 8.0, 12.0))
    add("exploding", "equinox", gain=(6.0, 10.0, 20.0))
    add("dead", "deep relu", shift=(-1.0, -2.0, -4.0, -6.0))
    add("dead", "convolutional", shift=(-2.0, -3.0, -5.0))
    add("dead", "residual", shift=(-9.0, -10.0, -12.0))
    add("dead", "equinox", shift=(-3.0, -4.0, -5.0, -6.0))
    add("learning_rate_large", "equinox", rate=(30.0, 100.0))
    add("learning_rate_large", "layer norm", rate=(30.0, 60.0, 100.0))
    add("learning_rate_large", "deep tanh", rate=(10.0, 30.0, 100.0))
    add("learning_rate_large", "deep relu", rate=(3.0, 5.0, 10.0))
    add("learning_rate_large", "residual", rate=(3.0, 5.0, 10.0))
    add("learning_rate_large", "convolutional", rate=(10.0, 20.0))
    add("learning_rate_large", "attention", rate=(30.0, 100.0))
    losses = (2e-6, 1.6e-6, 1.3e-6, 1e-6, 9e-7, 8e-7, 7e-7, 6e-7, 5e-7, 4e-7, 3e-7, 2e-7)
    add("underflow", "half precision", loss=losses)
    return made


def controls(cases: list[Case]) -> list[Case]:
    """Return, for each case, the same architecture and data without any cause."""
    return [Case(case.family, "control", GOOD[case.family]._replace(seed=case.knobs.seed)) for case in cases]


def agrees(case: Case, outcome: Outcome) -> bool:
    """Return whether the outcome of a case is what its truth says, judged by the loss alone."""
    first, last = outcome.first_loss / case.knobs.loss, outcome.last_loss / case.knobs.loss
    ratio = last / first
    if case.truth in ("healthy", "solved", "control"):
        low, high = {"healthy": (0.04, 0.75), "solved": (0.0, 0.02), "control": (0.0, 0.3)}[case.truth]
        return low <= ratio < high
    if case.truth == "non_finite":
        return not math.isfinite(last)
    if case.truth == "learning_rate_small":
        return 0.9 < ratio < 1.1
    learned_nothing = not last < 0.8 * math.log(2)
    return learned_nothing and (math.isfinite(last) or case.truth in ("exploding", "learning_rate_large"))
