"""The loss of the best constant prediction, against its closed form."""

import math

import equinox
import flax.linen
import flax.nnx
import haiku
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import BINARY, CLASSES, FEATURES, ONE_HOT, REAL, ROWS, TAGS, X, bce, cce, forward, mlp, of
from scipy import optimize

from tests.arrays import normal, ones
from vgrad_jax.inspection import inspect_loss


@pytest.fixture(autouse=True)
def strict(monkeypatch):
    """No part of an inspection may fail."""
    monkeypatch.setattr("vgrad_jax.inspection.inspection._tried", lambda part, otherwise: part())


def chance(loss, params, batch):
    return inspect_loss(loss, params, batch).chance


def entropy(counts):
    p = np.asarray(counts, float) / np.sum(counts)
    return float(-np.sum(p[p > 0] * np.log(p[p > 0])))


def huber(delta=1.0):
    def mean(c):
        r = np.abs(REAL - c)
        return np.mean(np.where(r < delta, r**2 / 2, delta * (r - delta / 2)))

    return float(optimize.minimize_scalar(mean).fun)


BASE = float(BINARY.mean())
FREQUENCIES = np.bincount(CLASSES)
CLOSED = {
    "variance": (lambda z, y: jnp.mean((z[:, 0] - y) ** 2), 1, REAL, REAL.var()),
    "variance of large targets": (lambda z, y: jnp.mean((z[:, 0] - y) ** 2), 1, 5e4 + 100 * REAL, 1e4 * REAL.var()),
    "sum of squares": (lambda z, y: jnp.sum((z[:, 0] - y) ** 2), 1, REAL, ROWS * REAL.var()),
    "median": (lambda z, y: jnp.mean(jnp.abs(z[:, 0] - y)), 1, REAL, np.abs(REAL - np.median(REAL)).mean()),
    "huber": (lambda z, y: optax.huber_loss(z[:, 0], y).mean(), 1, REAL, huber()),
    "quantile": (
        lambda z, y: jnp.mean(jnp.maximum(0.9 * (y - z[:, 0]), -0.1 * (y - z[:, 0]))),
        1,
        REAL,
        np.mean([max(0.9 * r, -0.1 * r) for r in REAL - np.sort(REAL)[int(np.ceil(0.9 * ROWS)) - 1]]),
    ),
    "base rate": (
        lambda z, y: optax.sigmoid_binary_cross_entropy(z[:, 0], y).mean(),
        1,
        BINARY,
        entropy([BASE, 1 - BASE]),
    ),
    "base rate, clipped": (lambda z, y: bce(jax.nn.sigmoid(z[:, 0]), y), 1, BINARY, entropy([BASE, 1 - BASE])),
    "tags": (lambda z, y: bce(jax.nn.sigmoid(z), y), 3, TAGS, np.mean([entropy([p, 1 - p]) for p in TAGS.mean(0)])),
    "squares of a sigmoid": (lambda z, y: jnp.mean((jax.nn.sigmoid(z[:, 0]) - y) ** 2), 1, BINARY, BASE * (1 - BASE)),
    "labels": (
        lambda z, y: optax.softmax_cross_entropy_with_integer_labels(z, y).mean(),
        4,
        CLASSES,
        entropy(FREQUENCIES),
    ),
    "one-hot": (lambda z, y: cce(jax.nn.softmax(z), y), 4, ONE_HOT, entropy(FREQUENCIES)),
    "poisson": (
        lambda z, y: jnp.mean(jnp.exp(z[:, 0]) - y * z[:, 0]),
        1,
        np.arange(ROWS, dtype=np.float32) % 5,
        (m := np.mean(np.arange(ROWS) % 5)) - m * np.log(m),
    ),
    "gaussian": (
        lambda z, y: jnp.mean(z[:, 1] + (y - z[:, 0]) ** 2 * jnp.exp(-2 * z[:, 1]) / 2),
        2,
        REAL,
        0.5 + np.log(REAL.std()),
    ),
}


@pytest.mark.parametrize("name", CLOSED)
def test_chance_is_the_closed_form(name):
    head, outputs, y, expected = CLOSED[name]
    assert chance(of(head), mlp(outputs), (X, y)) == pytest.approx(float(expected), rel=2e-3)


