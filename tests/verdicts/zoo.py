"""Models of many kinds whose truth is known by construction: tables, minibatches, recurrent nets, attention, faults.

A case is a loss, an initialiser, data, an optimiser and the statuses that are right. `run` trains it for several seeds
with a recorder, and checks it before training. The truth of a healthy case is checked by its outcome.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn import datasets

import vgrad_jax as vg


class Case(NamedTuple):
    """A model, its data, and the verdicts that are right."""

    name: str
    truth: frozenset[str]
    init: Callable[[Any], Any]
    loss: Callable[..., Any]
    data: Any
    """Arrays with a leading axis of rows."""
    optimizer: optax.GradientTransformation
    steps: int = 400
    batch_size: int = 32
    every: int = 10
    keyed: bool = False
    """True for a loss that takes a key, for dropout."""
    ascend: bool = False
    apply: bool = True
    """False where `apply_updates` was forgotten."""
    spoil: Any = None
    """Function of the step and the batch that spoils data."""


FINE = frozenset({"healthy", "solved"})


def dense(key, sizes, gain=1.0, bias=0.0, variance=2.0, uniform=None):
    """Draw the layers of an MLP: normal kernels of the variance over fan-in, or uniform in [0, uniform]."""
    keys = jax.random.split(key, len(sizes) - 1)
    kernel = lambda k, m, n: (  # noqa: E731
        uniform * jax.random.uniform(k, (m, n))
        if uniform
        else gain * jnp.sqrt(variance / m) * jax.random.normal(k, (m, n))
    )
    return [
        {"kernel": kernel(k, m, n), "bias": jnp.full(n, bias)}
        for k, m, n in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def mlp(params, x, activation=jax.nn.relu):
    for layer in params[:-1]:
        x = activation(x @ layer["kernel"] + layer["bias"])
    return x @ params[-1]["kernel"] + params[-1]["bias"]


def cross_entropy(logits, y):
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


def classify(activation=jax.nn.relu):
    return lambda p, b: cross_entropy(mlp(p, b[0], activation), b[1])


def regress(activation=jax.nn.relu):
    return lambda p, b: jnp.mean((mlp(p, b[0], activation)[:, 0] - b[1]) ** 2)


def table(name):
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    x = (x - x.mean(0)) / (x.std(0) + 1e-9)
    y = (y - y.mean()) / y.std() if name == "diabetes" else y
    return jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32 if name == "diabetes" else jnp.int32)


def language(rows=512, length=24, letters=12, seed=0):
    """Sequences of a sparse Markov chain: some entropy remains."""
    rng = np.random.default_rng(seed)
    chain = rng.dirichlet(np.full(letters, 0.15), size=letters)
    text = np.zeros((rows, length), int)
    text[:, 0] = rng.integers(letters, size=rows)
    for t in range(1, length):
        u = rng.random(rows)[:, None]
        text[:, t] = np.minimum((chain[text[:, t - 1]].cumsum(1) < u).sum(1), letters - 1)
    return (jnp.asarray(text),)


def init_recurrent(gain=1.0, width=32, letters=12, zero_out=False):
    def init(key):
        a, b, c = jax.random.split(key, 3)
        return {
            "embed": jax.random.normal(a, (letters, width)) * 0.5,
            "recurrent": gain * jax.random.normal(b, (width, width)) / width**0.5,
            "out": {"kernel": jax.random.normal(c, (width, letters)) / width**0.5, "bias": jnp.zeros(letters)},
        }

    return init


def recurrent_loss(p, b, activation=jnp.tanh):
    (text,) = b

    def step(h, token):
        h = activation(p["embed"][token] + h @ p["recurrent"])
        return h, h

    _, hs = jax.lax.scan(step, jnp.zeros((text.shape[0], p["recurrent"].shape[0])), text[:, :-1].T)
    return cross_entropy(hs @ p["out"]["kernel"] + p["out"]["bias"], text[:, 1:].T)


def init_transformer(key, width=32, letters=12, blocks=2, length=24):
    keys = iter(jax.random.split(key, 4 * blocks + 3))
    n = lambda *s: jax.random.normal(next(keys), s) * 0.02 ** (len(s) == 9) / s[0] ** 0.5  # noqa: E731
    return {
        "embed": jax.random.normal(next(keys), (letters, width)) * 0.1,
        "places": jax.random.normal(next(keys), (length, width)) * 0.1,
        "blocks": [
            {"qkv": n(width, 3 * width), "mix": n(width, width), "up": n(width, 2 * width), "down": n(2 * width, width)}
            for _ in range(blocks)
        ],
        "head": n(width, letters),
    }


def norm(h):
    return (h - h.mean(-1, keepdims=True)) * jax.lax.rsqrt(h.var(-1, keepdims=True) + 1e-5)


def transformer_loss(p, b):
    (text,) = b
    h = p["embed"][text[:, :-1]] + p["places"][: text.shape[1] - 1]
    mask = jnp.tril(jnp.ones((h.shape[1], h.shape[1]), bool))
    for block in p["blocks"]:
        q, k, v = jnp.split(norm(h) @ block["qkv"], 3, -1)
        scores = jnp.where(mask, q @ k.swapaxes(-1, -2) / q.shape[-1] ** 0.5, -jnp.inf)
        h = h + jax.nn.softmax(scores) @ v @ block["mix"]
        h = h + jax.nn.gelu(norm(h) @ block["up"]) @ block["down"]
    return cross_entropy(norm(h) @ p["head"], text[:, 1:])


def conv_init(key, channels=8):
    a, b, c = jax.random.split(key, 3)
    return {
        "conv_0": {"kernel": jax.random.normal(a, (3, 3, 1, channels)) * (2 / 9) ** 0.5, "bias": jnp.zeros(channels)},
        "conv_1": {
            "kernel": jax.random.normal(b, (3, 3, channels, channels)) * (2 / 9 / channels) ** 0.5,
            "bias": jnp.zeros(channels),
        },
        "head": {"kernel": jax.random.normal(c, (64 * channels, 10)) / (64 * channels) ** 0.5, "bias": jnp.zeros(10)},
    }


def conv_loss(p, b):
    h = b[0].reshape(-1, 8, 8, 1)
    for name in ("conv_0", "conv_1"):
        h = jax.lax.conv_general_dilated(
            h, p[name]["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        h = jax.nn.relu(h + p[name]["bias"])
    return cross_entropy(h.reshape(h.shape[0], -1) @ p["head"]["kernel"] + p["head"]["bias"], b[1])


def vae_init(key):
    a, b = jax.random.split(key)
    return {"encoder": dense(a, [64, 32, 8]), "decoder": dense(b, [4, 32, 64])}


def vae_loss(p, b, key):
    mean, log_variance = jnp.split(mlp(p["encoder"], b[0]), 2, -1)
    z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
    divergence = 0.5 * jnp.sum(jnp.exp(log_variance) + mean**2 - 1 - log_variance, -1)
    return jnp.mean(5 * jnp.sum((mlp(p["decoder"], z) - b[0]) ** 2, -1) / 2 - 40 + divergence)


def pinn_init(key):
    return dense(key, [1, 24, 24, 1], variance=1.0)


def pinn_loss(activation):
    def u(p, t):
        return mlp(p, jnp.reshape(t, (1,)), activation)[0]

    def loss(p, b):
        second = jax.vmap(jax.grad(jax.grad(lambda t: u(p, t))))(b[0])
        return jnp.mean((second + 9.87 * jnp.sin(3.14 * b[0])) ** 2) + 10 * (u(p, 1.0) ** 2 + u(p, -1.0) ** 2)

    return loss


def contrastive_loss(p, b, key):
    first, second = (mlp(p, b[0] + 0.1 * jax.random.normal(k, b[0].shape)) for k in jax.random.split(key))
    unit = lambda h: h / (jnp.linalg.norm(h, axis=-1, keepdims=True) + 1e-6)  # noqa: E731
    return cross_entropy(unit(first) @ unit(second).T / 0.2, jnp.arange(len(b[0])))


def bandit_loss(p, b, key):
    """Policy gradient: its loss crosses zero, and is a loss only by its gradient."""
    logits = mlp(p, b[0], jnp.tanh)
    action = jax.random.categorical(key, logits)
    reward = (action == b[1]).astype(jnp.float32) - 0.3
    log_p = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], 1)[:, 0]
    return -jnp.mean(reward * log_p)


def dropout_loss(p, b, key):
    h = b[0]
    for layer, k in zip(p[:-1], jax.random.split(key, len(p) - 1), strict=True):
        h = jax.nn.relu(h @ layer["kernel"] + layer["bias"])
        h = jnp.where(jax.random.bernoulli(k, 0.6, h.shape), h / 0.6, 0)
    return cross_entropy(h @ p[-1]["kernel"] + p[-1]["bias"], b[1])


def pretrained(seed=0):
    """Parameters that were trained on the digits, before they see slightly other ones."""
    x, y = table("digits")
    p, opt = dense(jax.random.key(seed), [64, 64, 10]), optax.adam(3e-3)
    state = opt.init(p)

    @jax.jit
    def step(p, s, idx):
        u, s = opt.update(jax.grad(classify())(p, (x[idx], y[idx])), s)
        return optax.apply_updates(p, u), s

    rng = np.random.default_rng(0)
    for _ in range(60):
        p, state = step(p, state, rng.integers(len(x), size=64))
    return p


def cases() -> list[Case]:
    """Return the half on which thresholds may be chosen."""
    digits, cancer, diabetes = table("digits"), table("breast_cancer"), table("diabetes")
    rng = np.random.default_rng(3)
    x = jnp.asarray(rng.normal(size=(512, 8)), jnp.float32)
    smooth = (x, jnp.sin(x[:, 0]) + 0.5 * x[:, 1] * x[:, 2])
    small = lambda k: dense(k, [64, 32, 32, 10])  # noqa: E731
    reg = lambda k: dense(k, [8, 32, 32, 1])  # noqa: E731
    deep = lambda n, **k: lambda key: dense(key, [64, *[16] * n, 10], **k)  # noqa: E731
    adam, sgd = optax.adam, optax.sgd
    cosine = lambda peak, n: optax.warmup_cosine_decay_schedule(0, peak, 20, n)  # noqa: E731
    random_labels = (jnp.asarray(rng.normal(size=(4096, 64)), jnp.float32), jnp.asarray(rng.integers(10, size=4096)))
    smoothing = lambda p, b: optax.softmax_cross_entropy(  # noqa: E731
        mlp(p, b[0]), optax.smooth_labels(jax.nn.one_hot(b[1], 10), 0.2)
    ).mean()
    noisy = (
        digits[0],
        jnp.where(jnp.asarray(rng.random(len(digits[1])) < 0.4), rng.integers(10, size=len(digits[1])), digits[1]),
    )
    decay = lambda weight: lambda p, b: classify()(p, b) + weight * sum(jnp.sum(q["kernel"] ** 2) for q in p)  # noqa: E731
    half = lambda dtype: lambda k: jax.tree.map(lambda a: a.astype(dtype), small(k))  # noqa: E731
    tuned, other = pretrained(), (digits[0][::-1] + 0.3, digits[1][::-1])

    def zero_head(key):
        layers = small(key)
        return [*layers[:-1], jax.tree.map(jnp.zeros_like, layers[-1])]

    def mup(key):
        return zero_head(key)

    return [
        Case("cancer adam", FINE, lambda k: dense(k, [30, 16, 2]), classify(), cancer, adam(3e-3)),
        Case("digits sgd momentum cosine", FINE, small, classify(), digits, sgd(cosine(0.1, 400), 0.9)),
        Case("digits rmsprop", FINE, small, classify(), digits, optax.rmsprop(1e-3)),
        Case("digits lion", FINE, small, classify(), digits, optax.lion(3e-4)),
        Case("digits adafactor", FINE, small, classify(), digits, optax.adafactor(1e-2)),
        Case("digits conv", FINE, conv_init, conv_loss, digits, adam(2e-3), steps=200),
        Case("digits dropout", FINE, small, dropout_loss, digits, adam(3e-3), keyed=True, steps=600),
        Case("digits label smoothing", FINE, small, smoothing, digits, adam(3e-3)),
        Case("digits noisy labels", FINE, small, classify(), noisy, adam(2e-3), steps=600),
        Case("digits weight decay", FINE, small, decay(1e-3), digits, adam(3e-3)),
        Case("digits zero head", FINE, mup, classify(), digits, adam(3e-3)),
        Case("diabetes", FINE, lambda k: dense(k, [10, 16, 1]), regress(), diabetes, adam(1e-2), steps=300),
        Case("smooth regression", FINE, reg, regress(), smooth, adam(1e-2), steps=600),
        Case("rnn", FINE, init_recurrent(), recurrent_loss, language(), adam(1e-2), steps=300),
        Case(
            "transformer",
            FINE,
            init_transformer,
            transformer_loss,
            language(),
            optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(cosine(1e-2, 300))),
            steps=300,
        ),
        Case(
            "autoencoder",
            FINE,
            lambda k: dense(k, [64, 32, 8, 32, 64]),
            lambda p, b: jnp.mean((mlp(p, b[0]) - b[0]) ** 2),
            digits[:1],
            optax.rmsprop(2e-3),
            steps=600,
        ),
        Case("vae", FINE, vae_init, vae_loss, (digits[0] / 3,), adam(2e-3), keyed=True, steps=600),
        Case(
            "pinn tanh",
            FINE,
            pinn_init,
            pinn_loss(jnp.tanh),
            (jnp.linspace(-1, 1, 64),),
            adam(5e-3),
            batch_size=64,
            steps=800,
        ),
        Case(
            "contrastive", FINE, lambda k: dense(k, [64, 32, 16]), contrastive_loss, digits[:1], adam(2e-3), keyed=True
        ),
        Case(
            "bandit",
            FINE,
            lambda k: dense(k, [64, 32, 10]),
            bandit_loss,
            digits,
            adam(5e-3),
            keyed=True,
            steps=1200,
            batch_size=64,
        ),
        Case("fine tuning", FINE, lambda k: tuned, classify(), other, adam(2e-4), batch_size=16, steps=600, every=5),
        Case("fine tuning sgd", FINE, lambda k: tuned, classify(), other, sgd(0.01), batch_size=16, steps=600),
        Case(
            "spike recovered",
            FINE,
            small,
            classify(),
            digits,
            adam(3e-3),
            spoil=lambda n, b: (jnp.where(n == 200, 300.0, 1.0) * b[0], b[1]),
        ),
        Case(
            "nan refused",
            FINE,
            small,
            classify(),
            digits,
            optax.apply_if_finite(adam(3e-3), 5),
            spoil=lambda n, b: (jnp.where(n == 200, jnp.nan, 1.0) * b[0], b[1]),
        ),
        Case(
            "accumulation",
            FINE,
            small,
            classify(),
            digits,
            optax.MultiSteps(adam(5e-3), 4).gradient_transformation(),
            steps=800,
            every=8,
        ),
        Case(
            "deep residual",
            FINE,
            lambda k: dense(k, [64, *[16] * 20, 10], gain=0.3),
            lambda p, b: cross_entropy(_residual(p, b[0]), b[1]),
            digits,
            adam(3e-3),
        ),
        Case("large offset loss", FINE, small, lambda p, b: classify()(p, b) - 7.0, digits, adam(3e-3)),
        Case("deep tanh", FINE, deep(12, variance=1.5), classify(jnp.tanh), digits, adam(2e-3), steps=600),
        # Sick.
        Case(
            "adam rate 1",
            frozenset({"learning_rate_large", "dead", "chance_level"}),
            small,
            classify(),
            digits,
            adam(1.0),
        ),
        Case(
            "lion rate 0.3",
            frozenset({"learning_rate_large", "dead", "chance_level"}),
            small,
            classify(),
            digits,
            optax.lion(0.3),
        ),
        Case(
            "sgd rate 30",
            frozenset({"learning_rate_large", "dead", "chance_level"}),
            small,
            classify(),
            digits,
            sgd(30.0),
        ),
        Case("sgd diverges", frozenset({"learning_rate_large"}), reg, regress(), smooth, sgd(3.0)),
        Case("adam rate 1e-7", frozenset({"learning_rate_small"}), small, classify(), digits, adam(1e-7)),
        Case("sgd rate 1e-6", frozenset({"learning_rate_small"}), small, classify(), digits, sgd(1e-6)),
        Case(
            "clipped to nothing",
            frozenset({"learning_rate_small"}),
            small,
            classify(),
            digits,
            optax.chain(optax.clip_by_global_norm(1e-5), sgd(0.1)),
        ),
        Case("lion rate 1e-8", frozenset({"learning_rate_small"}), small, classify(), digits, optax.lion(1e-8)),
        Case(
            "random labels",
            frozenset({"chance_level", "unclear"}),
            small,
            classify(),
            random_labels,
            adam(1e-4),
            batch_size=64,
        ),
        Case(
            "deep sigmoid adam",
            frozenset({"vanishing", "chance_level", "saturated"}),
            deep(12, variance=1.0),
            classify(jax.nn.sigmoid),
            digits,
            adam(1e-3),
        ),
        Case(
            "deep tanh small",
            frozenset({"vanishing", "chance_level"}),
            deep(15, gain=0.2),
            classify(jnp.tanh),
            digits,
            sgd(0.1),
        ),
        Case(
            "deep tanh shifted",
            frozenset({"saturated", "vanishing", "chance_level", "collinear"}),
            deep(10, bias=4.0),
            classify(jnp.tanh),
            digits,
            sgd(0.1),
        ),
        Case(
            "uniform tanh",
            frozenset({"collinear", "saturated", "chance_level"}),
            deep(5, uniform=1.0),
            classify(jnp.tanh),
            digits,
            sgd(0.01, 0.9),
        ),
        Case(
            "constant kernels",
            frozenset({"collinear", "chance_level"}),
            lambda k: jax.tree.map(lambda a: jnp.full_like(a, 0.05), small(k)),
            classify(),
            digits,
            sgd(0.05),
        ),
        Case("dead at birth", frozenset({"dead"}), deep(5, bias=-6.0), classify(), digits, adam(1e-3)),
        Case(
            "unscaled inputs",
            frozenset({"learning_rate_large", "exploding", "dead", "chance_level"}),
            small,
            classify(),
            (digits[0] * 5000, digits[1]),
            sgd(0.05),
        ),
        Case(
            "explodes",
            frozenset({"exploding", "learning_rate_large"}),
            deep(15, gain=4.0),
            classify(),
            digits,
            sgd(0.1),
        ),
        Case(
            "rnn explodes",
            frozenset({"exploding", "non_finite"}),
            init_recurrent(4.0),
            lambda p, b: recurrent_loss(p, b, jax.nn.relu),
            language(length=60),
            sgd(0.1),
        ),
        Case("ascent", frozenset({"learning_rate_large", "ascent"}), small, classify(), digits, sgd(0.05), ascend=True),
        Case(
            "nothing applied",
            frozenset({"learning_rate_small", "unclear", "chance_level"}),
            small,
            classify(),
            digits,
            adam(1e-3),
            apply=False,
        ),
        Case(
            "nan in data late",
            frozenset({"non_finite"}),
            small,
            classify(),
            digits,
            adam(1e-3),
            spoil=lambda n, b: (jnp.where(n == 300, jnp.nan, 1.0) * b[0], b[1]),
        ),
        Case(
            "nan in data",
            frozenset({"non_finite"}),
            small,
            classify(),
            (digits[0].at[:, 3].set(jnp.nan), digits[1]),
            adam(1e-3),
        ),
        Case(
            "log of zero",
            frozenset({"non_finite"}),
            small,
            lambda p, b: -jnp.mean(jnp.log(jnp.max(jax.nn.relu(mlp(p, b[0]) - 1e3), -1))),
            digits,
            adam(1e-3),
        ),
        Case(
            "half underflow",
            frozenset({"underflow"}),
            half(jnp.float16),
            lambda p, b: 1e-7 * classify()(p, b),
            jax.tree.map(lambda a: a.astype(jnp.float16) if a.dtype == jnp.float32 else a, digits),
            sgd(0.1),
        ),
        Case(
            "bfloat16 rounding",
            frozenset({"learning_rate_small", "underflow"}),
            half(jnp.bfloat16),
            classify(),
            jax.tree.map(lambda a: a.astype(jnp.bfloat16) if a.dtype == jnp.float32 else a, digits),
            adam(1e-5),
        ),
        Case(
            "stopped body",
            frozenset({"dead", "vanishing"}),
            deep(3),
            lambda p, b: cross_entropy(
                mlp([*jax.lax.stop_gradient(p[:-1]), jax.lax.stop_gradient(p[-1])], b[0]) + p[-1]["bias"] * 0, b[1]
            ),
            digits,
            adam(1e-3),
        ),
        Case(
            "penalty outweighs",
            frozenset({"chance_level", "ill_posed", "unclear"}),
            small,
            decay(3.0),
            digits,
            adam(3e-3),
        ),
        Case(
            "relu 40 deep",
            frozenset({"chance_level", "collinear", "vanishing", "unclear"}),
            lambda k: dense(k, [64, *[6] * 40, 10]),
            classify(),
            digits,
            sgd(1e-3),
        ),
        Case(
            "softmax of one",
            frozenset({"ill_posed", "dead", "chance_level"}),
            lambda k: dense(k, [30, 16, 1]),
            lambda p, b: jnp.mean((jax.nn.softmax(mlp(p, b[0]))[:, 0] - b[1]) ** 2),
            cancer,
            adam(1e-3),
        ),
    ]


def _residual(p, x):
    h = jax.nn.relu(x @ p[0]["kernel"] + p[0]["bias"])
    for layer in p[1:-1]:
        h = h + jax.nn.relu(h @ layer["kernel"] + layer["bias"])
    return h @ p[-1]["kernel"] + p[-1]["bias"]


def run(case: Case, seeds: int = 3) -> vg.Record:
    """Train a case for several seeds with a recorder; the record has a leading axis of seeds."""
    rows = len(jax.tree.leaves(case.data)[0])
    size = min(case.batch_size, rows)

    def loss(params, batch, key):
        return case.loss(params, batch, key) if case.keyed else case.loss(params, batch)

    def train(key):
        first, rest = jax.random.split(key)
        params = case.init(first)
        optimizer = vg.record(case.every, case.steps // case.every, around=case.optimizer)

        def step(carry, number):
            params, state = carry
            chosen, noise = jax.random.split(jax.random.fold_in(rest, number))
            index = jax.random.randint(chosen, (size,), 0, rows)
            batch = jax.tree.map(lambda array: array[index], case.data)
            batch = batch if case.spoil is None else case.spoil(number, batch)
            value, gradient = jax.value_and_grad(loss)(params, batch, noise)
            gradient = jax.tree.map(jnp.negative, gradient) if case.ascend else gradient
            updates, state = optimizer.update(gradient, state, params, value=value)
            return (optax.apply_updates(params, updates) if case.apply else params, state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), jnp.arange(case.steps))[0][1]

    keys = jax.random.split(jax.random.key(7), seeds)
    return vg.get_record(jax.jit(lambda keys: jax.lax.map(train, keys))(keys))


def check(case: Case, seeds: int = 3) -> vg.InitCheck:
    """Check a case before training, on a first minibatch."""
    size = min(case.batch_size, len(jax.tree.leaves(case.data)[0]))
    batch = jax.tree.map(lambda array: array[:size], case.data)
    if not case.keyed:
        return vg.check_init(case.loss, case.init, batch, num_seeds=seeds)
    return vg.check_init(case.loss, case.init, batch, num_seeds=seeds, loss_key=jax.random.key(0))
