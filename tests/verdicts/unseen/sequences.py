"""Recurrent networks that add and copy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, accuracy, affine, crossentropy, r2, shuffled, sick


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
        steps=400,
        every=10,
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
        steps=600,
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
        half="open",
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
        sick(plain, "copying_forgets", "vanishing chance_level", init=damped),
        sick(odd, "copying_parity_constant_weights", "collinear", init=same),
    ]


def cases():
    """Return the cases of this module."""
    return adding() + copying()
