"""Language models of characters, and transformers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, accuracy, affine, crossentropy, shuffled, sick
from sequences import gru, init_cell, normal, unroll

TEXT = (
    "the tide comes in and the tide goes out, and the men of the harbour mend their nets. when the wind is from the "
    "north the boats stay in, and when the wind is from the south the boats go out. the old men sit on the wall and "
    "say that the sea was colder then, that the fish were larger then, and that the nets were better made. the "
    "children run along the wall and throw stones at the water. at night the lamps are lit, the rain comes down, and "
    "the harbour sleeps until the tide comes in again. "
)


def init_block(key, width, gain=1.0):
    """Draw attention and MLP of one block; the gain is that of queries and keys."""
    k = jax.random.split(key, 6)
    return {
        "q": gain * normal(k[0], (width, width)),
        "k": gain * normal(k[1], (width, width)),
        "v": normal(k[2], (width, width)),
        "o": normal(k[3], (width, width)),
        "up": normal(k[4], (width, 2 * width), 2.0),
        "down": normal(k[5], (2 * width, width)),
        "norm1": jnp.ones(width),
        "norm2": jnp.ones(width),
    }


def norm(x, gain):
    """Normalise over features."""
    return gain * (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)


def attention(p, x, mask, heads, temperature):
    """Attend with several heads."""
    rows, length, width = x.shape
    q, k, v = (jnp.reshape(x @ p[n], (rows, length, heads, width // heads)) for n in "qkv")
    logits = jnp.einsum("bqhd,bkhd->bhqk", q, k) * temperature
    weights = jax.nn.softmax(jnp.where(mask, logits, -1e9), -1)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, v).reshape(rows, length, width) @ p["o"]


def block(p, x, mask, post=False, heads=2, scale=True):
    """Apply a block with the norm before or behind its parts."""
    temperature = (x.shape[-1] // heads) ** -0.5 if scale else 1.0

    def mlp(h):
        return jax.nn.gelu(h @ p["up"]) @ p["down"]

    if post:
        x = norm(x + attention(p, x, mask, heads, temperature), p["norm1"])
        return norm(x + mlp(x), p["norm2"])
    x = x + attention(p, norm(x, p["norm1"]), mask, heads, temperature)
    return x + mlp(norm(x, p["norm2"]))


def characters():
    """Predict the next character of a text."""
    names = sorted(set(TEXT))
    codes = np.array([names.index(c) for c in TEXT])
    windows = np.stack([codes[n : n + 17] for n in range(len(codes) - 17)])
    data = shuffled((windows, np.ones(windows.shape)))
    count = len(names)
    share = np.bincount(codes) / len(codes)
    entropy = float(-np.sum(share * np.log(share + 1e-12)))

    def init_recurrent(key):
        a, b = jax.random.split(key)
        return {"embedding": normal(a, (count, 16), count / 4.0), **init_cell(b, 16, 32, 3, count)}

    def recurrent(p, x):
        return affine(p["out"], unroll(gru, p["cell"], p["embedding"][x], 32)[1])

    def init_transformer(key):
        k = jax.random.split(key, 4)
        return {
            "embedding": 0.3 * jax.random.normal(k[0], (count, 32)),
            "position": 0.1 * jax.random.normal(k[1], (16, 32)),
            "block": init_block(k[2], 32),
            "out": {"w": normal(k[3], (32, count)), "b": jnp.zeros(count)},
        }

    def transformer(p, x):
        mask = jnp.tril(jnp.ones((16, 16), bool))
        return affine(p["out"], norm(block(p["block"], p["embedding"][x] + p["position"], mask), 1.0))

    def program(logits):
        def loss(p, batch):
            each = optax.softmax_cross_entropy_with_integer_labels(logits(p, batch[0][:, :-1]), batch[0][:, 1:])
            return jnp.sum(each * batch[1][:, 1:]) / jnp.maximum(batch[1][:, 1:].sum(), 1.0)

        return {"loss": loss, "score": lambda p, data: 1 - loss(p, (data[0], jnp.ones(data[1].shape))) / entropy}

    base = Case(
        name="characters_gru",
        family="characters",
        half="open",
        init=init_recurrent,
        data=data,
        optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(8e-3, 300))),
        bound=0.25,
        steps=300,
        batch_size=24,
        **program(recurrent),
    )
    attending = base._replace(
        name="characters_transformer_adamw",
        init=init_transformer,
        optimizer=optax.adamw(optax.warmup_cosine_decay_schedule(0.0, 5e-3, 20, 200), weight_decay=0.01),
        steps=200,
        **program(transformer),
    )
    double = lambda p, x: jax.nn.softmax(recurrent(p, x), -1)  # noqa: E731
    return [
        base,
        attending,
        sick(base, "characters_padding_only", "chance_level ill_posed unclear", data=(data[0], 0 * data[1])),
        sick(base, "characters_softmax_twice", "ill_posed", **program(double)),
    ]


def retrieval():
    """Find the value that belongs to a queried key, by attention."""
    rng = np.random.default_rng(3)
    keys = np.stack([rng.permutation(6)[:4] for _ in range(3000)])
    values = rng.integers(0, 4, (3000, 4))
    asked = rng.integers(0, 4, 3000)
    rows = np.arange(3000)
    data = shuffled((keys, values, keys[rows, asked], values[rows, asked]))

    def init(key, gain=1.0):
        k = jax.random.split(key, 4)
        return {
            "keys": jax.random.normal(k[0], (6, 24)),
            "values": jax.random.normal(k[1], (4, 24)),
            "block": init_block(k[2], 24, gain),
            "out": {"w": normal(k[3], (24, 4)), "b": jnp.zeros(4)},
        }

    def program(**options):
        def logits(p, keys, values, query):
            pairs = p["keys"][keys] + p["values"][values]
            x = jnp.concatenate([pairs, p["keys"][query][:, None]], 1)
            return affine(p["out"], block(p["block"], x, True, **options)[:, -1])

        return {"loss": lambda p, batch: crossentropy(logits(p, *batch[:3]), batch[3]), "score": accuracy(logits)}

    base = Case(
        name="retrieval_prenorm",
        family="retrieval",
        half="open",
        init=init,
        data=data,
        optimizer=optax.adam(5e-3),
        bound=0.85,
        floor=0.26,
        batch_size=32,
        **program(),
    )
    return [
        base,
        base._replace(
            name="retrieval_postnorm_warmup",
            optimizer=optax.adamw(optax.linear_schedule(0.0, 5e-3, 60)),
            **program(post=True),
        ),
        sick(
            base,
            "retrieval_huge_logits",
            "saturated vanishing exploding",
            init=lambda key: init(key, 100.0),
            loss=program(scale=False)["loss"],
            score=program(scale=False)["score"],
        ),
    ]


def cases():
    """Return the cases of this module."""
    return characters() + retrieval()
