"""Business tables and series: customers who leave, forecasts, ratings, survival times and ranked lists."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, affine, forward, layers, r2, shuffled, sick, standardise


def churn():
    """Find the one customer in eight who leaves."""
    rng = np.random.default_rng(20)
    x = rng.normal(size=(1500, 8))
    signal = 2 * x[:, 0] - 1.5 * x[:, 1] + x[:, 2] * x[:, 3] + 0.5 * rng.normal(size=1500)
    y = (signal > np.quantile(signal, 0.88)).astype(int)
    data, late = shuffled((x, y)), shuffled((x, np.roll(y, 1)))

    def logit(p, x):
        return forward(p, x)[:, 0]

    def weigh(values, y):
        return jnp.mean(jnp.where(y > 0.5, 7.0, 1.0) * values)

    def loss(p, batch):
        return weigh(optax.sigmoid_binary_cross_entropy(logit(p, batch[0]), batch[1]), batch[1])

    def mixed(p, batch, key):
        share = jax.random.beta(key, 0.3, 0.3)
        x = share * batch[0] + (1 - share) * batch[0][::-1]
        value = optax.sigmoid_binary_cross_entropy(logit(p, x), batch[1])
        other = optax.sigmoid_binary_cross_entropy(logit(p, x), batch[1][::-1])
        return share * weigh(value, batch[1]) + (1 - share) * weigh(other, batch[1][::-1])

    def single(p, x):
        return jax.nn.softmax(forward(p, x), -1)[:, 0]

    def softmax_loss(p, batch):
        q = jnp.clip(single(p, batch[0]), 1e-6, 1 - 1e-6)
        return -weigh(jnp.where(batch[1] > 0, jnp.log(q), jnp.log(1 - q)), batch[1])

    def balanced(found):
        def score(p, data):
            hit = found(p, data[0]) == data[1]
            return 0.5 * (jnp.mean(hit, where=data[1] == 1) + jnp.mean(hit, where=data[1] == 0))

        return score

    base = Case(
        "churn_class_weights",
        "churn",
        "open",
        lambda key: layers(key, (8, 32, 16, 1)),
        loss,
        data,
        optax.adam(3e-3),
        balanced(lambda p, x: logit(p, x) > 0),
        bound=0.8,
        floor=0.5,
        batch_size=64,
    )
    steady = base._replace(name="churn_momentum", optimizer=optax.sgd(0.02, 0.9))
    sharp = optax.contrib.sam(optax.adam(3e-3), optax.chain(optax.contrib.normalize(), optax.sgd(0.05)), sync_period=2)
    constant = (jnp.ones_like(data[0]), data[1])
    return [
        base,
        base._replace(name="churn_mixup_nadam", loss=mixed, keyed=True, optimizer=optax.nadam(3e-3)),
        base._replace(name="churn_sharpness_aware", optimizer=sharp, steps=600),
        sick(base, "churn_labels_of_next_row", "chance_level unclear", data=late, judge=data),
        sick(
            base,
            "churn_softmax_of_one_output",
            "ill_posed dead vanishing chance_level saturated",
            loss=softmax_loss,
            score=balanced(lambda p, x: single(p, x) > 0.5),
        ),
        sick(base, "churn_constant_features", "chance_level ill_posed collinear unclear", data=constant),
        sick(
            steady,
            "churn_momentum_9999",
            "learning_rate_large exploding dead non_finite",
            optimizer=optax.sgd(0.5, 0.9999),
        ),
    ]


def forecast():
    """Forecast a mixture of sines from a window of the past."""
    rng = np.random.default_rng(21)
    time = np.arange(1200)
    series = np.sin(2 * np.pi * time / 12) + 0.5 * np.sin(2 * np.pi * time / 30 + 1) + 0.1 * rng.normal(size=1200)
    windows = np.lib.stride_tricks.sliding_window_view(series, 30)
    data = shuffled((windows[:, :24], windows[:, 24]))
    cold = (data[0], data[1] - 3)
    ahead = shuffled((windows[:, :24], windows[:, 24:]))
    steps = np.lib.stride_tricks.sliding_window_view(rng.normal(size=3000), 25)
    walk, later = shuffled((steps[:2000, :24], steps[:2000, 24])), shuffled((steps[2000:, :24], steps[2000:, 24]))

    def predict(p, x):
        return forward(p, x, jax.nn.gelu)[:, 0]

    def clipped(p, x):
        return jax.nn.relu(predict(p, x))

    def squares(predict):
        return lambda p, batch: jnp.mean((predict(p, batch[0]) - batch[1]) ** 2)

    def spread(p, batch):
        return jnp.mean((forward(p, batch[0], jax.nn.gelu) - batch[1]) ** 2)

    def cell(p, h, x):
        both = jnp.concatenate([h, x[:, None]], 1)
        z = jax.nn.sigmoid(affine(p["gate"], both))
        return (1 - z) * h + z * jnp.tanh(affine(p["new"], both))

    def decode(p, x):
        h = jnp.zeros((len(x), 24))
        h, _ = jax.lax.scan(lambda h, now: (cell(p["in"], h, now), None), h, x.T)

        def forth(carry, _):
            h, last = carry
            h = cell(p["out"], h, last)
            last = last + affine(p["head"], h)[:, 0]
            return (h, last), last

        return jax.lax.scan(forth, (h, x[:, -1]), None, length=6)[1].T

    def recurrent(key):
        keys = jax.random.split(key, 5)
        gru = lambda a, b: {"gate": layers(a, (25, 24), 1.0)[0], "new": layers(b, (25, 24), 1.0)[0]}  # noqa: E731
        return {"in": gru(*keys[:2]), "out": gru(*keys[2:4]), "head": layers(keys[4], (24, 1), 1.0)[0]}

    base = Case(
        "forecast_radam",
        "forecast",
        "open",
        lambda key: layers(key, (24, 32, 1)),
        squares(predict),
        data,
        optax.radam(3e-3),
        r2(predict),
        bound=0.85,
    )
    decayed = base._replace(
        name="forecast_decay_per_epoch", optimizer=optax.adam(optax.exponential_decay(2e-3, 40, 0.9, staircase=True))
    )
    winter = base._replace(name="forecast_winter", data=cold, optimizer=optax.adam(5e-3))
    return [
        base,
        decayed,
        base._replace(
            name="forecast_encoder_decoder",
            init=recurrent,
            loss=squares(decode),
            data=ahead,
            optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(5e-3)),
            score=r2(decode),
            bound=0.7,
        ),
        sick(base, "forecast_broadcast_targets", "ill_posed chance_level unclear", loss=spread),
        sick(
            winter,
            "forecast_relu_for_negatives",
            "dead ill_posed chance_level",
            loss=squares(clipped),
            score=r2(clipped),
        ),
        sick(
            decayed,
            "forecast_decay_per_step",
            "learning_rate_small too_few_steps",
            optimizer=optax.adam(optax.exponential_decay(2e-3, 1, 0.8)),
        ),
        sick(base, "forecast_random_walk", "chance_level unclear", data=walk, judge=later),
    ]


def ratings():
    """Fill in ratings by biases and factors."""
    rng = np.random.default_rng(22)
    user, item = rng.integers(0, 60, 2000), rng.integers(0, 40, 2000)
    left, right = rng.normal(size=(60, 2)), rng.normal(size=(40, 2))
    liked = 0.6 * rng.normal(size=60)[user] + 0.6 * rng.normal(size=40)[item]
    stars = 3.2 + liked + 0.7 * np.sum(left[user] * right[item], 1) + 0.3 * rng.normal(size=2000)
    data = shuffled((user, item, stars))

    def init(key):
        first, second = jax.random.split(key)
        table = lambda key, n: {"b": jnp.zeros(n), "v": 0.3 * jax.random.normal(key, (n, 4))}  # noqa: E731
        return {"user": table(first, 60), "item": table(second, 40)}

    def predict(p, user, item):
        one, two = p["user"], p["item"]
        return 3.2 + one["b"][user] + two["b"][item] + jnp.sum(one["v"][user] * two["v"][item], 1)

    def loss(weight):
        def value(p, batch):
            size = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(p))
            return jnp.mean((predict(p, *batch[:2]) - batch[2]) ** 2) + weight * size

        return value

    base = Case(
        "ratings_adagrad",
        "ratings",
        "open",
        init,
        loss(1e-4),
        data,
        optax.adagrad(0.2),
        r2(predict),
        bound=0.5,
        batch_size=64,
    )
    adam = base._replace(name="ratings_adam", optimizer=optax.adam(0.02))
    return [
        base,
        base._replace(name="ratings_sign", optimizer=optax.sign_sgd(0.01), bound=0.4),
        sick(base, "ratings_penalty_swamps", "chance_level ill_posed vanishing", loss=loss(10.0)),
        sick(adam, "ratings_rate_small", "learning_rate_small too_few_steps", optimizer=optax.adam(2e-5)),
    ]


def survival():
    """Order patients by their risk with Cox's partial likelihood."""
    rng = np.random.default_rng(23)
    x = rng.normal(size=(600, 6))
    risk = 1.2 * x[:, 0] - 0.9 * x[:, 1] + 0.8 * np.tanh(2 * x[:, 2])
    death, end = rng.exponential(np.exp(-risk)), rng.exponential(1.2, 600)
    data = shuffled((standardise(x), np.minimum(death, end), (death < end).astype(float)))

    def predict(p, x):
        return forward(p, x, jnp.tanh)[:, 0]

    def cox(sign=1.0, each=False):
        def loss(p, batch):
            x, time, event = batch
            score = predict(p, x)
            total = jnp.log(jnp.sum((time[None] >= time[:, None]) * jnp.exp(score)[None], 1))
            count = jnp.sum(event) if each else len(x)
            return -sign * jnp.sum(event * (score - total)) / count

        return loss

    def concordance(p, data):
        x, time, event = data
        score = predict(p, x)
        valid = (time[:, None] < time[None]) * event[:, None]
        return jnp.sum(valid * (score[:, None] > score[None])) / jnp.sum(valid)

    base = Case(
        "survival_novograd",
        "survival",
        "open",
        lambda key: layers(key, (6, 16, 1), 1.0),
        cox(),
        data,
        optax.novograd(0.01),
        concordance,
        bound=0.7,
        floor=0.5,
        batch_size=64,
    )
    short = base._replace(name="survival_per_event", loss=cox(each=True), optimizer=optax.adam(3e-3))
    return [
        base,
        short,
        base._replace(name="survival_linear", init=lambda key: layers(key, (6, 1), 0.0), optimizer=optax.sgd(0.3)),
        sick(base, "survival_sign_of_likelihood", "ill_posed exploding non_finite", loss=cox(-1.0)),
        sick(short, "survival_batch_without_event", "non_finite", batch_size=6),
    ]


