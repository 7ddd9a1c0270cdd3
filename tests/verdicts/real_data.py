"""Data of the real faults, made anew from the facts that `real_faults.json` holds."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from sklearn import datasets


def truth_table(rows):
    """Exclusive or."""
    x = np.array(rows, float)
    return x, (x[:, :1] != x[:, 1:]).astype(float)


def weighted_sum(rows, weights, offset, bound, seed):
    x = np.random.default_rng(seed).uniform(0, bound, (rows, len(weights)))
    return x, x @ np.array(weights)[:, None] + offset


def power(low, high, step, power, seed, factor=1.0, offset=0.0, noise=0.0, noise_power=1):
    x = np.arange(low, high, step)[:, None]
    added = noise * np.random.default_rng(seed).standard_normal(x.shape) ** noise_power
    return x, factor * x**power + offset + added


def signed_target(rows, seed):
    x = np.random.default_rng(seed).uniform(-1, 1, (rows, 2))
    return x, x @ np.array([[0.6], [-0.5]]) - 0.1


def multilabel(rows, features, labels, seed):
    x, y = datasets.make_multilabel_classification(rows, features, n_classes=labels, random_state=seed)
    return x, y.astype(float)


def binary_numbers(bits):
    """All numbers of so many bits, to be copied."""
    x = (np.arange(2**bits)[:, None] >> np.arange(bits) & 1).astype(float)
    return x, x


def digits(rows, seed, image=False, classes=10):
    x, y = datasets.load_digits(return_X_y=True)
    x, y = x[y < classes] * 255 / 16, y[y < classes]
    order = np.random.default_rng(seed).permutation(len(y))[:rows]
    return x[order].reshape(-1, 8, 8, 1) if image else x[order], y[order, None].astype(float)


def iris():
    x, y = datasets.load_iris(return_X_y=True)
    return x, y[:, None].astype(float)


def classification(rows, features, informative, seed, classes=2, separation=1.0):
    x, y = datasets.make_classification(
        rows,
        features,
        n_informative=informative,
        n_redundant=0,
        n_classes=classes,
        n_clusters_per_class=1,
        class_sep=separation,
        random_state=seed,
    )
    return x, y[:, None].astype(float)


def regression(rows, features, x_range, y_range, seed):
    x, y = datasets.make_regression(rows, features, random_state=seed)
    return _stretched(x, *x_range), _stretched(y[:, None], *y_range)


def _stretched(x, low, high):
    smallest, largest = x.min(0), x.max(0)
    return low + (high - low) * (x - smallest) / (largest - smallest)


def life(rows, size, seed):
    """The game of life on a torus: boards with a margin, and the next state of each cell."""
    board = (np.random.default_rng(seed).random((rows, size, size)) < 0.5).astype(float)
    around = sum(np.roll(board, (i, j), (1, 2)) for i in (-1, 0, 1) for j in (-1, 0, 1)) - board
    alive = (around == 3) | ((board == 1) & (around == 2))
    return np.pad(board, ((0, 0), (1, 1), (1, 1)), "wrap")[..., None], alive[..., None].astype(float)


def text_counts(rows, classes, words, length, seed):
    """Presence of words in texts of uneven topics; a topic prefers some words."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, classes + 1)
    topic = rng.choice(classes, rows, p=share / share.sum())
    preferred = rng.dirichlet(np.full(words, 0.1), classes)
    counts = np.stack([rng.multinomial(length, 0.5 * preferred[k] + 0.5 / words) for k in topic])
    return (counts > 0).astype(float), topic[:, None].astype(float)


def circles(rows, seed):
    x, y = datasets.make_circles(rows, noise=0.1, random_state=seed)
    return x, y[:, None].astype(float)


def blobs(rows, seed):
    x, y = datasets.make_blobs(rows, centers=3, random_state=seed)
    return x / 10, y[:, None].astype(float)


MAKERS: dict[str, Callable[..., Any]] = {
    maker.__name__: maker
    for maker in (
        truth_table,
        weighted_sum,
        power,
        signed_target,
        multilabel,
        binary_numbers,
        digits,
        iris,
        classification,
        regression,
        life,
        text_counts,
        circles,
        blobs,
    )
}


def _standardised(x):
    return (x - x.mean(0)) / x.std(0)


CHANGES: dict[str, Callable[..., Any]] = {
    "standardise": _standardised,
    "minmax": lambda x: _stretched(x, 0, 1),
    "divide": lambda x, by: x / by,
    "one_hot": lambda y: np.eye(int(y.max()) + 1)[y[:, 0].astype(int)],
    "shuffled_rows": lambda y: np.random.default_rng(1).permutation(y),
}


def _changed(x, changes):
    for change in changes:
        (name, arguments), *_ = change.items() if isinstance(change, dict) else {change: None}.items()
        x = CHANGES[name](x) if arguments is None else CHANGES[name](x, arguments)
    return x


@lru_cache(maxsize=64)
def _made(key):
    kind, *arguments = key
    return MAKERS[kind](**{name: _thawed(value) for name, value in arguments})


def _frozen(value):
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _thawed(value):
    return list(map(_thawed, value)) if isinstance(value, tuple) else value


def made(facts: dict[str, Any], inputs: list[Any], labels: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and targets in float32, prepared as the program prepares them."""
    arguments = {name: _frozen(value) for name, value in facts.items() if name != "kind"}
    x, y = _made((facts["kind"], *arguments.items()))
    return np.asarray(_changed(x, inputs), np.float32), np.asarray(_changed(y, labels), np.float32)
