"""Wrong labels and curricula, and a table of twenty rows."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, accuracy, crossentropy, forward, layers, r2, shuffled, sick, standardise
from sklearn import datasets


def noisy():
    """Classify digits of which many labels are wrong; the score asks for the true ones."""
    digits = datasets.load_digits()
    rng = np.random.default_rng(68)
    x, label = shuffled((digits.data / 8 - 1, digits.target))
    other = jnp.asarray(rng.integers(0, 10, len(label)))
    wrong = jnp.where(jnp.asarray(rng.random(len(label)) < 0.45), other, label)
    missing = jnp.where(jnp.asarray(rng.random(x.shape) < 0.1), -999.0, x)

    def init(key):
        return layers(key, (64, 48, 10))

    def entropy(p, batch):
        return crossentropy(forward(p, batch[0]), batch[1])

    def power(p, batch):
        share = jax.nn.softmax(forward(p, batch[0]), -1)
        right = jnp.take_along_axis(share, batch[1][:, None], 1)[:, 0]
        return jnp.mean((1 - right**0.7) / 0.7)

    def weighted(p, batch):
        return power(p, batch) / len(x)

    def fading(key, number, batch):
        noise = jax.random.normal(key, batch[0].shape)
        return batch[0] + 2.0 * jnp.maximum(1 - number / 200, 0.0) * noise, batch[1]

    base = Case(
        "noisy_labels_45_percent",
        "noisy",
        "sealed",
        init,
        entropy,
        (x, wrong),
        optax.adamw(1e-3, weight_decay=0.1),
        accuracy(forward),
        bound=0.8,
        floor=0.1,
        steps=300,
        judge=(x, label),
    )
    bounded = base._replace(name="noisy_labels_power_loss", loss=power, optimizer=optax.sgd(0.2, momentum=0.9))
    return [
        base,
        bounded,
        base._replace(
            name="noisy_inputs_that_clear",
            data=(x, label),
            spoil=fading,
            optimizer=optax.sgd(optax.cosine_onecycle_schedule(300, 0.2), momentum=0.9),
        ),
        sick(base, "noisy_labels_all_drawn", "chance_level unclear", data=(x, other)),
        sick(
            base,
            "noisy_missing_as_999",
            "ill_scaled learning_rate_large dead",
            data=(missing, label),
            judge=(missing, label),
        ),
        sick(
            bounded,
            "noisy_mean_of_a_mean",
            "learning_rate_small too_few_steps chance_level",
            loss=weighted,
        ),
    ]


def exercise():
    """Predict three measures of twenty people from three exercises, all rows at once."""
    people = datasets.load_linnerud()
    data = shuffled((standardise(people.data), standardise(people.target)))
    raw = shuffled((np.asarray(people.data), standardise(people.target)))

    def loss(p, batch):
        return jnp.mean((forward(p, batch[0], jnp.tanh) - batch[1]) ** 2)

    def score(p, data):
        return r2(lambda p, x: forward(p, x, jnp.tanh))(p, data)

    base = Case(
        "exercise_network",
        "exercise",
        "sealed",
        lambda key: layers(key, (3, 32, 32, 3), 1.0),
        loss,
        data,
        optax.adam(0.01),
        score,
        bound=0.6,
        steps=400,
        batch_size=20,
    )
    line = base._replace(
        name="exercise_line", init=lambda key: layers(key, (3, 3), 1.0), optimizer=optax.sgd(0.1), bound=0.15
    )
    return [
        base,
        line,
        sick(line, "exercise_raw_columns", "learning_rate_large non_finite exploding ill_scaled", data=raw),
        sick(
            base,
            "exercise_decay_of_ten",
            "chance_level vanishing unclear",
            optimizer=optax.chain(optax.add_decayed_weights(10.0), optax.adam(0.01)),
        ),
    ]


def cases():
    """Return the cases of this module."""
    return noisy() + exercise()
