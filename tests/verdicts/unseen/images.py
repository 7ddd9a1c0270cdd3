"""Images of digits: convolutions and autoencoders."""

import functools

import jax
import jax.numpy as jnp
import optax
from common import Case, accuracy, affine, crossentropy, forward, layers, shuffled, sick
from sklearn import datasets


@functools.cache
def digits():
    """Load 900 images, flat and in [0, 1], with their labels."""
    x, y = datasets.load_digits(return_X_y=True)
    return shuffled((x[:900] / 16.0, y[:900]))


def convolution(kernel, x):
    """Apply a 3 x 3 convolution with padding, as one product with shifted images."""
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + x.shape[1], j : j + x.shape[2]] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifted, -1) @ kernel.reshape(-1, kernel.shape[-1])


def pool(x):
    """Take the maximum of 2 x 2 pixels."""
    return x.reshape(x.shape[0], x.shape[1] // 2, 2, x.shape[2] // 2, 2, -1).max((2, 4))


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
        "open",
        init,
        lambda p, batch: crossentropy(logits(p, batch[0]), batch[1]),
        data,
        optax.adam(5e-3),
        accuracy(logits),
        bound=0.85,
        floor=0.11,
        steps=200,
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
        sick(
            base,
            "convolutional_dropout_98",
            "chance_level unclear too_few_steps",
            loss=lambda p, batch, key: crossentropy(logits(p, batch[0], keep=(key, 0.02)), batch[1]),
            keyed=True,
        ),
    ]


def autoencoders():
    """Compress digits: plain, denoising, sparse and variational."""
    data = (digits()[0],)

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
        sick(
            base,
            "autoencoder_sigmoid_for_0_to_16",
            "ill_posed saturated ill_scaled",
            loss=lambda p, batch: jnp.mean((squashed(p, batch[0]) - 16.0 * batch[0]) ** 2),
            score=lambda p, data: gain(lambda p, x: squashed(p, x / 16.0))(p, (16.0 * data[0],)),
        ),
    ]


def cases():
    """Return the cases of this module."""
    return convolutional() + autoencoders()
