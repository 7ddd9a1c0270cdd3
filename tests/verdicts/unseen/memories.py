"""Linear state spaces that remember a cue, and hidden Markov models."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, accuracy, crossentropy, forward, layers, shuffled, sick


def cues(rows=3000, time=60):
    """Make noise whose first step shows one of four signs, and the number of the sign."""
    rng = np.random.default_rng(52)
    label = rng.integers(0, 4, rows)
    x = 0.3 * rng.normal(size=(rows, time, 4))
    x[np.arange(rows), 0, label] += 3.0
    return shuffled((x, label))


def statespace():
    """Remember a cue over sixty steps with diagonal linear recurrences."""
    data = cues()

    def init(rate):
        def draw(key):
            a, b, c = jax.random.split(key, 3)
            return {
                "rate": jnp.log(rate * jax.random.uniform(a, (24,), minval=0.5, maxval=2.0)),
                "angle": jax.random.uniform(b, (24,), maxval=0.5),
                "in": jax.random.normal(c, (4, 24)) * 0.5,
                "out": layers(jax.random.fold_in(key, 1), (48, 32, 4)),
            }

        return draw

    def recurrence(sign, step):
        def net(p, x):
            factor = jnp.exp(step * (sign * jnp.exp(p["rate"]) + 1j * p["angle"]))

            def advance(h, u):
                return factor * h + u @ p["in"], None

            h = jax.lax.scan(advance, jnp.zeros((len(x), 24), jnp.complex64), jnp.swapaxes(x, 0, 1))[0]
            return forward(p["out"], jnp.concatenate([h.real, h.imag], -1))

        return net

    def selective(p, x):
        def advance(h, u):
            gate = jax.nn.sigmoid(u @ p["gate"] + p["bias"])
            return (1 - gate) * h + gate * (u @ p["in"]), None

        return forward(p["out"], jax.lax.scan(advance, jnp.zeros((len(x), 24)), jnp.swapaxes(x, 0, 1))[0])

    def gates(key):
        a, b, c = jax.random.split(key, 3)
        return {
            "gate": jax.random.normal(a, (4, 24)) * 0.5,
            "bias": jnp.full(24, -3.0),
            "in": jax.random.normal(b, (4, 24)) * 0.5,
            "out": layers(c, (24, 32, 4)),
        }

    def loss(net):
        return lambda p, batch: crossentropy(net(p, batch[0]), batch[1])

    good = recurrence(-1, 1.0)
    base = Case(
        "statespace_diagonal",
        "statespace",
        "fresh",
        init(0.02),
        loss(good),
        data,
        optax.adamw(optax.linear_schedule(5e-3, 0.0, 300)),
        accuracy(good),
        bound=0.8,
        floor=0.25,
        steps=300,
    )
    choosy = base._replace(
        name="statespace_selective",
        init=gates,
        loss=loss(selective),
        score=accuracy(selective),
        optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.01)),
    )
    grows, jumps = recurrence(1, 40.0), recurrence(-1, 1000.0)
    return [
        base,
        choosy,
        sick(
            base,
            "statespace_sign_of_decay",
            "exploding non_finite",
            loss=loss(grows),
            score=accuracy(grows),
        ),
        sick(
            base,
            "statespace_step_in_milliseconds",
            "chance_level vanishing dead",
            loss=loss(jumps),
            score=accuracy(jumps),
        ),
    ]


def chains(rows=400, time=60):
    """Make symbols and numbers of a hidden chain of three states."""
    rng = np.random.default_rng(53)
    state = rng.integers(0, 3, rows)
    emission = np.full((3, 6), 0.05)
    for k in range(3):
        emission[k, 2 * k : 2 * k + 2] = 0.4
    symbols, numbers = np.zeros((rows, time), int), np.zeros((rows, time))
    for t in range(time):
        state = np.where(rng.random(rows) < 0.93, state, rng.integers(0, 3, rows))
        symbols[:, t] = [rng.choice(6, p=emission[s]) for s in state]
        numbers[:, t] = 2.0 * state - 2 + 0.4 * rng.normal(size=rows)
    return shuffled(symbols), shuffled(numbers)


def markov():
    """Fit hidden Markov models by the gradient of the likelihood, a symbol at a time."""
    symbols, numbers = chains()

    def init(key):
        a, b = jax.random.split(key)
        return {
            "move": 2 * jnp.eye(3) + 0.5 * jax.random.normal(a, (3, 3)),
            "show": 0.5 * jax.random.normal(b, (3, 6)),
        }

    def around(size):
        def draw(key):
            a, b = jax.random.split(key)
            return {
                "move": 0.1 * size * jax.random.normal(a, (3, 3)),
                "mean": size * (jnp.arange(3) - 1 + 0.1 * jax.random.normal(b, (3,))),
                "log": jnp.zeros(3),
            }

        return draw

    def in_logs(move, shown):
        def advance(alpha, now):
            return jax.nn.logsumexp(alpha[:, :, None] + move, 1) + now, None

        first = jnp.full(shown.shape[1:], -jnp.log(3.0)) + shown[0]
        return jax.nn.logsumexp(jax.lax.scan(advance, first, shown[1:])[0], -1)

    def in_products(move, shown):
        def advance(alpha, now):
            return (alpha @ jnp.exp(move)) * jnp.exp(now), None

        first = jnp.exp(shown[0]) / 3
        return jnp.log(jnp.sum(jax.lax.scan(advance, first, shown[1:])[0], -1))

    def discrete(algorithm):
        def loss(p, x):
            shown = jnp.moveaxis(jax.nn.log_softmax(p["show"], -1).T[x], 1, 0)
            return -jnp.mean(algorithm(jax.nn.log_softmax(p["move"], -1), shown)) / x.shape[1]

        return loss

    def gaussian(p, x):
        shown = jax.scipy.stats.norm.logpdf(jnp.moveaxis(x, 1, 0)[..., None], p["mean"], jnp.exp(p["log"]))
        return -jnp.mean(in_logs(jax.nn.log_softmax(p["move"], -1), shown)) / x.shape[1]

    share = np.bincount(np.ravel(symbols), minlength=6) / symbols.size
    entropy = float(-np.sum(share * np.log(share)))
    alone = float(0.5 * np.log(2 * np.pi * np.var(numbers)) + 0.5)
    base = Case(
        "markov_symbols",
        "markov",
        "fresh",
        init,
        discrete(in_logs),
        symbols,
        optax.adam(0.05),
        lambda p, x: entropy - discrete(in_logs)(p, x),
        bound=0.15,
        steps=300,
    )
    numbered = base._replace(
        name="markov_numbers",
        init=around(1.0),
        loss=gaussian,
        data=numbers,
        optimizer=optax.sgd(0.3, momentum=0.9, nesterov=True),
        score=lambda p, x: alone - gaussian(p, x),
        bound=0.5,
    )
    return [
        base,
        numbered,
        sick(
            base,
            "markov_products_of_probabilities",
            "non_finite underflow",
            loss=discrete(in_products),
            score=lambda p, x: entropy - discrete(in_products)(p, x),
        ),
        sick(numbered, "markov_states_alike", "chance_level collinear dead vanishing", init=around(0.0)),
    ]


def cases():
    """Return the cases of this module."""
    return statespace() + markov()
