"""Learning to learn from ten points, and policies that are trained through a simulator."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, forward, layers, shuffled, sick


def adapt():
    """Learn weights from which a few steps on ten points fit a sine; a row is a task."""
    rng = np.random.default_rng(62)
    x = rng.uniform(-3, 3, (1500, 20, 1))
    size, shift = rng.uniform(0.5, 2.0, (1500, 1, 1)), rng.uniform(0, np.pi, (1500, 1, 1))
    data = shuffled((x, size * np.sin(x + shift)))
    crossed = (data[0], jnp.concatenate([data[1][:, :10], jnp.roll(data[1], 1, 0)[:, 10:]], 1))

    def init(key):
        return layers(key, (1, 32, 32, 1))

    def error(p, x, y):
        return jnp.mean((forward(p, x, jnp.tanh) - y) ** 2)

    def adapted(rate):
        def fit(p, x, y):
            for _ in range(2):
                p = jax.tree.map(lambda a, g: a - rate * g, p, jax.grad(error)(p, x, y))
            return p

        return fit

    def query(fit):
        def loss(p, batch):
            one = lambda x, y: error(fit(p, x[:10], y[:10]), x[10:], y[10:])  # noqa: E731
            return jnp.mean(jax.vmap(one)(*batch))

        return loss

    def score(loss):
        return lambda p, data: 1 - loss(p, data) / jnp.mean(jnp.var(data[1], 1))

    def solved(p, batch):
        def one(x, y):
            hidden = jnp.tanh(forward(p, x, jnp.tanh))
            weights = jnp.linalg.solve(hidden[:10].T @ hidden[:10] + 0.05 * jnp.eye(16), hidden[:10].T @ y[:10])
            return jnp.mean((hidden[10:] @ weights - y[10:]) ** 2)

        return jnp.mean(jax.vmap(one)(*batch))

    full, wild = query(adapted(0.05)), query(adapted(20.0))
    judge = tuple(a[:200] for a in data)
    base = Case(
        "adapt_second_order",
        "adapt",
        "sealed",
        init,
        full,
        data,
        optax.adam(2e-3),
        score(full),
        bound=0.4,
        steps=400,
        batch_size=16,
        judge=judge,
    )
    return [
        base,
        base._replace(
            name="adapt_closed_form",
            init=lambda key: layers(key, (1, 32, 16)),
            loss=solved,
            score=score(solved),
            optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(5e-3)),
        ),
        sick(
            base,
            "adapt_inner_rate_large",
            "exploding non_finite learning_rate_large saturated",
            loss=wild,
            score=score(wild),
        ),
        sick(
            base,
            "adapt_points_of_another_task",
            "chance_level unclear",
            data=crossed,
            judge=tuple(a[:200] for a in crossed),
        ),
    ]


def steering():
    """Steer a mass to the origin: a policy is trained through the steps of the simulator."""
    rng = np.random.default_rng(63)
    data = jnp.asarray(rng.uniform(-1.5, 1.5, (1000, 4)), jnp.float32)

    def init(key):
        return layers(key, (4, 24, 24, 2), 1.0)

    def rolled(p, start, hold, spring):
        def advance(state, _):
            force = 2 * jnp.tanh(forward(p, state, jnp.tanh))
            place, speed = jnp.split(hold(state), 2, -1)
            new = jnp.concatenate([place + 0.1 * speed, speed + 0.1 * (force - spring(place) - 0.1 * speed)], -1)
            return new, jnp.mean(place**2)

        return jnp.mean(jax.lax.scan(advance, start, length=40)[1][10:])

    def loss(hold=lambda x: x, spring=lambda x: 0.0 * x):
        return lambda p, start: rolled(p, start, hold, spring)

    def score(run):
        # A force of zero is the best constant.
        still = jax.tree.map(jnp.zeros_like, init(jax.random.key(0)))
        return lambda p, start: 1 - run(p, start) / run(still, start)

    plain, swings = loss(), loss(spring=lambda x: -jnp.sin(2 * x))
    stiff = loss(spring=lambda x: 3000 * x)
    base = Case(
        "steering_mass",
        "steering",
        "sealed",
        init,
        plain,
        data,
        optax.adam(5e-3),
        score(plain),
        bound=0.6,
        steps=200,
        judge=data[:200],
    )
    return [
        base,
        base._replace(
            name="steering_pendulum",
            loss=swings,
            score=score(swings),
            optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.3, 0.9)),
        ),
        sick(
            base,
            "steering_spring_too_stiff",
            "exploding non_finite",
            loss=stiff,
            score=score(stiff),
        ),
        sick(
            base,
            "steering_states_cut",
            "dead vanishing ill_posed chance_level",
            loss=loss(hold=jax.lax.stop_gradient),
        ),
    ]


def cases():
    """Return the cases of this module."""
    return adapt() + steering()
