"""Digits as patches: mixers, capsules, finer pixels, and a picture that grows from one cell."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, accuracy, affine, crossentropy, layers, shuffled, sick
from sklearn import datasets


def normalise(x):
    """Normalise over features."""
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)


def blocks(x, size):
    """Cut pictures (rows, 8, 8) into square blocks: (rows, blocks, pixels)."""
    number = 8 // size
    x = x.reshape(len(x), number, size, number, size)
    return x.transpose(0, 1, 3, 2, 4).reshape(len(x), number**2, size**2)


def mixers():
    """Classify digits by layers that mix the patches, then the features."""
    digits = datasets.load_digits()
    data = shuffled((blocks(digits.data / 16, 2), digits.target))

    def init(key):
        first, last, *body = jax.random.split(key, 4)
        return {
            "in": layers(first, (4, 16), 1.0)[0],
            "body": [
                {
                    "patches": layers(k, (16, 20, 16)),
                    "features": layers(jax.random.fold_in(k, 1), (16, 24, 16)),
                }
                for k in body
            ],
            "out": layers(last, (16, 10), 1.0)[0],
        }

    def net(p, x):
        h = affine(p["in"], x)
        for block in p["body"]:
            for name, turn in (("patches", True), ("features", False)):
                y = normalise(h)
                y = jnp.swapaxes(y, 1, 2) if turn else y
                y = affine(block[name][1], jax.nn.gelu(affine(block[name][0], y)))
                h = h + (jnp.swapaxes(y, 1, 2) if turn else y)
        return affine(p["out"], normalise(h).mean(1))

    def loss(p, batch):
        return crossentropy(net(p, batch[0]), batch[1])

    base = Case(
        "mixers_adamw",
        "mixers",
        "blind",
        init,
        loss,
        data,
        optax.adamw(5e-3, weight_decay=0.05),
        accuracy(net),
        bound=0.8,
        floor=0.1,
        steps=250,
        batch_size=24,
    )
    return [
        base,
        base._replace(
            name="mixers_averaged_gradient",
            optimizer=optax.chain(optax.ema(0.9), optax.clip_by_global_norm(1.0), optax.sgd(0.2)),
        ),
        sick(base, "mixers_epsilon_of_one", "learning_rate_small too_few_steps", optimizer=optax.adam(1e-3, eps=1.0)),
        sick(
            base,
            "mixers_weights_decay_to_zero",
            "chance_level vanishing",
            optimizer=optax.adamw(5e-3, weight_decay=120.0),
        ),
    ]


def capsules():
    """Classify digits by capsules that agree; the length of a capsule is its certainty."""
    digits = datasets.load_digits()
    order = np.random.default_rng(105).permutation(len(digits.data))[:1200]
    data = shuffled((blocks(digits.data[order] / 16, 2), digits.target[order]))

    def init(key):
        a, b = jax.random.split(key)
        return {
            "parts": layers(a, (4, 16))[0],
            "votes": 0.3 * jax.random.normal(b, (16, 2, 8, 10, 8)),
        }

    def squash(inside):
        def of(x):
            square = jnp.sum(x**2, -1, keepdims=True)
            return x * square / (1 + square) / jnp.sqrt(square + inside)

        return of

    def lengths(squashed):
        def net(p, x):
            parts = squashed(affine(p["parts"], x).reshape(len(x), 16, 2, 8))
            votes = jnp.einsum("nbcd,bcdko->nbcko", parts, p["votes"])
            logit = jnp.zeros(votes.shape[:-1])
            for _ in range(2):
                share = jax.nn.softmax(logit, -1)[..., None]
                whole = squashed(jnp.sum(share * votes, (1, 2)))
                logit = logit + jnp.einsum("nbcko,nko->nbck", votes, whole)
            return jnp.sqrt(jnp.sum(whole**2, -1) + 1e-7)

        return net

    def margin(net):
        def loss(p, batch):
            size, right = net(p, batch[0]), jax.nn.one_hot(batch[1], 10)
            far, near = jax.nn.relu(0.9 - size) ** 2, jax.nn.relu(size - 0.1) ** 2
            return jnp.mean(jnp.sum(right * far + 0.5 * (1 - right) * near, -1))

        return loss

    safe, bare = lengths(squash(1e-7)), lengths(squash(0.0))
    base = Case(
        "capsules_margin",
        "capsules",
        "blind",
        init,
        margin(safe),
        data,
        optax.adam(5e-3),
        accuracy(safe),
        bound=0.85,
        floor=0.1,
        steps=200,
        batch_size=24,
        judge=tuple(a[:300] for a in data),
    )
    return [
        base,
        sick(base, "capsules_length_of_nothing", "non_finite", loss=margin(bare), score=accuracy(bare)),
    ]


def finer():
    """Draw digits of 8 x 8 pixels from 4 x 4, by four new pixels for each old one."""
    digits = datasets.load_digits()
    fine = np.asarray(digits.data, np.float32).reshape(-1, 8, 8) / 16
    coarse = fine.reshape(-1, 4, 2, 4, 2).mean((2, 4))
    data = shuffled((coarse, fine))
    bytes_as_target = (data[0], 255 * data[1])

    def init(key):
        a, b, c = jax.random.split(key, 3)
        return [layers(a, (9, 24))[0], layers(b, (9 * 24, 24))[0], layers(c, (24, 4), 0.3)[0]]

    def near(x):
        wide = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        return jnp.concatenate([wide[:, i : i + 4, j : j + 4] for i in range(3) for j in range(3)], -1)

    def shuffled_pixels(p, x):
        h = x[..., None]
        for layer in p[:-1]:
            h = jax.nn.leaky_relu(affine(layer, near(h)))
        h = affine(p[-1], h).reshape(len(x), 4, 4, 2, 2)
        return h.transpose(0, 1, 3, 2, 4).reshape(len(x), 8, 8)

    def repeated(x):
        return jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)

    def added(p, x):
        return repeated(x) + shuffled_pixels(p, x)

    def bounded(p, x):
        return jax.nn.sigmoid(shuffled_pixels(p, x))

    def loss(net):
        return lambda p, batch: jnp.mean(jnp.sqrt((net(p, batch[0]) - batch[1]) ** 2 + 1e-4))

    def squares(net):
        return lambda p, batch: jnp.mean((net(p, batch[0]) - batch[1]) ** 2)

    def score(net, unit=1.0):
        def of(p, data):
            rough = jnp.mean((unit * repeated(data[0]) - data[1]) ** 2)
            return 1 - jnp.mean((net(p, data[0]) - data[1]) ** 2) / rough

        return of

    base = Case(
        "finer_charbonnier",
        "finer",
        "blind",
        init,
        loss(added),
        data,
        optax.adabelief(3e-3),
        score(added),
        bound=0.35,
        steps=250,
        judge=tuple(a[:300] for a in data),
    )
    sigmoid = base._replace(
        name="finer_sigmoid", loss=squares(bounded), score=score(bounded), optimizer=optax.adam(5e-3)
    )
    return [
        base,
        sigmoid,
        sick(
            sigmoid,
            "finer_bytes_for_a_sigmoid",
            "saturated ill_scaled ill_posed",
            data=bytes_as_target,
            score=score(bounded, 255.0),
            judge=tuple(a[:300] for a in bytes_as_target),
        ),
    ]


def growing():
    """Grow a cross from one cell by a rule that every cell applies to itself and its neighbours."""
    rng = np.random.default_rng(106)
    place = rng.integers(2, 6, (400, 2))
    seed, cross = np.zeros((400, 8, 8, 8)), np.zeros((400, 8, 8))
    for row, (i, j) in enumerate(place):
        seed[row, i, j] = 1.0
        cross[row, i - 2 : i + 3, j] = cross[row, i, j - 2 : j + 3] = 1.0
    data = shuffled((seed, cross))

    def init(first, last):
        def draw(key):
            a, b = jax.random.split(key)
            return [layers(a, (24, 32), first)[0], layers(b, (32, 8), last)[0]]

        return draw

    def seen(h):
        rows = jnp.pad(h, ((0, 0), (1, 1), (0, 0), (0, 0)))
        columns = jnp.pad(h, ((0, 0), (0, 0), (1, 1), (0, 0)))
        return jnp.concatenate(
            [h, rows[:, 2:] + rows[:, :-2] - 2 * h, columns[:, :, 2:] + columns[:, :, :-2] - 2 * h], -1
        )

    def grown(steps):
        def net(p, h):
            def advance(h, _):
                return h + affine(p[1], jax.nn.relu(affine(p[0], seen(h)))), None

            return jax.lax.scan(advance, h, length=steps)[0][..., 0]

        return net

    def loss(net):
        return lambda p, batch: jnp.mean((net(p, batch[0]) - batch[1]) ** 2)

    def score(net):
        return lambda p, data: 1 - jnp.mean((net(p, data[0]) - data[1]) ** 2) / jnp.var(data[1])

    normal, long = grown(8), grown(14)
    base = Case(
        "growing_cells",
        "growing",
        "blind",
        init(2.0, 0.0),
        loss(normal),
        data,
        optax.chain(optax.contrib.normalize(), optax.adam(5e-3)),
        score(normal),
        bound=0.6,
        steps=300,
        batch_size=8,
        judge=tuple(a[:100] for a in data),
    )
    return [
        base,
        sick(base, "growing_both_layers_zero", "dead vanishing chance_level collinear", init=init(0.0, 0.0)),
        sick(
            base,
            "growing_large_weights_14_times",
            "exploding non_finite",
            init=init(2.0, 30.0),
            loss=loss(long),
            score=score(long),
            steps=100,
        ),
    ]


def cases():
    """Return the cases of this module."""
    return mixers() + capsules() + finer() + growing()
