"""Small pictures: segmentation, pointing at a blob, pairs of digits, masked digits and odd digits."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, affine, forward, layers, r2, shuffled, sick
from sklearn import datasets


def kernels(key, sizes, gain=2.0):
    """Draw convolution layers of three by three."""
    keys = jax.random.split(key, len(sizes))
    return [
        {"w": jax.random.normal(k, (9 * m, n)) * (gain / (9 * m)) ** 0.5, "b": jnp.zeros(n)}
        for k, (m, n) in zip(keys, sizes, strict=True)
    ]


def convolve(layer, x):
    """Apply a convolution of three by three as a matrix product of shifted pictures."""
    rows, columns = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    parts = [padded[:, i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
    return affine(layer, jnp.concatenate(parts, -1))


def pool(x):
    """Average over blocks of two by two."""
    n, rows, columns, channels = x.shape
    return x.reshape(n, rows // 2, 2, columns // 2, 2, channels).mean((2, 4))


def segments():
    """Mark the disc in a noisy picture with an encoder, a decoder and a skip connection."""
    rng = np.random.default_rng(30)
    place, radius = rng.uniform(3, 9, (400, 2, 1, 1)), rng.uniform(1.5, 3.0, (400, 1, 1))
    grid = np.mgrid[:12, :12][None]
    disc = (np.sum((grid - place) ** 2, 1) < radius**2).astype(float)
    picture = disc * rng.choice([-1.0, 1.0], (400, 1, 1)) + 0.3 * rng.normal(size=disc.shape)
    data = shuffled((picture[..., None], disc))

    def init(key):
        return kernels(key, ((1, 8), (8, 12), (20, 8), (8, 1)))

    def net(p, x):
        high = jax.nn.relu(convolve(p[0], x))
        low = jax.nn.relu(convolve(p[1], pool(high)))
        up = jnp.repeat(jnp.repeat(low, 2, 1), 2, 2)
        return convolve(p[3], jax.nn.relu(convolve(p[2], jnp.concatenate([high, up], -1))))[..., 0]

    def overlap(q, y):
        return jnp.mean((2 * jnp.sum(q * y, (1, 2)) + 1) / (jnp.sum(q, (1, 2)) + jnp.sum(y, (1, 2)) + 1))

    def dice(p, batch):
        return 1 - overlap(jax.nn.sigmoid(net(p, batch[0])), batch[1])

    def entropy(p, batch):
        return optax.sigmoid_binary_cross_entropy(net(p, batch[0]), batch[1]).mean()

    def over_batch(p, batch):
        q = jax.nn.softmax(net(p, batch[0]), 0)
        return -jnp.mean(batch[1] * jnp.log(q + 1e-6) + (1 - batch[1]) * jnp.log(1 - q + 1e-6))

    def score(p, data):
        return overlap((net(p, data[0]) > 0).astype(float), data[1])

    def batch_score(p, data):
        return overlap((jax.nn.softmax(net(p, data[0]), 0) > 0.5).astype(float), data[1])

    base = Case(
        "segments_dice",
        "segments",
        "open",
        init,
        dice,
        data,
        optax.adam(8e-3),
        score,
        bound=0.75,
        floor=0.3,
        steps=120,
        batch_size=8,
        judge=(data[0][:100], data[1][:100]),
    )
    crossed = base._replace(name="segments_cross_entropy", loss=entropy, optimizer=optax.adamax(0.01))
    return [
        base,
        crossed,
        sick(
            crossed, "segments_softmax_over_rows", "ill_posed chance_level unclear", loss=over_batch, score=batch_score
        ),
        sick(
            base,
            "segments_all_zero",
            "collinear dead vanishing chance_level",
            init=lambda key: jax.tree.map(jnp.zeros_like, init(key)),
        ),
    ]


def pointing():
    """Point at a blob: regression of a place from a picture."""
    rng = np.random.default_rng(31)
    place = rng.uniform(1, 9, (600, 2))
    grid = np.mgrid[:10, :10].astype(float)
    blob = np.exp(-0.5 * np.sum((grid[None] - place[:, :, None, None]) ** 2, 1))
    data = shuffled((blob[..., None] + 0.1 * rng.normal(size=(600, 10, 10, 1)), place))
    percent = (data[0], 10 * data[1])
    where = jnp.asarray(grid.reshape(2, 100).T, jnp.float32)

    def soft(p, x):
        heat = convolve(p[1], jax.nn.relu(convolve(p[0], x))).reshape(-1, 100)
        return jax.nn.softmax(heat, -1) @ where

    def dense(p, x):
        return 5 + forward(p, x.reshape(len(x), 100))

    def squashed(p, x):
        return jnp.tanh(forward(p, x.reshape(len(x), 100)))

    def squares(predict):
        return lambda p, batch: jnp.mean((predict(p, batch[0]) - batch[1]) ** 2)

    base = Case(
        "pointing_soft_argmax",
        "pointing",
        "open",
        lambda key: kernels(key, ((1, 6), (6, 1))),
        squares(soft),
        data,
        optax.adam(0.01),
        r2(soft),
        bound=0.8,
        steps=300,
    )
    flat = base._replace(
        name="pointing_dense",
        init=lambda key: layers(key, (100, 32, 2), 1.0),
        loss=squares(dense),
        optimizer=optax.adabelief(3e-3),
        score=r2(dense),
    )
    return [
        base,
        flat,
        sick(
            flat,
            "pointing_tanh_for_percent",
            "ill_posed saturated ill_scaled",
            loss=squares(squashed),
            data=percent,
            score=r2(squashed),
        ),
    ]


def digits():
    """Return the digits, scaled to one."""
    x, y = datasets.load_digits(return_X_y=True)
    return x / 16, y


def siamese():
    """Tell whether two digits are the same with one network for both."""
    rng = np.random.default_rng(32)
    x, y = digits()
    first = rng.integers(0, len(x), 1500)
    equal = [rng.choice(np.flatnonzero(y == y[i])) for i in first]
    other = [rng.choice(np.flatnonzero(y != y[i])) for i in first]
    second = np.where(rng.random(1500) < 0.5, equal, other)
    data = shuffled((x[first], x[second], (y[first] == y[second]).astype(float)))
    second[::25] = first[::25]
    copies = shuffled((x[first], x[second], (y[first] == y[second]).astype(float)))

    def square(p, one, two):
        return jnp.sum((forward(p, one, jax.nn.elu) - forward(p, two, jax.nn.elu)) ** 2, -1)

    def loss(inside):
        def value(p, batch):
            far = square(p, *batch[:2])
            hinge = jax.nn.relu(1 - jnp.sqrt(far + inside)) ** 2
            return jnp.mean(batch[2] * far + (1 - batch[2]) * hinge)

        return value

    def rooted(p, batch):
        distance = jnp.sqrt(square(p, *batch[:2]))
        return jnp.mean(batch[2] * distance**2 + (1 - batch[2]) * jax.nn.relu(1 - distance) ** 2)

    def score(p, data):
        far, same = square(p, *data[:2])[:500], data[2][:500]
        valid = same[:, None] * (1 - same[None])
        return jnp.sum(valid * (far[:, None] < far[None])) / jnp.sum(valid)

    base = Case(
        "siamese_contrastive",
        "siamese",
        "open",
        lambda key: layers(key, (64, 48, 8), 1.0),
        loss(1e-6),
        data,
        optax.adam(2e-3),
        score,
        bound=0.9,
        floor=0.5,
    )
    return [
        base,
        sick(base, "siamese_root_of_zero", "non_finite", loss=rooted, data=copies),
    ]


def masked():
    """Fill in hidden pixels of digits, with one matrix for the way in and out."""
    x, _ = digits()
    x = (x - x.mean(0)) / 0.3
    data = shuffled((x,))

    def init(key):
        first, second = jax.random.split(key)
        return {"tied": layers(first, (64, 48), 1.0)[0], "mid": layers(second, (48, 48), 1.0)[0], "out": jnp.zeros(64)}

    def net(p, x):
        h = jax.nn.gelu(affine(p["mid"], jax.nn.gelu(affine(p["tied"], x))))
        return h @ p["tied"]["w"].T + p["out"]

    def loss(kept):
        def value(p, batch, key):
            seen = jax.random.bernoulli(key, kept, batch[0].shape)
            wrong = jnp.sum(~seen * (net(p, batch[0] * seen) - batch[0]) ** 2)
            return wrong / jnp.sum(~seen)

        return value

    def score(p, data):
        seen = jax.random.bernoulli(jax.random.key(7), 0.6, data[0].shape)
        return 1 - jnp.sum(~seen * (net(p, data[0] * seen) - data[0]) ** 2) / jnp.sum(~seen * data[0] ** 2)

    base = Case(
        "masked_tied_weights",
        "masked",
        "open",
        init,
        loss(0.6),
        data,
        optax.adam(2e-3),
        score,
        bound=0.35,
        keyed=True,
    )
    return [
        base,
        base._replace(name="masked_schedule_free", optimizer=optax.contrib.schedule_free_adamw(5e-3, 20), bound=0.3),
        sick(base, "masked_everything_hidden", "chance_level unclear ill_posed", loss=loss(0.0)),
    ]


def odd():
    """Find noise among digits by an autoencoder of the digits."""
    x, _ = digits()
    x = shuffled((x,))[0]
    mixed = np.random.default_rng(33).permuted(np.asarray(x[1500:]), axis=1)
    data, judge = (x[:1500],), (x[1500:], jnp.asarray(mixed))

    def net(p, x):
        return forward(p, x, jax.nn.elu)

    def score(p, judge):
        usual, unusual = (jnp.mean((net(p, x) - x) ** 2, 1) for x in judge)
        spread = jnp.mean((judge[0] - judge[0].mean(0)) ** 2)
        return jnp.minimum(1 - jnp.mean(usual) / spread, 2 * jnp.mean(usual[:, None] < unusual[None]) - 1)

    base = Case(
        "odd_bottleneck",
        "odd",
        "open",
        lambda key: layers(key, (64, 32, 10, 32, 64), 1.0),
        lambda p, batch: jnp.mean((net(p, batch[0]) - batch[0]) ** 2),
        data,
        optax.lamb(0.01),
        score,
        bound=0.4,
        judge=judge,
    )
    adam = base._replace(name="odd_adam", optimizer=optax.adam(3e-3))
    return [
        base,
        sick(
            adam, "odd_rate_large", "learning_rate_large exploding dead saturated non_finite", optimizer=optax.adam(1.0)
        ),
    ]


def cases():
    """Return the cases of this module."""
    return segments() + pointing() + siamese() + masked() + odd()
