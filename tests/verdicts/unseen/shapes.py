"""Learnt splines and polynomials, prototypes of irises, and independent components."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, accuracy, crossentropy, r2, shuffled, sick, standardise
from sklearn import datasets


def splines():
    """Fit a smooth function by networks whose edges are splines or polynomials."""
    rng = np.random.default_rng(64)
    x = rng.uniform(-1, 1, (1500, 3))
    y = np.exp(np.sin(np.pi * x[:, 0]) + x[:, 1] ** 2) + x[:, 2]
    data = shuffled((x, (y - y.mean()) / y.std()))
    raw = (500 * (data[0] + 1) + 100, data[1])
    knots = jnp.linspace(-2, 2, 12)

    def hats(x):
        return jax.nn.relu(1 - jnp.abs(x[..., None] - knots) / (knots[1] - knots[0]))

    def powers(squash):
        def basis(x):
            x, terms = squash(x), [jnp.ones_like(x), squash(x)]
            for _ in range(10):
                terms.append(2 * x * terms[-1] - terms[-2])
            return jnp.stack(terms, -1)

        return basis

    def init(size):
        def draw(key):
            a, b = jax.random.split(key)
            return [size * jax.random.normal(a, (3, 12, 6)), size * jax.random.normal(b, (6, 12, 1))]

        return draw

    def net(basis):
        def apply(p, x):
            for edge in p:
                x = jnp.einsum("nik,iko->no", basis(x), edge)
            return x[:, 0]

        return apply

    def loss(apply):
        return lambda p, batch: jnp.mean((apply(p, batch[0]) - batch[1]) ** 2)

    bent, waves, wild = net(hats), net(powers(jnp.tanh)), net(powers(lambda x: x))
    base = Case(
        "splines_hats",
        "splines",
        "sealed",
        init(0.3),
        loss(bent),
        data,
        optax.adam(0.02),
        r2(bent),
        bound=0.85,
        steps=400,
    )
    chebyshev = base._replace(
        name="splines_chebyshev", init=init(0.1), loss=loss(waves), score=r2(waves), optimizer=optax.adamax(0.01)
    )
    return [
        base,
        chebyshev,
        sick(base, "splines_outside_the_grid", "dead chance_level ill_scaled vanishing", data=raw),
        sick(
            chebyshev,
            "splines_powers_of_raw_columns",
            "exploding non_finite ill_scaled",
            data=raw,
            loss=loss(wild),
            score=r2(wild),
        ),
    ]


def prototypes():
    """Classify irises by their distance to prototypes."""
    iris = datasets.load_iris()
    data = shuffled((standardise(iris.data), iris.target))
    raw = shuffled((1000 * iris.data, iris.target))

    def init(key):
        return {"at": jax.random.normal(key, (9, 4)), "out": jnp.zeros((9, 3)), "width": jnp.zeros(9)}

    def square(p, x):
        return jnp.sum((x[:, None] - p["at"]) ** 2, -1)

    def bumps(p, x):
        return jnp.exp(-0.5 * jnp.exp(p["width"]) * square(p, x)) @ p["out"]

    def nearest(p, x):
        return -jnp.min(square(p, x).reshape(len(x), 3, 3), -1)

    def loss(net):
        return lambda p, batch: crossentropy(net(p, batch[0]), batch[1])

    def margin(p, batch):
        far = jnp.min(square(p, batch[0]).reshape(-1, 3, 3), -1)
        own = jax.nn.one_hot(batch[1], 3)
        right, wrong = jnp.sum(far * own, -1), jnp.min(far + 1e6 * own, -1)
        return jnp.mean((right - wrong) / (right + wrong))

    base = Case(
        "prototypes_bumps",
        "prototypes",
        "sealed",
        init,
        loss(bumps),
        data,
        optax.adam(0.05),
        accuracy(bumps),
        bound=0.85,
        floor=1 / 3,
        steps=200,
        batch_size=16,
    )
    relative = base._replace(
        name="prototypes_relative_distance",
        init=lambda key: {"at": jax.random.normal(key, (9, 4))},
        loss=margin,
        score=accuracy(nearest),
        optimizer=optax.sgd(0.3),
        steps=300,
        bound=0.8,
    )
    return [
        base,
        relative,
        sick(base, "prototypes_raw_columns", "dead vanishing chance_level ill_scaled", data=raw),
        sick(
            base,
            "prototypes_far_too_wide",
            "chance_level collinear dead vanishing",
            init=lambda key: {**init(key), "width": jnp.full(9, -30.0)},
        ),
    ]


def components():
    """Unmix independent signals by the likelihood, which is not near zero when it is best."""
    rng = np.random.default_rng(65)
    signals = rng.laplace(size=(2000, 4))
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    mixed = signals @ (turn * np.array([0.6, 0.9, 1.2, 1.5])) @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    data = shuffled((mixed / mixed.std(), signals))

    def init(key):
        return {"w": jnp.eye(4) + 0.1 * jax.random.normal(key, (4, 4))}

    def likelihood(sign):
        def loss(p, batch):
            determinant = jnp.linalg.slogdet(p["w"])[1]
            return jnp.mean(jnp.sum(jnp.logaddexp(batch[0] @ p["w"], -batch[0] @ p["w"]), -1)) - sign * determinant

        return loss

    def score(p, data):
        found, true = data[0] @ p["w"], data[1]
        found, true = ((z - z.mean(0)) / (z.std(0) + 1e-12) for z in (found, true))
        return 2 * jnp.mean(jnp.max((found.T @ true / len(true)) ** 2, 0)) - 1

    base = Case(
        "components_likelihood",
        "components",
        "sealed",
        init,
        likelihood(1.0),
        data,
        optax.adam(0.02),
        score,
        bound=0.85,
        steps=400,
    )
    return [
        base,
        base._replace(
            name="components_averaged_sgd", optimizer=optax.sgd(optax.polynomial_schedule(0.1, 0.001, 2, 400))
        ),
        sick(
            base,
            "components_sign_of_determinant",
            "ill_posed exploding non_finite",
            loss=likelihood(-1.0),
        ),
        sick(base, "components_matrix_of_zeros", "non_finite", init=lambda key: {"w": jnp.zeros((4, 4))}),
    ]


def cases():
    """Return the cases of this module."""
    return splines() + prototypes() + components()
