"""Digits again: fine-tuning of a trained network, and metric learning."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, accuracy, affine, crossentropy, forward, layers, shuffled, sick
from images import digits


def tuning():
    """Train a head or low-rank changes on a trained network, and distil it."""
    x, y = digits()
    trained = layers(jax.random.key(40), (64, 48, 48, 10))
    optimizer = optax.adam(3e-3)
    state = optimizer.init(trained)

    @jax.jit
    def step(params, state):
        gradient = jax.grad(lambda p: crossentropy(forward(p, x), y % 5 * 2))(params)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(120):
        trained, state = step(trained, state)
    data = (x, y)
    teacher = (x, forward(trained, x), y % 5 * 2)

    def init(key):
        return {"body": trained[:2], "head": layers(key, (48, 10), 1.0)}

    def logits(p, x):
        return forward([*p["body"], *p["head"]], x)

    def detached(p, x):
        return forward(p["head"], jax.lax.stop_gradient(jax.nn.relu(forward(p["body"], x))))

    def labels(p):
        return {"body": "frozen", "head": "tuned"} if isinstance(p, dict) else p

    def init_low(key):
        k = jax.random.split(key, 3)
        down = [0.3 * jax.random.normal(a, (layer["w"].shape[0], 4)) for a, layer in zip(k, trained, strict=True)]
        up = [jnp.zeros((4, layer["w"].shape[1])) for layer in trained]
        return {"down": down, "up": up}

    def low(p, x):
        for n, layer in enumerate(trained):
            x = affine(layer, x) + x @ p["down"][n] @ p["up"][n]
            x = jax.nn.relu(x) if n < 2 else x
        return x

    def distil(p, batch):
        target = jax.nn.softmax(batch[1] / 3.0)
        return optax.softmax_cross_entropy(forward(p, batch[0], jnp.tanh) / 3.0, target).mean()

    base = Case(
        "tuning_small_rate",
        "tuning",
        "open",
        init,
        lambda p, batch: crossentropy(logits(p, batch[0]), batch[1]),
        data,
        optax.adamw(optax.warmup_cosine_decay_schedule(0.0, 1e-3, 30, 300)),
        accuracy(logits),
        bound=0.8,
        floor=0.11,
        steps=300,
    )
    frozen = optax.multi_transform({"tuned": optax.adam(1e-2), "frozen": optax.set_to_zero()}, labels)
    everything = optax.multi_transform({"tuned": optax.set_to_zero(), "frozen": optax.set_to_zero()}, labels)
    student = base._replace(
        name="tuning_distillation",
        init=lambda key: layers(key, (64, 16, 10), 1.0),
        loss=distil,
        data=teacher,
        optimizer=optax.adam(1e-2),
        score=lambda p, data: jnp.mean(jnp.argmax(forward(p, data[0], jnp.tanh), -1) == data[2]),
        floor=0.2,
    )
    return [
        base,
        base._replace(name="tuning_frozen_body", optimizer=frozen, bound=0.6),
        base._replace(
            name="tuning_low_rank",
            init=init_low,
            loss=lambda p, batch: crossentropy(low(p, batch[0]), batch[1]),
            optimizer=optax.adam(5e-3),
            score=accuracy(low),
        ),
        student,
        sick(base, "tuning_all_frozen", "learning_rate_small unclear chance_level", optimizer=everything),
        sick(
            base,
            "tuning_gradient_cut",
            "dead ill_posed chance_level unclear vanishing",
            loss=lambda p, batch: (
                crossentropy(jax.lax.stop_gradient(logits(p, batch[0])), batch[1])
                + 1e-4 * jnp.sum(p["head"][0]["w"] ** 2)
            ),
        ),
    ]


def metric():
    """Learn an embedding of digits by triplets and by contrast."""
    x, y = (np.asarray(array) for array in digits())
    rng = np.random.default_rng(8)
    anchors = rng.integers(0, len(x), 1500)
    same = np.array([rng.choice(np.flatnonzero(y == y[a])) for a in anchors])
    other = np.array([rng.choice(np.flatnonzero(y != y[a])) for a in anchors])
    data = shuffled((x[anchors], x[same], x[other]))

    def distance(a, b):
        return jnp.sum((a - b) ** 2, -1)

    def triplet(p, batch):
        a, b, c = (forward(p, part) for part in batch)
        return jnp.mean(jax.nn.relu(distance(a, b) - distance(a, c) + 1.0))

    def unit(p, x):
        z = forward(p, x)
        return z / (jnp.linalg.norm(z, axis=-1, keepdims=True) + 1e-6)

    def contrast(p, batch):
        logits = unit(p, batch[0]) @ unit(p, batch[1]).T / 0.2
        return crossentropy(logits, jnp.arange(len(logits)))

    def cut(p, batch):
        a, b, c = (jnp.round(jnp.tanh(forward(p, part))) for part in batch)
        return jnp.mean(jax.nn.relu(distance(a, b) - distance(a, c) + 1.0))

    def ranked(embed):
        def score(p, data):
            a, b, c = (embed(p, part) for part in data)
            return jnp.mean(distance(a, b) < distance(a, c))

        return score

    base = Case(
        "metric_triplet",
        "metric",
        "open",
        lambda key: layers(key, (64, 48, 8), 1.0),
        triplet,
        data,
        optax.chain(optax.ema(0.8), optax.sgd(0.05)),
        ranked(forward),
        bound=0.95,
        floor=0.83,
    )
    return [
        base,
        base._replace(
            name="metric_contrast", loss=contrast, score=ranked(unit), optimizer=optax.adam(3e-3), bound=0.93, steps=300
        ),
        sick(base, "metric_rounded_code", "dead ill_posed unclear chance_level", loss=cut),
        sick(
            base,
            "metric_collapsed_by_rate",
            "learning_rate_large dead non_finite",
            optimizer=optax.chain(optax.ema(0.8), optax.sgd(30.0)),
        ),
    ]


def cases():
    """Return the cases of this module."""
    return tuning() + metric()
