"""Decisions: rewards of one action, effects of a treatment, clicks, answers of pupils, and two kinds of pictures."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, accuracy, affine, crossentropy, forward, layers, shuffled, sick
from sklearn import datasets


def bandits():
    """Choose the action for a picture where only the chosen action is paid."""
    digits = datasets.load_digits()
    keep = digits.target < 5
    data = shuffled((digits.data[keep] / 8 - 1, digits.target[keep]))

    def init(key):
        a, b = jax.random.split(key)
        return {
            "body": layers(a, (64, 40))[0],
            "policy": layers(b, (40, 5), 0.1)[0],
            "value": layers(b, (40, 1), 0.1)[0],
        }

    def logits(p, x):
        return affine(p["policy"], jax.nn.relu(affine(p["body"], x)))

    def reinforce(unit=1.0, baseline=True, entropy=0.01):
        def loss(p, batch, key):
            x, label = batch
            h = jax.nn.relu(affine(p["body"], x))
            log_share = jax.nn.log_softmax(affine(p["policy"], h), -1)
            action = jax.random.categorical(key, log_share)
            paid = unit * (action == label)
            value = affine(p["value"], h)[:, 0]
            gain = paid - jax.lax.stop_gradient(value) if baseline else paid
            chosen = jnp.take_along_axis(log_share, action[:, None], 1)[:, 0]
            spread = -jnp.sum(jnp.exp(log_share) * log_share, -1)
            critic = 0.5 * (value - paid) ** 2 if baseline else 0.0
            return jnp.mean(-gain * chosen + critic - entropy * spread)

        return loss

    def score(p, data):
        share = jax.nn.softmax(logits(p, data[0]), -1)
        return jnp.mean(jnp.take_along_axis(share, data[1][:, None], 1))

    base = Case(
        "bandits_with_baseline",
        "bandits",
        "blind",
        init,
        reinforce(),
        data,
        optax.adam(5e-3),
        score,
        bound=0.7,
        floor=0.2,
        steps=500,
        keyed=True,
    )
    bare = base._replace(
        name="bandits_without_baseline",
        loss=reinforce(baseline=False, entropy=0.0),
        optimizer=optax.sgd(0.3),
        batch_size=64,
    )
    return [
        base,
        bare,
        sick(base, "bandits_entropy_swamps", "chance_level ill_posed unclear", loss=reinforce(entropy=20.0)),
        sick(
            bare,
            "bandits_paid_in_thousands",
            "learning_rate_large ill_scaled saturated dead",
            loss=reinforce(5000.0, baseline=False, entropy=0.0),
        ),
    ]


def effects():
    """Estimate what a treatment does to whom, by one body and a head for each arm."""
    rng = np.random.default_rng(117)
    x = rng.normal(size=(1500, 8))
    treated = (rng.random(1500) < 1 / (1 + np.exp(-x[:, 0]))).astype(np.float32)
    effect = 1.5 * np.tanh(2 * x[:, 1]) + x[:, 2]
    outcome = np.sin(x[:, 0]) + x[:, 3] + treated * effect + 0.3 * rng.normal(size=1500)
    data = shuffled((x, treated, outcome, effect))
    cents = (data[0], data[1], 1e6 * data[2], 1e6 * data[3])

    def init(key):
        a, b, c, d = jax.random.split(key, 4)
        return {
            "body": layers(a, (8, 32, 32)),
            "arms": [layers(b, (32, 16, 1)), layers(c, (32, 16, 1))],
            "chance": layers(d, (32, 1), 1.0),
        }

    def arms(p, x):
        h = jax.nn.elu(forward(p["body"], x, jax.nn.elu))
        return h, [forward(arm, h, jax.nn.elu)[:, 0] for arm in p["arms"]]

    def loss(weight, shown=lambda y: y):
        def of(p, batch):
            x, treated, outcome, _ = batch
            h, (without, given) = arms(p, x)
            wrong = (shown(jnp.where(treated > 0, given, without)) - outcome) ** 2
            chance = optax.sigmoid_binary_cross_entropy(affine(p["chance"][0], h)[:, 0], treated)
            return jnp.mean(wrong + weight * chance)

        return of

    def score(p, data):
        without, given = arms(p, data[0])[1]
        return 1 - jnp.mean((given - without - data[3]) ** 2) / jnp.var(data[3])

    base = Case(
        "effects_two_arms",
        "effects",
        "blind",
        init,
        loss(0.5),
        data,
        optax.adamw(3e-3, weight_decay=1e-2),
        score,
        bound=0.6,
        steps=500,
        batch_size=48,
    )
    return [
        base,
        sick(
            base,
            "effects_outcome_in_cents",
            "ill_scaled learning_rate_small too_few_steps",
            data=cents,
        ),
        sick(
            base,
            "effects_predictions_rounded",
            "dead vanishing chance_level ill_posed",
            loss=loss(0.5, lambda y: jnp.round(y, 2)),
        ),
    ]


def clicks():
    """Predict clicks from sparse columns whose pairs decide."""
    rng = np.random.default_rng(118)
    sizes = (20, 15, 10, 8)
    column = np.stack([rng.integers(0, size, 4000) for size in sizes], -1)
    hidden = [rng.normal(size=(size, 2)) for size in sizes]
    taste = [h[c] for h, c in zip(hidden, column.T, strict=True)]
    margin = 1.5 * np.sum(taste[0] * taste[1] + taste[2] * taste[3], -1)
    data = shuffled((column + np.cumsum((0, *sizes[:-1])), (rng.random(4000) < 1 / (1 + np.exp(-margin))).astype(int)))
    total = sum(sizes)

    def init(scale):
        def draw(key):
            return {
                "factor": scale * jax.random.normal(key, (total, 6)),
                "line": jnp.zeros(total),
                "bias": jnp.zeros(()),
            }

        return draw

    def machine(p, index):
        factor = p["factor"][index]
        pairs = 0.5 * jnp.sum(jnp.sum(factor, 1) ** 2 - jnp.sum(factor**2, 1), -1)
        return p["bias"] + jnp.sum(p["line"][index], -1) + pairs

    def deep(p, index):
        h = p["table"][index].reshape(len(index), -1)
        return machine(p, index) + forward(p["net"], h)[:, 0]

    def loss(net):
        return lambda p, batch: jnp.mean(optax.sigmoid_binary_cross_entropy(net(p, batch[0]), batch[1]))

    def score(net):
        # The area under the curve, from minus one to one.
        def of(p, data):
            value = net(p, data[0])
            order = jnp.argsort(jnp.argsort(value)) + 1.0
            ones = jnp.sum(data[1])
            area = (jnp.sum(order * data[1]) - ones * (ones + 1) / 2) / (ones * (len(value) - ones))
            return 2 * area - 1

        return of

    base = Case(
        "clicks_factors",
        "clicks",
        "blind",
        init(0.1),
        loss(machine),
        data,
        optax.adam(0.02),
        score(machine),
        bound=0.45,
        steps=500,
        batch_size=64,
    )
    return [
        base,
        base._replace(
            name="clicks_factors_and_network",
            init=lambda key: {
                **init(0.1)(key),
                "table": 0.3 * jax.random.normal(jax.random.fold_in(key, 1), (total, 4)),
                "net": layers(jax.random.fold_in(key, 2), (16, 32, 1)),
            },
            loss=loss(deep),
            score=score(deep),
            optimizer=optax.adagrad(0.1),
        ),
        sick(base, "clicks_factors_start_at_zero", "dead vanishing chance_level collinear", init=init(0.0)),
    ]


def answers():
    """Rate pupils and questions from answers that are right or wrong."""
    rng = np.random.default_rng(119)
    skill, hard, sharp = rng.normal(size=80), rng.normal(size=30), rng.uniform(1.0, 2.5, 30)
    pupil, question = (part.ravel() for part in np.meshgrid(np.arange(80), np.arange(30), indexing="ij"))
    right = rng.random(len(pupil)) < 1 / (1 + np.exp(-sharp[question] * (skill[pupil] - hard[question])))
    data = shuffled((np.stack([pupil, question], -1), right.astype(int)))
    mixed = (data[0], data[1][jnp.asarray(rng.permutation(len(pupil)))])
    true = jnp.asarray(skill, jnp.float32)

    def init(middle, spread):
        def draw(key):
            a, b = jax.random.split(key)
            return {
                "skill": middle + spread * jax.random.normal(a, (80,)),
                "hard": middle + spread * jax.random.normal(b, (30,)),
                "log_sharp": jnp.zeros(30),
            }

        return draw

    def logit(p, index):
        return jnp.exp(p["log_sharp"][index[:, 1]]) * (p["skill"][index[:, 0]] - p["hard"][index[:, 1]])

    def logistic(p, batch):
        prior = 1e-3 * (jnp.mean(p["skill"] ** 2) + jnp.mean(p["log_sharp"] ** 2))
        return jnp.mean(optax.sigmoid_binary_cross_entropy(logit(p, batch[0]), batch[1])) + prior

    def probability(p, batch):
        share = jax.nn.sigmoid(logit(p, batch[0]))
        return -jnp.mean(batch[1] * jnp.log(share) + (1 - batch[1]) * jnp.log(1 - share))

    def score(p, data):
        return jnp.corrcoef(p["skill"], true)[0, 1]

    base = Case(
        "answers_three_parameters",
        "answers",
        "blind",
        init(0.0, 0.1),
        logistic,
        data,
        optax.adam(0.03),
        score,
        bound=0.75,
        steps=300,
        batch_size=128,
    )
    return [
        base,
        base._replace(name="answers_large_batch", optimizer=optax.sgd(8.0, momentum=0.8), batch_size=1024, steps=200),
        sick(base, "answers_of_other_pupils", "chance_level unclear", data=mixed),
        sick(base, "answers_logarithm_of_share", "non_finite", loss=probability, init=init(100.0, 15.0)),
    ]


def domains():
    """Classify dark digits by labels of bright ones, with codes that do not tell which is which."""
    digits = datasets.load_digits()
    x = digits.data / 8 - 1
    rng = np.random.default_rng(120)
    other = 0.7 * x + 0.2 + 0.2 * rng.normal(size=x.shape)
    data = shuffled((x, digits.target, other))
    labels = (data[0], data[1], data[2])

    def init(key):
        a, b, c = jax.random.split(key, 3)
        return {"body": layers(a, (64, 48, 32)), "label": layers(b, (32, 10), 1.0), "kind": layers(c, (32, 16, 1))}

    def code(p, x):
        return jax.nn.relu(forward(p["body"], x))

    @jax.custom_vjp
    def reverse(h, strength):
        return h

    reverse.defvjp(lambda h, strength: (h, strength), lambda strength, g: (-strength * g, jnp.zeros_like(strength)))

    def loss(strength):
        def of(p, batch):
            x, label, other = batch
            h, g = code(p, x), code(p, other)
            kind = forward(p["kind"], reverse(jnp.concatenate([h, g]), jnp.asarray(strength)))[:, 0]
            truth = jnp.concatenate([jnp.zeros(len(x)), jnp.ones(len(x))])
            adversary = jnp.mean(optax.sigmoid_binary_cross_entropy(kind, truth))
            return crossentropy(affine(p["label"][0], h), label) + adversary

        return of

    def score(p, data):
        return accuracy(lambda p, x: affine(p["label"][0], code(p, x)))(p, (data[2], data[1]))

    base = Case(
        "domains_reversed_gradient",
        "domains",
        "blind",
        init,
        loss(0.03),
        labels,
        optax.adam(2e-3),
        score,
        bound=0.6,
        floor=0.1,
        steps=400,
    )
    return [base]


def cases():
    """Return the cases of this module."""
    return bandits() + effects() + clicks() + answers() + domains()
