"""Real tables: classification by rows, rare classes, and regression with many losses."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, accuracy, affine, crossentropy, forward, layers, r2, reversed_gradient, shuffled, sick
from common import standardise as standard
from sklearn import datasets


def wine():
    """Classify three cultivars of wine."""
    raw, y = datasets.load_wine(return_X_y=True)
    data = shuffled((standard(raw), y))

    def loss(p, batch):
        return crossentropy(forward(p, batch[0]), batch[1])

    def smooth(p, batch, key):
        h = jax.nn.gelu(affine(p[0], batch[0]))
        h = h * jax.random.bernoulli(key, 0.7, h.shape) / 0.7
        logits = affine(p[2], jax.nn.gelu(affine(p[1], h)))
        return optax.softmax_cross_entropy(logits, optax.smooth_labels(jax.nn.one_hot(batch[1], 3), 0.1)).mean()

    def normed(p, x):
        for n, layer in enumerate(p):
            x = x @ (layer["g"] * layer["v"] / jnp.linalg.norm(layer["v"], axis=0)) + layer["b"]
            x = jnp.tanh(x) if n < len(p) - 1 else x
        return x

    def init_normed(key):
        p = layers(key, (13, 24, 24, 3))
        return [{"v": layer["w"], "g": jnp.ones(layer["b"].shape), "b": layer["b"]} for layer in p]

    base = Case(
        "wine_onecycle",
        "wine",
        "open",
        lambda key: layers(key, (13, 32, 32, 3)),
        loss,
        data,
        optax.sgd(optax.cosine_onecycle_schedule(400, 0.1), 0.9, nesterov=True),
        accuracy(forward),
        bound=0.95,
        floor=0.4,
    )
    adam = base._replace(name="wine_adam", optimizer=optax.adam(3e-3))
    steady = base._replace(name="wine_sgd", optimizer=optax.sgd(0.05))
    clipped = base._replace(
        name="wine_clipped", optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1, 0.9))
    )
    raw_data = shuffled((raw, y))
    gelu = accuracy(lambda p, x: forward(p, x, jax.nn.gelu))
    warming = optax.adam(optax.linear_schedule(0.0, 3e-3, 40))
    warm = base._replace(name="wine_adam_warm", optimizer=warming)
    reset = optax.GradientTransformation(warming.init, lambda g, s, p=None: warming.update(g, warming.init(g), p))
    return [
        base,
        base._replace(
            name="wine_smooth_dropout", loss=smooth, keyed=True, optimizer=optax.adamw(3e-3), score=gelu, steps=300
        ),
        base._replace(
            name="wine_weight_norm",
            init=init_normed,
            loss=lambda p, batch: crossentropy(normed(p, batch[0]), batch[1]),
            optimizer=optax.sgd(0.2),
            score=accuracy(normed),
        ),
        sick(base, "wine_updates_not_applied", "learning_rate_small unclear chance_level", apply=False),
        sick(warm, "wine_state_reset", "learning_rate_small chance_level too_few_steps", optimizer=reset),
        sick(steady, "wine_raw_columns", "ill_scaled dead learning_rate_large", data=raw_data, judge=raw_data),
        sick(base, "wine_momentum_rate_8", "learning_rate_large dead non_finite", optimizer=optax.sgd(8.0, 0.9)),
        sick(
            clipped,
            "wine_clip_tiny",
            "learning_rate_small too_few_steps chance_level",
            optimizer=optax.chain(optax.clip_by_global_norm(1e-6), optax.sgd(0.1, 0.9)),
        ),
        sick(
            adam,
            "wine_ascent",
            "ill_posed exploding learning_rate_large non_finite",
            alter=reversed_gradient,
        ),
    ]


def cancer():
    """Tell benign from malignant tumours, also where the malignant ones are rare."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    x = standard(x)
    data = shuffled((x, y))
    keep = np.r_[np.flatnonzero(y == 1), np.flatnonzero(y == 0)[:35]]
    rare = shuffled((x[keep], 1 - y[keep]))

    def tanh_logit(p, x):
        return forward(p, x, jnp.tanh)[:, 0]

    def loss(p, batch):
        return optax.sigmoid_binary_cross_entropy(tanh_logit(p, batch[0]), batch[1]).mean()

    def focal(p, batch):
        return optax.sigmoid_focal_loss(tanh_logit(p, batch[0]), batch[1].astype(float), alpha=0.5, gamma=2.0).mean()

    def naive(p, batch):
        q = jax.nn.sigmoid(tanh_logit(p, batch[0]))
        return -jnp.mean(batch[1] * jnp.log(q) + (1 - batch[1]) * jnp.log(1 - q))

    def right(p, data):
        return jnp.mean((tanh_logit(p, data[0]) > 0) == data[1])

    def balanced(p, data):
        hit = (tanh_logit(p, data[0]) > 0) == data[1]
        return 0.5 * (jnp.sum(hit * data[1]) / data[1].sum() + jnp.sum(hit * (1 - data[1])) / (1 - data[1]).sum())

    def mix(key, step, batch):
        return batch[0], jax.random.permutation(key, batch[1])

    base = Case(
        "cancer_lion_warmup",
        "cancer",
        "open",
        lambda key: layers(key, (30, 32, 16, 1), 1.0),
        loss,
        data,
        optax.lion(optax.warmup_cosine_decay_schedule(0.0, 1e-3, 60, 400)),
        right,
        bound=0.94,
        floor=0.627,
    )
    adam = base._replace(name="cancer_adam", optimizer=optax.adam(1e-3))
    strong = base._replace(name="cancer_adam_fast", optimizer=optax.adam(0.3), steps=800, every=20)
    hole = (data[0].at[17, 4].set(jnp.nan), data[1])
    return [
        base,
        base._replace(
            name="cancer_rare_focal",
            loss=focal,
            data=rare,
            optimizer=optax.adam(optax.cosine_decay_schedule(0.01, 400)),
            score=balanced,
            bound=0.85,
            floor=0.5,
        ),
        base._replace(
            name="cancer_logistic",
            init=lambda key: layers(key, (30, 1), 0.0),
            optimizer=optax.sgd(0.3),
            steps=80,
            every=1,
        ),
        sick(
            adam,
            "cancer_decay_swamps",
            "chance_level vanishing unclear",
            optimizer=optax.adamw(1e-3, weight_decay=60.0),
        ),
        sick(adam, "cancer_rows_mixed", "chance_level unclear", spoil=mix),
        sick(adam, "cancer_nan_row", "non_finite", data=hole, judge=data),
        sick(strong, "cancer_log_of_zero", "non_finite", loss=naive),
    ]


