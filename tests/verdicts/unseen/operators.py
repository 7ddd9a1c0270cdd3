"""Maps between functions: branch and trunk, spectral layers, conserved energies, and curves from a few points."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, affine, forward, layers, shuffled, sick


def waves(rng, rows, points):
    """Draw smooth functions on [0, 1] and their integrals from zero."""
    x = np.arange(points) / points
    order = np.arange(1, 5)[:, None]
    a, b = rng.normal(size=(2, rows, 4)) / order[:, 0]
    value = a @ np.cos(2 * np.pi * order * x) + b @ np.sin(2 * np.pi * order * x)
    turn = 2 * np.pi * order
    return value, lambda y: np.sum((a * np.sin(turn[:, 0] * y) + b * (1 - np.cos(turn[:, 0] * y))) / turn[:, 0], -1)


def integrals():
    """Integrate functions up to a place by the product of a branch and a trunk."""
    rng = np.random.default_rng(113)
    value, integral = waves(rng, 1500, 24)
    place = rng.uniform(0, 1, (1500, 1))
    target = integral(place)
    target = (target - target.mean()) / target.std()
    data = shuffled((value, place, target))

    def init(key):
        a, b = jax.random.split(key)
        return {"branch": layers(a, (24, 40, 24), 1.0), "trunk": layers(b, (1, 40, 40, 24)), "bias": jnp.zeros(())}

    def net(p, value, place):
        trunk = jax.nn.gelu(forward(p["trunk"], 4 * place - 2, jax.nn.gelu))
        return jnp.sum(forward(p["branch"], value, jax.nn.gelu) * trunk, -1) + p["bias"]

    def loss(p, batch):
        return jnp.mean((net(p, *batch[:-1]) - batch[-1]) ** 2)

    def score(p, data):
        return 1 - loss(p, data) / jnp.var(data[-1])

    def others(params):
        return {name: jax.tree.map(lambda _, learns=name == "bias": not learns, part) for name, part in params.items()}

    base = Case(
        "integrals_branch_and_trunk",
        "integrals",
        "blind",
        init,
        loss,
        data,
        optax.adam(optax.cosine_decay_schedule(4e-3, 800)),
        score,
        bound=0.7,
        steps=800,
    )
    return [
        base,
        sick(
            base,
            "integrals_all_but_bias_masked",
            "learning_rate_small chance_level",
            optimizer=optax.chain(optax.adam(4e-3), optax.masked(optax.set_to_zero(), others)),
        ),
        sick(
            base,
            "integrals_momentum_near_one",
            "learning_rate_large exploding non_finite",
            optimizer=optax.sgd(0.2, momentum=0.999),
        ),
    ]


def spectral():
    """Smooth pressures along a ring by layers that multiply their low frequencies."""
    rng = np.random.default_rng(114)
    value, _ = waves(rng, 800, 32)
    value = value + 0.3 * rng.normal(size=value.shape)
    rate = np.exp(-0.003 * (2 * np.pi * np.fft.rfftfreq(32, 1 / 32)) ** 2)
    after = np.fft.irfft(np.fft.rfft(value**2) * rate, 32)
    after = (after - after.mean()) / after.std()
    data = shuffled((value[..., None], after[..., None]))
    pascal = (101325 + 40 * data[0], data[1])

    def init(key):
        first, last, *body = jax.random.split(key, 5)
        return {
            "in": layers(first, (1, 12), 1.0)[0],
            "body": [
                {
                    "low": jax.random.normal(k, (2, 8, 12, 12)) / 12,
                    "local": layers(jax.random.fold_in(k, 1), (12, 12), 1.0)[0],
                }
                for k in body
            ],
            "out": layers(last, (12, 24, 1)),
        }

    def net(p, x):
        h = affine(p["in"], x)
        for block in p["body"]:
            waves = jnp.fft.rfft(h, axis=1)[:, :8]
            mixed = jnp.einsum("nfa,fab->nfb", waves, block["low"][0] + 1j * block["low"][1])
            h = jax.nn.gelu(jnp.fft.irfft(mixed, 32, axis=1) + affine(block["local"], h))
        return forward(p["out"], h, jax.nn.gelu)

    def loss(p, batch):
        wrong = jnp.linalg.norm(net(p, batch[0]) - batch[1], axis=1)
        return jnp.mean(wrong / jnp.linalg.norm(batch[1], axis=1))

    def score(p, data):
        return 1 - jnp.mean((net(p, data[0]) - data[1]) ** 2) / jnp.var(data[1])

    base = Case(
        "spectral_ring",
        "spectral",
        "blind",
        init,
        loss,
        data,
        optax.adam(5e-3),
        score,
        bound=0.6,
        steps=250,
        batch_size=16,
        judge=tuple(a[:200] for a in data),
    )
    return [
        base,
        sick(
            base,
            "spectral_pressure_in_pascal",
            "ill_scaled exploding",
            data=pascal,
            judge=tuple(a[:200] for a in pascal),
        ),
        sick(base, "spectral_sign_of_gradient", "learning_rate_large exploding", optimizer=optax.adam(-5e-3)),
    ]


def energies():
    """Learn the energy of a pendulum whose derivatives are its motion."""
    rng = np.random.default_rng(115)
    angle, speed = rng.uniform(-2.5, 2.5, (2, 1200))
    state = np.stack([angle, speed], -1)
    motion = np.stack([speed, -2 * np.sin(angle)], -1) + 0.05 * rng.normal(size=state.shape)
    data = shuffled((state, motion))

    def init(last):
        def draw(key):
            drawn = layers(key, (2, 40, 40, 1), 1.0)
            drawn[1]["w"], drawn[2]["w"] = last * drawn[1]["w"], last * drawn[2]["w"]
            return drawn

        return draw

    def net(p, x):
        slope = jax.vmap(jax.grad(lambda state: forward(p, state, jnp.tanh)[0]))(x)
        return jnp.stack([slope[:, 1], -slope[:, 0]], -1)

    def loss(p, batch):
        return jnp.mean((net(p, batch[0]) - batch[1]) ** 2)

    def score(p, data):
        return 1 - loss(p, data) / jnp.mean(jnp.var(data[1], 0))

    base = Case(
        "energies_pendulum",
        "energies",
        "blind",
        init(1.0),
        loss,
        data,
        optax.adam(5e-3),
        score,
        bound=0.85,
        steps=400,
        judge=tuple(a[:400] for a in data),
    )
    return [
        base,
        sick(base, "energies_two_layers_zero", "dead vanishing chance_level collinear", init=init(0.0)),
    ]


def curves():
    """Draw a curve through eight points of it, with a spread; a row is a curve."""
    rng = np.random.default_rng(116)
    x = rng.uniform(-2, 2, (1500, 20, 1))
    size, shift = rng.uniform(0.5, 1.5, (1500, 1, 1)), rng.uniform(0, 2 * np.pi, (1500, 1, 1))
    y = size * np.sin(1.5 * x + shift) + 0.05 * rng.normal(size=x.shape)
    data = shuffled((x, y))

    def init(key):
        a, b = jax.random.split(key)
        return {"in": layers(a, (2, 48, 48)), "out": layers(b, (49, 48, 48, 2))}

    def net(p, x, y):
        code = jax.nn.relu(forward(p["in"], jnp.concatenate([x[:, :8], y[:, :8]], -1))).mean(1, keepdims=True)
        code = jnp.broadcast_to(code, (len(x), 12, 48))
        mean, raw = jnp.split(forward(p["out"], jnp.concatenate([x[:, 8:], code], -1)), 2, -1)
        return mean, raw

    def likelihood(spread):
        def loss(p, batch):
            mean, raw = net(p, *batch)
            width = spread(raw)
            return jnp.mean(0.5 * ((batch[1][:, 8:] - mean) / width) ** 2 + jnp.log(width))

        return loss

    def score(p, data):
        target = data[1][:, 8:]
        return 1 - jnp.mean((net(p, *data)[0] - target) ** 2) / jnp.var(target)

    def floored(raw):
        return 0.05 + 0.95 * jax.nn.softplus(raw)

    base = Case(
        "curves_from_points",
        "curves",
        "blind",
        init,
        likelihood(floored),
        data,
        optax.adam(3e-3),
        score,
        bound=0.55,
        steps=600,
        judge=tuple(a[:300] for a in data),
    )
    return [
        base,
    ]


def cases():
    """Return the cases of this module."""
    return integrals() + spectral() + energies() + curves()
