"""Losses over one batch, written as people write them, with the concerns that are right."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests.arrays import normal, zeros

ROWS, FEATURES, WIDTH = 64, 6, 12
RNG = np.random.default_rng(7)
X = RNG.normal(size=(ROWS, FEATURES)).astype(np.float32)
SCORE = X[:, 0] - 0.5 * X[:, 1] + 0.3 * RNG.normal(size=ROWS)
BINARY = (SCORE > 0).astype(np.float32)
CLASSES = np.digitize(SCORE, [-0.6, 0.2, 0.9]).astype(np.int32)
ONE_HOT = np.eye(4, dtype=np.float32)[CLASSES]
TAGS = (X[:, :3] + 0.5 * RNG.normal(size=(ROWS, 3)) > 0).astype(np.float32)
REAL = SCORE.astype(np.float32)


class Case(NamedTuple):
    """A loss of parameters and a batch."""

    name: str
    loss: Callable[[Any, Any], Any]
    params: Any
    batch: Any
    certain: frozenset[str] = frozenset()
    advice: frozenset[str] = frozenset()


def mlp(outputs, widths=(WIDTH,), seed=0, features=FEATURES):
    sizes = [features, *widths, outputs]
    return [
        {"w": normal(a, b, seed=(seed, layer), scale=a**-0.5), "b": zeros(b)}
        for layer, (a, b) in enumerate(itertools.pairwise(sizes))
    ]


def forward(params, x, act=jnp.tanh):
    for layer in params[:-1]:
        x = act(x @ layer["w"] + layer["b"][None])
    return x @ params[-1]["w"] + params[-1]["b"][None]


def bce(p, y, eps=1e-7):
    p = jnp.clip(p, eps, 1 - eps)
    return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))


def of(head):
    """A loss from a function of outputs and targets."""
    return lambda params, batch: head(forward(params, batch[0]), batch[1])


def case(name, head, outputs, y, certain=(), advice=(), params=None, x=X):
    params = mlp(outputs) if params is None else params
    return Case(name, of(head), params, (x, y), frozenset(certain), frozenset(advice))


def first(head):
    return lambda z, y: head(z[:, 0], y)


def cce(q, y):
    return -jnp.mean(jnp.sum(y * jnp.log(q + 1e-9), axis=-1))


HEALTHY = [
    Case(
        "two views, one of them stopped",
        lambda p, b: jnp.mean((forward(p, b[0]) - jax.lax.stop_gradient(forward(p, b[0] + 0.1))) ** 2),
        mlp(3),
        (X,),
    ),
    Case(
        "two views, and a distance between the examples",
        lambda p, b: (
            jnp.mean((forward(p, b[0]) - forward(p, b[0] + 0.1)) ** 2)
            + jax.nn.relu(1 - jnp.std(forward(p, b[0]), axis=0)).mean()
        ),
        mlp(3),
        (X,),
    ),
    case("squared error", first(lambda z, y: jnp.mean((z - y) ** 2)), 1, REAL),
    case("huber", first(lambda z, y: optax.huber_loss(z, y).mean()), 1, REAL),
    case("absolute error", first(lambda z, y: jnp.abs(z - y).mean()), 1, REAL),
    case("logits", first(lambda z, y: optax.sigmoid_binary_cross_entropy(z, y).mean()), 1, BINARY),
    case("focal", first(lambda z, y: optax.sigmoid_focal_loss(z, y).mean()), 1, BINARY),
    case("sigmoid", first(lambda z, y: bce(jax.nn.sigmoid(z), y)), 1, BINARY),
    case("tags", lambda z, y: bce(jax.nn.sigmoid(z), y), 3, TAGS),
    case("class logits", lambda z, y: optax.softmax_cross_entropy(z, y).mean(), 4, ONE_HOT),
    case("labels", lambda z, y: optax.softmax_cross_entropy_with_integer_labels(z, y).mean(), 4, CLASSES),
    case("gathered", lambda z, y: -jax.nn.log_softmax(z)[jnp.arange(ROWS), y].mean(), 4, CLASSES),
    case("softmax", lambda z, y: cce(jax.nn.softmax(z), y), 4, ONE_HOT),
    case("smoothed", lambda z, y: optax.softmax_cross_entropy(z, 0.9 * y + 0.025).mean(), 4, ONE_HOT),
    case("masked", lambda z, y: optax.softmax_cross_entropy(z, y).mean(), 4, ONE_HOT * (X[:, :1] > 0)),
    case("weighted", lambda z, y: optax.softmax_cross_entropy(z, y * jnp.array([[1.0, 2, 3, 4]])).mean(), 4, ONE_HOT),
    case("poisson", first(lambda z, y: jnp.mean(jnp.exp(z) - y * z)), 1, np.round(np.exp(REAL))),
    case("poisson rate", first(lambda z, y: jnp.mean(jax.nn.softplus(z) - y * jnp.log(jax.nn.softplus(z)))), 1, BINARY),
    case("rate of ReLU", first(lambda z, y: jnp.mean(jax.nn.relu(z) - y * jnp.log(jax.nn.relu(z) + 1e-6))), 1, BINARY),
    case(
        "gaussian",
        lambda z, y: jnp.mean(z[:, 1] + (y - z[:, 0]) ** 2 * jnp.exp(-2 * z[:, 1])),
        2,
        REAL,
    ),
    case(
        "deviation",
        lambda z, y: jnp.mean(jnp.log(jax.nn.softplus(z[:, 1])) + ((y - z[:, 0]) / jax.nn.softplus(z[:, 1])) ** 2),
        2,
        REAL,
    ),
    case("log of a norm", lambda z, y: jnp.mean((jnp.log(jnp.linalg.norm(z, axis=1)) - y) ** 2), 3, REAL),
    case("log-cosh", first(lambda z, y: optax.log_cosh(z, y).mean()), 1, REAL),
    case("student", first(lambda z, y: jnp.mean(jnp.log1p((z - y) ** 2))), 1, REAL),
    case("hinge", first(lambda z, y: optax.hinge_loss(z, 2 * y - 1).mean()), 1, BINARY),
    case("policy", lambda z, y: -jnp.mean(y * jax.nn.log_softmax(z)[jnp.arange(ROWS), CLASSES]), 4, 5 * REAL),
    case(
        "policy, one-hot", lambda z, y: -jnp.mean(jnp.sum(y * jax.nn.log_softmax(z), 1)), 4, ONE_HOT * 5 * REAL[:, None]
    ),
    case("returns", first(lambda z, y: jnp.mean((z - y) ** 2)), 1, np.zeros(ROWS, np.float32)),
    case("tanh", first(lambda z, y: jnp.mean((jnp.tanh(z) - y) ** 2)), 1, np.tanh(REAL)),
    case("scaled tanh", first(lambda z, y: jnp.mean((5 * jnp.tanh(z) - y) ** 2)), 1, REAL),
    case("positive", first(lambda z, y: jnp.mean((jax.nn.relu(z) - y) ** 2)), 1, np.abs(REAL)),
    case(
        "straight through",
        first(lambda z, y: jnp.mean((z + jax.lax.stop_gradient(jnp.round(z) - z) - y) ** 2)),
        1,
        REAL,
    ),
    case("half of it cut", lambda z, y: jnp.mean((z - jax.lax.stop_gradient(z[:, :1]) - y[:, None]) ** 2), 2, REAL),
    case(
        "one zero layer",
        first(lambda z, y: jnp.mean((z - y) ** 2)),
        1,
        REAL,
        params=[mlp(1)[0], {**mlp(1)[1], "w": jnp.zeros((WIDTH, 1))}],
    ),
]


def recurrent(recurrent_kernel):
    """A loss with a kernel that only a loop takes."""

    def loss(params, batch):
        def step(h, x):
            return jnp.tanh(x[:, None] * params["in"] + h @ params["recurrent"]), None

        h, _ = jax.lax.scan(step, jnp.zeros((len(batch[0]), WIDTH)), batch[0].T)
        return jnp.mean((h @ params["out"] - batch[1][:, None]) ** 2)

    random = mlp(1)
    return loss, {"in": random[0]["w"][:1], "recurrent": recurrent_kernel, "out": random[1]["w"]}


def in_a_loop(name, kernel, certain=()):
    loss, params = recurrent(kernel)
    return Case(name, loss, params, (X, REAL), frozenset(certain))


@jax.custom_jvp
def fires(z):
    """A step with a surrogate for its derivative."""
    return (z > 0).astype(jnp.float32)


fires.defjvp(lambda primals, tangents: (fires(*primals), tangents[0] / (1 + jnp.abs(primals[0])) ** 2))


def normed_blocks(params, batch):
    """A loss with the gains of stacked norms, which a scan goes over."""
    h, _ = jax.lax.scan(lambda h, block: (jnp.tanh(h @ block["k"]) * block["gain"], None), batch[0], params["blocks"])
    return jnp.mean((h @ params["out"] - batch[1][:, None]) ** 2)


STACKED = {
    "blocks": {
        "k": jax.random.normal(jax.random.key(4), (3, FEATURES, FEATURES)) / FEATURES**0.5,
        "gain": jnp.ones((3, FEATURES)),
    },
    "out": mlp(1, ())[0]["w"],
}


def pooled(z, y):
    """Attention over the rows, with a score for each of four heads."""
    return jnp.mean((jax.nn.softmax(z, axis=0).T @ X[:, :1] - y[:4, None]) ** 2)


HEALTHY += [
    Case("gains of stacked norms", normed_blocks, STACKED, (X, REAL)),
    case("a surrogate behind the output", first(lambda z, y: jnp.mean((fires(z) - y) ** 2)), 1, BINARY),
    case("clipped far away", first(lambda z, y: jnp.mean((jnp.clip(100 * z + 150, 100, 200) - y) ** 2)), 1, 150 + REAL),
    case("two sets", lambda z, y: 2 * jnp.abs(z - y[None]).mean() - jnp.abs(z - z.T).mean(), 1, REAL),
    case(
        "a bounded rate",
        first(lambda z, y: jnp.mean(jnp.exp(jax.nn.sigmoid(z)) - y * jax.nn.sigmoid(z))),
        1,
        np.round(1 + BINARY),
    ),
    case(
        "a mask of probabilities", lambda z, y: optax.softmax_cross_entropy(z - jax.nn.softmax(z), y).mean(), 4, ONE_HOT
    ),
    case("attention over the rows", pooled, 4, REAL),
    in_a_loop("a recurrence", jax.random.normal(jax.random.key(3), (WIDTH, WIDTH)) / WIDTH),
    case(
        "pairs of outputs", lambda z, y: jnp.mean(jax.nn.softplus((z.T - z) * jnp.sign(y[:, None] - y[None]))), 1, REAL
    ),
    in_a_loop("a recurrence that begins at zero", jnp.zeros((WIDTH, WIDTH))),
    case("ranking over the rows", lambda z, y: -jnp.sum(jax.nn.log_softmax(z[:, 0]) * y), 1, BINARY / BINARY.sum()),
    case(
        "softmax over the rows of a loss of pairs",
        lambda z, y: -jnp.mean(jnp.diag(jax.nn.log_softmax(z @ z.T / 4))) + 0 * y.sum(),
        4,
        REAL,
    ),
    case(
        "entropy of the output",
        lambda z, y: cce(jax.nn.softmax(z), y) + 0.1 * jnp.mean(jax.nn.softmax(z) ** 2),
        4,
        ONE_HOT,
    ),
    case("a gate on the output", lambda z, y: optax.softmax_cross_entropy(z * jax.nn.sigmoid(z), y).mean(), 4, ONE_HOT),
]

TWICE = ["activation_twice"]
FAULTY = [
    case(
        "softmax before a loss of logits",
        lambda z, y: optax.softmax_cross_entropy(jax.nn.softmax(z), y).mean(),
        4,
        ONE_HOT,
        TWICE,
    ),
    case(
        "softmax before labels",
        lambda z, y: optax.softmax_cross_entropy_with_integer_labels(jax.nn.softmax(z, axis=1), y).mean(),
        4,
        CLASSES,
        TWICE,
    ),
    case("softmax of a softmax", lambda z, y: cce(jax.nn.softmax(jax.nn.softmax(z)), y), 4, ONE_HOT, TWICE),
    case(
        "sigmoid before a loss of logits",
        first(lambda z, y: optax.sigmoid_binary_cross_entropy(jax.nn.sigmoid(z), y).mean()),
        1,
        BINARY,
        TWICE,
    ),
    case("sigmoid of a sigmoid", first(lambda z, y: bce(jax.nn.sigmoid(jax.nn.sigmoid(z)), y)), 1, BINARY, TWICE),
    case("softmax over the rows", lambda z, y: cce(jax.nn.softmax(z, axis=0), y), 4, ONE_HOT, ["softmax_over_rows"]),
    Case(
        "softmax over the rows, a unit for each of many places",
        lambda p, b: bce(jax.nn.softmax((b[0] @ p["w"])[..., 0], axis=0), b[1]),
        {"w": normal(FEATURES, 1)},
        (np.stack([X, X + 1, X - 1, -X], 1).reshape(ROWS, 2, 2, FEATURES), np.stack([BINARY] * 4, 1).reshape(-1, 2, 2)),
        frozenset({"softmax_over_rows"}),
    ),
    Case(
        "two views of an example, and only their distance",
        lambda p, b: jnp.mean((forward(p, b[0]) - forward(p, b[0] + 0.1)) ** 2),
        mlp(3),
        (X,),
        frozenset({"constant_is_best"}),
    ),
    case("targets against all outputs", lambda z, y: jnp.mean((z - y[None]) ** 2), 1, REAL, ["targets_broadcast"]),
    case(
        "probabilities against all targets",
        lambda z, y: -jnp.mean(y[None] * jax.nn.log_sigmoid(z) + (1 - y[None]) * jax.nn.log_sigmoid(-z)),
        1,
        BINARY,
        ["targets_broadcast"],
    ),
    in_a_loop("a constant recurrence", jnp.full((WIDTH, WIDTH), 0.1), ["kernel_constant"]),
    case(
        "cut before the loss",
        lambda z, y: optax.softmax_cross_entropy(jax.lax.stop_gradient(z), y).mean(),
        4,
        ONE_HOT,
        ["gradient_cut"],
    ),
    case(
        "accuracy as loss", lambda z, y: -jnp.mean((z.argmax(1) == y).astype(jnp.float32)), 4, CLASSES, ["gradient_cut"]
    ),
    case("rounded", first(lambda z, y: jnp.mean((jnp.round(z) - y) ** 2)), 1, REAL, ["gradient_cut"]),
    case("softmax of one", lambda z, y: bce(jax.nn.softmax(z), y), 1, BINARY[:, None], ["softmax_of_one"]),
    case(
        "log-softmax of one",
        lambda z, y: optax.softmax_cross_entropy(z, y).mean(),
        1,
        BINARY[:, None],
        ["softmax_of_one"],
    ),
    case("linear in a log", first(bce), 1, BINARY, ["log_of_unbounded"]),
    case("tanh in a log", first(lambda z, y: bce(jnp.tanh(z), y)), 1, BINARY, ["log_of_unbounded"]),
    case("ReLU in a log", first(lambda z, y: bce(jax.nn.relu(z), y)), 1, BINARY, ["log_of_unbounded"]),
    case("softsign in a log", first(lambda z, y: bce(jax.nn.soft_sign(z), y)), 1, BINARY, ["log_of_unbounded"]),
    case("log plus epsilon", lambda z, y: cce(z, y), 4, ONE_HOT, ["log_of_unbounded"]),
    case("bare log", first(lambda z, y: -jnp.mean(y * jnp.log(z))), 1, BINARY, ["log_of_unbounded"]),
    case(
        "ReLU in place of softmax",
        lambda z, y: cce(jax.nn.relu(z) / jax.nn.relu(z).sum(1, keepdims=True), y),
        4,
        ONE_HOT,
        ["log_of_unbounded"],
    ),
    case("ReLU of a real", first(lambda z, y: jnp.mean((jax.nn.relu(z) - y) ** 2)), 1, REAL, ["targets_outside_range"]),
    case(
        "sigmoid of prices",
        first(lambda z, y: jnp.abs(jax.nn.sigmoid(z) - y).mean()),
        1,
        10 + REAL,
        ["targets_outside_range"],
    ),
    case(
        "tanh of ages",
        first(lambda z, y: optax.l2_loss(jnp.tanh(z), y).mean()),
        1,
        40 + REAL,
        ["targets_outside_range"],
        ["targets_large"],
    ),
    case("softmax of tags", lambda z, y: jnp.mean((jax.nn.softmax(z) - y) ** 2), 3, TAGS, ["targets_outside_range"]),
    case(
        "classes as numbers",
        first(lambda z, y: bce(jax.nn.sigmoid(z), y)),
        1,
        CLASSES.astype(np.float32),
        ["targets_not_probabilities"],
    ),
    case(
        "plus and minus one",
        first(lambda z, y: optax.sigmoid_binary_cross_entropy(z, y).mean()),
        1,
        2 * BINARY - 1,
        ["targets_not_probabilities"],
    ),
    case(
        "percent",
        lambda z, y: optax.softmax_cross_entropy(z, y).mean(),
        4,
        -ONE_HOT + 0.5,
        ["targets_not_probabilities"],
    ),
    case(
        "tags in a softmax", lambda z, y: optax.softmax_cross_entropy(z, y).mean(), 3, TAGS, ["rows_do_not_sum_to_one"]
    ),
    case("one-hot in a sigmoid", lambda z, y: bce(jax.nn.sigmoid(z), y), 4, ONE_HOT, ["binary_loss_on_one_hot"]),
    case(
        "one-hot in logits",
        lambda z, y: optax.sigmoid_binary_cross_entropy(z, y).sum(1).mean(),
        4,
        ONE_HOT,
        ["binary_loss_on_one_hot"],
    ),
    case(
        "one class",
        lambda z, y: optax.softmax_cross_entropy_with_integer_labels(z, y).mean(),
        4,
        np.full(ROWS, 2),
        ["labels_constant"],
    ),
    case(
        "one number", first(lambda z, y: jnp.mean((z - y) ** 2)), 1, np.full(ROWS, 3.0, np.float32), ["labels_constant"]
    ),
    case(
        "equal kernels",
        first(lambda z, y: jnp.mean((z - y) ** 2)),
        1,
        REAL,
        ["kernel_constant"],
        params=[{"w": jnp.ones((FEATURES, WIDTH)), "b": jnp.zeros(WIDTH)}, mlp(1)[1]],
    ),
    case(
        "equal units",
        first(lambda z, y: jnp.mean((z - y) ** 2)),
        1,
        REAL,
        ["kernel_constant"],
        params=[{"w": jnp.broadcast_to(mlp(1)[0]["w"][:, :1], (FEATURES, WIDTH)), "b": jnp.zeros(WIDTH)}, mlp(1)[1]],
    ),
    case(
        "zeros throughout",
        first(lambda z, y: jnp.mean((z - y) ** 2)),
        1,
        REAL,
        ["kernel_constant"],
        params=jax.tree.map(jnp.zeros_like, mlp(1)),
    ),
    case(
        "sigmoids of classes",
        lambda z, y: cce(jax.nn.sigmoid(z) / jax.nn.sigmoid(z).sum(1, keepdims=True), y),
        4,
        ONE_HOT,
        [],
        ["sigmoid_for_categorical"],
    ),
    case(
        "squares of classes",
        lambda z, y: jnp.mean((jax.nn.softmax(z) - y) ** 2),
        4,
        ONE_HOT,
        [],
        ["squared_error_on_classes"],
    ),
    case("pixels", first(lambda z, y: jnp.mean((z - y) ** 2)), 1, REAL, [], ["inputs_large"], x=100 * X),
    case(
        "uneven columns",
        first(lambda z, y: jnp.mean((z - y) ** 2)),
        1,
        REAL,
        [],
        ["inputs_uneven"],
        x=X * np.array([1, 1, 1, 1, 1, 1e-4], np.float32),
    ),
    Case(
        "heavy penalty",
        lambda p, b: (
            jnp.mean((forward(p, b[0])[:, 0] - b[1]) ** 2) + 10 * sum(jnp.abs(layer["w"]).sum() for layer in p)
        ),
        mlp(1),
        (X, REAL),
        frozenset(["constant_term_outweighs"]),
    ),
]