def diabetes():
    """Predict the progress of diabetes."""
    x, raw = datasets.load_diabetes(return_X_y=True)
    data, unscaled = shuffled((standard(x), standard(raw))), shuffled((standard(x), raw))

    def predict(p, x):
        return forward(p, x, jax.nn.silu)[:, 0]

    def squares(p, batch):
        return jnp.mean((predict(p, batch[0]) - batch[1]) ** 2)

    def squashed(p, x):
        return jax.nn.sigmoid(predict(p, x))

    levels = jnp.array([0.1, 0.5, 0.9])

    def pinball(p, batch):
        error = batch[1][:, None] - forward(p, batch[0], jax.nn.silu)
        return jnp.mean(jnp.maximum(levels * error, (levels - 1) * error))

    def gain(p, data):
        error = data[1][:, None] - jnp.quantile(data[1], levels)
        return 1 - pinball(p, data) / jnp.mean(jnp.maximum(levels * error, (levels - 1) * error))

    restarts = optax.sgdr_schedule(
        [{"init_value": 0.0, "peak_value": 5e-3, "decay_steps": 100, "warmup_steps": 10, "end_value": 1e-5}] * 4
    )
    base = Case(
        "diabetes_huber_decay",
        "diabetes",
        "open",
        lambda key: layers(key, (10, 32, 32, 1), 1.0),
        lambda p, batch: optax.huber_loss(predict(p, batch[0]), batch[1]).mean(),
        data,
        optax.rmsprop(optax.exponential_decay(3e-3, 100, 0.6)),
        r2(predict),
        bound=0.4,
    )
    adam = base._replace(name="diabetes_squares", loss=squares, optimizer=optax.adam(1e-3))
    return [
        base,
        base._replace(
            name="diabetes_quantiles_restarts",
            init=lambda key: layers(key, (10, 32, 32, 3), 1.0),
            loss=pinball,
            optimizer=optax.adam(restarts),
            score=gain,
            bound=0.2,
        ),
        sick(adam, "diabetes_raw_target", "ill_scaled learning_rate_small too_few_steps", data=unscaled),
        sick(
            adam,
            "diabetes_sigmoid_output",
            "ill_posed ill_scaled saturated",
            loss=lambda p, batch: jnp.mean((squashed(p, batch[0]) - batch[1]) ** 2),
            data=unscaled,
            score=r2(squashed),
        ),
        sick(adam, "diabetes_negative_squares", "ill_posed exploding non_finite", loss=lambda p, b: -squares(p, b)),
    ]


def cases():
    """Return the cases of this module."""
    return wine() + cancer() + diabetes()