def test_an_autoencoder_has_the_variance_about_the_mean():
    def loss(params, x):
        return jnp.mean((forward(params, x) - x) ** 2)

    assert chance(loss, mlp(FEATURES, (3,)), X + 2) == pytest.approx(X.var(0).mean(), rel=2e-3)


def test_a_language_model_has_the_unigram_entropy():
    tokens = np.random.default_rng(0).choice(7, (8, 17), p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05])
    model = flax.linen.Sequential([flax.linen.Embed(7, 8), flax.linen.Dense(16), flax.linen.gelu, flax.linen.Dense(7)])

    def loss(params, tokens):
        logits = model.apply(params, tokens[:, :-1])
        return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()

    params = model.init(jax.random.key(0), tokens)
    assert chance(loss, params, tokens) == pytest.approx(entropy(np.bincount(tokens[:, 1:].ravel())), rel=2e-3)


def test_tied_embeddings_and_a_masked_loss():
    tokens = np.random.default_rng(0).choice(6, (8, 12))
    kept = tokens[:, 1:] != 0

    def loss(table, tokens):
        logits = jnp.tanh(table[tokens[:, :-1]]) @ table.T
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:])
        return jnp.sum(losses * kept) / kept.sum()

    table = normal(6, 8)
    assert chance(loss, table, tokens) == pytest.approx(entropy(np.bincount(tokens[:, 1:][kept])), rel=2e-3)


def with_linen():
    class Net(flax.linen.Module):
        @flax.linen.compact
        def __call__(self, x):
            x = flax.linen.relu(flax.linen.Dense(8)(x))
            x = flax.linen.Dropout(0.5, deterministic=False)(flax.linen.LayerNorm()(x))
            return flax.linen.Dense(4)(x)

    net, key = Net(), jax.random.key(1)
    params = net.init({"params": key, "dropout": key}, X)
    return lambda params, x: net.apply(params, x, rngs={"dropout": key}), params


def with_nnx():
    net = flax.nnx.Sequential(
        flax.nnx.Linear(FEATURES, 8, rngs=flax.nnx.Rngs(0)), flax.nnx.relu, flax.nnx.Linear(8, 4, rngs=flax.nnx.Rngs(1))
    )
    graph, params = flax.nnx.split(net)
    return lambda params, x: flax.nnx.merge(graph, params)(x), params


def with_equinox():
    net = equinox.nn.MLP(FEATURES, 4, 8, 2, key=jax.random.key(0))
    params, static = equinox.partition(net, equinox.is_array)
    return lambda params, x: jax.vmap(equinox.combine(params, static))(x), params


def with_haiku():
    net = haiku.without_apply_rng(haiku.transform(lambda x: haiku.nets.MLP([8, 4])(x)))
    return net.apply, net.init(jax.random.key(0), X)


def with_scan():
    params = {
        "in": normal(FEATURES, 8, scale=1 / 3),
        "layers": normal(5, 8, 8, scale=1 / 3),
        "out": normal(8, 4, scale=1 / 3),
    }

    def apply(params, x):
        h, _ = jax.lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x @ params["in"], params["layers"])
        return h @ params["out"]

    return apply, params


@pytest.mark.parametrize("made", [with_linen, with_nnx, with_equinox, with_haiku, with_scan], ids=lambda f: f.__name__)
def test_chance_whatever_the_framework(made):
    apply, params = made()

    def loss(params, batch):
        return optax.softmax_cross_entropy_with_integer_labels(apply(params, batch[0]), batch[1]).mean()

    found = inspect_loss(loss, params, (X, CLASSES))
    assert found.chance == pytest.approx(entropy(FREQUENCIES), rel=2e-3)
    assert [concern.code for concern in found.concerns if concern.certain] == []


def test_one_example_mapped_by_vmap():
    def one(params, x, y):
        h = jnp.tanh(params[0]["w"].T @ x + params[0]["b"])
        return optax.softmax_cross_entropy_with_integer_labels(params[1]["w"].T @ h + params[1]["b"], y)

    def loss(params, batch):
        return jax.vmap(one, (None, 0, 0))(params, *batch).mean()

    assert chance(loss, mlp(4), (X, CLASSES)) == pytest.approx(entropy(FREQUENCIES), rel=2e-3)


def test_data_that_the_loss_was_closed_over():
    def loss(params, batch):
        del batch
        return jnp.mean((forward(params, X)[:, 0] - REAL) ** 2)

    assert chance(loss, mlp(1), None) == pytest.approx(REAL.var(), rel=2e-3)


