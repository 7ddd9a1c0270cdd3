"""Quantiles, root mean squares and JSON of numbers that may be infinite or NaN."""

import json
import math
import re
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import vgrad_jax as vg
from vgrad_jax.numerics import (
    LEVEL,
    Z,
    finite_quantiles,
    json_value,
    lower_median,
    lower_quantile,
    rms_over_seeds,
    sigmoid,
    student_quantile,
)
from vgrad_jax.statistics.time_uniform import MISSES


def test_the_level_of_intervals_is_written_in_a_single_module():
    package = Path(vg.__file__).parent
    assigned = re.compile(r"^\w+ = (0\.95|0\.05)$", re.MULTILINE)
    levels = {
        path.relative_to(package).as_posix(): assigned.findall(path.read_text())
        for path in [package / "numerics.py", *package.glob("diagnosis/*.py"), *package.glob("statistics/*.py")]
    }
    # Two shares of other kinds: of false discoveries, and of an accuracy's distance from the best.
    others = {"statistics/failure.py": ["0.05"], "statistics/published.py": ["0.05"]}
    assert {name: numbers for name, numbers in levels.items() if numbers} == {"numerics.py": ["0.95"], **others}


def test_constants_that_follow_from_the_level():
    assert pytest.approx(scipy.stats.norm.ppf(0.5 + LEVEL / 2), rel=1e-15) == Z
    assert MISSES == 0.05


@pytest.mark.parametrize("n", range(1, 12))
@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.5, 0.9, 0.95, 1.0])
def test_a_lower_quantile_is_numpys_lower_element(n, share):
    values = np.random.default_rng(n).normal(size=(n, 3))
    expected = np.quantile(values, share, axis=0, method="lower")
    np.testing.assert_array_equal(lower_quantile(values, share), expected)
    np.testing.assert_array_equal(lower_quantile(values.T, share, axis=1), expected)
    np.testing.assert_array_equal(lower_quantile(values, share, skip_nan=True), expected)


def test_a_lower_median_skips_nan_or_counts_it_as_the_largest():
    values = np.array([[np.nan, -np.inf, np.nan], [2.0, -np.inf, np.nan], [1.0, 3.0, np.nan], [np.nan, 4.0, np.nan]])
    np.testing.assert_array_equal(lower_median(values, skip_nan=True), [1.0, -np.inf, np.nan])
    np.testing.assert_array_equal(lower_median(values), [2.0, -np.inf, np.nan])
    np.testing.assert_array_equal(lower_median(values.T, axis=1, skip_nan=True), [1.0, -np.inf, np.nan])


def test_the_root_mean_square_over_seeds_survives_what_squaring_does_not():
    sizes = np.array([[-200.0, 150.0, -1.0], [-201.0, 149.0, -2.0]])
    expected = sizes[0] + 0.5 * math.log10((1 + 0.01) / 2)
    np.testing.assert_allclose(rms_over_seeds(sizes), expected, rtol=1e-12)
    assert rms_over_seeds(np.full((2, 1), -np.inf)).tolist() == [-math.inf]
    assert np.isnan(rms_over_seeds(np.array([[np.nan], [0.0]]))).all()


def test_a_check_in_float64_has_the_root_mean_square_that_theory_has(x64):
    def init(key):
        return [1e-200 * jax.random.normal(key, (3, 3), jnp.float64)]

    def loss(params, x):
        return jnp.sum(x @ params[0]) * 1e-201

    check = vg.check_init(loss, init, jnp.ones((2, 3), jnp.float64), num_seeds=3)
    sizes = np.asarray(check.stats.log10_rms, np.float64)
    assert (sizes < -190).all()
    np.testing.assert_array_equal(check.log10_rms, rms_over_seeds(sizes))
    np.testing.assert_allclose(check.log10_rms, sizes[0], atol=1e-6)  # The loss is linear: all seeds are alike.


def test_json_has_one_text_for_each_number_that_is_not_finite():
    class Pair(NamedTuple):
        low: float
        high: object

    value = {
        "low": Pair(-math.inf, np.float32(0.5)),
        "sizes": np.array([[np.nan, 1.0], [np.inf, -np.inf]], np.float32),
        "others": ("text", None, True, 3, np.int64(4), np.float64("nan")),
    }
    text = json.dumps(json_value(value), allow_nan=False)
    assert json.loads(text) == {
        "low": {"low": "-inf", "high": 0.5},
        "sizes": [["nan", 1.0], ["inf", "-inf"]],
        "others": ["text", None, True, 3, 4, "nan"],
    }


def test_finite_quantiles_are_numpys_of_the_finite_elements_of_each_column():
    values = np.random.default_rng(0).normal(size=(9, 2, 3))
    shares = [0.0, 0.3, 0.5, 1.0]
    np.testing.assert_array_equal(finite_quantiles(values, shares), np.quantile(values, shares, axis=0))
    values[2:4, 1, 0], values[5, 1, 0], values[:, 0, 2] = np.inf, np.nan, -np.inf
    quantiles = finite_quantiles(values, shares)
    assert quantiles.shape == (4, 2, 3)
    np.testing.assert_array_equal(quantiles[:, 1, 0], np.quantile(values[[0, 1, 4, 6, 7, 8], 1, 0], shares))
    np.testing.assert_array_equal(quantiles[:, 0, 1], np.quantile(values[:, 0, 1], shares))
    assert np.isnan(quantiles[:, 0, 2]).all()


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 30, 127, 4096])
def test_students_quantiles_are_scipys(freedom):
    for probability in (0.6, 0.975, 0.9999):
        expected = scipy.stats.t.ppf(probability, freedom)
        assert student_quantile(freedom, probability) == pytest.approx(expected, rel=1e-9)


def test_the_sigmoid_is_scipys():
    x = np.array([-800.0, -30.0, -1.0, 0.0, 0.3, 40.0])
    np.testing.assert_allclose(sigmoid(x), scipy.special.expit(x), rtol=1e-12, atol=1e-16)
