"""Views of the same digit without negatives, and preferences between pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, forward, layers, shuffled, sick
from sklearn import datasets


def probe(code, label):
    """Return the accuracy of a ridge classifier on codes."""
    code = jnp.concatenate([code, jnp.ones((len(code), 1))], -1)
    wanted = jax.nn.one_hot(label, 10)
    weights = jnp.linalg.solve(code.T @ code + jnp.eye(code.shape[1]), code.T @ wanted)
    return jnp.mean(jnp.argmax(code @ weights, -1) == label)


def unit(x):
    """Scale rows to length one."""
    return x / jnp.sqrt(jnp.sum(x**2, -1, keepdims=True) + 1e-6)


def views():
    """Learn codes of digits from two spoilt views of each, without labels and without negatives."""
    digits = datasets.load_digits()
    data = shuffled((digits.data / 8 - 1, digits.target))

    def init(key):
        a, b = jax.random.split(key)
        return {"code": layers(a, (64, 64, 16)), "guess": layers(b, (16, 16, 16))}

    def code_only(key):
        return {"code": layers(key, (64, 64, 16))}

    def pair(p, batch, key):
        def view(key):
            noise, hide = jax.random.split(key)
            x = batch[0] + 0.3 * jax.random.normal(noise, batch[0].shape)
            return forward(p["code"], x * jax.random.bernoulli(hide, 0.7, x.shape))

        return [view(k) for k in jax.random.split(key)]

    def variance(z):
        return jnp.mean(jax.nn.relu(1 - jnp.sqrt(jnp.var(z, 0) + 1e-4)))

    def covariance(z):
        z = z - z.mean(0)
        square = (z.T @ z / len(z)) ** 2
        return (jnp.sum(square) - jnp.trace(square)) / z.shape[1]

    def three_terms(p, batch, key):
        a, b = pair(p, batch, key)
        apart = variance(a) + variance(b)
        return 25 * jnp.mean((a - b) ** 2) + 25 * apart + covariance(a) + covariance(b)

    def distance_only(p, batch, key):
        a, b = pair(p, batch, key)
        return 25 * jnp.mean((a - b) ** 2)

    def decorrelated(p, batch, key):
        a, b = ((z - z.mean(0)) / (z.std(0) + 1e-3) for z in pair(p, batch, key))
        wrong = (a.T @ b / len(a) - jnp.eye(16)) ** 2
        return jnp.trace(wrong) + 0.02 * (jnp.sum(wrong) - jnp.trace(wrong))

    def guessed(p, batch, key):
        a, b = pair(p, batch, key)

        def half(x, y):
            return -jnp.mean(jnp.sum(unit(forward(p["guess"], x)) * unit(jax.lax.stop_gradient(y)), -1))

        return 0.5 * (half(a, b) + half(b, a))

    def score(p, data):
        z = forward(p["code"], data[0])
        return probe(z, data[1])

    base = Case(
        "views_three_terms",
        "views",
        "fresh",
        code_only,
        three_terms,
        data,
        optax.adam(3e-3),
        score,
        bound=0.8,
        floor=0.1,
        steps=300,
        batch_size=96,
        keyed=True,
    )
    crossed = base._replace(
        name="views_decorrelated", loss=decorrelated, optimizer=optax.lars(0.3, momentum=0.9), bound=0.75
    )
    return [
        base,
        crossed,
        base._replace(
            name="views_guessed", init=init, loss=guessed, optimizer=optax.sgd(0.05, momentum=0.9), bound=0.7
        ),
        sick(base, "views_distance_only", "ill_posed collinear", loss=distance_only),
    ]


def compared(rows=1500):
    """Make pairs of items of which the first is preferred, with the true worth of both."""
    rng = np.random.default_rng(54)
    items = rng.normal(size=(rows, 2, 8))
    worth = 2 * np.tanh(items[..., 0] * items[..., 1]) + 1.5 * items[..., 2] - np.abs(items[..., 3])
    lost = rng.random(rows) > 1 / (1 + np.exp(worth[:, 1] - worth[:, 0]))
    items[lost], worth[lost] = items[lost, ::-1], worth[lost, ::-1]
    return shuffled((items, worth))


def preferences():
    """Learn a reward, or a policy, from which of two answers people preferred."""
    data = compared()
    rng = np.random.default_rng(55)
    other = rng.random(1500) < 0.5
    mixed = (jnp.where(jnp.asarray(other)[:, None, None], data[0][:, ::-1], data[0]), data[1])

    def reward(p, batch):
        return forward(p, batch[0])[..., 0]

    def logistic(p, batch):
        r = reward(p, batch)
        return jnp.mean(jax.nn.softplus(r[:, 1] - r[:, 0]))

    def first_twice(p, batch):
        r = reward(p, (batch[0][:, :1],))
        return jnp.mean(jax.nn.softplus(r - r))

    def right(p, data):
        r = reward(p, data)
        return jnp.mean((r[:, 0] > r[:, 1]) == (data[1][:, 0] > data[1][:, 1]))

    prompts = rng.normal(size=(1500, 6))
    wanted = prompts @ rng.normal(size=(6, 5)) + prompts[:, :1] * prompts[:, 1:2]
    couple = np.array([rng.choice(5, 2, replace=False) for _ in range(1500)])
    gap = np.take_along_axis(wanted, couple, 1) @ np.array([1.0, -1.0])
    couple[gap < 0] = couple[gap < 0, ::-1]
    answers = shuffled((prompts, couple))
    reference = layers(jax.random.key(4), (6, 16, 5))

    def margin(p, batch):
        policy = jax.nn.log_softmax(forward(p, batch[0]), -1) - jax.nn.log_softmax(forward(reference, batch[0]), -1)
        chosen = jnp.take_along_axis(policy, batch[1], 1)
        return chosen[:, 0] - chosen[:, 1]

    def direct(beta):
        return lambda p, batch: jnp.mean(jax.nn.softplus(-beta * margin(p, batch)))

    base = Case(
        "preferences_reward",
        "preferences",
        "fresh",
        lambda key: layers(key, (8, 32, 32, 1)),
        logistic,
        data,
        optax.adamw(2e-3, weight_decay=0.05),
        right,
        bound=0.75,
        floor=0.5,
        steps=400,
    )
    policy = base._replace(
        name="preferences_direct",
        init=lambda key: jax.tree.map(lambda a: a + 0.05 * jax.random.normal(key, a.shape), reference),
        loss=direct(0.5),
        data=answers,
        optimizer=optax.sgd(0.3),
        score=lambda p, data: jnp.mean(margin(p, data) > 0),
        bound=0.8,
    )
    return [
        base,
        policy,
        sick(base, "preferences_order_lost", "chance_level unclear", data=mixed),
        sick(base, "preferences_first_answer_twice", "chance_level dead ill_posed vanishing", loss=first_twice),
        sick(
            policy,
            "preferences_beta_tiny",
            "learning_rate_small too_few_steps chance_level vanishing",
            loss=direct(1e-4),
        ),
    ]


def cases():
    """Return the cases of this module."""
    return views() + preferences()
