"""Made tables: counts and heavy tails, categorical columns, several labels."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, accuracy, crossentropy, forward, layers, r2, shuffled, sick
from common import standardise as standard
from sklearn import datasets


def friedman():
    """Regress counts and heavy-tailed targets on the columns of Friedman's first function."""
    x, y = datasets.make_friedman1(800, 8, noise=0.0, random_state=4)
    x, y = standard(x), standard(y)
    rng = np.random.default_rng(2)
    clean = shuffled((x, y))
    counts = shuffled((x, rng.poisson(np.exp(1.0 + 0.7 * y)).astype(np.float32)))
    heavy = shuffled((x, y + 0.3 * rng.standard_t(1.5, len(y))))

    def predict(p, x):
        return forward(p, x)[:, 0]

    def poisson(p, batch):
        rate = predict(p, batch[0])
        return jnp.mean(jnp.exp(rate) - batch[1] * rate)

    def student(p, batch):
        z = (predict(p["net"], batch[0]) - batch[1]) / jnp.exp(p["log_scale"])
        return jnp.mean(1.25 * jnp.log1p(z**2 / 1.5)) + p["log_scale"]

    def init(key):
        return layers(key, (8, 48, 24, 1), 2.0)

    base = Case(
        "friedman_student_noise",
        "friedman",
        "open",
        lambda key: {"net": init(key), "log_scale": jnp.zeros(())},
        student,
        heavy,
        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.linear_schedule(5e-3, 1e-4, 400))),
        r2(lambda p, x: predict(p["net"], x)),
        bound=0.7,
        judge=clean,
    )
    plain = base._replace(
        name="friedman_squares",
        init=init,
        loss=lambda p, batch: jnp.mean((predict(p, batch[0]) - batch[1]) ** 2),
        data=clean,
        optimizer=optax.adam(3e-3),
        score=r2(predict),
    )
    large = (clean[0].at[:, 6].mul(1e4), clean[1])
    return [
        base,
        plain._replace(
            name="friedman_poisson_adagrad",
            loss=poisson,
            data=counts,
            judge=(clean[0], 1.0 + 0.7 * clean[1]),
            optimizer=optax.adagrad(0.1),
        ),
        plain._replace(
            name="friedman_accumulate", optimizer=optax.MultiSteps(optax.adam(6e-3), 4).gradient_transformation()
        ),
        plain._replace(name="friedman_single_rows", optimizer=optax.sgd(5e-3), batch_size=1, steps=1500, every=30),
        sick(plain, "friedman_large_column", "ill_scaled dead learning_rate_large", data=large, judge=large),
        sick(
            plain,
            "friedman_biases_off",
            "dead chance_level",
            init=lambda key: [*layers(key, (8, 48, 24), 2.0, -30.0), *layers(key, (24, 1), 2.0)],
        ),
    ]


def categorical():
    """Classify rows of categorical columns by embeddings, also with ordered classes."""
    rng = np.random.default_rng(5)
    columns = np.stack([rng.integers(0, n, 1200) for n in (12, 7, 30)], 1)
    effects = [rng.normal(size=n) for n in (12, 7, 30)]
    latent = sum(effect[column] for effect, column in zip(effects, columns.T, strict=True))
    latent = latent + effects[0][columns[:, 0]] * effects[1][columns[:, 1]]
    data = shuffled((columns, np.digitize(latent, np.quantile(latent, [0.25, 0.5, 0.75]))))

    def init(key, out=4):
        parts = jax.random.split(key, 4)
        tables = [0.3 * jax.random.normal(k, (n, 5)) for k, n in zip(parts[:3], (12, 7, 30), strict=True)]
        return {"embedding": tables, "head": layers(parts[3], (15, 32, out)), "cuts": jnp.array([-1.0, 0.0, 1.0])}

    def logits(p, x):
        return forward(p["head"], jnp.concatenate([table[x[:, n]] for n, table in enumerate(p["embedding"])], 1))

    def ordinal(p, batch):
        above = logits(p, batch[0]) - p["cuts"]
        return optax.sigmoid_binary_cross_entropy(above, batch[1][:, None] > jnp.arange(3)).mean()

    def nominal(p, batch):
        return crossentropy(logits(p, batch[0]), batch[1])

    def without_cuts(key):
        return {name: part for name, part in init(key).items() if name != "cuts"}

    base = Case(
        "categorical_embeddings",
        "categorical",
        "open",
        without_cuts,
        nominal,
        data,
        optax.adam(1e-2),
        accuracy(logits),
        bound=0.7,
        floor=0.25,
        steps=500,
    )
    return [
        base,
        base._replace(
            name="categorical_ordinal",
            init=lambda key: init(key, 1),
            loss=ordinal,
            score=lambda p, data: jnp.mean(jnp.sum(logits(p, data[0]) > p["cuts"], 1) == data[1]),
            optimizer=optax.nadam(1e-2),
        ),
        sick(base, "categorical_index_zero", "chance_level unclear", data=(0 * data[0], data[1])),
        sick(
            base,
            "categorical_sorted_rows",
            "unclear chance_level learning_rate_large",
            data=jax.tree.map(lambda array: jnp.repeat(array[jnp.argsort(data[1])], 16, axis=0), data),
            judge=data,
            ordered=True,
        ),
        sick(base, "categorical_one_class", "chance_level ill_posed", data=(data[0], 0 * data[1]), judge=data),
    ]


def multilabel():
    """Predict several labels of a row at once."""
    x, y = datasets.make_multilabel_classification(700, 20, n_classes=6, n_labels=2, random_state=3)
    data = shuffled((standard(x), y.astype(np.float32)))

    def loss(p, batch):
        return optax.sigmoid_binary_cross_entropy(forward(p, batch[0], jax.nn.leaky_relu), batch[1]).mean()

    def over_rows(p, batch):
        q = jax.nn.softmax(forward(p, batch[0], jax.nn.leaky_relu), axis=0)
        return -jnp.mean(batch[1] * jnp.log(q + 1e-7) + (1 - batch[1]) * jnp.log(1 - q + 1e-7))

    def gain(p, data):
        logits = forward(p, data[0], jax.nn.leaky_relu)
        wrong = jnp.mean((logits > 0) != (data[1] > 0.5))
        return 1 - wrong / jnp.mean(jnp.minimum(data[1].mean(0), 1 - data[1].mean(0)))

    def gain_over_rows(p, data):
        wrong = jnp.mean((jax.nn.softmax(forward(p, data[0], jax.nn.leaky_relu), 0) > 0.5) != (data[1] > 0.5))
        return 1 - wrong / jnp.mean(jnp.minimum(data[1].mean(0), 1 - data[1].mean(0)))

    base = Case(
        "multilabel_rmsprop",
        "multilabel",
        "open",
        lambda key: layers(key, (20, 48, 6)),
        loss,
        data,
        optax.rmsprop(2e-3, momentum=0.5),
        gain,
        bound=0.35,
    )
    slow = optax.linear_schedule(0.0, 1e-2, 1_000_000)
    return [
        base,
        base._replace(name="multilabel_adafactor", optimizer=optax.adafactor(1e-2, min_dim_size_to_factor=16)),
        sick(
            base, "multilabel_softmax_over_rows", "ill_posed chance_level unclear", loss=over_rows, score=gain_over_rows
        ),
        sick(
            base,
            "multilabel_warmup_forever",
            "learning_rate_small too_few_steps chance_level",
            optimizer=optax.rmsprop(slow, momentum=0.5),
        ),
    ]


def cases():
    """Return the cases of this module."""
    return friedman() + categorical() + multilabel()
