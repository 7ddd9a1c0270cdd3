"""Very deep networks, and networks that are functions of space or time."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, accuracy, affine, crossentropy, forward, layers, r2, shuffled, sick, standardise
from sklearn import datasets


def stack(key, depth, width, variance, bias=0.0, orthogonal=False):
    """Draw layers of one width as one array each, for a scan."""
    if orthogonal:
        w = jax.vmap(lambda k: jax.nn.initializers.orthogonal()(k, (width, width)))(jax.random.split(key, depth))
    else:
        w = jax.random.normal(key, (depth, width, width)) * (variance / width) ** 0.5
    return {"w": w, "b": jnp.full((depth, width), float(bias))}


def deep():
    """Classify points of a spiral by deep networks: plain, residual, highway and self-normalising."""
    rng = np.random.default_rng(6)
    angle = rng.uniform(0.3, 1.0, 900) * 2.2 * np.pi
    label = rng.integers(0, 2, 900)
    points = np.stack([np.cos(angle + np.pi * label), np.sin(angle + np.pi * label)], 1) * angle[:, None]
    data = shuffled((standardise(points + 0.1 * rng.normal(size=points.shape)), label))

    def program(step, depth, width, variance, bias=0.0, tail=1.0):
        def init(key):
            a, b, c = jax.random.split(key, 3)
            return {
                "first": layers(a, (2, width), 1.0)[0],
                "layers": stack(b, depth, width, variance, bias),
                "last": layers(c, (width, 2), tail)[0],
            }

        def logits(p, x):
            h = affine(p["first"], x)
            h = jax.lax.scan(lambda h, layer: (step(h, affine(layer, h)), None), h, p["layers"])[0]
            return affine(p["last"], h)

        return {
            "init": init,
            "loss": lambda p, batch: crossentropy(logits(p, batch[0]), batch[1]),
            "score": accuracy(logits),
        }

    def lists(activation, depth, width, variance, bias=0.0):
        def logits(p, x):
            return forward(p, x, activation)

        return {
            "init": lambda key: layers(key, (2, *[width] * depth, 2), variance, bias),
            "loss": lambda p, batch: crossentropy(logits(p, batch[0]), batch[1]),
            "score": accuracy(logits),
        }

    base = Case(
        name="deep_residual_24",
        family="deep",
        half="open",
        data=data,
        optimizer=optax.adam(2e-3),
        bound=0.85,
        floor=0.52,
        **program(lambda h, a: h + jax.nn.relu(a) / 5.0, 24, 24, 1.0),
    )
    tanh = base._replace(name="deep_tanh_6", optimizer=optax.adam(3e-3), steps=600, **lists(jnp.tanh, 6, 24, 1.5))
    selu = base._replace(name="deep_selu_12", optimizer=optax.adam(1e-3), **lists(jax.nn.selu, 12, 24, 1.0))
    relu = base._replace(
        name="deep_relu_8", optimizer=optax.sgd(0.05, 0.9), steps=600, **lists(jax.nn.relu, 8, 24, 2.0)
    )

    def positive(key):
        p = relu.init(key)
        return [{"w": jnp.abs(layer["w"]), "b": layer["b"]} for layer in p]

    def highway(key):
        a, b, c, d = jax.random.split(key, 4)
        return {
            "first": layers(a, (2, 24), 1.0)[0],
            "change": stack(b, 15, 24, 2.0),
            "gate": stack(c, 15, 24, 1.0, -1.5),
            "last": layers(d, (24, 2), 1.0)[0],
        }

    def through(p, x):
        def step(h, layer):
            gate = jax.nn.sigmoid(affine(layer[1], h))
            return h + gate * (jnp.tanh(affine(layer[0], h)) - h), None

        return affine(p["last"], jax.lax.scan(step, affine(p["first"], x), (p["change"], p["gate"]))[0])

    return [
        base,
        base._replace(
            name="deep_highway_15",
            init=highway,
            loss=lambda p, batch: crossentropy(through(p, batch[0]), batch[1]),
            score=accuracy(through),
            optimizer=optax.chain(optax.clip(0.5), optax.adamw(3e-3)),
        ),
        sick(selu, "deep_sigmoid_12", "vanishing saturated collinear", **lists(jax.nn.sigmoid, 12, 24, 1.0)),
        sick(relu, "deep_positive_weights", "collinear exploding learning_rate_large dead non_finite", init=positive),
        sick(
            relu,
            "deep_relu_small_weights",
            "vanishing collinear",
            init=lambda key: layers(key, (2, *[24] * 8, 2), 0.02),
        ),
        sick(
            tanh,
            "deep_tanh_large_weights",
            "saturated exploding",
            init=lambda key: layers(key, (2, *[24] * 6, 2), 900.0),
        ),
    ]


def linear():
    """Fit a linear map by a deep linear network, and a swiss roll by a shallow one."""
    rng = np.random.default_rng(9)
    x = rng.normal(size=(600, 12)).astype(np.float32)
    data = shuffled((x, x @ rng.normal(size=12) / 12**0.5 + 0.1 * rng.normal(size=600)))
    roll, position = datasets.make_swiss_roll(800, random_state=1)
    rolled = shuffled((standardise(roll), standardise(position)))

    def init(key):
        a, b = jax.random.split(key)
        return {"layers": stack(a, 30, 12, 1.0, orthogonal=True), "last": layers(b, (12, 1), 1.0)[0]}

    def predict(p, x):
        return affine(p["last"], jax.lax.scan(lambda h, layer: (affine(layer, h), None), x, p["layers"])[0])[:, 0]

    def unroll(p, x):
        return forward(p, x, jnp.tanh)[:, 0]

    base = Case(
        "linear_orthogonal_30",
        "linear",
        "open",
        init,
        lambda p, batch: jnp.mean((predict(p, batch[0]) - batch[1]) ** 2),
        data,
        optax.sgd(0.003),
        r2(predict),
        bound=0.8,
    )
    curved = base._replace(
        name="linear_swiss_roll_nesterov",
        init=lambda key: layers(key, (3, 32, 32, 1), 1.0),
        loss=lambda p, batch: jnp.mean((unroll(p, batch[0]) - batch[1]) ** 2),
        data=rolled,
        score=r2(unroll),
        optimizer=optax.sgd(optax.cosine_decay_schedule(0.05, 500), 0.9, nesterov=True),
        steps=500,
    )

    def noisy(key, gradient):
        leaves, tree = jax.tree.flatten(gradient)
        keys = jax.random.split(key, len(leaves))
        return jax.tree.unflatten(
            tree, [g + 1.0 * jax.random.normal(k, g.shape) for g, k in zip(leaves, keys, strict=True)]
        )

    def small(key):
        p = init(key)
        return {**p, "layers": {"w": 0.5 * p["layers"]["w"], "b": p["layers"]["b"]}}

    return [
        base,
        curved,
        base._replace(
            name="linear_solved",
            init=lambda key: {**init(key), "layers": {"w": jnp.eye(12)[None], "b": jnp.zeros((1, 12))}},
            data=(data[0], data[0] @ jnp.linspace(-1.0, 1.0, 12)),
            optimizer=optax.sgd(0.05),
            bound=0.9999,
        ),
        sick(base, "linear_half_weights", "vanishing", init=small),
        sick(base, "linear_rate_large", "learning_rate_large non_finite exploding", optimizer=optax.sgd(1.0)),
        sick(curved, "linear_noise_in_gradient", "unclear chance_level learning_rate_large", alter=noisy),
    ]


def fields():
    """Fit a signal by sines, solve a differential equation, and fit a flow in time."""
    t = np.linspace(-1, 1, 400)[:, None]
    wave = shuffled((t, (np.sin(18 * t) + 0.5 * np.sign(np.sin(7 * t)))[:, 0]))

    def init_siren(key):
        k = jax.random.split(key, 3)
        return {
            "in": {"w": 15.0 * jax.random.uniform(k[0], (1, 32), minval=-1.0), "b": jax.random.normal(k[0], (32,))},
            "mid": {"w": jax.random.uniform(k[1], (32, 32), minval=-1.0) * (6 / 32) ** 0.5, "b": jnp.zeros(32)},
            "out": layers(k[2], (32, 1), 1.0)[0],
        }

    def siren(p, x):
        return affine(p["out"], jnp.sin(affine(p["mid"], jnp.sin(affine(p["in"], x)))))[:, 0]

    base = Case(
        "fields_siren",
        "fields",
        "open",
        init_siren,
        lambda p, batch: jnp.mean((siren(p, batch[0]) - batch[1]) ** 2),
        wave,
        optax.adam(optax.exponential_decay(3e-3, 200, 0.7)),
        r2(siren),
        bound=0.8,
        batch_size=64,
    )
    times = shuffled((np.random.default_rng(3).uniform(0, 3, (400, 1)),))

    def physics(p, batch):
        def u(t):
            return forward(p, t[None], jnp.tanh)[0, 0]

        rest = jax.vmap(lambda t: jax.grad(u)(t)[0] + u(t) - jnp.sin(2 * t[0]))(batch[0])
        return jnp.mean(rest**2) + (u(jnp.zeros(1)) - 1.0) ** 2

    def true(t):
        return 1.4 * jnp.exp(-t) + (jnp.sin(2 * t) - 2 * jnp.cos(2 * t)) / 5

    pinn = base._replace(
        name="fields_physics",
        init=lambda key: layers(key, (1, 24, 24, 1), 1.0),
        loss=physics,
        data=times,
        optimizer=optax.adam(5e-3),
        score=lambda p, data: r2(lambda p, t: forward(p, t, jnp.tanh)[:, 0])(p, (data[0], true(data[0][:, 0]))),
        bound=0.6,
        steps=800,
        every=20,
        batch_size=32,
    )
    rng = np.random.default_rng(7)
    start = rng.normal(size=(500, 2))
    turn = np.array([[np.cos(1.2), -np.sin(1.2)], [np.sin(1.2), np.cos(1.2)]])
    flow = shuffled((start, 0.8 * start @ turn))

    def euler(p, x, step=0.1):
        return jax.lax.scan(lambda h, _: (h + step * forward(p, h, jnp.tanh), None), x, None, length=10)[0]

    def ode(step):
        return {
            "loss": lambda p, batch: jnp.mean((euler(p, batch[0], step) - batch[1]) ** 2),
            "score": lambda p, data: r2(functools.partial(euler, step=step))(p, data),
        }

    neural = base._replace(
        name="fields_euler",
        init=lambda key: layers(key, (2, 24, 2), 1.0),
        data=flow,
        optimizer=optax.adam(5e-3),
        batch_size=32,
        **ode(0.1),
    )
    return [
        base,
        pinn,
        neural,
        sick(
            pinn,
            "fields_physics_decays_at_once",
            "learning_rate_small too_few_steps",
            optimizer=optax.adam(optax.cosine_decay_schedule(5e-3, 8)),
        ),
        sick(neural, "fields_euler_rate_large", "learning_rate_large saturated exploding", optimizer=optax.adam(2.0)),
    ]


def cases():
    """Return the cases of this module."""
    return deep() + linear() + fields()
