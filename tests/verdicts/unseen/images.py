"""Images of digits: convolutions, autoencoders, fine-tuning of a trained network, metric learning."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, accuracy, affine, crossentropy, forward, layers, shuffled, sick
from sklearn import datasets


@functools.cache
def digits():
    """Load 900 images, flat and in [0, 1], with their labels."""
    x, y = datasets.load_digits(return_X_y=True)
    return shuffled((x[:900] / 16.0, y[:900]))


def convolution(kernel, x):
    """Apply a 3 x 3 convolution with padding."""
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def pool(x):
    """Take the maximum of 2 x 2 pixels."""
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def convolutional():
    """Classify digits by convolutions, with batch norm, other optimisers and low precision."""
    data = digits()

    def init(key, gain=1.0):
        a, b, c = jax.random.split(key, 3)
        return {
            "conv1": gain * jax.random.normal(a, (3, 3, 1, 8)) * (2 / 9) ** 0.5,
            "conv2": gain * jax.random.normal(b, (3, 3, 8, 12)) * (2 / 72) ** 0.5,
            "bias1": jnp.zeros(8),
            "bias2": jnp.zeros(12),
            "head": layers(c, (48, 10), gain**2),
        }

    def logits(p, x, normed=False, keep=None):
        x = x.reshape(-1, 8, 8, 1)
        for n in "12":
            x = convolution(p["conv" + n].astype(x.dtype), x)
            if normed:
                x = (x - x.mean((0, 1, 2))) / jnp.sqrt(x.var((0, 1, 2)) + 1e-5)
            x = pool(jax.nn.relu(x + p["bias" + n].astype(x.dtype)))
        x = x.reshape(x.shape[0], -1)
        if keep is not None:
            x = jnp.where(jax.random.bernoulli(keep[0], keep[1], x.shape), x / keep[1], 0.0)
        return affine(jax.tree.map(lambda leaf: leaf.astype(x.dtype), p["head"][0]), x)

    def low(p, batch):
        return crossentropy(logits(p, batch[0].astype(jnp.bfloat16)).astype(jnp.float32), batch[1])

    def normed(p, x):
        return logits(p, x, True)

    base = Case(
        "convolutional_adam",
        "convolutional",
        "closed",
        init,
        lambda p, batch: crossentropy(logits(p, batch[0]), batch[1]),
        data,
        optax.adam(5e-3),
        accuracy(logits),
        bound=0.85,
        floor=0.11,
        steps=250,
    )
    muon = optax.contrib.muon(0.02)
    return [
        base._replace(
            name="convolutional_norm_lamb",
            loss=lambda p, batch: crossentropy(normed(p, batch[0]), batch[1]),
            score=accuracy(normed),
            optimizer=optax.lamb(0.02),
        ),
        base._replace(
            name="convolutional_muon",
            init=lambda key: layers(key, (64, 48, 32, 10)),
            loss=lambda p, batch: crossentropy(forward(p, batch[0]), batch[1]),
            score=accuracy(forward),
            optimizer=muon,
        ),
        base._replace(name="convolutional_bfloat16", loss=low),
        sick(base, "convolutional_all_zero", "collinear dead chance_level", init=lambda key: init(key, 0.0)),
        sick(
            base,
            "convolutional_dropout_98",
            "chance_level unclear too_few_steps",
            loss=lambda p, batch, key: crossentropy(logits(p, batch[0], keep=(key, 0.02)), batch[1]),
            keyed=True,
        ),
        sick(
            base._replace(name="convolutional_sgd", optimizer=optax.sgd(0.05, 0.9)),
            "convolutional_bytes_sgd",
            "ill_scaled learning_rate_large dead exploding non_finite",
            data=(data[0] * 255.0, data[1]),
            judge=(data[0] * 255.0, data[1]),
        ),
    ]


def autoencoders():
    """Compress digits: plain, denoising, sparse and variational."""
    data = (digits()[0],)
    mean = data[0].mean(0)

    def init(key, code=10, narrow=10):
        a, b = jax.random.split(key)
        return {"encoder": layers(a, (64, 40, code)), "decoder": layers(b, (narrow, 40, 64))}

    def rebuild(p, x):
        return forward(p["decoder"], forward(p["encoder"], x))

    def loss(p, batch):
        return jnp.mean((rebuild(p, batch[0]) - batch[0]) ** 2)

    def squashed(p, x):
        return jax.nn.sigmoid(rebuild(p, x))

    def denoise(p, batch, key):
        noisy = batch[0] + 0.2 * jax.random.normal(key, batch[0].shape)
        return optax.sigmoid_binary_cross_entropy(rebuild(p, noisy), batch[0]).mean()

    def gain(predict):
        def score(p, data):
            average = data[0].mean(0)
            return 1 - jnp.mean((predict(p, data[0]) - data[0]) ** 2) / jnp.mean((average - data[0]) ** 2)

        return score

    def sparse(weight):
        def loss_sparse(p, batch):
            code = jax.nn.relu(forward(p["encoder"], batch[0]))
            rebuilt = forward(p["decoder"], code)
            return jnp.mean((rebuilt - batch[0]) ** 2) + weight * jnp.mean(jnp.abs(code))

        return loss_sparse

    def variational(beta):
        def loss_vae(p, batch, key):
            m, log_var = jnp.split(forward(p["encoder"], batch[0]), 2, -1)
            z = m + jnp.exp(0.5 * log_var) * jax.random.normal(key, m.shape)
            fit = optax.sigmoid_binary_cross_entropy(forward(p["decoder"], z), batch[0]).sum(-1)
            return jnp.mean(fit + beta * 0.5 * jnp.sum(m**2 + jnp.exp(log_var) - 1 - log_var, -1))

        return loss_vae

    def by_mean(p, x):
        return jax.nn.sigmoid(forward(p["decoder"], forward(p["encoder"], x)[:, :8]))

    del mean
    base = Case(
        "autoencoder_plain",
        "autoencoder",
        "open",
        init,
        loss,
        data,
        optax.adam(3e-3),
        gain(rebuild),
        bound=0.4,
    )
    vae = base._replace(
        name="autoencoder_variational",
        init=lambda key: init(key, 16, 8),
        loss=variational(0.5),
        keyed=True,
        score=gain(by_mean),
        bound=0.25,
        steps=600,
    )
    thin = base._replace(
        name="autoencoder_sparse",
        init=lambda key: init(key, 24, 24),
        loss=sparse(1e-3),
        score=gain(lambda p, x: forward(p["decoder"], jax.nn.relu(forward(p["encoder"], x)))),
    )
    return [
        base._replace(
            name="autoencoder_denoising", loss=denoise, keyed=True, score=gain(squashed), optimizer=optax.adamw(5e-3)
        ),
        vae,
        thin,
        sick(vae, "autoencoder_prior_swamps", "chance_level ill_posed", loss=variational(300.0)),
        sick(thin, "autoencoder_sparsity_swamps", "chance_level dead ill_posed", loss=sparse(100.0)),
        sick(
            base,
            "autoencoder_sigmoid_for_0_to_16",
            "ill_posed saturated ill_scaled",
            loss=lambda p, batch: jnp.mean((squashed(p, batch[0]) - 16.0 * batch[0]) ** 2),
            score=lambda p, data: gain(lambda p, x: squashed(p, x / 16.0))(p, (16.0 * data[0],)),
        ),
    ]


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
        "closed",
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
        sick(
            student,
            "tuning_teacher_times_0",
            "chance_level",
            data=(x, 0.0 * teacher[1], teacher[2]),
            judge=teacher,
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
        sick(
            base,
            "metric_zero_weights",
            "collinear dead chance_level",
            init=lambda key: jax.tree.map(jnp.zeros_like, base.init(key)),
        ),
    ]


def cases():
    """Return the cases of this module."""
    return convolutional() + autoencoders() + tuning() + metric()
