"""Elementary functions against NumPy's and SciPy's in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from tests.lanes.compared import LANES, native

SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-30, -1e-30, 3e38, -3e38], np.float32)
FUNCTIONS = {
    "tanh": (jnp.tanh, np.tanh, (-12, 12), 6),
    "exp": (jnp.exp, np.exp, (-86.6, 88.7), 2),
    "expm1": (jnp.expm1, np.expm1, (-20, 80), 8),
    "log": (jnp.log, np.log, (1e-37, 100), 2),
    "log1p": (jnp.log1p, np.log1p, (-0.999, 100), 2),
    "logistic": (jax.nn.sigmoid, scipy.special.expit, (-80, 80), 4),
    "erf": (jax.scipy.special.erf, scipy.special.erf, (-5, 5), 6),
    "sqrt": (jnp.sqrt, np.sqrt, (0, 1e6), 1),
    "rsqrt": (jax.lax.rsqrt, lambda x: 1 / np.sqrt(x), (1e-6, 1e6), 2),
}
"""Name to the function, its reference in double precision, the interval, and the bound in units in the last place."""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_elementary_functions_are_those_of_double_precision(name):
    function, exact, (low, high), units = FUNCTIONS[name]
    near_zero = np.geomspace(1e-6, 1, 1000)
    x = np.concatenate([np.linspace(low, high, 4000), near_zero, -near_zero]).astype(np.float32)
    x = np.resize(x[(x >= low) & (x <= high)], (6400 // LANES, LANES))  # All of them, and some again.
    values, expected = np.asarray(native(function, jnp.asarray(x))), exact(x.astype(np.float64))
    last_place = np.spacing(np.abs(expected).astype(np.float32))
    assert np.max(np.abs(values - expected) / last_place) <= units


@pytest.mark.parametrize("name", FUNCTIONS)
def test_elementary_functions_of_special_numbers(name):
    function, exact, *_ = FUNCTIONS[name]
    x = np.resize(SPECIAL, (1, LANES))
    with np.errstate(all="ignore"):
        expected = exact(x.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(native(function, jnp.asarray(x)), expected, rtol=1e-6, atol=1e-37)


def test_log1p_of_all_magnitudes():
    large, near_minus_one = np.geomspace(100, 3e38, 1600), -1 + np.geomspace(2.0**-24, 1e-3, 1600)
    x = np.concatenate([large, near_minus_one]).astype(np.float32).reshape(100, LANES)
    np.testing.assert_allclose(native(jnp.log1p, jnp.asarray(x)), np.log1p(x.astype(np.float64)), rtol=3e-7)
    assert np.signbit(native(jnp.log1p, jnp.full((1, LANES), -0.0))).all()


def test_tanh_saturates_at_exactly_one():
    """Its slope there is zero, and a gradient of zero is told from a small one."""
    x = jnp.linspace(9.02, 100, 50 * LANES).reshape(50, LANES)
    assert (native(jnp.tanh, x) == 1).all()
    assert (native(jnp.tanh, -x) == -1).all()
    near = jnp.linspace(7, 9.02, 50 * LANES).reshape(50, LANES)
    assert (native(jnp.tanh, near) <= 1).all()
