"""The first operation that is not finite: its kind, its line, and no blame for infinities that do no harm."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import vgrad_jax as vg

HERE = Path(__file__).name
KEY = jax.random.key(0)
X = jax.random.normal(KEY, (8, 4))
PARAMS = {"w": jax.random.normal(jax.random.key(1), (4, 4))}
MASK = jnp.zeros((8, 4), bool).at[1:].set(True)


def product(params, x):
    return x @ params["w"]


FORWARD = {
    "log of a ReLU": (lambda p, x: jnp.mean(jnp.log(jax.nn.relu(product(p, x)))), "log_of_zero", "log"),
    "log of a linear output": (lambda p, x: jnp.mean(jnp.log(product(p, x))), "log_of_negative", "log"),
    "one minus a sigmoid": (
        lambda p, x: -jnp.mean(jnp.log(1 - jax.nn.sigmoid(100 * product(p, x)))),
        "log_of_zero",
        "log",
    ),
    "root of a negative": (lambda p, x: jnp.mean(jnp.sqrt(product(p, x))), "root_of_negative", "sqrt"),
    "division": (lambda p, x: jnp.mean(product(p, x) / jnp.sum(0 * x)), "division_by_zero", "div"),
    "batch norm of equal rows": (
        lambda p, x: jnp.mean(1 / jnp.sqrt(jnp.var(product(p, jnp.ones_like(x)), axis=0))),
        "division_by_zero",
        "div",
    ),
    "softmax by hand": (
        lambda p, x: (lambda e: jnp.mean(e / e.sum(-1, keepdims=True)))(jnp.exp(100 * product(p, x))),
        "overflow_of_exp",
        "exp",
    ),
    "layers in Python": (lambda p, x: jnp.mean(many(p, x)), "overflow_of_product", None),
    "a softmax masked completely": (
        lambda p, x: jnp.mean(jax.nn.softmax(jnp.where(MASK, product(p, x), -jnp.inf))[:, 0]),
        "masked_softmax",
        "sub",
    ),
    "a mask that is data": (
        lambda p, x: jnp.mean(jax.nn.softmax(product(p, x) + jnp.log(MASK.astype(x.dtype)))[:, 0]),
        "masked_softmax",
        None,
    ),
    "a cross-entropy masked completely": (
        lambda p, x: optax.softmax_cross_entropy_with_integer_labels(
            jnp.where(MASK, product(p, x), -jnp.inf), jnp.zeros(8, int)
        ).mean(),
        "masked_softmax",
        None,
    ),
    "half precision": (
        lambda p, x: jnp.mean((300 * product(p, x).astype(jnp.float16)) ** 2).astype(jnp.float32),
        "overflow_of_product",
        None,
    ),
    "a factorisation": (
        lambda p, x: jnp.sum(jnp.linalg.cholesky(0 * p["w"] - jnp.eye(4))),
        "not_positive_definite",
        "cholesky",
    ),
}


def many(params, x):
    for _ in range(40):
        x = (1000 * x) @ params["w"]
    return x


@pytest.mark.parametrize("name", FORWARD)
def test_a_loss_that_is_not_finite(name):
    loss, kind, operation = FORWARD[name]
    fault = vg.locate_nonfinite(loss, PARAMS, X)
    assert (fault.where, fault.kind, fault.layer) == ("forward", kind, "w")
    assert operation in (None, fault.operation)
    assert HERE in fault.line
    assert fault.line.split(": ")[0] in fault.sentence


def where_root(params, x):
    return jnp.mean(jnp.where(x > 0, jnp.sqrt(x * params["w"][:1] ** 2), 0.0))


def norm(params, x):
    return jnp.linalg.norm(0 * product(params, x)) + jnp.linalg.norm(product(params, x))


def angle(params, x):
    return jnp.mean(jnp.arccos(jnp.clip(product(params, x), -1, 1)))


def running_root(params, x):
    def step(total, row):
        return total + jnp.sqrt(jnp.sum((row * params["w"][0]) ** 2)), None

    return jax.lax.scan(step, jnp.zeros(()), x)[0]


@pytest.mark.parametrize(
    ("loss", "x", "kind", "operation", "iteration", "text"),
    [
        (where_root, jnp.abs(X).at[0, 0].set(0), "root_of_zero", "sqrt", None, "jnp.where(x > 0, jnp.sqrt("),
        (norm, X, "root_of_zero", "sqrt", None, "jnp.linalg.norm(0 *"),
        (angle, 9 * X, "outside_domain", "acos", None, "jnp.arccos("),
        (running_root, X.at[5].set(0), "root_of_zero", "sqrt", 5, "return total + jnp.sqrt("),
    ],
)
def test_a_gradient_that_is_not_finite_beside_a_loss_that_is(loss, x, kind, operation, iteration, text):
    assert np.isfinite(loss(PARAMS, x))
    fault = vg.locate_nonfinite(loss, PARAMS, x)
    assert (fault.where, fault.kind, fault.operation, fault.iteration) == ("gradient", kind, operation, iteration)
    assert text in fault.line


def recurrence(params, batch):
    def step(h, x):
        return jax.nn.relu(x @ params["wx"] + h @ params["wh"]), None

    return jnp.mean(jax.lax.scan(step, jnp.zeros((8, 32)), batch)[0] @ params["out"])


def test_a_recurrence_that_overflows_is_growth_and_not_a_logarithm():
    keys = jax.random.split(KEY, 4)
    params = {
        "wx": jax.random.normal(keys[0], (4, 32)),
        "wh": 2.5 * jax.random.normal(keys[1], (32, 32)) / 32**0.5,
        "out": jax.random.normal(keys[2], (32, 1)),
    }
    batch = jax.random.normal(keys[3], (250, 8, 4))
    fault = vg.locate_nonfinite(recurrence, params, batch)
    assert (fault.kind, fault.operation, fault.layer) == ("overflow", "dot_general", "wh")
    h, largest = np.zeros((8, 32), np.float32), []
    with np.errstate(over="ignore", invalid="ignore"):
        for x in np.asarray(batch):
            h = np.maximum(x @ np.asarray(params["wx"]) + h @ np.asarray(params["wh"]), 0)
            largest.append(np.abs(h).max())
    first = int(np.argmin(np.isfinite(largest)))
    assert fault.iteration == first
    growth = (largest[first - 1] / largest[first - 20]) ** (1 / 19)
    assert fault.growth == pytest.approx(growth, rel=0.05)


def test_a_while_loop_is_entered_at_the_iteration_that_broke():
    def loss(params, x):
        scale = jax.lax.while_loop(lambda s: s[0] < 90, lambda s: (s[0] + 1, 10 * s[1]), (0, jnp.ones(())))[1]
        return jnp.mean(product(params, x)) * scale

    fault = vg.locate_nonfinite(loss, PARAMS, X)
    assert (fault.kind, fault.iteration) == ("overflow", 38)  # 10^39 is the first that is no float32.
    assert fault.growth == pytest.approx(10, rel=1e-3)


def test_missing_numbers_in_the_data_are_named_and_counted():
    batch = {"x": X.at[3, 1].set(jnp.nan).at[5, 0].set(jnp.inf), "y": X}
    fault = vg.locate_nonfinite(lambda p, b: jnp.mean((product(p, b["x"]) - b["y"]) ** 2), PARAMS, batch)
    assert (fault.kind, fault.leaf, fault.count, fault.row) == ("data", "x", 2, 3)
    assert "row 3" in str(fault)


def test_parameters_that_are_not_finite_already():
    params = {"a": jnp.ones((4, 4)), "w": PARAMS["w"].at[2].set(jnp.inf)}
    fault = vg.locate_nonfinite(lambda p, x: jnp.mean(jnp.tanh(product(p, x @ p["a"])) ** 2), params, X)
    assert (fault.kind, fault.layer, fault.count, fault.row) == ("parameters", "w", 4, 2)


HARMLESS = {
    "a mask": lambda p, x: jnp.mean(jax.nn.softmax(jnp.where(MASK.at[0, 0].set(True), product(p, x), -jnp.inf))[:, 0]),
    "a running maximum": lambda p, x: jax.lax.scan(
        lambda m, row: (jnp.maximum(m, jnp.max(row @ p["w"])), None), -jnp.inf, x
    )[0],
    "infinity over": lambda p, x: jnp.mean(product(p, x) / (1 + jnp.exp(1e4 + x))),
    "not chosen": lambda p, x: jnp.mean(
        jnp.where(x > 0, p["w"][:1], 0.0) + jax.lax.stop_gradient(0 * jnp.log(x**2 + 1))
    ),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_infinities_that_do_no_harm(name):
    assert vg.locate_nonfinite(HARMLESS[name], PARAMS, X) is None


def test_a_masks_infinity_is_not_blamed_for_another_fault():
    def loss(params, x):
        weights = jax.nn.softmax(jnp.where(MASK.at[0, 0].set(True), product(params, x), -jnp.inf))
        return jnp.mean(jnp.log(jax.nn.relu(-weights)))

    fault = vg.locate_nonfinite(loss, PARAMS, X)
    assert (fault.kind, fault.operation) == ("log_of_zero", "log")
    assert "jnp.log(jax.nn.relu(-weights))" in fault.line


def test_errors_teach():
    with pytest.raises(vg.InputError, match="must give a scalar"):
        vg.locate_nonfinite(product, PARAMS, X)
    with pytest.raises(vg.InputError, match="loss_fn must be a function"):
        vg.locate_nonfinite("loss", PARAMS, X)


def test_a_loss_with_a_key():
    def loss(params, x, key):
        return jnp.mean(jnp.log(jax.random.bernoulli(key, 0.5, (8, 4)) * jnp.abs(product(params, x))))

    fault = vg.locate_nonfinite(loss, PARAMS, X, loss_key=jax.random.key(3))
    assert fault.kind == "log_of_zero"
