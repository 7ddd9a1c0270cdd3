"""Unrolled solvers, spiking neurons, reservoirs, filters, fits of differential equations, and soft sorting."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, accuracy, affine, crossentropy, forward, layers, r2, shuffled, sick


def unrolled():
    """Recover sparse codes by unrolled steps of a proximal method."""
    rng = np.random.default_rng(40)
    basis = rng.normal(size=(20, 12)) / 12**0.5
    code = rng.normal(size=(1500, 20)) * (rng.random((1500, 20)) < 0.1)
    data = shuffled((code @ basis, code))
    basis = jnp.asarray(basis, jnp.float32)

    def shrink(x, by):
        return jnp.sign(x) * jax.nn.relu(jnp.abs(x) - by)

    def init(cut):
        def draw(key):
            keys = jax.random.split(key, 6)
            step = lambda k: {  # noqa: E731
                "in": 0.3 * basis.T + 0.02 * jax.random.normal(k, (12, 20)),
                "back": jnp.eye(20) - 0.3 * basis @ basis.T,
                "cut": jnp.full(20, cut),
            }
            return [step(k) for k in keys]

        return draw

    def learnt(p, x):
        z = jnp.zeros((len(x), 20))
        for layer in p:
            z = shrink(x @ layer["in"] + z @ layer["back"], layer["cut"])
        return z

    def descent(p, x):
        z = jnp.zeros((len(x), 20))
        for n in range(8):
            z = z - p["rate"][n] * ((z @ basis - x) @ basis.T)
            z = shrink(z, p["cut"][n])
        return z

    def squares(net):
        return lambda p, batch: jnp.mean(jnp.sum((net(p, batch[0]) - batch[1]) ** 2, 1))

    base = Case(
        "unrolled_matrices",
        "unrolled",
        "open",
        init(0.03),
        squares(learnt),
        data,
        optax.adamw(2e-3),
        r2(learnt),
        bound=0.6,
        steps=500,
    )
    few = base._replace(
        name="unrolled_rates_only",
        init=lambda key: {"rate": 0.1 + 0.01 * jax.random.normal(key, (8,)), "cut": jnp.full(8, 0.01)},
        loss=squares(descent),
        optimizer=optax.adam(0.01),
        score=r2(descent),
        bound=0.4,
    )
    return [
        base,
        few,
        sick(base, "unrolled_threshold_large", "dead chance_level vanishing", init=init(30.0)),
        sick(
            few,
            "unrolled_rate_of_descent_large",
            "exploding non_finite learning_rate_large",
            init=lambda key: {"rate": 40 + jax.random.normal(key, (8,)), "cut": jnp.full(8, 0.01)},
        ),
    ]


@jax.custom_jvp
def spike(v):
    """Fire above zero; the derivative is that of a fast sigmoid."""
    return (v > 0).astype(v.dtype)


spike.defjvp(lambda v, dv: (spike(v[0]), dv[0] / (1 + 5 * jnp.abs(v[0])) ** 2))


def spiking():
    """Classify currents by the spikes of leaky neurons."""
    rng = np.random.default_rng(41)
    label = rng.integers(0, 3, 900)
    rate = np.stack([np.linspace(0, 1, 20), np.linspace(1, 0, 20), np.full(20, 0.5)])
    current = rate[label][:, :, None] * np.array([1.0, 0.6, 1.4]) + 0.3 * rng.normal(size=(900, 20, 3))
    data = shuffled((current, label))

    def net(level, fire, last=False):
        def apply(p, x):
            def tick(v, now):
                v = 0.9 * v + affine(p[0], now)
                out = fire(v - level)
                return v - level * jax.lax.stop_gradient(out), out

            _, spikes = jax.lax.scan(tick, jnp.zeros((len(x), 32)), jnp.swapaxes(x, 0, 1))
            weight = jnp.linspace(-1, 1, 20)[:, None, None]
            logits = affine(p[1], jnp.concatenate([spikes.mean(0), (weight * spikes).mean(0)], 1))
            return fire(logits) if last else logits

        return apply

    def program(*options):
        apply = net(*options)
        return {"loss": lambda p, batch: crossentropy(apply(p, batch[0]), batch[1]), "score": accuracy(apply)}

    def init(key):
        first, second = jax.random.split(key)
        return layers(first, (3, 32)) + layers(second, (64, 3), 1.0)

    base = Case(
        name="spiking_surrogate",
        family="spiking",
        half="open",
        init=init,
        data=data,
        optimizer=optax.adam(0.01),
        bound=0.85,
        floor=0.34,
        steps=300,
        **program(1.0, spike),
    )
    return [
        base,
        sick(base, "spiking_threshold_large", "dead chance_level vanishing", **program(200.0, spike)),
        sick(
            base,
            "spiking_step_at_output",
            "dead ill_posed chance_level vanishing",
            **program(1.0, lambda v: (v > 0).astype(v.dtype), True),
        ),
    ]


def reservoir():
    """Recall a product of past inputs by a readout from a fixed recurrent network."""
    rng = np.random.default_rng(42)
    x = rng.uniform(-1, 1, (1200, 16))
    data = shuffled((x, x[:, -2] + x[:, -3] * x[:, -2] + 0.5 * x[:, -4]))

    def init(radius):
        def draw(key):
            first, second, third = jax.random.split(key, 3)
            inner = radius * jax.random.normal(first, (60, 60)) / 60**0.5
            return {
                "inner": inner,
                "in": 0.5 * jax.random.normal(second, (60,)),
                "out": layers(third, (60, 1), 0.1)[0],
            }

        return draw

    def predict(p, x):
        inner, into = jax.lax.stop_gradient((p["inner"], p["in"]))
        h = jnp.zeros((len(x), 60))
        h, _ = jax.lax.scan(lambda h, now: (jnp.tanh(h @ inner + now[:, None] * into), None), h, x.T)
        return affine(p["out"], h)[:, 0]

    def loss(p, batch):
        return jnp.mean((predict(p, batch[0]) - batch[1]) ** 2)

    base = Case(
        "reservoir_readout",
        "reservoir",
        "open",
        init(0.8),
        loss,
        data,
        optax.adam(0.02),
        r2(predict),
        bound=0.7,
        steps=500,
    )
    return [
        base,
        base._replace(name="reservoir_prodigy", optimizer=optax.contrib.prodigy(1.0), bound=0.6),
        sick(base, "reservoir_chaotic", "saturated exploding chance_level unclear collinear", init=init(60.0)),
    ]


def filters():
    """Learn the gains of a linear filter that follows a noisy target."""
    rng = np.random.default_rng(43)
    speed = np.cumsum(0.1 * rng.normal(size=(600, 25)), 1)
    place = np.cumsum(speed, 1)
    data = shuffled((place + 0.7 * rng.normal(size=place.shape), place))

    def follow(p, seen):
        gain, drift = jax.nn.sigmoid(p["gain"]), jax.nn.sigmoid(p["drift"])

        def tick(carry, now):
            x, v = carry
            ahead = x + v
            wrong = now - ahead
            return (ahead + gain * wrong, v + drift * wrong), (ahead, ahead + gain * wrong)

        start = seen[:, 0], jnp.zeros(len(seen))
        _, (ahead, mean) = jax.lax.scan(tick, start, seen.T)
        return ahead.T, mean.T

    def loss(sign):
        def likelihood(p, batch):
            ahead, _ = follow(p, batch[0])
            wrong = (batch[0] - ahead)[:, 1:]
            return sign * jnp.mean(0.5 * wrong**2 * jnp.exp(-p["spread"]) + 0.5 * p["spread"])

        return likelihood

    def score(p, data):
        raw = jnp.mean((data[0] - data[1])[:, 5:] ** 2)
        return 1 - jnp.mean((follow(p, data[0])[1] - data[1])[:, 5:] ** 2) / raw

    def init(key):
        first, second = jax.random.normal(key, (2,))
        return {"gain": -4 + 0.1 * first, "drift": -5 + 0.1 * second, "spread": jnp.asarray(3.0)}

    base = Case(
        "filters_three_numbers",
        "filters",
        "open",
        init,
        loss(1.0),
        data,
        optax.adam(0.05),
        score,
        bound=0.3,
    )
    return [
        base,
        sick(base, "filters_sign_of_likelihood", "ill_posed exploding non_finite saturated", loss=loss(-1.0)),
        sick(base, "filters_rate_small", "learning_rate_small too_few_steps", optimizer=optax.adam(5e-5)),
    ]


def equations():
    """Fit the right-hand side of a differential equation to its solutions."""
    rng = np.random.default_rng(44)
    start = rng.uniform(0.5, 2.0, (500, 2))
    times = 20

    def true(z):
        return jnp.stack([z[:, 0] * (1.0 - z[:, 1]), z[:, 1] * (z[:, 0] - 1.0)], 1)

    def solve(field, z, step):
        def forth(z, _):
            half = z + 0.5 * step * field(z)
            z = z + step * field(half)
            return z, z

        return jnp.swapaxes(jax.lax.scan(forth, z, None, length=times)[1], 0, 1)

    start = jnp.asarray(start, jnp.float32)
    data = shuffled((start, np.asarray(solve(true, start, 0.15))))

    def rates(p, z):
        a, b, c, d = jnp.exp(p["log_rate"])
        return jnp.stack([z[:, 0] * (a - b * z[:, 1]), z[:, 1] * (c * z[:, 0] - d)], 1)

    def net(p, z):
        return forward(p, z, jnp.tanh)

    def program(field, step=0.15):
        predict = lambda p, z: solve(lambda z: field(p, z), z, step)  # noqa: E731
        return {"loss": lambda p, batch: jnp.mean((predict(p, batch[0]) - batch[1]) ** 2), "score": r2(predict)}

    base = Case(
        name="equations_four_rates",
        family="equations",
        half="open",
        init=lambda key: {"log_rate": 0.4 * jax.random.normal(key, (4,))},
        data=data,
        optimizer=optax.adam(0.03),
        bound=0.9,
        **program(rates),
    )
    neural = base._replace(
        name="equations_neural",
        init=lambda key: layers(key, (2, 24, 2), 0.5),
        optimizer=optax.adam(5e-3),
        bound=0.8,
        **program(net),
    )
    return [
        base,
        neural,
        sick(base, "equations_step_large", "exploding non_finite", **program(rates, 4.0)),
        sick(
            neural,
            "equations_rate_large",
            "learning_rate_large exploding non_finite saturated",
            optimizer=optax.adam(3.0),
        ),
    ]


def sorting():
    """Learn values from the order of lists by soft permutations."""
    rng = np.random.default_rng(45)
    x = rng.normal(size=(600, 6, 4))
    value = x[..., 0] - 0.7 * x[..., 1] + 0.5 * x[..., 2] ** 2
    data = shuffled((x, np.argsort(-value, 1).astype(int)))

    def values(p, x):
        return forward(p, x)[..., 0]

    def loss(temperature):
        def soft(p, batch):
            s = values(p, batch[0])
            total = jnp.sum(jnp.abs(s[:, :, None] - s[:, None]), 2)
            weight = (5 - 2 * jnp.arange(6))[None, :, None]
            q = jax.nn.softmax((weight * s[:, None] - total[:, None]) / temperature, -1)
            picked = jnp.take_along_axis(q, batch[1][..., None], 2)
            return -jnp.mean(jnp.log(picked + 1e-9))

        return soft

    def score(p, data):
        return jnp.mean(jnp.argsort(-values(p, data[0]), 1) == data[1])

    base = Case(
        "sorting_soft_permutation",
        "sorting",
        "open",
        lambda key: layers(key, (4, 24, 1)),
        loss(1.0),
        data,
        optax.adam(5e-3),
        score,
        bound=0.7,
        floor=1 / 6,
    )
    return [base, sick(base, "sorting_temperature_tiny", "saturated vanishing dead chance_level", loss=loss(1e-5))]


def cases():
    """Return the cases of this module."""
    return unrolled() + spiking() + reservoir() + filters() + equations() + sorting()
