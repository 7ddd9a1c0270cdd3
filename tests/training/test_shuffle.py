"""`shuffled`, which does not sort, draws uniform permutations."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from vgrad_jax.training import shuffle
from vgrad_jax.training.shuffle import shuffled

SMALLEST_P_VALUE = 1e-4
"""Smallest p-value that passes. The seeds are fixed, so that a sound shuffle always passes."""


def orders(seed: int, samples: int, rows: int) -> np.ndarray:
    keys = jax.random.split(jax.random.key(seed), samples)
    return np.asarray(jax.jit(jax.vmap(lambda key: shuffled(key, rows)))(keys))


def p_value_of_every_permutation(seed: int, rows: int) -> float:
    drawn = orders(seed, 100_000, rows)
    _, counts = np.unique(drawn @ rows ** np.arange(rows), return_counts=True)
    assert len(counts) <= math.factorial(rows)
    unseen = np.zeros(math.factorial(rows) - len(counts))
    return scipy.stats.chisquare(np.concatenate([counts, unseen])).pvalue


@pytest.mark.parametrize("rows", [1, 2, 3, 97, 500, 1000])
def test_every_row_comes_once(rows):
    assert (np.sort(orders(0, 64, rows), axis=1) == np.arange(rows)).all()


@pytest.mark.parametrize("rows", [2, 3, 4, 5, 6, 7])
def test_every_permutation_is_as_likely(rows):
    assert p_value_of_every_permutation(rows, rows) > SMALLEST_P_VALUE


def test_the_test_tells_a_third_of_the_rounds_from_uniform(monkeypatch):
    monkeypatch.setattr(shuffle, "ROUNDS", shuffle.ROUNDS // 3)
    assert min(p_value_of_every_permutation(rows, rows) for rows in (4, 5, 6, 7)) < SMALLEST_P_VALUE


def test_an_article_sized_order_is_uniform():
    rows, samples = 500, 4000
    drawn = orders(1, samples, rows)
    for position in (0, 1, 249, 498, 499):
        counts = np.bincount(drawn[:, position], minlength=rows)
        assert scipy.stats.chisquare(counts).pvalue > SMALLEST_P_VALUE
    steps = np.bincount(((drawn[:, 1:] - drawn[:, :-1]) % rows).ravel(), minlength=rows)[1:]
    assert scipy.stats.chisquare(steps).pvalue > SMALLEST_P_VALUE
    # Ascents of a uniform permutation: mean (n - 1) / 2, variance (n + 1) / 12; fixed points: Poisson(1) in the limit.
    ascents = (drawn[:, 1:] > drawn[:, :-1]).sum(1)
    assert abs(ascents.mean() - (rows - 1) / 2) < 4 * math.sqrt((rows + 1) / 12 / samples)
    assert abs(ascents.var() * 12 / (rows + 1) - 1) < 4 * math.sqrt(2 / samples)
    fixed = (drawn == np.arange(rows)).sum(1)
    assert abs(fixed.mean() - 1) < 4 / math.sqrt(samples)


def test_two_epochs_of_a_run_are_independent():
    keys = jax.random.split(jax.random.key(2), 2000)
    pairs = jax.vmap(lambda key: jnp.stack([shuffled(jax.random.fold_in(key, epoch), 60) for epoch in (1, 2)]))(keys)
    first, second = np.asarray(pairs).transpose(1, 0, 2)
    # The second order relative to the first is again a uniform permutation: one fixed point on average.
    assert abs((first == second).sum(1).mean() - 1) < 4 / math.sqrt(len(keys))
