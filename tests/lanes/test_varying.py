"""Which values differ from lane to lane, through branches and loops."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from vgrad_jax.lanes.varying import varying_of


def branches(p, a, b):
    return lax.cond(p > 0, lambda a, b: (a, b + 1, 1.0), lambda a, b: (b, b, 2.0), a, b)


def carried(a, b):
    """Hand the first number over to the second in the second iteration."""
    return lax.scan(lambda c, _: ((c[0], c[0], c[1]), None), (a, b, b), None, length=3)[0]


def counted(limit, a):
    return lax.while_loop(lambda c: c[0] < limit, lambda c: (c[0] + 1, c[1] * 2, c[2] + 1), (0.0, a, 1.0))


@pytest.mark.parametrize(
    ("function", "varying", "expected"),
    [
        (branches, [False, True, False], [True, False, False]),
        (branches, [False, False, True], [True, True, False]),
        (branches, [True, False, False], [True, True, True]),
        (carried, [True, False], [True, True, True]),
        (carried, [False, True], [False, True, True]),
        (counted, [False, True], [False, True, False]),
        (counted, [True, False], [True, True, True]),
        (jax.jit(lambda a, b: (a, b)), [True, False], [True, False]),
    ],
)
def test_what_differs_is_told_through_branches_loops_and_calls(function, varying, expected):
    assert varying_of(jax.make_jaxpr(function)(*[jnp.float32(1.0)] * len(varying)), varying) == expected
