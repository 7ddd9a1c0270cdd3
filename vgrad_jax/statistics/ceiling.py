"""Accuracies to compare with: of the best possible rule, and of always naming the larger class.

The rows of a class are noise-free points plus Gaussian noise, so that the density of each class is known. The best rule
names the class with the larger density. Its accuracy is an integral over the plane, here a sum over a grid:

    accuracy = integral of max(share_0 * density_0, share_1 * density_1)
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from vgrad_jax.data import Data, load_data, noise_free

__all__ = ["bayes_accuracy", "majority_share"]

NODES_PER_NOISE = 6
"""Nodes of the grid in a standard deviation of the noise; on that scale the integrand is smooth but for the border."""

REACH = 5.0
"""Standard deviations from the points to the edge of the grid."""

APART = 12.0
"""Standard deviations between the classes' nearest points beyond which no row is mistaken (less than once in 1e8)."""


@lru_cache(maxsize=16)
def bayes_accuracy(data: Data) -> float | None:
    """Compute the expected accuracy of the best possible rule on new rows of made data.

    Scaling the features does not change it.

    Returns:
        None for data whose densities are not known.

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
    """Return the test accuracy of always naming the training rows' most frequent class.

    For targets of numbers it is the share of the training rows' variance that their mean explains in the test rows.
    """
    dataset = load_data(data)
    if np.issubdtype(dataset.train_y.dtype, np.floating):
        return float(1 - np.mean((np.asarray(dataset.test_y) - np.mean(dataset.train_y)) ** 2))
    return float(np.mean(np.asarray(dataset.test_y) == np.bincount(dataset.train_y).argmax()))


def _density(points: Float[np.ndarray, "points 2"], nodes: list[np.ndarray], noise: float) -> Float[np.ndarray, "x y"]:
    """Compute the mean of the Gaussians around the points, on the grid; a Gaussian is a product over coordinates."""
    x, y = (
        np.exp(-0.5 * ((side[:, None] - points[:, axis]) / noise) ** 2) / (noise * np.sqrt(2 * np.pi))
        for axis, side in enumerate(nodes)
    )
    return x @ y.T / len(points)
