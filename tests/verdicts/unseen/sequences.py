"""Recurrent networks, language models of characters, and transformers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, accuracy, affine, crossentropy, r2, shuffled, sick

TEXT = (
    "the tide comes in and the tide goes out, and the men of the harbour mend their nets. when the wind is from the "
    "north the boats stay in, and when the wind is from the south the boats go out. the old men sit on the wall and "
    "say that the sea was colder then, that the fish were larger then, and that the nets were better made. the "
    "children run along the wall and throw stones at the water. at night the lamps are lit, the rain comes down, and "
    "the harbour sleeps until the tide comes in again. "
)


def normal(key, shape, variance=1.0):
    """Draw normal weights of the variance over fan-in."""
    return jax.random.normal(key, shape) * (variance / shape[0]) ** 0.5


def init_cell(key, inputs, units, gates, out):
    """Draw a recurrent cell with a number of gates, and a linear output."""
    a, b, c = jax.random.split(key, 3)
    return {
        "cell": {
            "x": normal(a, (inputs, gates * units)),
            "h": normal(b, (units, gates * units)),
            "b": jnp.zeros(gates * units),
        },
        "out": {"w": normal(c, (units, out)), "b": jnp.zeros(out)},
    }


def gru(cell, h, x):
    """Take one step of a gated recurrent unit."""
    a, b = x @ cell["x"] + cell["b"], h @ cell["h"]
    (ar, az, an), (br, bz, bn) = jnp.split(a, 3, -1), jnp.split(b, 3, -1)
    z = jax.nn.sigmoid(az + bz)
    return z * h + (1 - z) * jnp.tanh(an + jax.nn.sigmoid(ar + br) * bn)


def lstm(cell, state, x):
    """Take one step of a long short-term memory; the state holds output and cell."""
    h, c = jnp.split(state, 2, -1)
    i, f, g, o = jnp.split(x @ cell["x"] + h @ cell["h"] + cell["b"], 4, -1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jnp.concatenate([jax.nn.sigmoid(o) * jnp.tanh(c), c], -1)


def vanilla(activation):
    """Make a step of a recurrent network without gates."""
    return lambda cell, h, x: activation(x @ cell["x"] + h @ cell["h"] + cell["b"])


def unroll(step, cell, x, width):
    """Run a cell over the axis 1 of x; return the last state and all states."""
    last, states = jax.lax.scan(lambda h, u: (step(cell, h, u),) * 2, jnp.zeros((x.shape[0], width)), x.swapaxes(0, 1))
    return last, states.swapaxes(0, 1)


def adding():
    """Add the two marked numbers of a sequence."""
    rng = np.random.default_rng(0)
    numbers, marks = rng.uniform(size=(2000, 10)), np.zeros((2000, 10))
    for row in marks:
        row[rng.choice(10, 2, replace=False)] = 1.0
    data = shuffled((np.stack([numbers, marks], -1), (numbers * marks).sum(1)))

    def program(step, width, units):
        def predict(p, x):
            return affine(p["out"], unroll(step, p["cell"], x, width)[0][:, :units])[:, 0]

        return predict, lambda p, batch: jnp.mean((predict(p, batch[0]) - batch[1]) ** 2)

    predict, loss = program(gru, 16, 16)
    base = Case(
        "adding_gru_clipped",
        "adding",
        "open",
        lambda key: init_cell(key, 2, 16, 3, 1),
        loss,
        data,
        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2)),
        r2(predict),
        bound=0.5,
        steps=600,
        every=15,
    )

    def identity(gain):
        def init(key):
            p = init_cell(key, 2, 16, 1, 1)
            p["cell"]["h"] = gain * jnp.eye(16)
            return p

        return init

    predict, loss = program(vanilla(jax.nn.relu), 16, 16)
    irnn = base._replace(
        name="adding_identity_relu", init=identity(1.0), loss=loss, score=r2(predict), optimizer=optax.adam(3e-3)
    )

    def shut(key):
        p = init_cell(key, 2, 16, 4, 1)
        p["cell"]["b"] = jnp.repeat(jnp.array([-25.0, -25.0, 0.0, 0.0]), 16)
        return p

    predict, loss = program(lstm, 32, 16)
    long = base._replace(
        name="adding_lstm",
        init=lambda key: init_cell(key, 2, 16, 4, 1),
        loss=loss,
        score=r2(predict),
        steps=900,
        every=20,
    )
    return [
        base,
        irnn,
        sick(irnn, "adding_recurrent_gain_4", "exploding learning_rate_large non_finite", init=identity(4.0)),
        sick(long, "adding_gates_shut", "saturated vanishing chance_level", init=shut),
    ]


def copying():
    """Tell the first token of a sequence at its end, and the parity of four bits."""
    rng = np.random.default_rng(1)
    tokens = rng.integers(0, 5, (1500, 8))
    data = shuffled((tokens, tokens[:, 0]))
    bits = rng.integers(0, 2, (1500, 4))
    parity = shuffled((bits, bits.sum(1) % 2))

    def program(step, width, units, vocabulary):
        def logits(p, x):
            return affine(p["out"], unroll(step, p["cell"], jax.nn.one_hot(x, vocabulary), width)[0][:, :units])

        return {"loss": lambda p, batch: crossentropy(logits(p, batch[0]), batch[1]), "score": accuracy(logits)}

    base = Case(
        name="copying_lstm",
        family="copying",
        half="closed",
        init=lambda key: init_cell(key, 5, 20, 4, 5),
        data=data,
        optimizer=optax.adam(1e-2),
        bound=0.9,
        floor=0.22,
        steps=600,
        every=15,
        **program(lstm, 40, 20, 5),
    )

    def orthogonal(key):
        p = init_cell(key, 5, 24, 1, 5)
        p["cell"]["h"] = jax.nn.initializers.orthogonal()(key, (24, 24))
        return p

    def damped(key):
        p = init_cell(key, 5, 24, 1, 5)
        p["cell"]["h"] = 0.01 * p["cell"]["h"]
        return p

    plain = base._replace(
        name="copying_orthogonal_rmsprop",
        init=orthogonal,
        optimizer=optax.rmsprop(optax.cosine_decay_schedule(2e-3, 600)),
        **program(vanilla(jnp.tanh), 24, 24, 5),
    )
    odd = base._replace(
        name="copying_parity_tanh",
        init=lambda key: init_cell(key, 2, 16, 1, 2),
        data=parity,
        floor=0.53,
        **program(vanilla(jnp.tanh), 16, 16, 2),
    )
    same = lambda key: jax.tree.map(lambda leaf: jnp.full_like(leaf, 0.1), odd.init(key))  # noqa: E731
    return [
        base,
        plain,
        odd,
        sick(plain, "copying_forgets", "vanishing chance_level", init=damped),
        sick(odd, "copying_parity_constant_weights", "collinear", init=same),
    ]


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
        half="closed",
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
        optimizer=optax.adamw(optax.warmup_cosine_decay_schedule(0.0, 5e-3, 30, 300), weight_decay=0.01),
        **program(transformer),
    )
    double = lambda p, x: jax.nn.softmax(recurrent(p, x), -1)  # noqa: E731
    return [
        base,
        attending,
        sick(base, "characters_padding_only", "chance_level ill_posed unclear", data=(data[0], 0 * data[1])),
        sick(base, "characters_softmax_twice", "ill_posed", **program(double)),
        sick(attending, "characters_adamw_rate_1", "learning_rate_large exploding", optimizer=optax.adamw(1.0)),
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
        batch_size=64,
        **program(),
    )
    forgetful = optax.adam(optax.linear_schedule(0.0, 5e-3, 40))
    reset = optax.GradientTransformation(forgetful.init, lambda g, s, p=None: forgetful.update(g, forgetful.init(g), p))
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
        sick(
            base,
            "retrieval_decays_at_once",
            "learning_rate_small too_few_steps chance_level",
            optimizer=optax.adam(optax.exponential_decay(5e-3, 1, 0.5)),
        ),
        sick(base, "retrieval_updates_not_applied", "learning_rate_small unclear chance_level", apply=False),
        sick(base, "retrieval_state_reset", "learning_rate_small chance_level too_few_steps", optimizer=reset),
    ]


def cases():
    """Return the cases of this module."""
    return adding() + copying() + characters() + retrieval()
