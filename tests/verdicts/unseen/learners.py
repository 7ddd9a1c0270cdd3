"""Ways of learning: distillation, a mean teacher, rounded weights, short texts, tags, and variational Bayes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, accuracy, affine, crossentropy, forward, layers, r2, shuffled, sick
from sklearn import datasets


def distillation():
    """Teach a small network the soft answers of a fixed larger one."""
    x, y = datasets.load_digits(return_X_y=True)
    x = (x - 8) / 6
    centre = np.stack([x[y == k].mean(0) for k in range(10)])
    soft = 0.4 * (2 * x @ centre.T - np.sum(centre**2, 1))
    data = shuffled((x, soft, soft.argmax(1)))

    def student(p, x, soft=None):
        return forward(p, x, jnp.tanh)

    def loss(temperature, factor):
        def value(p, batch):
            target = jax.nn.softmax(batch[1] / temperature)
            logits = jax.nn.log_softmax(student(p, batch[0]) / temperature)
            return -factor * jnp.mean(jnp.sum(target * logits, -1))

        return value

    base = Case(
        "distillation_temperature",
        "distillation",
        "open",
        lambda key: layers(key, (64, 24, 10), 1.0),
        loss(3.0, 9.0),
        data,
        optax.sgd(0.02, 0.9),
        accuracy(student),
        bound=0.85,
        floor=0.12,
    )
    return [
        base,
        base._replace(name="distillation_polyak", optimizer=optax.polyak_sgd(0.1), loss=loss(1.0, 1.0), bound=0.8),
        sick(
            base,
            "distillation_temperature_large",
            "vanishing learning_rate_small too_few_steps chance_level ill_scaled",
            loss=loss(1e4, 1.0),
        ),
    ]


def teacher():
    """Learn two moons from few labels and the mean of the past parameters."""
    x, y = datasets.make_moons(1000, noise=0.1, random_state=51)
    known = np.random.default_rng(51).random(1000) < 0.2
    data = shuffled((1.5 * x - 0.5, y, known.astype(float)))

    def net(p, x):
        return forward(p, x, jax.nn.gelu)

    def loss(weight, label):
        def value(p, batch, key):
            (x, y, known), mean = batch
            first, second = 0.1 * jax.random.normal(key, (2, *x.shape))
            logits = net(p, x + first)
            own = optax.softmax_cross_entropy_with_integer_labels(logits, y)
            target = jax.lax.stop_gradient(jax.nn.softmax(net(mean, x + second)))
            steady = jnp.mean((jax.nn.softmax(logits) - target) ** 2)
            return label * jnp.sum(known * own) / jnp.maximum(jnp.sum(known), 1) + weight * steady

        return value

    def mean(old, new):
        return jax.tree.map(lambda a, b: 0.97 * a + 0.03 * b, old, new)

    def right(p, data):
        return jnp.mean(jnp.argmax(net(p, data[0]), -1) == data[1])

    base = Case(
        "teacher_mean",
        "teacher",
        "open",
        lambda key: layers(key, (2, 32, 32, 2)),
        loss(1.0, 1.0),
        data,
        optax.adam(5e-3),
        right,
        bound=0.93,
        floor=0.5,
        keyed=True,
        memory=(lambda p: p, mean),
    )
    return [base]


@jax.custom_jvp
def straight(x):
    """Take the sign; the derivative is one."""
    return jnp.sign(x)


straight.defjvp(lambda x, dx: (straight(x[0]), dx[0]))


def rounded():
    """Classify digits with weights of plus and minus one."""
    x, y = datasets.load_digits(return_X_y=True)
    data = shuffled(((x - 8) / 8, y))

    def net(sign):
        def apply(p, x):
            h = jnp.tanh(x @ sign(p[0]["w"]) / 8 + p[0]["b"])
            return h @ sign(p[1]["w"]) / 3 + p[1]["b"]

        return apply

    def program(sign):
        apply = net(sign)
        return {"loss": lambda p, batch: crossentropy(apply(p, batch[0]), batch[1]), "score": accuracy(apply)}

    base = Case(
        name="rounded_straight_through",
        family="rounded",
        half="open",
        init=lambda key: layers(key, (64, 64, 10), 1.0),
        data=data,
        optimizer=optax.adam(3e-3),
        bound=0.85,
        floor=0.1,
        **program(straight),
    )
    return [
        base,
        sick(base, "rounded_no_derivative", "dead vanishing ill_posed chance_level unclear", **program(jnp.sign)),
    ]


def reviews():
    """Judge short texts by the mean of the vectors of their words, with hashed words and empty places."""
    rng = np.random.default_rng(52)
    words = rng.integers(1, 400, (1000, 12))
    length = rng.integers(4, 13, 1000)
    words[np.arange(12)[None] >= length[:, None]] = 0
    mood = rng.normal(size=400) * (rng.random(400) < 0.4)
    mood[0] = 0
    label = (mood[words].sum(1) + 0.2 * rng.normal(size=1000) > 0).astype(int)
    data = shuffled((words, label))
    blank = (data[0].at[::40].set(0), data[1])

    def init(key):
        first, second = jax.random.split(key)
        return {"words": 0.3 * jax.random.normal(first, (2, 150, 16)), "head": layers(second, (16, 2), 1.0)}

    def net(fewest, attend=False):
        def apply(p, words):
            seen = (words > 0)[..., None]
            vector = p["words"][0][words * 7 % 150] + p["words"][1][words * 31 % 149]
            if attend:
                seen = seen * jax.nn.softplus(vector[..., :1])
            mean = jnp.sum(seen * vector, 1) / jnp.maximum(jnp.sum(seen, 1), fewest)
            return forward(p["head"], mean)

        return apply

    def program(*options):
        apply = net(*options)
        return {"loss": lambda p, batch: crossentropy(apply(p, batch[0]), batch[1]), "score": accuracy(apply)}

    def back(optimizer):
        def begin(p):
            return optimizer.init(p), p

        def update(g, state, p):
            new, inner = optimizer.update(g, state[0], p)
            return jax.tree.map(lambda u, first, now: first + u - now, new, state[1], p), (inner, state[1])

        return optax.GradientTransformation(begin, update)

    base = Case(
        name="reviews_hashed_words",
        family="reviews",
        half="open",
        init=init,
        data=data,
        optimizer=optax.yogi(0.02),
        bound=0.8,
        floor=0.5,
        **program(1.0),
    )
    adam = base._replace(name="reviews_adam", optimizer=optax.adam(0.01))
    smooth = base._replace(
        name="reviews_smooth_labels",
        loss=lambda p, batch: optax.softmax_cross_entropy(
            net(1.0)(p, batch[0]), optax.smooth_labels(jax.nn.one_hot(batch[1], 2), 0.2)
        ).mean(),
        optimizer=optax.contrib.muon(0.01),
    )
    return [
        base,
        smooth,
        base._replace(name="reviews_weighted_mean", optimizer=optax.adamw(0.01), **program(1e-3, True)),
        sick(base, "reviews_empty_text", "non_finite", data=blank, **program(0.0)),
        sick(
            adam,
            "reviews_parameters_set_back",
            "learning_rate_small unclear chance_level too_few_steps",
            optimizer=back(optax.adam(0.01)),
        ),
    ]


def tags():
    """Tag every word of a padded sentence by itself and the word before, with attention or without."""
    rng = np.random.default_rng(53)
    words, length = rng.integers(1, 12, (800, 10)), rng.integers(5, 11, 800)
    words[np.arange(10)[None] >= length[:, None]] = 0
    before = np.roll(words, 1, 1)
    before[:, 0] = rng.integers(1, 12, 800)
    data = shuffled((words, (before * 5 + words) % 3))

    def init(key):
        keys = jax.random.split(key, 5)
        table = {"words": jax.random.normal(keys[0], (12, 16)), "places": jax.random.normal(keys[1], (10, 16))}
        return table | {"heads": layers(keys[2], (16, 48), 1.0)[0], "out": layers(keys[3], (32, 48, 3))}

    def net(own):
        def apply(p, words):
            x = p["words"][words] + p["places"]
            q, k, v = jnp.split(affine(p["heads"], x), 3, -1)
            allowed = jnp.eye(10, dtype=bool) if own else (words > 0)[:, None, :]
            weight = jax.nn.softmax(jnp.where(allowed, q @ jnp.swapaxes(k, 1, 2) / 4, -1e9), -1)
            return forward(p["out"], jnp.concatenate([x, weight @ v], -1), jax.nn.gelu)

        return apply

    def program(own):
        apply = net(own)

        def loss(p, batch):
            value = optax.softmax_cross_entropy_with_integer_labels(apply(p, batch[0]), batch[1])
            return jnp.sum((batch[0] > 0) * value) / jnp.sum(batch[0] > 0)

        def score(p, data):
            return jnp.mean(jnp.argmax(apply(p, data[0]), -1) == data[1], where=data[0] > 0)

        return {"loss": loss, "score": score}

    base = Case(
        name="tags_attention",
        family="tags",
        half="open",
        init=init,
        data=data,
        optimizer=optax.adam(5e-3),
        bound=0.8,
        floor=0.35,
        steps=600,
        every=15,
        **program(False),
    )
    return [base, sick(base, "tags_attention_to_itself", "chance_level unclear", **program(True))]


def bayes():
    """Fit a curve with a normal distribution over the weights."""
    rng = np.random.default_rng(54)
    x = rng.uniform(-2, 2, (500, 1))
    data = shuffled((x, np.sin(2 * x[:, 0]) + 0.1 * rng.normal(size=500)))

    def init(key):
        mean = layers(key, (1, 32, 1), 2.0)
        return {"mean": mean, "spread": jax.tree.map(lambda leaf: jnp.full(leaf.shape, -4.0), mean)}

    def predict(p, x):
        return forward(p["mean"], x, jnp.tanh)[:, 0]

    def loss(prior, sign=1.0):
        def value(p, batch, key):
            leaves, tree = jax.tree.flatten(p["mean"])
            keys = jax.tree.unflatten(tree, list(jax.random.split(key, len(leaves))))
            draw = lambda m, s, k: m + jnp.exp(s) * jax.random.normal(k, m.shape)  # noqa: E731
            weights = jax.tree.map(draw, p["mean"], p["spread"], keys)
            wrong = jnp.mean((forward(weights, batch[0], jnp.tanh)[:, 0] - batch[1]) ** 2) / 0.08
            costs = jax.tree.map(lambda m, s: jnp.sum(0.5 * (m**2 + jnp.exp(2 * s)) - s), p["mean"], p["spread"])
            return sign * wrong + prior * sum(jax.tree.leaves(costs))

        return value

    base = Case(
        "bayes_reparametrised",
        "bayes",
        "open",
        init,
        loss(1 / 500),
        data,
        optax.adam(0.01),
        r2(predict),
        bound=0.8,
        keyed=True,
        steps=600,
    )
    return [
        base,
        sick(base, "bayes_prior_swamps", "chance_level ill_posed", loss=loss(30.0)),
        sick(base, "bayes_sign_of_likelihood", "ill_posed exploding non_finite", loss=loss(1 / 500, -1.0)),
    ]


def blocks():
    """Classify digits with residual blocks that are left out by chance and normalised over the batch."""
    x, y = datasets.load_digits(return_X_y=True)
    data = shuffled(((x - 8) / 6, y))

    def net(p, x, keep):
        h = affine(p[0], x)
        for n, layer in enumerate(p[1:-1]):
            now = affine(layer, h)
            h = h + keep[n] * jax.nn.relu((now - now.mean(0)) / jnp.sqrt(now.var(0) + 1e-5))
        return affine(p[-1], h)

    def loss(p, batch, key):
        return crossentropy(net(p, batch[0], jax.random.bernoulli(key, 0.7, (4,))), batch[1])

    base = Case(
        "blocks_stochastic_depth",
        "blocks",
        "open",
        lambda key: layers(key, (64, 32, 32, 32, 32, 32, 10), 1.0),
        loss,
        data,
        optax.adam(3e-3),
        accuracy(lambda p, x: net(p, x, jnp.full(4, 0.7))),
        bound=0.9,
        floor=0.1,
        keyed=True,
    )
    return [
        base,
        sick(
            base, "blocks_ones", "collinear chance_level", init=lambda key: jax.tree.map(jnp.ones_like, base.init(key))
        ),
    ]


def cases():
    """Return the cases of this module."""
    return distillation() + teacher() + rounded() + reviews() + tags() + bayes() + blocks()
