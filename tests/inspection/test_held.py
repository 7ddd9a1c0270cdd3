"""Losses that no rule was tuned on: what researchers write, healthy, and the faults in other clothes."""

import equinox
import flax.linen
import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import BINARY, CLASSES, FEATURES, ONE_HOT, REAL, ROWS, TAGS, X, forward, mlp

from tests.arrays import normal, zeros
from vgrad_jax.inspection import inspect_loss


@pytest.fixture(autouse=True)
def strict(monkeypatch):
    """No part of an inspection may fail."""
    monkeypatch.setattr("vgrad_jax.inspection.inspection._tried", lambda part, otherwise: part())


def certain(loss, params, batch):
    return [concern.code for concern in inspect_loss(loss, params, batch).concerns if concern.certain]


def vae(params, x):
    mean, log_variance = jnp.split(forward(params["encoder"], x), 2, axis=1)
    z = mean + jnp.exp(log_variance / 2) * jax.random.normal(jax.random.key(0), mean.shape)
    logits = forward(params["decoder"], z)
    kl = -0.5 * jnp.sum(1 + log_variance - mean**2 - jnp.exp(log_variance), axis=1)
    return jnp.mean(kl + optax.sigmoid_binary_cross_entropy(logits, jax.nn.sigmoid(x)).sum(1))


def contrastive(params, x):
    z = forward(params, jnp.concatenate([x, x + 0.1]))
    z = z / jnp.linalg.norm(z, axis=1, keepdims=True)
    similarity = z @ z.T / 0.1 - 1e9 * jnp.eye(2 * ROWS)
    return optax.softmax_cross_entropy_with_integer_labels(
        similarity, (jnp.arange(2 * ROWS) + ROWS) % (2 * ROWS)
    ).mean()


def actor_critic(params, batch):
    x, actions, returns = batch
    h = jnp.tanh(x @ params[0]["w"])
    value = (h @ params[1]["w"])[:, 0]
    policy = jax.nn.log_softmax(h @ params[2]["w"])[jnp.arange(ROWS), actions]
    return -jnp.mean(policy * jax.lax.stop_gradient(returns - value)) + jnp.mean((value - returns) ** 2)


def squashed_policy(params, batch):
    mean, scale = jnp.split(forward(params, batch), 2, axis=1)
    u = mean + jnp.exp(jnp.clip(scale, -5, 2)) * jax.random.normal(jax.random.key(0), mean.shape)
    return jnp.mean(jnp.sum(-jnp.clip(scale, -5, 2) - jnp.log(1 - jnp.tanh(u) ** 2 + 1e-6), axis=1))


def physics(params, x):
    def u(point):
        return forward(params, point[None])[0, 0]

    return jnp.mean((jax.vmap(lambda p: jnp.trace(jax.hessian(u)(p)))(x) + 1) ** 2) + jnp.mean(
        (jax.vmap(u)(x) - 1) ** 2
    )


def mixture_density(params, batch):
    x, y = batch
    weight, mean, scale = jnp.split(forward(params, x), 3, axis=1)
    each = jax.nn.log_softmax(weight) - jnp.log(jax.nn.softplus(scale))
    return -jnp.mean(jax.nn.logsumexp(each - 0.5 * ((y[:, None] - mean) / jax.nn.softplus(scale)) ** 2, axis=1))


def flow(params, x):
    a, b = x[:, :3], x[:, 3:]
    shift, log_scale = jnp.split(forward(params, a), 2, axis=1)
    z = (b - shift) * jnp.exp(-jnp.tanh(log_scale))
    return jnp.mean(0.5 * jnp.sum(z**2, axis=1) + jnp.sum(jnp.tanh(log_scale), axis=1))


def adversary(params, batch):
    real = forward(params, batch)[:, 0]
    fake = forward(params, -batch)[:, 0]
    return jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(fake))


def triplet(params, x):
    a, b, c = (forward(params, jnp.roll(x, shift, 0)) for shift in (0, 1, 2))
    return jnp.mean(jax.nn.relu(jnp.sum((a - b) ** 2, 1) - jnp.sum((a - c) ** 2, 1) + 1))


