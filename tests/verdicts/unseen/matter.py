"""Energies and forces of small clusters, and two towers that match users with items."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, forward, layers, shuffled, sick


def clusters(rows=800):
    """Make clusters of four particles with pair energies; return places, energies and forces."""
    rng = np.random.default_rng(66)
    corner = np.array([[0.0, 0, 0], [1.2, 0, 0], [0, 1.2, 0], [0, 0, 1.2]])
    place = jnp.asarray(corner + 0.15 * rng.normal(size=(rows, 4, 3)), jnp.float32)
    i, j = np.triu_indices(4, 1)

    def energy(x):
        far = jnp.sqrt(jnp.sum((x[i] - x[j]) ** 2, -1))
        return jnp.sum((1 - jnp.exp(-2 * (far - 1.3))) ** 2)

    return shuffled((place, jax.vmap(energy)(place), -jax.vmap(jax.grad(energy))(place)))


def molecules():
    """Learn the energy of a cluster from its distances, from energies or from forces."""
    place, energy, force = clusters()
    data = (place, energy - jnp.mean(energy), force)
    total = (place, energy - 38000.0, force)
    i, j = np.triu_indices(4, 1)
    centres = jnp.linspace(0.5, 3.0, 12)

    def bumps(far):
        return jnp.exp(-8 * (far[..., None] - centres) ** 2)

    def of_pairs(p, x):
        far = jnp.sqrt(jnp.sum((x[i] - x[j]) ** 2, -1))
        return jnp.sum(forward(p["net"], bumps(far), jax.nn.softplus)) + p["shift"]

    def of_all(p, x):
        far = jnp.sqrt(jnp.sum((x[:, None] - x[None]) ** 2, -1))
        out = forward(p["net"], bumps(far), jax.nn.softplus)[..., 0]
        return 0.5 * jnp.sum(out * (1 - jnp.eye(4))) + p["shift"]

    def init(key):
        return {"net": layers(key, (12, 24, 24, 1), 1.0), "shift": jnp.zeros(())}

    def energies(of):
        return lambda p, batch: jnp.mean((jax.vmap(lambda x: of(p, x))(batch[0]) - batch[1]) ** 2)

    def forces(of):
        def loss(p, batch):
            found = -jax.vmap(jax.grad(lambda x: of(p, x)))(batch[0])
            return energies(of)(p, batch) + jnp.mean((found - batch[2]) ** 2)

        return loss

    def score(of):
        return lambda p, data: 1 - energies(of)(p, data) / jnp.var(data[1])

    base = Case(
        "molecules_energies",
        "molecules",
        "sealed",
        init,
        energies(of_pairs),
        data,
        optax.adam(5e-3),
        score(of_pairs),
        bound=0.7,
        steps=400,
    )
    both = base._replace(
        name="molecules_forces",
        loss=forces(of_pairs),
        optimizer=optax.adam(optax.exponential_decay(0.01, 50, 0.8)),
        steps=300,
    )
    return [
        base,
        both,
        sick(
            base,
            "molecules_total_energy",
            "ill_scaled learning_rate_small too_few_steps",
            data=total,
        ),
        sick(
            both,
            "molecules_distance_to_itself",
            "non_finite",
            loss=forces(of_all),
            score=score(of_all),
        ),
    ]


def towers():
    """Match users with the item that they took, against the other items of the batch."""
    rng = np.random.default_rng(67)
    taste = rng.normal(size=(200, 4))
    users = rng.integers(0, 200, 3000)
    wanted = taste[users] + 0.3 * rng.normal(size=(3000, 4))
    features = np.concatenate([np.tanh(wanted), wanted[:, ::-1] + 0.3 * rng.normal(size=(3000, 4))], -1)
    data = shuffled((users, features))
    bucket = (jnp.zeros_like(data[0]), data[1])

    def init(key):
        a, b = jax.random.split(key)
        return {
            "user": 0.3 * jax.random.normal(a, (200, 8)),
            "item": layers(b, (8, 32, 8)),
            "heat": jnp.asarray(1.6),
        }

    def shifted(key):
        return {**init(key), "shift": jnp.asarray(-3.0)}

    def unit(x):
        return x / jnp.sqrt(jnp.sum(x**2, -1, keepdims=True) + 1e-6)

    def match(p, batch):
        return unit(p["user"][batch[0]]) @ unit(forward(p["item"], batch[1])).T

    def softmax(roll):
        def loss(p, batch):
            logits = jnp.roll(match(p, batch), roll, 0) * jnp.exp(p["heat"])
            return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.arange(len(logits))).mean()

        return loss

    def pairs(p, batch):
        logits = match(p, batch) * jnp.exp(p["heat"]) + p["shift"]
        sign = 2 * jnp.eye(len(logits)) - 1
        return jnp.mean(jnp.sum(jax.nn.softplus(-sign * logits), -1))

    def score(p, data):
        value = match(p, data)
        return jnp.mean(jnp.sum(value > jnp.diag(value)[:, None], 1) < 5)

    base = Case(
        "towers_softmax",
        "towers",
        "sealed",
        init,
        softmax(0),
        data,
        optax.adam(0.01),
        score,
        bound=0.5,
        floor=5 / 64,
        steps=400,
        batch_size=64,
        judge=tuple(a[:64] for a in data),
    )
    return [
        base,
        base._replace(name="towers_pairs", init=shifted, loss=pairs, optimizer=optax.adagrad(0.2)),
        sick(base, "towers_items_of_next_row", "chance_level unclear", loss=softmax(1)),
        sick(
            base,
            "towers_one_bucket",
            "chance_level unclear collinear",
            data=bucket,
            judge=tuple(a[:64] for a in bucket),
        ),
    ]


def cases():
    """Return the cases of this module."""
    return molecules() + towers()
