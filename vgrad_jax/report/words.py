"""Estimates in sentences: value and 95 % interval in the units that readers know."""

from vgrad_jax.statistics.intervals import Estimate
from vgrad_jax.wording import counted

__all__ = ["epochs", "mean_epochs", "p_value", "percent", "points"]


def percent(estimate: Estimate) -> str:
    """Return a share in percent.

    >>> percent(Estimate(0.5, 0.4, 0.6, 100))
    '50.0% [40.0%, 60.0%]'
    """
    return f"{estimate.value:.1%} [{estimate.low:.1%}, {estimate.high:.1%}]"


def points(estimate: Estimate) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    value, low, high = (100 * number for number in estimate[:3])
    return f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]"


def epochs(estimate: Estimate, unit: str = "epoch") -> str:
    """Return a difference of times, in epochs or another unit, with its sign."""
    return f"{counted(estimate.value, unit, form='+.0f')} [{estimate.low:+.0f}, {estimate.high:+.0f}]"


def mean_epochs(estimate: Estimate, unit: str = "epoch") -> str:
    """Return a restricted mean time in words, in epochs or another unit.

    >>> mean_epochs(Estimate(41.2, 29.0, 99.0, 32))
    '41 epochs [29, 99]'
    """
    return f"{counted(estimate.value, unit, form='.0f')} [{estimate.low:.0f}, {estimate.high:.0f}]"


def p_value(value: float) -> str:
    """Return a p-value with its sign of comparison.

    >>> p_value(0.0004), p_value(0.0314)
    ('< 0.001', '= 0.031')
    """
    return "< 0.001" if value < 0.001 else f"= {value:.2g}"