def low_rank(params, batch):
    x, y = batch
    h = jnp.tanh(x @ params["w"] + x @ params["a"] @ params["b"])
    return jnp.mean((h @ params["out"] - y[:, None]) ** 2)


def zero_branch(params, batch):
    x, y = batch
    h = x + jax.nn.relu(x @ params["up"]) @ params["down"]
    return jnp.mean((h @ params["out"] - y[:, None]) ** 2)


def factors(params, batch):
    return jnp.mean((jnp.sum(params["u"][batch[0]] * params["v"][batch[1]], axis=1) - batch[2]) ** 2)


def recurrent(params, batch):
    x, y = batch

    def step(h, row):
        return jnp.tanh(row @ params["x"] + h @ params["h"]), None

    h, _ = jax.lax.scan(step, jnp.zeros((ROWS, 8)), jnp.broadcast_to(x, (4, *x.shape)))
    return optax.softmax_cross_entropy_with_integer_labels(h @ params["out"], y).mean()


def accumulated(params, batch):
    parts = jax.tree.map(lambda a: a.reshape(4, ROWS // 4, *a.shape[1:]), batch)

    def step(total, part):
        return total + jnp.mean((forward(params, part[0])[:, 0] - part[1]) ** 2), None

    return jax.lax.scan(step, 0.0, parts)[0] / 4


def noise(params, x):
    e = jax.random.normal(jax.random.key(3), x.shape)
    return jnp.mean((forward(params, 0.6 * x + 0.8 * e) - e) ** 2)


def hazard(params, batch):
    x, time = batch
    risk = forward(params, x)[:, 0]
    later = jnp.where(time[None] >= time[:, None], risk[None], -jnp.inf)
    return -jnp.mean(risk - jax.nn.logsumexp(later, axis=1))


def decayed(params, batch):
    penalty = sum(jnp.sum(layer["w"] ** 2) for layer in params)
    return optax.softmax_cross_entropy(forward(params, batch[0]), batch[1]).mean() + 5e-4 * penalty


def distilled(params, batch):
    x, logits = batch
    return optax.kl_divergence(jax.nn.log_softmax(forward(params, x) / 2), jax.nn.softmax(logits / 2)).mean()


def ordinal(params, batch):
    x, levels = batch
    return optax.sigmoid_binary_cross_entropy(forward(params, x), (levels[:, None] > jnp.arange(3)[None]) * 1.0).mean()


def normed(params, batch):
    x, y = batch
    h = x @ params[0]["w"]
    h = (h - h.mean(0)) / jnp.sqrt(jnp.maximum(jnp.mean(h**2, 0) - h.mean(0) ** 2, 0) + 1e-5)
    return jnp.mean((jax.nn.relu(h) @ params[1]["w"] - y[:, None]) ** 2)


RECURRENT = {"x": normal(FEATURES, 8, scale=1 / 3), "h": np.eye(8, dtype=np.float32), "out": normal(8, 4, scale=1 / 3)}
HEALTHY = {
    "vae": (vae, {"encoder": mlp(4), "decoder": mlp(FEATURES, features=2)}, X),
    "contrastive": (contrastive, mlp(8), X),
    "actor and critic": (actor_critic, [*mlp(1), {"w": mlp(4)[1]["w"]}], (X, CLASSES, np.ones(ROWS, np.float32))),
    "squashed policy": (squashed_policy, mlp(4), X),
    "physics": (physics, mlp(1), X),
    "mixture density": (mixture_density, mlp(9), (X, REAL)),
    "flow": (flow, mlp(6, features=3), X),
    "adversary": (adversary, mlp(1), X),
    "triplet": (triplet, mlp(4), X),
    "low rank": (
        low_rank,
        {
            "w": normal(FEATURES, 8),
            "a": normal(FEATURES, 2),
            "b": zeros(2, 8),
            "out": normal(8, 1),
        },
        (X, REAL),
    ),
    "zero branch": (
        zero_branch,
        {
            "up": normal(FEATURES, 8),
            "down": zeros(8, FEATURES),
            "out": normal(FEATURES, 1),
        },
        (X, REAL),
    ),
    "zero branch before a layer of zeros": (
        zero_branch,
        {
            "up": normal(FEATURES, 8),
            "down": zeros(8, FEATURES),
            "out": zeros(FEATURES, 1),
        },
        (X, REAL),
    ),
    "factors": (
        factors,
        {"u": normal(20, 4), "v": normal(30, 4)},
        (np.arange(20), np.arange(20), np.ones(20, np.float32)),
    ),
    "recurrent": (recurrent, RECURRENT, (X, CLASSES)),
    "accumulated": (accumulated, mlp(1), (X, REAL)),
    "noise": (noise, mlp(FEATURES), X),
    "hazard": (hazard, mlp(1), (X, np.abs(REAL))),
    "decayed": (decayed, mlp(4), (X, ONE_HOT)),
    "distilled": (distilled, mlp(4), (X, 2 * X[:, :4])),
    "ordinal": (ordinal, mlp(3), (X, CLASSES)),
    "normed": (normed, mlp(1), (X, REAL)),
    "a few rows": (lambda p, b: jnp.mean((forward(p, b[0]) - b[1]) ** 2), mlp(1), (X[:2], np.ones((2, 1), np.float32))),
    "rare events": (
        lambda p, b: optax.sigmoid_binary_cross_entropy(forward(p, b[0])[:, 0], b[1]).mean(),
        mlp(1),
        (X, np.zeros(ROWS, np.float32)),
    ),
    "cosine": (
        lambda p, b: jnp.mean(1 - optax.cosine_similarity(forward(p, b), jnp.roll(b, 1, 1))),
        mlp(FEATURES),
        X,
    ),
    "a sum of logs": (
        lambda p, b: -jnp.mean(jnp.log(jnp.sum(jax.nn.softmax(forward(p, b[0])) * b[1], axis=1))),
        mlp(4),
        (X, ONE_HOT),
    ),
    "a multinomial autoencoder": (
        lambda p, b: -jnp.mean(jnp.sum(b * jax.nn.log_softmax(forward(p, b)), axis=1)),
        mlp(4, features=4),
        (X[:, :4] > 0) * np.float32(1),
    ),
    "hard sigmoid": (
        lambda p, b: -jnp.mean(b[1] * jnp.log(jnp.clip(jax.nn.hard_sigmoid(forward(p, b[0])[:, 0]), 1e-6, 1 - 1e-6))),
        mlp(1),
        (X, BINARY),
    ),
    "noisy labels of a sigmoid": (
        lambda p, b: jnp.mean((jax.nn.sigmoid(forward(p, b[0])[:, 0]) - b[1]) ** 2),
        mlp(1),
        (X, BINARY + 0.01 * REAL),
    ),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_loss_of_research_raises_no_certain_concern(name):
    assert certain(*HEALTHY[name]) == []


def transformer():
    class Block(flax.nnx.Module):
        def __init__(self, rngs):
            self.embed = flax.nnx.Embed(11, 16, rngs=rngs)
            self.attention = flax.nnx.MultiHeadAttention(2, 16, decode=False, rngs=rngs)
            self.norm = flax.nnx.LayerNorm(16, rngs=rngs)
            self.out = flax.nnx.Linear(16, 11, rngs=rngs)

        def __call__(self, tokens):
            h = self.embed(tokens)
            return self.out(self.norm(h + self.attention(h)))

    graph, params = flax.nnx.split(Block(flax.nnx.Rngs(0)))
    tokens = np.random.default_rng(0).integers(0, 11, (8, 9))

    def loss(params, tokens):
        logits = flax.nnx.merge(graph, params)(tokens[:, :-1])
        return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()

    return loss, params, tokens


def convolutional(head, y):
    class Net(flax.linen.Module):
        @flax.linen.compact
        def __call__(self, x):
            x = flax.linen.relu(flax.linen.Conv(8, (3, 3))(x))
            x = flax.linen.BatchNorm(use_running_average=False)(x)
            x = flax.linen.max_pool(x, (2, 2), (2, 2)).reshape(x.shape[0], -1)
            return flax.linen.Dense(4)(x)

    images = np.random.default_rng(0).random((ROWS, 6, 6, 1)).astype(np.float32)
    variables = Net().init(jax.random.key(0), images)

    def loss(params, batch):
        z, _ = Net().apply({**variables, "params": params}, batch[0], mutable=["batch_stats"])
        return head(z, batch[1])

    return loss, variables["params"], (images, y)


def test_a_transformer_and_a_convolutional_network_are_healthy():
    assert certain(*transformer()) == []
    assert certain(*convolutional(lambda z, y: optax.softmax_cross_entropy(z, y).mean(), ONE_HOT)) == []


def test_faults_of_a_convolutional_network():
    def forgotten(z, y):
        return -jnp.mean(jnp.sum(y * jnp.log(jnp.maximum(z, 1e-8)), axis=-1))

    assert certain(*convolutional(forgotten, ONE_HOT)) == ["log_of_unbounded"]
    found = certain(
        *convolutional(lambda z, y: optax.softmax_cross_entropy(z, y).mean(), np.eye(4)[CLASSES] + np.eye(4)[0])
    )
    assert found == ["rows_do_not_sum_to_one"]


def test_faults_of_an_equinox_network_mapped_over_examples():
    net = equinox.nn.MLP(FEATURES, "scalar", 8, 1, final_activation=jax.nn.relu, key=jax.random.key(0))
    params, static = equinox.partition(net, equinox.is_array)

    def error(params, batch):
        return jnp.mean(jax.vmap(lambda x, y: jnp.abs(equinox.combine(params, static)(x) - y))(*batch))

    assert certain(error, params, (X, REAL)) == ["targets_outside_range"]
    same = jax.tree.map(lambda leaf: jnp.full_like(leaf, 0.1), params)
    assert "kernel_constant" in certain(error, same, (X, np.abs(REAL)))


@pytest.mark.parametrize("act", [jnp.tanh, jax.nn.relu, jax.nn.sigmoid])
def test_zeros_throughout(act):
    def loss(params, batch):
        return jnp.mean((forward(params, batch[0], act)[:, 0] - batch[1]) ** 2)

    assert certain(loss, jax.tree.map(jnp.zeros_like, mlp(1, (8, 8))), (X, REAL)) == ["kernel_constant"]
    hidden_zero = [{**mlp(1)[0], "w": jnp.zeros((FEATURES, 12))}, mlp(1)[1]]
    assert certain(loss, hidden_zero, (X, REAL)) == (["kernel_constant"] if act is jax.nn.relu else [])


def test_other_faults_in_other_clothes():
    def one_unit(params, batch):
        return jax.vmap(lambda x, y: -jnp.sum(y * jax.nn.log_softmax(forward(params, x[None])[0])))(*batch).mean()

    assert certain(one_unit, mlp(1), (X, BINARY[:, None])) == ["softmax_of_one"]

    def ranked(params, batch):
        z = forward(params, batch[0])
        return jnp.mean(jnp.maximum(z, 0) - z * batch[1] + jnp.log1p(jnp.exp(-jnp.abs(z))))

    assert certain(ranked, mlp(1), (X, CLASSES[:, None] * 1.0)) == ["targets_not_probabilities"]
    assert certain(ranked, mlp(4), (X, ONE_HOT)) == ["binary_loss_on_one_hot"]
    assert certain(ranked, mlp(3), (X, TAGS)) == []

    def elastic(params, batch):
        big = 50 * sum(jnp.sum(jnp.abs(layer["w"])) + jnp.sum(layer["w"] ** 2) for layer in params)
        return ranked(params, batch) + big

    assert certain(elastic, mlp(3), (X, TAGS)) == ["constant_term_outweighs"]


def test_a_loss_that_cannot_be_traced_gives_nothing(monkeypatch):
    monkeypatch.undo()

    def loss(params, batch):
        raise ValueError(batch)

    assert inspect_loss(loss, mlp(1), X).concerns == ()
