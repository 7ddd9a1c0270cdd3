"""Why a gradient is exactly zero: one small program for each reason, and look-alikes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.arrays import normal, ones
from vgrad_jax.inspection import kinks_reason, zero_reasons

A, B, C = (normal(8, units, seed=seed) for seed, units in enumerate((8, 8, 1)))
X = normal(32, 8, seed=3)
HALF = jnp.float16


def squared(outputs):
    return jnp.mean((outputs - 1) ** 2)


def chain(p, x):
    return squared(jnp.tanh(jnp.tanh(x @ p["a"]) @ p["b"]) @ p["c"])


def straight_through(h):
    return h + jax.lax.stop_gradient(jnp.round(h) - h)


def deep(p, x):
    for _ in range(40):
        x = jnp.tanh(x @ p["a"] * 0.01)
    return squared(x @ p["c"])


@jax.custom_jvp
def hard(x):
    return jnp.round(x)


hard.defjvps(lambda tangent, _, x: tangent)

CASES = {
    "nothing is zero": (chain, {"a": A, "b": B, "c": C}, {}),
    "a head of zeros": (chain, {"a": A, "b": B, "c": 0 * C}, {"a": "zero_for_first_step", "b": "zero_for_first_step"}),
    "all zeros": (chain, {"a": 0 * A, "b": 0 * B, "c": 0 * C}, dict.fromkeys("abc", "zeros_stay")),
    "LoRA": (
        lambda p, x: squared(x @ (jax.lax.stop_gradient(p["w"]) + p["down"] @ p["up"])),
        {"w": A, "down": B[:, :2], "up": jnp.zeros((2, 8))},
        {"w": "stopped", "down": "zero_for_first_step"},
    ),
    "ReZero, twice": (
        lambda p, x: squared(x + p["g"] * (x + p["h"] * jnp.tanh(x @ p["a"])) @ p["b"]),
        {"a": A, "b": B, "g": jnp.zeros(()), "h": jnp.zeros(())},
        dict.fromkeys("abh", "zero_for_first_step"),
    ),
    "unused": (lambda p, x: squared(x @ p["a"]), {"a": A, "b": B}, {"b": "unused"}),
    "a target network": (
        lambda p, x: jnp.mean((x @ p["a"] - jax.lax.stop_gradient(x @ p["b"])) ** 2),
        {"a": A, "b": B},
        {"b": "stopped"},
    ),
    "a weight of zero": (
        lambda p, x: squared(x @ p["a"]) + 0.0 * jnp.sum(p["b"] ** 2),
        {"a": A, "b": B},
        {"b": "stopped"},
    ),
    "round": (lambda p, x: squared(jnp.round(4 * (x @ p["a"])) @ p["c"]), {"a": A, "c": C}, {"a": "no_derivative"}),
    "argmax": (
        lambda p, x: squared(jax.nn.one_hot(jnp.argmax(x @ p["a"], -1), 8) @ p["c"]),
        {"a": A, "c": C},
        {"a": "no_derivative"},
    ),
    "a comparison": (lambda p, x: squared((x @ p["a"] > 0) @ p["c"]), {"a": A, "c": C}, {"a": "no_derivative"}),
    "an integer": (
        lambda p, x: squared((x @ p["a"]).astype(int) @ p["c"]),
        {"a": A, "c": C},
        {"a": "no_derivative"},
    ),
    "a straight-through estimator": (lambda p, x: squared(straight_through(x @ p["a"]) @ p["c"]), {"a": A, "c": C}, {}),
    "a derivative of its own": (lambda p, x: squared(hard(x @ p["a"]) @ p["c"]), {"a": A, "c": C}, {}),
    "round inside of a scan": (
        lambda p, x: squared(jax.lax.scan(lambda h, _: (jnp.round(h @ p["a"]), None), x, None, length=2)[0] @ p["c"]),
        {"a": A, "c": C},
        {"a": "no_derivative"},
    ),
    "dead units": (
        lambda p, x: squared(jax.nn.relu(x @ p["a"] - 50) @ p["c"]),
        {"a": A, "c": C},
        {"a": "units_off", "c": "units_off"},
    ),
    "dead units by where": (
        lambda p, x: squared(jnp.where(x @ p["a"] > 50, x @ p["a"], 0.0) @ p["c"]),
        {"a": A, "c": C},
        {"a": "units_off", "c": "units_off"},
    ),
    "dead units before a head of zeros": (
        lambda p, x: squared(jax.nn.relu(x @ p["a"] - 50) @ p["c"]),
        {"a": A, "c": 0 * C},
        {"a": "units_off", "c": "units_off"},
    ),
    "clipped": (lambda p, x: squared(jax.nn.relu6(x @ p["a"] + 90) @ p["c"]), {"a": A, "c": C}, {"a": "units_off"}),
    "saturated": (lambda p, x: squared(jnp.tanh(x @ p["a"] + 90) @ p["c"]), {"a": A, "c": C}, {"a": "saturated"}),
    "half precision": (
        lambda p, x: jnp.mean((x.astype(HALF) @ p["a"] * HALF(1e-4)) ** 2 * HALF(1e-3)).astype(jnp.float32),
        {"a": (A * 1e-2).astype(HALF)},
        {"a": "underflow"},
    ),
    "forty layers": (deep, {"a": A, "c": C}, {"a": "underflow", "c": "underflow"}),
    "a branch that is not taken": (
        lambda p, x: squared(jax.lax.cond(x[0, 0] > 99, lambda: x @ p["a"], lambda: x @ p["b"])),
        {"a": A, "b": B},
        {"a": "not_in_batch"},
    ),
    "at the minimum": (
        lambda p, x: jnp.mean((x @ p["a"] - x @ A) ** 2),
        {"a": A},
        {"a": "stationary"},
    ),
    "a satisfied hinge": (lambda p, x: jnp.mean(jax.nn.relu(1 - (99 + x @ p["a"]))), {"a": A}, {"a": "units_off"}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_reason(name):
    loss, params, expected = CASES[name]
    gradient = jax.grad(loss)(params, X)
    assert {path for path, leaf in gradient.items() if not np.asarray(leaf).any()} == set(expected)
    assert {why.path: why.reason for why in zero_reasons(loss, params, X)} == expected


@pytest.mark.parametrize(
    ("name", "operation", "text"),
    [
        ("round", "round", "jnp.round(4 *"),
        ("argmax", "argmax", "jnp.argmax("),
        ("a comparison", "gt", 'x @ p["a"] > 0'),
        ("a target network", "stop_gradient", "jax.lax.stop_gradient("),
        ("dead units", "max", "jax.nn.relu("),
        ("saturated", "tanh", "jnp.tanh("),
        ("round inside of a scan", "round", "jnp.round("),
    ],
)
def test_the_operation_and_its_line(name, operation, text):
    loss, params, _ = CASES[name]
    why = next(why for why in zero_reasons(loss, params, X) if why.reason != "unused")
    assert why.operation == operation
    assert text in why.line
    assert why.line in why.sentence


def test_a_zero_factor_is_named():
    loss, params, _ = CASES["LoRA"]
    why = next(why for why in zero_reasons(loss, params, X) if why.path == "down")
    assert why.sentence.endswith("has moved: up.")


@pytest.mark.parametrize("lookup", [lambda table, ids: table[ids], lambda t, ids: jax.nn.one_hot(ids, len(t)) @ t])
def test_rows_that_the_batch_does_not_pick(lookup):
    ids = jnp.array([3, 5, 5, 700])
    params = {"t": normal(1000, 8), "c": C}
    (why,) = zero_reasons(lambda p, ids: squared(lookup(p["t"], ids) @ p["c"]), params, ids)
    assert (why.path, why.reason, why.touched) == ("t", "not_in_batch", pytest.approx(3 / 1000))


def test_a_tied_table_and_dead_units_pick_no_rows():
    ids = jnp.array([3, 5, 5, 7])
    table = {"t": normal(100, 8)}
    assert zero_reasons(lambda p, ids: squared(p["t"][ids] @ p["t"].T), table, ids) == ()
    off = jnp.array([50.0] * 4 + [0.0] * 4)[None]
    assert zero_reasons(lambda p, x: squared(jax.nn.relu(x @ p["a"] - off) @ p["c"]), {"a": A, "c": C}, X) == ()


def network(activation):
    def u(params, t):
        h = jnp.reshape(t, (1,))
        for kernel, bias in params[:-1]:
            h = activation(h @ kernel + bias)
        return (h @ params[-1][0])[0]

    return u


LAYERS = [(normal(1, 8), ones(8)), (B, ones(8)), (C,)]
TIMES = jnp.linspace(-1, 1, 16)


def residual(u, order):
    derivative = u
    for _ in range(order):
        derivative = jax.grad(derivative, argnums=1)
    return lambda params, t: jnp.mean((jax.vmap(derivative, (None, 0))(params, t) - 1) ** 2)


def test_relu_differentiated_twice_has_no_derivative():
    u = network(jax.nn.relu)
    reasons = zero_reasons(residual(u, 2), LAYERS, TIMES)
    assert {why.reason for why in reasons} == {"no_derivative"}
    assert len(reasons) == 5

    def with_boundary(params, t):
        return residual(u, 2)(params, t) + u(params, 1.0) ** 2

    why = kinks_reason(with_boundary, LAYERS, TIMES)
    assert (why.path, why.reason, why.operation) == ("", "no_derivative", "relu")
    assert "activation(h @ kernel + bias)" in why.line


@pytest.mark.parametrize(
    ("activation", "order"),
    [(jnp.tanh, 2), (jax.nn.gelu, 2), (jax.nn.softplus, 2), (jax.nn.relu, 1), (lambda x: jax.nn.relu(x) ** 2, 2)],
)
def test_activations_that_have_the_derivative(activation, order):
    assert kinks_reason(residual(network(activation), order), LAYERS, TIMES) is None


def test_biases_behind_the_first_derivative_of_relu():
    reasons = {why.path: why.reason for why in zero_reasons(residual(network(jax.nn.relu), 1), LAYERS, TIMES)}
    assert reasons == {"0/1": "no_derivative", "1/1": "no_derivative"}
