"""Gaussian processes, soft decision trees, and normalisation over batches and groups."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, accuracy, affine, crossentropy, forward, layers, shuffled, sick
from sklearn import datasets


def kernels():
    """Fit the scales of Gaussian processes by the marginal likelihood of minibatches."""
    rng = np.random.default_rng(56)
    x = rng.uniform(-2, 2, (240, 3))
    y = np.sin(2 * x[:, 0]) + 0.5 * x[:, 1] ** 2
    y = (y - y.mean()) / y.std() + 0.1 * rng.normal(size=240)
    data = shuffled((x, y))
    raw = (1000 * data[0], data[1])

    def init(key):
        return {
            "length": 0.1 * jax.random.normal(key, (3,)),
            "size": jnp.zeros(()),
            "noise": jnp.asarray(-1.0),
        }

    def deep(key):
        return {"net": layers(key, (3, 16, 16, 2), 1.0), "size": jnp.zeros(()), "noise": jnp.asarray(-1.0)}

    def embed(p, x):
        return forward(p["net"], x, jnp.tanh) * 2 if "net" in p else x * jnp.exp(-p["length"])

    def covariance(p, a, b):
        a, b = embed(p, a), embed(p, b)
        square = jnp.sum((a[:, None] - b[None]) ** 2, -1)
        return jnp.exp(p["size"] - 0.5 * square)

    def evidence(noisy):
        def loss(p, batch):
            x, y = batch
            matrix = covariance(p, x, x) + (jnp.exp(p["noise"]) + 1e-4) * noisy * jnp.eye(len(x))
            root = jnp.linalg.cholesky(matrix)
            white = jax.scipy.linalg.solve_triangular(root, y, lower=True)
            return (0.5 * white @ white + jnp.sum(jnp.log(jnp.diag(root)))) / len(x)

        return loss

    def score(p, data):
        (x, y), (new, wanted) = (a[:120] for a in data), (a[120:] for a in data)
        matrix = covariance(p, x, x) + (jnp.exp(p["noise"]) + 1e-4) * jnp.eye(len(x))
        found = covariance(p, new, x) @ jnp.linalg.solve(matrix, y)
        return 1 - jnp.mean((found - wanted) ** 2) / jnp.var(wanted)

    base = Case(
        "kernels_likelihood",
        "kernels",
        "fresh",
        init,
        evidence(1.0),
        data,
        optax.adam(0.03),
        score,
        bound=0.85,
        steps=200,
        batch_size=40,
    )
    return [
        base,
        base._replace(name="kernels_deep", init=deep, optimizer=optax.yogi(0.01), bound=0.8),
        sick(base, "kernels_no_noise_on_diagonal", "non_finite", loss=evidence(0.0)),
        sick(base, "kernels_raw_columns", "ill_scaled dead vanishing chance_level", data=raw),
    ]


def trees():
    """Split the plane into a check pattern with soft trees."""
    rng = np.random.default_rng(57)
    x = rng.uniform(-1, 1, (1500, 4))
    data = shuffled((x, ((x[:, 0] > 0) ^ (x[:, 1] > 0)).astype(int)))
    raw = (data[0] * jnp.asarray([1e4, 1e4, 5e4, 5e4]), data[1])

    def init(gain, leaf):
        def draw(key):
            a, b = jax.random.split(key)
            return {
                "cut": [gain * jax.random.normal(jax.random.fold_in(a, d), (8, 4, 2**d)) for d in range(4)],
                "shift": [jnp.zeros((8, 1, 2**d)) for d in range(4)],
                "leaf": leaf * jax.random.normal(b, (8, 16, 2)),
            }

        return draw

    def grown(gate):
        def net(p, x):
            share = jnp.ones((8, len(x), 1))
            for cut, shift in zip(p["cut"], p["shift"], strict=True):
                left = gate(jnp.einsum("nf,tfc->tnc", x, cut) + shift)
                share = jnp.stack([share * left, share * (1 - left)], -1).reshape(8, len(x), -1)
            return jnp.einsum("tnc,tck->nk", share, p["leaf"])

        return net

    def loss(net):
        return lambda p, batch: crossentropy(net(p, batch[0]), batch[1])

    soft, hard = grown(jax.nn.sigmoid), grown(lambda v: jnp.clip(0.5 + v / 4, 0.0, 1.0))
    base = Case(
        "trees_soft",
        "trees",
        "fresh",
        init(2.0, 0.3),
        loss(soft),
        data,
        optax.adam(0.03),
        accuracy(soft),
        bound=0.9,
        floor=0.5,
        steps=400,
    )
    ramps = base._replace(
        name="trees_ramps", loss=loss(hard), score=accuracy(hard), optimizer=optax.amsgrad(0.02), init=init(1.0, 0.3)
    )
    return [
        base,
        ramps,
        sick(base, "trees_raw_columns", "saturated ill_scaled vanishing dead", data=raw),
        sick(base, "trees_all_zero", "chance_level dead vanishing collinear", init=init(0.0, 0.0)),
    ]


def normalised():
    """Classify digits through normalisation over the batch, or over groups of units."""
    digits = datasets.load_digits()
    data = shuffled((digits.data, digits.target))

    def init(scale):
        def draw(key):
            body = layers(key, (64, 48, 48, 10))
            return [{**layer, "g": jnp.full(layer["b"].shape, scale)} for layer in body[:-1]] + body[-1:]

        return draw

    def over_rows(epsilon):
        def centre(x):
            return (x - x.mean(0)) / jnp.sqrt(x.var(0) + epsilon)

        def net(p, x):
            x = centre(x)
            for layer in p[:-1]:
                x = jax.nn.relu(layer["g"] * centre(x @ layer["w"]) + layer["b"])
            return affine(p[-1], x)

        return net

    def over_groups(p, x):
        x = x / 8 - 1
        for layer in p[:-1]:
            parts = (x @ layer["w"]).reshape(len(x), 4, -1)
            parts = (parts - parts.mean(-1, keepdims=True)) / jnp.sqrt(parts.var(-1, keepdims=True) + 1e-5)
            x = jax.nn.gelu(layer["g"] * parts.reshape(len(x), -1) + layer["b"])
        return affine(p[-1], x)

    def loss(net):
        return lambda p, batch: crossentropy(net(p, batch[0]), batch[1])

    rows, bare = over_rows(1e-5), over_rows(0.0)
    restart = {"init_value": 1e-4, "peak_value": 5e-3, "decay_steps": 100, "warmup_steps": 10, "end_value": 1e-4}
    base = Case(
        "normalised_batch",
        "normalised",
        "fresh",
        init(1.0),
        loss(rows),
        data,
        optax.sgd(0.1, momentum=0.9),
        accuracy(rows),
        bound=0.9,
        floor=0.1,
        steps=300,
    )
    return [
        base,
        base._replace(name="normalised_batch_rate_2", optimizer=optax.sgd(2.0), batch_size=128, steps=200),
        base._replace(
            name="normalised_groups",
            loss=loss(over_groups),
            score=accuracy(over_groups),
            optimizer=optax.adamw(optax.sgdr_schedule([restart] * 3)),
        ),
        sick(base, "normalised_batch_of_one", "chance_level dead vanishing ill_posed", batch_size=1),
        sick(base, "normalised_no_epsilon", "non_finite", loss=loss(bare), score=accuracy(bare)),
        sick(base, "normalised_scales_zero", "chance_level dead vanishing collinear", init=init(0.0)),
    ]


def cases():
    """Return the cases of this module."""
    return kernels() + trees() + normalised()