def test_an_output_that_is_combined_with_the_inputs():
    def loss(params, batch):
        x, y = batch
        return jnp.mean((x[:, 1] + half(params, x) * x[:, 0] - y) ** 2)

    slope = np.sum(X[:, 0] * (REAL - X[:, 1])) / np.sum(X[:, 0] ** 2)
    expected = np.mean((X[:, 1] + slope * X[:, 0] - REAL) ** 2)
    assert chance(loss, mlp(1), (X, REAL)) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(("mean", "spread"), [(3e4, 0.2), (300.0, 2e-3), (0.0, 1e-7), (0.0, 1e-9)])
def test_chance_of_targets_in_any_units(mean, spread):
    y = np.asarray(mean + spread * REAL, np.float32)

    def loss(params, batch):
        return jnp.mean((forward(params, batch[0])[:, 0] - batch[1]) ** 2)

    found = inspect_loss(loss, mlp(1), (X, jnp.asarray(y)))
    assert found.chance == pytest.approx(y.astype(np.float64).var(), rel=0.05)
    assert "labels_constant" not in {concern.code for concern in found.concerns}


def test_a_penalty_is_no_part_of_chance():
    def loss(params, batch):
        penalty = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params))
        return jnp.mean((forward(params, batch[0])[:, 0] - batch[1]) ** 2) + 0.01 * penalty

    assert chance(loss, mlp(1), (X, REAL)) == pytest.approx(REAL.var(), rel=2e-3)


def test_chance_behind_a_loop_that_hands_over_more_than_its_last_state():
    def loss(params, batch):
        def step(h, x):
            h = jnp.tanh(x[:, None] + h @ params["recurrent"])
            return h, h

        h, _ = jax.lax.scan(step, jnp.zeros((len(batch[0]), 4)), batch[0].T)
        return jnp.mean((h @ params["out"] - batch[1][:, None]) ** 2)

    params = {"recurrent": normal(4, 4), "out": ones(4, 1)}
    assert chance(loss, params, (X, REAL)) == pytest.approx(REAL.var(), rel=2e-3)


def variational(weight):
    """Return the loss of a variational autoencoder of one latent unit that predicts the targets."""

    def loss(params, batch):
        x, y = batch
        mean, log_variance = jnp.split(forward(params["encoder"], x), 2, -1)
        latent = mean + jnp.exp(0.5 * log_variance) * jnp.sin(jnp.arange(ROWS))[:, None]
        error = (forward(params["decoder"], latent)[:, 0] - y) ** 2
        return jnp.mean(error + weight * jnp.sum(mean**2 + jnp.exp(log_variance) - 1 - log_variance, -1))

    return loss


@pytest.mark.parametrize("weight", [1e-3, 300.0])
def test_a_term_of_the_hidden_units_alone_does_not_count(weight):
    """A network that learns nothing brings such a term to nothing."""
    params = {"encoder": mlp(2), "decoder": mlp(1, (4,), features=1)}
    found = inspect_loss(variational(weight), params, (X, REAL))
    assert found.chance == pytest.approx(REAL.var(), rel=2e-3)
    assert found.chance_is_partial


def test_a_penalty_of_hidden_activations_does_not_count():
    def loss(params, batch):
        hidden = jax.nn.relu(batch[0] @ params[0]["w"])
        return jnp.mean((hidden @ params[1]["w"] - batch[1][:, None]) ** 2) + 0.1 * jnp.mean(jnp.abs(hidden))

    assert chance(loss, mlp(1), (X, REAL)) == pytest.approx(REAL.var(), rel=2e-3)


def half(params, x):
    return forward(params, x)[:, 0]


