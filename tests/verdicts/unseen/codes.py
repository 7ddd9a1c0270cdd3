"""Discrete codes and binary pixels: vector quantisation, topics of counts, a Boltzmann machine, and masks."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, forward, layers, shuffled, sick
from sklearn import datasets

FROZEN = jax.lax.stop_gradient


def quantised():
    """Compress digits to four numbers of entries in a table of vectors."""
    digits = datasets.load_digits()
    data = shuffled((digits.data / 16,))

    def init(scale):
        def draw(key):
            a, b, c = jax.random.split(key, 3)
            return {
                "encode": layers(a, (64, 48, 16), 1.0),
                "table": scale * jax.random.normal(b, (4, 8, 4)),
                "decode": layers(c, (16, 48, 64), 1.0),
            }

        return draw

    def parts(p, x, through):
        code = forward(p["encode"], x, jax.nn.silu).reshape(len(x), 4, 4)
        gap = jnp.sum((code[:, :, None] - p["table"]) ** 2, -1)
        entry = jnp.take_along_axis(p["table"][None], jnp.argmin(gap, -1)[:, :, None, None], 2)[:, :, 0]
        passed = code + FROZEN(entry - code) if through else entry
        return code, entry, forward(p["decode"], passed.reshape(len(x), 16), jax.nn.silu)

    def loss(through, weight):
        def of(p, batch):
            code, entry, out = parts(p, batch[0], through)
            table, commitment = jnp.mean((FROZEN(code) - entry) ** 2), jnp.mean((code - FROZEN(entry)) ** 2)
            return jnp.mean((out - batch[0]) ** 2) + through * (table + weight * commitment)

        return of

    def score(through):
        def of(p, data):
            return 1 - jnp.mean((parts(p, data[0], through)[2] - data[0]) ** 2) / jnp.mean(jnp.var(data[0], 0))

        return of

    base = Case(
        "quantised_straight_through",
        "quantised",
        "blind",
        init(0.5),
        loss(True, 0.25),
        data,
        optax.adam(3e-3),
        score(True),
        bound=0.35,
        steps=500,
        batch_size=64,
    )
    return [
        base,
        sick(
            base,
            "quantised_encoder_without_gradient",
            "dead vanishing",
            loss=loss(False, 0.0),
            score=score(False),
        ),
        sick(base, "quantised_commitment_of_ten_thousand", "ill_posed chance_level unclear", loss=loss(True, 1e4)),
    ]


def topics():
    """Describe the words of short texts by a few topics, with the likelihood of counts."""
    rng = np.random.default_rng(107)
    words = rng.dirichlet(np.full(50, 0.1), 4)
    share = rng.dirichlet(np.full(4, 0.3), 1000)
    rate = rng.uniform(40, 120, (1000, 1)) * (share @ words) + 0.02
    data = shuffled((rng.poisson(rate).astype(np.float32), rate))

    def init(key):
        a, b = jax.random.split(key)
        return {"encode": layers(a, (50, 40, 12), 1.0), "decode": layers(b, (6, 40, 50), 1.0)}

    def codes(p, counts, key, ready):
        mean, log_variance = jnp.split(forward(p["encode"], ready(counts), jnp.tanh), 2, -1)
        noise = 0.0 if key is None else jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
        return mean, log_variance, mean + noise

    def rates(p, code, positive):
        return positive(forward(p["decode"], code, jax.nn.relu))

    def loss(positive, ready=jnp.log1p, cut=False):
        def of(p, batch, key):
            mean, log_variance, code = codes(p, batch[0], key, ready)
            value = rates(p, FROZEN(code) if cut else code, positive)
            prior = 0.5 * jnp.sum(mean**2 + jnp.exp(log_variance) - 1 - log_variance, -1)
            return jnp.mean(jnp.sum(value - batch[0] * jnp.log(value), -1) + prior)

        return of

    def score(positive, ready=jnp.log1p):
        def of(p, data):
            counts, true = data
            likelihood = lambda value: jnp.mean(counts * jnp.log(value) - value)  # noqa: E731
            constant = likelihood(jnp.broadcast_to(counts.mean(0) + 1e-3, counts.shape))
            own = likelihood(rates(p, codes(p, counts, None, ready)[2], positive))
            return (own - constant) / (likelihood(true) - constant)

        return of

    soft = lambda value: jax.nn.softplus(value) + 1e-4  # noqa: E731
    base = Case(
        "topics_softplus_rate",
        "topics",
        "blind",
        init,
        loss(soft),
        data,
        optax.adam(5e-3),
        score(soft),
        bound=0.6,
        steps=400,
        keyed=True,
    )
    exponential = base._replace(
        name="topics_exponential_rate",
        loss=loss(jnp.exp),
        score=score(jnp.exp),
        optimizer=optax.chain(optax.clip_by_global_norm(10.0), optax.adamw(3e-3)),
    )
    return [
        base,
        exponential,
        sick(
            base,
            "topics_encoder_cut_off",
            "chance_level vanishing dead",
            loss=loss(soft, cut=True),
        ),
    ]


def boltzmann():
    """Model binary digits by a restricted Boltzmann machine; the loss is a difference of two energies."""
    digits = datasets.load_digits()
    data = shuffled(((digits.data > 7).astype(np.float32),))

    def init(key):
        return {"w": 0.02 * jax.random.normal(key, (64, 48)), "seen": jnp.zeros(64), "hidden": jnp.zeros(48)}

    def energy(p, v):
        return -v @ p["seen"] - jnp.sum(jax.nn.softplus(v @ p["w"] + p["hidden"]), -1)

    def sampled(p, v, key):
        a, b = jax.random.split(key)
        hidden = jax.random.bernoulli(a, jax.nn.sigmoid(v @ p["w"] + p["hidden"])).astype(jnp.float32)
        return jax.random.bernoulli(b, jax.nn.sigmoid(hidden @ p["w"].T + p["seen"])).astype(jnp.float32)

    def contrast(sign):
        def loss(p, batch, key):
            return sign * jnp.mean(energy(p, batch[0]) - energy(p, FROZEN(sampled(p, batch[0], key))))

        return loss

    def pseudo(p, v):
        # The energies of all rows that differ from v in one pixel.
        other = jnp.abs(v[:, None] - jnp.eye(64))
        return jnp.mean(jnp.sum(jax.nn.softplus(energy(p, v)[:, None] - energy(p, other)), -1))

    def score(p, data):
        v = data[0][:300]
        mean = jnp.clip(data[0].mean(0), 1e-3, 1 - 1e-3)
        constant = -jnp.mean(jnp.sum(v * jnp.log(mean) + (1 - v) * jnp.log(1 - mean), -1))
        return 1 - pseudo(p, v) / constant

    base = Case(
        "boltzmann_contrastive",
        "boltzmann",
        "blind",
        init,
        contrast(1.0),
        data,
        optax.sgd(0.1, momentum=0.5),
        score,
        bound=0.25,
        steps=600,
        keyed=True,
    )
    return [
        base,
        sick(
            base,
            "boltzmann_energies_swapped",
            "ill_posed exploding learning_rate_large",
            loss=contrast(-1.0),
        ),
    ]


def masked_order():
    """Predict every binary pixel from those before it, by masks on the weights."""
    digits = datasets.load_digits()
    data = shuffled(((digits.data > 7).astype(np.float32),))
    rng = np.random.default_rng(108)
    rank = [np.arange(64), rng.integers(0, 63, 128), rng.integers(0, 63, 128), np.arange(64)]
    masks = [jnp.asarray(b[None] >= a[:, None], jnp.float32) for a, b in pairwise(rank[:3])]
    masks.append(jnp.asarray(rank[3][None] > rank[2][:, None], jnp.float32))

    def init(key):
        return layers(key, (64, 128, 128, 64), 1.0)

    def logits(p, x):
        for layer, mask in zip(p[:-1], masks[:-1], strict=True):
            x = jax.nn.relu(x @ (layer["w"] * mask) + layer["b"])
        return x @ (p[-1]["w"] * masks[-1]) + p[-1]["b"]

    def nats(p, x):
        return jnp.mean(jnp.sum(optax.sigmoid_binary_cross_entropy(logits(p, x), x), -1))

    def half(p, batch):
        p, x = jax.tree.map(lambda a: a.astype(jnp.float16), (p, batch[0]))
        return jnp.mean(optax.sigmoid_binary_cross_entropy(logits(p, x), x))

    def score(p, data):
        mean = jnp.clip(data[0].mean(0), 1e-3, 1 - 1e-3)
        constant = -jnp.sum(mean * jnp.log(mean) + (1 - mean) * jnp.log(1 - mean))
        return 1 - nats(p, data[0]) / constant

    base = Case(
        "masked_order_sum_of_pixels",
        "masked_order",
        "blind",
        init,
        lambda p, batch: nats(p, batch[0]),
        data,
        optax.lion(1e-3),
        score,
        bound=0.1,
        steps=500,
    )
    halved = base._replace(name="masked_order_float16_scaled", loss=half, optimizer=optax.adam(3e-3), scale=1024.0)
    return [
        base,
        halved,
    ]


def cases():
    """Return the cases of this module."""
    return quantised() + topics() + boltzmann() + masked_order()
