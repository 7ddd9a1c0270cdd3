"""What no classifier beats, and what every classifier reaches: the Bayes accuracy and the larger class's share."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from vgrad_jax.data import Data, load_data, noise_free

__all__ = ["bayes_accuracy", "majority_share"]

NODES_PER_NOISE = 6
"""Of the grid, for each standard deviation of the noise: on that scale the integrand is smooth but for the border."""

REACH = 5.0
"""Standard deviations beyond the points that the grid goes."""

APART = 12.0
"""Standard deviations between the classes' nearest points beyond which none is mistaken (less than once in 1e8)."""


@lru_cache(maxsize=16)
def bayes_accuracy(data: Data) -> float | None:
    """The expected accuracy of the best possible rule on new rows of made data; None where nobody knows it.

    The rows of a class are its noise-free points plus Gaussian noise, so the density of each class is known, and the
    best rule names the class whose density is larger. Its accuracy is the integral over the plane of the larger of the
    classes' densities times their shares, here a sum over a grid. Scaling the features does not change it.

    >>> round(bayes_accuracy(Data("circles")), 2)
    0.84
    """
    made = noise_free(data)
    if made is None:
        return None
    points, classes = made
    if not data.noise or _distance(points, classes) > APART * data.noise:
        return 1.0
    low, high = points.min(axis=0) - REACH * data.noise, points.max(axis=0) + REACH * data.noise
    nodes = [np.linspace(a, b, round((b - a) / data.noise * NODES_PER_NOISE)) for a, b in zip(low, high, strict=True)]
    cell = np.prod([side[1] - side[0] for side in nodes])
    joint = [_density(points[classes == label], nodes, data.noise) * len(points[classes == label]) for label in (0, 1)]
    return float(np.maximum(*joint).sum() * cell / len(points))


def _distance(points: Float[np.ndarray, "points 2"], classes: Int[np.ndarray, " points"]) -> float:
    from scipy.spatial import KDTree

    nearest, _ = KDTree(points[classes == 0]).query(points[classes == 1])
    return float(nearest.min())


def majority_share(data: Data) -> float:
    """The share of test rows in the training rows' most frequent class: what always naming it scores."""
    dataset = load_data(data)
    return float(np.mean(np.asarray(dataset.test_y) == np.bincount(dataset.train_y).argmax()))


def _density(points: Float[np.ndarray, "points 2"], nodes: list[np.ndarray], noise: float) -> Float[np.ndarray, "x y"]:
    """Mean of the Gaussians around the points, on the grid: each is a product of one for each coordinate."""
    x, y = (
        np.exp(-0.5 * ((side[:, None] - points[:, axis]) / noise) ** 2) / (noise * np.sqrt(2 * np.pi))
        for axis, side in enumerate(nodes)
    )
    return x @ y.T / len(points)
