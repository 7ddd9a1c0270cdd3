"""Adversarial pairs, and bounds on mutual information."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, forward, layers, shuffled, sick


def distance(a, b):
    """Return the mean distance between the rows of two sets."""
    return jnp.mean(jnp.sqrt(jnp.sum((a[:, None] - b[None]) ** 2, -1) + 1e-12))


def energy(a, b):
    """Return the energy distance of two sets of points."""
    return 2 * distance(a, b) - distance(a, a) - distance(b, b)


def adversaries():
    """Train a generator of a bent cloud against a critic; both have a part of one loss."""
    rng = np.random.default_rng(60)
    first = rng.normal(size=2000)
    cloud = np.stack([first + 3.5, first**2 / 2 - 3.5 + 0.2 * rng.normal(size=2000)], -1)
    data = jnp.asarray(cloud, jnp.float32)
    hold = jax.lax.stop_gradient

    def init(key):
        a, b = jax.random.split(key)
        return {"made": layers(a, (4, 32, 32, 2)), "critic": layers(b, (2, 32, 32, 1))}

    def critic(p, x):
        return forward(p, x, jax.nn.leaky_relu)[:, 0]

    def made(p, key, rows):
        return forward(p["made"], jax.random.normal(key, (rows, 4)))

    def logistic(cut):
        def loss(p, x, key):
            fake = cut(made(p, key, len(x)))
            learns = jax.nn.softplus(-critic(p["critic"], x)) + jax.nn.softplus(critic(p["critic"], hold(fake)))
            return jnp.mean(learns) + jnp.mean(jax.nn.softplus(-critic(hold(p["critic"]), fake)))

        return loss

    def steep(sign):
        def loss(p, x, key):
            one, two = jax.random.split(key)
            fake = made(p, one, len(x))
            between = x + jax.random.uniform(two, (len(x), 1)) * (hold(fake) - x)
            slope = jax.vmap(jax.grad(lambda z: critic(p["critic"], z[None])[0]))(between)
            norm = jnp.sqrt(jnp.sum(slope**2, -1) + 1e-8)
            learns = jnp.mean(critic(p["critic"], hold(fake))) - jnp.mean(critic(p["critic"], x))
            return learns + jnp.mean((norm - 1) ** 2) - sign * jnp.mean(critic(hold(p["critic"]), fake))

        return loss

    def score(p, x):
        fake = made(p, jax.random.key(2), 300)
        return 1 - energy(fake, x) / energy(jnp.zeros((1, 2)), x)

    base = Case(
        "adversaries_logistic",
        "adversaries",
        "sealed",
        init,
        logistic(lambda x: x),
        data,
        optax.adam(2e-3, b1=0.5),
        score,
        bound=0.8,
        steps=400,
        batch_size=48,
        keyed=True,
        judge=data[:300],
    )
    penalty = base._replace(
        name="adversaries_gradient_penalty",
        loss=steep(1.0),
        optimizer=optax.partition(
            {"made": optax.adam(2e-3, 0.5, 0.9), "critic": optax.adam(6e-3, 0.5, 0.9)},
            {"made": "made", "critic": "critic"},
        ),
    )
    return [
        base,
        penalty,
        sick(base, "adversaries_generator_cut", "dead vanishing ill_posed", loss=logistic(hold)),
        sick(
            penalty,
            "adversaries_generator_sign",
            "ill_posed exploding non_finite",
            loss=steep(-1.0),
        ),
    ]


def information():
    """Bound the mutual information of pairs from below with a critic; the losses are negative."""
    rng = np.random.default_rng(61)
    x = rng.normal(size=(3000, 3))
    y = np.sin(2 * x) + 0.3 * rng.normal(size=x.shape)
    data, raw = shuffled((x, y)), shuffled((x, 1e4 * y))
    lost = (data[0], jnp.roll(data[1], 1, 0))

    def table(p, batch):
        x, y = batch
        n = len(x)
        pairs = jnp.concatenate([jnp.repeat(x[:, None], n, 1), jnp.repeat(y[None], n, 0)], -1)
        return forward(p, pairs)[..., 0]

    def donsker(p, batch):
        value = table(p, batch)
        apart = jnp.exp(value) * (1 - jnp.eye(len(value)))
        return jnp.log(jnp.sum(apart) / (len(value) * (len(value) - 1))) - jnp.mean(jnp.diag(value))

    def contrast(p, batch):
        value = table(p, batch)
        return -jnp.mean(jnp.diag(value) - jax.nn.logsumexp(value, 1)) - jnp.log(len(value))

    base = Case(
        "information_donsker",
        "information",
        "sealed",
        lambda key: layers(key, (6, 32, 32, 1)),
        donsker,
        data,
        optax.adam(2e-3),
        lambda p, judge: -contrast(p, judge),
        bound=0.7,
        steps=300,
        batch_size=32,
        judge=tuple(a[:128] for a in data),
    )
    noise = base._replace(name="information_contrast", loss=contrast, optimizer=optax.adabelief(3e-3), batch_size=24)
    return [
        base,
        noise,
        sick(
            base,
            "information_raw_columns",
            "non_finite exploding ill_scaled",
            data=raw,
            judge=tuple(a[:128] for a in raw),
        ),
        sick(noise, "information_pairs_lost", "chance_level unclear", data=lost, judge=tuple(a[:128] for a in lost)),
    ]


def cases():
    """Return the cases of this module."""
    return adversaries() + information()
