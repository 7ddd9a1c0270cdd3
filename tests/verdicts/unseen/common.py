"""Trainings whose verdict is known from how they were made and from what they reached, written apart from the rules.

A case is a program: parameters, a loss, data, an optimiser, and a score that says what the training reached. Its truth
holds the verdicts that are right. The score checks the truth: a healthy case reaches its bound, and a sick case stays
far behind its twin, which is the same program without the cause.
"""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import vgrad_jax as vg

# Compiling takes longer than training here; the first use of JAX reads the flag.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

FINE = frozenset({"healthy", "solved"})


class Case(NamedTuple):
    """A training and the verdicts that are right for it."""

    name: str
    family: str
    half: str
    """"open", "closed", "later", "fresh", "sealed" or "blind": all but "open" are counted only, never looked at."""
    init: Callable[[Any], Any]
    loss: Callable[..., Any]
    """Function of the parameters, the batch (with the memory, where there is one), and a key where `keyed` is True."""
    data: Any
    """Arrays with a leading axis of rows."""
    optimizer: optax.GradientTransformation
    score: Callable[[Any, Any], Any]
    """Function of the final parameters and of `judge`; higher is better."""
    bound: float
    """Score that a healthy training reaches."""
    floor: float = 0.0
    """Score of the best constant prediction."""
    truth: frozenset[str] = FINE
    steps: int = 400
    batch_size: int = 32
    every: int = 10
    keyed: bool = False
    judge: Any = None
    """Data for the score, where they are not those of the training."""
    twin: Any = None
    """The healthy program of a sick case."""
    memory: Any = None
    """Pair of functions: of the parameters to a memory beside them, and of the memory and the new parameters."""
    spoil: Any = None
    """Function of a key, the step and the batch that spoils the batch."""
    alter: Any = None
    """Function of a key and the gradient that changes the gradient."""
    apply: bool = True
    """False where the updates are not applied."""
    ordered: bool = False
    """True where the batches are taken in the order of the rows."""
    scale: float = 1.0
    """Factor of the loss before it is differentiated; the gradient is divided by it in float32."""


def sick(twin: Case, name: str, truth: str, **changes: Any) -> Case:
    """Make a sick case from its healthy twin."""
    return twin._replace(name=name, truth=frozenset(truth.split()), twin=twin, **changes)


def _call(case, params, batch, key):
    value = case.loss(params, batch, key) if case.keyed else case.loss(params, batch)
    return value * case.scale


def train(case: Case, seeds: int = 3) -> tuple[vg.Record, Any]:
    """Train a case for several seeds; return the record and the final parameters, both with a leading axis of seeds."""
    rows = len(jax.tree.leaves(case.data)[0])
    size = min(case.batch_size, rows)

    def one(key):
        first, rest = jax.random.split(key)
        params = case.init(first)
        optimizer = vg.record(case.every, history=case.steps // case.every, around=case.optimizer)
        memory = None if case.memory is None else case.memory[0](params)

        def step(carry, number):
            params, state, memory = carry
            chosen, noise, spoiling, altering = jax.random.split(jax.random.fold_in(rest, number), 4)
            if case.ordered:
                index = (number * size + jnp.arange(size)) % rows
            else:
                index = jax.random.randint(chosen, (size,), 0, rows)
            batch = jax.tree.map(lambda array: array[index], case.data)
            batch = batch if case.spoil is None else case.spoil(spoiling, number, batch)
            batch = batch if case.memory is None else (batch, memory)
            value, gradient = jax.value_and_grad(lambda params: _call(case, params, batch, noise))(params)
            if case.scale != 1.0:
                value = value / case.scale
                gradient = jax.tree.map(lambda leaf: leaf.astype(jnp.float32) / case.scale, gradient)
            gradient = gradient if case.alter is None else case.alter(altering, gradient)
            updates, state = optimizer.update(gradient, state, params, value=value)
            params = optax.apply_updates(params, updates) if case.apply else params
            memory = None if case.memory is None else case.memory[1](memory, params)
            return (params, state, memory), None

        carry = params, optimizer.init(params), memory
        (params, state, _), _ = jax.lax.scan(step, carry, jnp.arange(case.steps))
        return state, params

    state, params = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(11), seeds))
    return vg.get_record(state), params