UNTOLD = {
    "a variance of a call of its own": lambda p, b: jnp.mean(
        half(p, b[0]) + (half(p, b[0]) - b[1]) ** 2 * jnp.exp(-2 * half(p, b[0]))
    ),
    "no targets": lambda p, b: jnp.mean(half(p, b[0]) ** 2),
    "two networks": lambda p, b: (
        jnp.mean((half(p, b[0]) - b[1]) ** 2) + jnp.mean((b[0] @ p[0]["w"] - b[1][:, None]) ** 2)
    ),
    "two networks against each other": lambda p, b: (
        jax.nn.softplus(-half(p, b[0])).mean()
        + jax.nn.softplus(half(p, jax.lax.stop_gradient(b[0] @ p[0]["w"][:, :6]))).mean()
    ),
    "a distance that constants bring to nothing": lambda p, b: jnp.mean((half(p, b[0]) - half(p, b[0] + 0.1)) ** 2),
    "a differential equation": lambda p, b: jnp.mean(
        (jax.vmap(jax.grad(lambda x: half(p, x[None])[0]))(b[0])[:, 0] - b[1]) ** 2
    ),
    "a policy, whose loss has no lower bound": lambda p, b: jnp.mean(half(p, b[0]) * b[1]),
    "a target made of the network": lambda p, b: jnp.mean(
        (half(p, b[0]) - b[1] - 0.9 * jax.lax.stop_gradient(half(p, -b[0]))) ** 2
    ),
    "a head without a product": lambda p, b: jnp.mean(
        (jnp.sum(jnp.tanh(b[0] @ p[0]["w"]) * p[1]["w"][:, 0][None], 1) - b[1]) ** 2
    ),
    "one row": lambda p, b: jnp.mean((half(p, b[0][:1]) - b[1][:1]) ** 2),
}


@pytest.mark.parametrize("name", UNTOLD)
def test_no_chance_where_it_cannot_be_told(name):
    assert chance(UNTOLD[name], mlp(1), (X, REAL)) is None


def pairs(params, batch):
    """Return the products of all left and all right outputs."""
    return forward(params, batch[0]) @ forward(params, batch[1]).T


ALONE = {
    "the better of two": (lambda p, b: jax.nn.softplus(half(p, -b[0]) - half(p, b[0])).mean(), math.log(2)),
    "three at a margin": (
        lambda p, b: jax.nn.relu(
            0.5
            + jnp.sum((forward(p, b[0]) - forward(p, b[0] + 0.1)) ** 2 - (forward(p, b[0]) - forward(p, -b[0])) ** 2, 1)
        ).mean(),
        0.5,
    ),
    "pairs of a batch": (
        lambda p, b: optax.softmax_cross_entropy_with_integer_labels(2 * pairs(p, b), jnp.arange(ROWS)).mean(),
        math.log(ROWS),
    ),
    "information of pairs": (
        lambda p, b: jnp.log(jnp.exp(half(p, -b[0])).mean()) - half(p, b[0]).mean(),
        0.0,
    ),
}


@pytest.mark.parametrize("name", ALONE)
def test_chance_of_outputs_that_are_compared_with_each_other(name):
    loss, expected = ALONE[name]
    found = inspect_loss(loss, mlp(1), (X, X[::-1]))
    assert found.chance == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert found.chance_constants == 0


def test_two_inputs_of_one_network_share_their_constants():
    def loss(params, batch):
        outputs = half(params, batch[0]), half(params, -batch[0])
        return jnp.mean((outputs[0] - batch[1]) ** 2) + jnp.mean((outputs[1] + batch[1] - 3) ** 2)

    both = np.concatenate([REAL, 3 - REAL])
    assert chance(loss, mlp(1), (X, REAL)) == pytest.approx(2 * both.var(), rel=2e-3)


def test_a_sum_over_parts_is_one_number_a_row():
    def loss(params, batch):
        parts = jnp.tanh(batch[0][:, :, None] @ params["w"])
        return jnp.mean((jnp.sum(parts @ params["out"], (1, 2)) + params["bias"] - batch[1]) ** 2)

    params = {"w": normal(1, 5), "out": normal(5, 1), "bias": jnp.float32(0)}
    assert chance(loss, params, (X, REAL + 7)) == pytest.approx(REAL.var(), rel=2e-3)


def test_outputs_of_a_loop_that_are_held_against_targets():
    def loss(params, batch):
        def step(state, _):
            state = state + 0.1 * jnp.tanh(state @ params)
            return state, state

        _, states = jax.lax.scan(step, batch[0][:, :2], length=3)
        return jnp.mean((jnp.moveaxis(states, 0, 1) - batch[1]) ** 2)

    targets = np.arange(ROWS * 6, dtype=np.float32).reshape(ROWS, 3, 2) % 7
    expected = targets.reshape(-1, 2).var(0).mean()
    assert chance(loss, normal(2, 2), (X, targets)) == pytest.approx(expected, rel=2e-3)
    assert chance(lambda p, b: -loss(p, b), normal(2, 2), (X, targets)) is None
