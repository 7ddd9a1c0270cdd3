"""Rotations, angles, a tree in the hyperbolic plane, bright spots, and transport between clouds."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, forward, layers, shuffled, sick
from sklearn import datasets


def rotations():
    """Find the rotation between two pictures of five points in space."""
    rng = np.random.default_rng(109)
    axis = rng.normal(size=(1500, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angle = rng.uniform(0, 1.5, (1500, 1, 1)) * (rng.random((1500, 1, 1)) > 0.3)
    cross = np.zeros((1500, 3, 3))
    for i, j, k, sign in ((0, 1, 2, -1), (1, 2, 0, -1), (2, 0, 1, -1), (1, 0, 2, 1), (2, 1, 0, 1), (0, 2, 1, 1)):
        cross[:, i, j] = sign * axis[:, k]
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    points = np.tile(rng.normal(size=(5, 3)), (1500, 1, 1)) + 0.02 * rng.normal(size=(1500, 5, 3))
    after = points @ np.swapaxes(turn, 1, 2)
    data = shuffled((np.concatenate([points, after], 1).reshape(1500, 30), turn))

    def init(width, last):
        def draw(key):
            drawn = layers(key, (30, 64, 64, width))
            drawn[-1]["w"] = last * drawn[-1]["w"]
            return drawn

        return draw

    def six(p, x):
        a, b = jnp.split(forward(p, x) + jnp.asarray([1.0, 0, 0, 0, 1, 0]), 2, -1)
        a = a / jnp.linalg.norm(a, axis=-1, keepdims=True)
        b = b - jnp.sum(a * b, -1, keepdims=True) * a
        b = b / jnp.linalg.norm(b, axis=-1, keepdims=True)
        return jnp.stack([a, b, jnp.cross(a, b)], -1)

    def quaternion(p, x):
        q = forward(p, x, jax.nn.elu)
        w, i, j, k = jnp.moveaxis(q / jnp.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
        rows = (
            (1 - 2 * (j * j + k * k), 2 * (i * j - k * w), 2 * (i * k + j * w)),
            (2 * (i * j + k * w), 1 - 2 * (i * i + k * k), 2 * (j * k - i * w)),
            (2 * (i * k - j * w), 2 * (j * k + i * w), 1 - 2 * (i * i + j * j)),
        )
        return jnp.stack([jnp.stack(row, -1) for row in rows], -2)

    def chordal(net):
        return lambda p, batch: jnp.mean(jnp.sum((net(p, batch[0]) - batch[1]) ** 2, (1, 2)))

    def geodesic(p, batch):
        trace = jnp.einsum("nij,nij->n", six(p, batch[0]), batch[1])
        return jnp.mean(jnp.arccos(jnp.clip((trace - 1) / 2, -1.0, 1.0)))

    def score(net):
        return lambda p, data: 1 - chordal(net)(p, data) / jnp.mean(jnp.sum((data[1] - data[1].mean(0)) ** 2, (1, 2)))

    base = Case(
        "rotations_six_numbers",
        "rotations",
        "blind",
        init(6, 0.1),
        chordal(six),
        data,
        optax.adam(2e-3),
        score(six),
        bound=0.8,
        steps=500,
    )
    four = base._replace(
        name="rotations_quaternion",
        init=init(4, 1.0),
        loss=chordal(quaternion),
        score=score(quaternion),
        optimizer=optax.adan(5e-3),
    )
    return [
        base,
        four,
        sick(base, "rotations_arc_cosine_of_one", "non_finite", loss=geodesic, init=init(6, 0.0)),
    ]


def angles():
    """Predict a direction of the wind from six columns."""
    rng = np.random.default_rng(110)
    x = rng.normal(size=(1500, 6))
    east, north = np.sin(x[:, 0]) + 0.5 * x[:, 1] * x[:, 2], x[:, 3] + 0.5 * np.cos(2 * x[:, 4])
    angle = np.arctan2(north, east) + 0.1 * rng.normal(size=1500)
    data = shuffled((x, angle))
    degrees = (data[0], jnp.round(jnp.rad2deg(data[1])))

    def pair(p, x):
        out = forward(p, x, jax.nn.silu)
        return jnp.arctan2(out[..., 1], out[..., 0])

    def cosine(p, batch):
        return 1 - jnp.mean(jnp.cos(pair(p, batch[0]) - batch[1]))

    def von_mises(p, batch):
        out = forward(p, batch[0], jax.nn.silu)
        size = jnp.sqrt(jnp.sum(out**2, -1) + 1e-6)
        along = out[..., 0] * jnp.cos(batch[1]) + out[..., 1] * jnp.sin(batch[1])
        return jnp.mean(jnp.log(jax.scipy.special.i0e(size)) + size - along)

    def score(p, data):
        return jnp.mean(jnp.cos(pair(p, data[0]) - data[1]))

    base = Case(
        "angles_cosine",
        "angles",
        "blind",
        lambda key: layers(key, (6, 32, 32, 2)),
        cosine,
        data,
        optax.adamax(5e-3),
        score,
        bound=0.75,
        floor=0.3,
        steps=400,
    )
    return [
        base,
        base._replace(
            name="angles_von_mises",
            loss=von_mises,
            optimizer=optax.chain(optax.adaptive_grad_clip(0.1), optax.sgd(0.05, momentum=0.9)),
        ),
        sick(
            base,
            "angles_cosine_of_degrees",
            "chance_level unclear",
            data=degrees,
            judge=data,
        ),
    ]


def hyperbolic():
    """Place the nodes of a tree in the hyperbolic plane, so that relatives are near."""
    number = 85
    parent = (np.arange(number) - 1) // 4
    pairs = []
    for node in range(1, number):
        above = node
        while above > 0:
            above = parent[above]
            pairs.append((node, above))
    pairs = np.asarray(pairs)
    rng = np.random.default_rng(111)
    related = np.zeros((number, number), bool)
    related[pairs[:, 0], pairs[:, 1]] = related[pairs[:, 1], pairs[:, 0]] = True
    other = np.asarray([[rng.choice(np.flatnonzero(~related[a])) for _ in range(8)] for a, _ in pairs])
    data = shuffled((pairs, other))

    def init(key):
        return {"place": 0.1 * jax.random.normal(key, (number, 5))}

    def inside(place):
        return (
            place
            * jnp.tanh(jnp.linalg.norm(place, axis=-1, keepdims=True) + 1e-3)
            / (jnp.linalg.norm(place, axis=-1, keepdims=True) + 1e-3)
            * 0.999
        )

    def distance(ball):
        def of(p, a, b):
            a, b = ball(p["place"][a]), ball(p["place"][b])
            square = lambda v: jnp.sum(v**2, -1)  # noqa: E731
            ratio = 2 * square(a - b) / ((1 - square(a)) * (1 - square(b)))
            return jnp.arccosh(1 + ratio + 1e-5)

        return of

    def loss(apart):
        def of(p, batch):
            pair, other = batch
            near, far = apart(p, pair[:, 0], pair[:, 1]), apart(p, pair[:, :1], other)
            return jnp.mean(near + jax.nn.logsumexp(jnp.concatenate([-near[:, None], -far], 1), -1))

        return of

    def score(apart):
        def of(p, data):
            pair, other = data
            near, far = apart(p, pair[:, 0], pair[:, 1]), apart(p, pair[:, :1], other)
            return 2 * jnp.mean((near[:, None] < far) + 0.5 * (near[:, None] == far)) - 1

        return of

    safe, bare = distance(inside), distance(lambda x: x)
    base = Case(
        "hyperbolic_tree",
        "hyperbolic",
        "blind",
        init,
        loss(safe),
        data,
        optax.adam(0.03),
        score(safe),
        bound=0.6,
        steps=400,
    )
    return [
        base,
        sick(base, "hyperbolic_out_of_the_ball", "non_finite learning_rate_large", loss=loss(bare), score=score(bare)),
    ]


def spots():
    """Draw a picture of sixteen digits as a sum of Gaussian spots; a row is a pixel."""
    digits = datasets.load_digits().images[:16] / 16
    picture = digits.reshape(4, 4, 8, 8).transpose(0, 2, 1, 3).reshape(32, 32)
    grid = np.stack(np.meshgrid(np.arange(32), np.arange(32), indexing="ij"), -1).reshape(-1, 2) / 32
    data = shuffled((grid, picture.reshape(-1)))

    def init(width):
        def draw(key):
            a, b = jax.random.split(key)
            return {
                "place": jax.random.uniform(a, (120, 2)),
                "log_width": jnp.full((120, 2), jnp.log(width)),
                "bright": 0.3 + 0.1 * jax.random.normal(b, (120,)),
                "ground": jnp.zeros(()),
            }

        return draw

    def net(p, x):
        gap = (x[:, None] - p["place"]) * jnp.exp(-p["log_width"])
        return p["ground"] + jnp.exp(-0.5 * jnp.sum(gap**2, -1)) @ p["bright"]

    def loss(p, batch):
        return jnp.mean(jnp.abs(net(p, batch[0]) - batch[1]))

    def score(p, data):
        return 1 - jnp.mean((net(p, data[0]) - data[1]) ** 2) / jnp.var(data[1])

    base = Case(
        "spots_of_one_pixel",
        "spots",
        "blind",
        init(0.03),
        loss,
        data,
        optax.adam(1e-2),
        score,
        bound=0.5,
        steps=400,
        batch_size=256,
    )
    return [
        base,
        sick(base, "spots_between_the_pixels", "dead vanishing chance_level", init=init(1e-4)),
    ]


def transport():
    """Move a cloud onto a ring by entropic transport."""
    rng = np.random.default_rng(112)
    angle = rng.uniform(0, 2 * np.pi, 1500)
    ring = np.stack([np.cos(angle), np.sin(angle)], -1) * 2 + 0.1 * rng.normal(size=(1500, 2))
    data = shuffled((ring, rng.normal(size=(1500, 2))))

    def init(key):
        return layers(key, (2, 32, 32, 2))

    def cost(a, b):
        return jnp.sum((a[:, None] - b) ** 2, -1)

    def in_logarithms(a, b, epsilon=0.1):
        c = cost(a, b)
        f, g, size = jnp.zeros(len(a)), jnp.zeros(len(b)), jnp.log(len(a))
        for _ in range(15):
            f = -epsilon * (jax.nn.logsumexp((g - c) / epsilon, 1) - size)
            g = -epsilon * (jax.nn.logsumexp((f[:, None] - c) / epsilon, 0) - size)
        plan = jax.lax.stop_gradient(jnp.exp((f[:, None] + g - c) / epsilon) / len(a) ** 2)
        return jnp.sum(plan * c)

    def in_exponentials(a, b, epsilon=0.02):
        c = cost(a, b)
        kernel, u = jnp.exp(-c / epsilon), jnp.ones(len(a))
        for _ in range(15):
            v = 1 / len(b) / (u @ kernel)
            u = 1 / len(a) / (kernel @ v)
        return jnp.sum(u[:, None] * kernel * v * c)

    def moved(p, x):
        return x + forward(p, x, jnp.tanh)

    def loss(distance):
        return lambda p, batch: distance(moved(p, batch[1]), batch[0])

    def sliced(p, batch):
        angle = jnp.arange(16) / 16 * jnp.pi
        onto = jnp.stack([jnp.cos(angle), jnp.sin(angle)])
        return jnp.mean((jnp.sort(moved(p, batch[1]) @ onto, 0) - jnp.sort(batch[0] @ onto, 0)) ** 2)

    def score(p, data):
        radius = jnp.linalg.norm(moved(p, data[1]), axis=-1)
        before = jnp.linalg.norm(data[1], axis=-1)
        return 1 - jnp.mean((radius - 2) ** 2) / jnp.mean((before - 2) ** 2)

    base = Case(
        "transport_entropic",
        "transport",
        "blind",
        init,
        loss(in_logarithms),
        data,
        optax.rmsprop(3e-3, momentum=0.5),
        score,
        bound=0.6,
        steps=200,
        batch_size=48,
        judge=tuple(a[:500] for a in data),
    )
    return [
        base,
        base._replace(name="transport_sliced", loss=sliced, optimizer=optax.adam(5e-3), steps=400),
        sick(base, "transport_kernel_underflows", "non_finite", loss=loss(in_exponentials)),
    ]


def cases():
    """Return the cases of this module."""
    return rotations() + angles() + hyperbolic() + spots() + transport()
