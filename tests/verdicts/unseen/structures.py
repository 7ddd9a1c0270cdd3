"""Graphs, sets, implicit layers, mixtures of experts, hypernetworks, and embeddings of words and users."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, accuracy, affine, crossentropy, forward, layers, r2, shuffled, sick


def graphs():
    """Label the nodes of a random graph from few labels, and solve for a fixed point."""
    rng = np.random.default_rng(20)
    group = rng.integers(0, 3, 150)
    edges = rng.uniform(size=(150, 150)) < np.where(group[:, None] == group, 0.15, 0.015)
    adjacent = np.triu(edges, 1)
    adjacent = adjacent + adjacent.T + np.eye(150)
    degree = adjacent.sum(1)
    matrix = jnp.asarray(adjacent / np.sqrt(degree[:, None] * degree), jnp.float32)
    features = jnp.asarray(0.7 * np.eye(3)[group] @ rng.normal(size=(3, 12)) + rng.normal(size=(150, 12)), jnp.float32)
    data = (jnp.arange(150), jnp.asarray(group, jnp.int32))

    def nodes(p, activation=jax.nn.relu):
        h = features
        for layer in p[:-1]:
            h = activation(matrix @ affine(layer, h))
        return matrix @ affine(p[-1], h)

    def named(p, index):
        return nodes(p)[index]

    def loss(p, batch):
        return crossentropy(named(p, batch[0]), batch[1])

    base = Case(
        "graphs_convolution",
        "graphs",
        "open",
        lambda key: layers(key, (12, 16, 3)),
        loss,
        data,
        optax.adamw(1e-2, weight_decay=5e-3),
        accuracy(named),
        bound=0.9,
        floor=0.37,
        steps=250,
    )

    def fixed(p, x):
        w = 0.8 * p["inner"] / jnp.linalg.norm(p["inner"])
        drive = affine(p["first"], x)
        h = jax.lax.scan(lambda h, _: (jnp.tanh(h @ w + drive), None), jnp.zeros_like(drive), None, length=15)[0]
        return affine(p["last"], h)[:, 0]

    x = rng.normal(size=(800, 6))
    implicit = base._replace(
        name="graphs_fixed_point",
        init=lambda key: {
            "first": layers(key, (6, 20), 1.0)[0],
            "inner": jax.random.normal(key, (20, 20)),
            "last": layers(jax.random.fold_in(key, 1), (20, 1), 1.0)[0],
        },
        loss=lambda p, batch: jnp.mean((fixed(p, batch[0]) - batch[1]) ** 2),
        data=shuffled((x, np.abs(x[:, 0]) + x[:, 1] * x[:, 2])),
        optimizer=optax.adam(5e-3),
        score=r2(fixed),
        bound=0.55,
        floor=0.0,
        steps=500,
    )

    def disturb(key, step, batch):
        return batch[0], jax.random.randint(key, batch[1].shape, 0, 3)

    return [
        base,
        implicit,
        sick(base, "graphs_labels_drawn", "chance_level unclear", spoil=disturb),
        sick(base, "graphs_dead_biases", "dead chance_level", init=lambda key: layers(key, (12, 16, 3), 2.0, -40.0)),
        sick(
            implicit,
            "graphs_decay_swamps",
            "chance_level vanishing unclear",
            optimizer=optax.adamw(5e-3, weight_decay=50.0),
        ),
    ]


def mixtures():
    """Regress on sets, with experts and gates, and by weights that another network makes."""
    rng = np.random.default_rng(21)
    sets = rng.normal(size=(1000, 9, 2))
    spread = shuffled((sets, sets[..., 0].std(1) + sets[..., 1].max(1)))

    def pooled(p, x):
        return forward(p["outer"], forward(p["inner"], x, jax.nn.silu).mean(1), jax.nn.silu)[:, 0]

    base = Case(
        "mixtures_sets",
        "mixtures",
        "open",
        lambda key: {
            "inner": layers(key, (2, 24, 24)),
            "outer": layers(jax.random.fold_in(key, 1), (24, 24, 1)),
        },
        lambda p, batch: jnp.mean((pooled(p, batch[0]) - batch[1]) ** 2),
        spread,
        optax.adam(optax.cosine_decay_schedule(5e-3, 500)),
        r2(pooled),
        bound=0.6,
        steps=500,
    )
    x = rng.uniform(-2, 2, (1000, 3))
    pieces = np.where(x[:, 0] > 0, 2 * x[:, 1] - 1, np.where(x[:, 1] > 0, -x[:, 2] * 2, x[:, 0] + 2))
    piecewise = shuffled((x, pieces))

    def init_experts(key):
        a, b = jax.random.split(key)
        return {
            "gate": layers(a, (3, 16, 4), 1.0),
            "experts": jax.vmap(lambda k: layers(k, (3, 8, 1)))(jax.random.split(b, 4)),
        }

    def experts(p, x):
        gate = jax.nn.softmax(forward(p["gate"], x, jnp.tanh))
        return jnp.sum(gate * jax.vmap(lambda q: forward(q, x)[:, 0], out_axes=1)(p["experts"]), 1)

    def rounded(p, x):
        return jnp.round(experts(p, x))

    def squares(predict):
        return {"loss": lambda p, batch: jnp.mean((predict(p, batch[0]) - batch[1]) ** 2), "score": r2(predict)}

    routed = base._replace(
        name="mixtures_experts",
        init=init_experts,
        data=piecewise,
        optimizer=optax.adam(1e-2),
        bound=0.7,
        **squares(experts),
    )

    def init_hyper(key):
        return layers(key, (1, 24, 4 * 8 + 8 + 8 + 1), 1.0)

    def made(p, x):
        w = forward(p, x[:, :1], jnp.tanh)
        h = jnp.tanh(jnp.einsum("bi,bij->bj", x[:, 1:], w[:, :16].reshape(-1, 2, 8)) + w[:, 32:40])
        return jnp.sum(h * w[:, 40:48], 1) + w[:, 48]

    hyper = base._replace(
        name="mixtures_hypernetwork",
        init=init_hyper,
        loss=lambda p, batch: jnp.mean((made(p, batch[0]) - batch[1]) ** 2),
        data=piecewise,
        optimizer=optax.adabelief(5e-3),
        score=r2(made),
        bound=0.6,
    )

    far = (piecewise[0], 3000.0 + 500.0 * piecewise[1])
    return [
        base,
        routed,
        hyper,
        sick(
            routed,
            "mixtures_rounded_output",
            "dead ill_posed unclear chance_level",
            **squares(rounded),
        ),
        sick(hyper, "mixtures_target_3000", "ill_scaled learning_rate_small too_few_steps", data=far),
    ]


def embeddings():
    """Embed words by negative sampling, and users and films by factors."""
    rng = np.random.default_rng(22)
    topic = np.repeat(np.arange(5), 12)
    centre = rng.integers(0, 60, 3000)
    context = np.array([rng.choice(np.flatnonzero(topic == topic[c])) for c in centre])
    pairs = shuffled((centre, context))

    def sampled(p, batch, key):
        negative = jax.random.randint(key, (len(batch[0]), 4), 0, 60)
        u, v = p["word"][batch[0]], p["context"]
        good = jnp.sum(u * v[batch[1]], 1)
        bad = jnp.einsum("bd,bnd->bn", u, v[negative])
        return jnp.mean(jax.nn.softplus(-good) + jax.nn.softplus(bad).sum(1))

    def together(p, data):
        """Compare the scores of pairs of one topic with those of random pairs."""
        table = p["word"] @ p["context"].T
        same = table[data[0], data[1]]
        other = table[data[0], (data[1] + 12 + data[0] % 37) % 60]
        return jnp.mean(same > other)

    def init_words(key, size=0.3):
        a, b = jax.random.split(key)
        return {"word": size * jax.random.normal(a, (60, 8)), "context": size * jax.random.normal(b, (60, 8))}

    base = Case(
        "embeddings_negative_sampling",
        "embeddings",
        "open",
        init_words,
        sampled,
        pairs,
        optax.adam(2e-2),
        together,
        bound=0.85,
        floor=0.5,
        keyed=True,
        batch_size=64,
    )
    user, film = rng.integers(0, 80, 3000), rng.integers(0, 50, 3000)
    a, b = rng.normal(size=(80, 3)), rng.normal(size=(50, 3))
    ratings = shuffled((user, film, (a[user] * b[film]).sum(1) / 3**0.5))

    def rate(p, user, film):
        return jnp.sum(p["user"][user] * p["film"][film], 1) + p["bias"]

    def init_factors(key, size=0.5):
        a, b = jax.random.split(key)
        return {
            "user": size * jax.random.normal(a, (80, 5)),
            "film": size * jax.random.normal(b, (50, 5)),
            "bias": jnp.zeros(()),
        }

    factors = base._replace(
        name="embeddings_factors",
        init=init_factors,
        loss=lambda p, batch: jnp.mean((rate(p, *batch[:2]) - batch[2]) ** 2),
        data=ratings,
        optimizer=optax.adam(optax.warmup_exponential_decay_schedule(0.0, 2e-2, 30, 150, 0.7)),
        score=r2(rate),
        keyed=False,
        bound=0.6,
        floor=0.0,
        steps=600,
    )
    return [
        base,
        factors,
        sick(
            factors,
            "embeddings_factors_zero",
            "collinear dead vanishing chance_level",
            init=lambda key: init_factors(key, 0.0),
        ),
        sick(base, "embeddings_three_steps", "too_few_steps", steps=3, every=1),
    ]


def cases():
    """Return the cases of this module."""
    return graphs() + mixtures() + embeddings()