def ranking():
    """Rank the documents of a query."""
    rng = np.random.default_rng(50)
    x = rng.normal(size=(500, 8, 6))
    grade = np.clip(np.round(1.5 + x[..., 0] + np.sin(2 * x[..., 1]) + 0.5 * x[..., 2]), 0, 4)
    data = shuffled((x, grade))

    def value(p, x):
        return forward(p, x, jax.nn.silu)[..., 0]

    def hinge(margin):
        def loss(p, batch):
            s, g = value(p, batch[0]), batch[1]
            better = g[:, :, None] > g[:, None]
            return jnp.sum(better * jax.nn.relu(margin - (s[:, :, None] - s[:, None]))) / jnp.sum(better)

        return loss

    def lists(axis):
        def loss(p, batch):
            target = jax.nn.softmax(batch[1], 1)
            return -jnp.mean(jnp.sum(target * jax.nn.log_softmax(value(p, batch[0]), axis), 1))

        return loss

    def score(p, data):
        s, g = value(p, data[0]), data[1]
        better = g[:, :, None] > g[:, None]
        return jnp.sum(better * (s[:, :, None] > s[:, None])) / jnp.sum(better)

    base = Case(
        "ranking_listwise",
        "ranking",
        "open",
        lambda key: layers(key, (6, 32, 1)),
        lists(1),
        data,
        optax.adam(5e-3),
        score,
        bound=0.8,
        floor=0.5,
        batch_size=16,
        steps=300,
    )
    pairs = base._replace(name="ranking_pairs", loss=hinge(1.0), optimizer=optax.adadelta(1.0), bound=0.78)
    return [
        base,
        pairs,
        sick(pairs, "ranking_margin_negative", "ill_posed dead vanishing chance_level", loss=hinge(-50.0)),
    ]


def cases():
    """Return the cases of this module."""
    return churn() + forecast() + ratings() + survival() + ranking()