def run(case: Case, seeds: int = 3) -> vg.Record:
    """Train a case for several seeds with a recorder; the record has a leading axis of seeds."""
    return train(case, seeds)[0]


def check(case: Case, seeds: int = 3) -> vg.InitCheck:
    """Check a case before training, on one minibatch, as a user would."""
    size = min(case.batch_size, len(jax.tree.leaves(case.data)[0]))
    batch = jax.tree.map(lambda array: array[:size] if case.ordered else array[-size:], case.data)
    batch = batch if case.spoil is None else case.spoil(jax.random.key(3), 0, batch)
    batch = batch if case.memory is None else (batch, case.memory[0](case.init(jax.random.key(5))))
    if case.keyed:
        loss = lambda params, batch, key: _call(case, params, batch, key)  # noqa: E731
        return vg.check_init(loss, case.init, batch, num_seeds=seeds, loss_key=jax.random.key(1))
    return vg.check_init(lambda params, batch: _call(case, params, batch, None), case.init, batch, num_seeds=seeds)


def scores(case: Case, params: Any) -> np.ndarray:
    """Score the final parameters of every seed; a score that is not finite is minus infinity."""
    judge = case.data if case.judge is None else case.judge
    values = np.asarray(jax.jit(jax.vmap(lambda params: case.score(params, judge)))(params), float)
    return np.where(np.isfinite(values), values, -np.inf)


def outcome_agrees(case: Case, reached: Any, twin_reached: Any = None) -> bool:
    """Say whether the scores of the seeds fit the truth.

    Every seed of a healthy case reaches the bound. Every seed of a sick case stays below the bound, and below half of
    the way from the floor to the median of its twin; the twin reaches its own bound in every seed.
    """
    if case.twin is None:
        return bool(np.min(reached) >= case.bound)
    half_way = case.floor + 0.5 * (np.median(twin_reached) - case.floor)
    return bool(np.min(twin_reached) >= case.twin.bound and np.max(reached) < min(case.bound, half_way))


def layers(key, sizes, variance=2.0, bias=0.0):
    """Draw the layers of an MLP: normal weights of the variance over fan-in, a constant bias."""
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        {"w": jax.random.normal(k, (m, n)) * (variance / m) ** 0.5, "b": jnp.full((n,), float(bias))}
        for k, m, n in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def affine(layer, x):
    """Apply one layer."""
    return x @ layer["w"] + layer["b"]


def forward(params, x, activation=jax.nn.relu):
    """Apply an MLP whose last layer is linear."""
    for layer in params[:-1]:
        x = activation(affine(layer, x))
    return affine(params[-1], x)


def crossentropy(logits, labels):
    """Average the cross entropy of logits and integer labels."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def accuracy(apply):
    """Make the score of a classifier: the share of rows (x, label) that are right."""
    return lambda params, data: jnp.mean(jnp.argmax(apply(params, *data[:-1]), -1) == data[-1])


def r2(apply):
    """Make the score of a regression: the share of the variance that is explained."""
    return lambda params, data: 1 - jnp.mean((apply(params, *data[:-1]) - data[-1]) ** 2) / jnp.var(data[-1])


def standardise(x):
    """Scale columns to mean zero and variance one."""
    x = np.asarray(x, np.float32)
    return (x - x.mean(0)) / (x.std(0) + 1e-6)


def shuffled(data, seed=0):
    """Shuffle the rows of arrays together, as float32 and int32."""
    order = np.random.default_rng(seed).permutation(len(jax.tree.leaves(data)[0]))

    def move(array):
        array = np.asarray(array)[order]
        return jnp.asarray(array, jnp.int32 if array.dtype.kind in "iu" else jnp.float32)

    return jax.tree.map(move, data)


def reversed_gradient(key, gradient):
    """Turn the gradient round."""
    del key
    return jax.tree.map(jnp.negative, gradient)
