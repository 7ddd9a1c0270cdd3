"""Planning: the seeds that a question needs, before a study, and the precision reached, after it."""

import math
from typing import NamedTuple

from vgrad_jax.boundary import checked
from vgrad_jax.descriptions import MAX_SEED, number
from vgrad_jax.errors import InputError
from vgrad_jax.numerics import wilson
from vgrad_jax.statistics.intervals import Estimate

__all__ = ["Reached", "precision_reached", "seeds_needed", "seeds_needed_to_be_better", "seeds_needed_to_know"]


class Reached(NamedTuple):
    """The precision of a share."""

    half_width: float
    """Half the width of its 95 % interval."""
    more_seeds: int
    """Further seeds that would halve it, at the same share."""


@checked
def seeds_needed(
    effect: float, power: float = 0.9, *, baseline: float | None = None, significance: float = 0.05
) -> int:
    """Compute the seeds of each of two arms that show a difference of their shares of converged runs.

    The formula is the normal approximation of the two-sided comparison of two independent proportions, without
    continuity correction. It is from Fleiss, Levin and Paik 2003, "Statistical Methods for Rates and Proportions",
    section 4.2. Arms that are paired by seed need no more, as long as the pairs are positively related.

    Args:
        effect: the difference of the shares that must not be missed, above 0 and below 1.
        power: the chance of seeing it.
        baseline: the share of an arm, where it is known; the other share is larger or smaller by `effect`, whichever
            needs more seeds. None is the worst case: shares as far above one half as below.
        significance: the chance of seeing a difference between equal shares.

    Raises:
        InputError: a number that is out of range.

    >>> seeds_needed(0.1), seeds_needed(0.1, baseline=0.05)
    (524, 188)
    """
    effect = number("effect", effect, above=0.0, below=1.0)
    if baseline is None:
        pairs = [(0.5 - effect / 2, 0.5 + effect / 2)]
    else:
        baseline = number("baseline", baseline, at_least=0.0)
        pairs = [(baseline, baseline + sign * effect) for sign in (1, -1) if 0 <= baseline + sign * effect <= 1]
        if baseline > 1 or not pairs:
            raise InputError(f"shares lie between 0 and 1; no share is {effect:g} away from a baseline of {baseline:g}")
    z_significance, z_power = _normal_quantiles(significance / 2, power, significance)
    needed = []
    for a, b in pairs:
        mean = (a + b) / 2
        spread = z_significance * math.sqrt(2 * mean * (1 - mean)) + z_power * math.sqrt(a * (1 - a) + b * (1 - b))
        ratio = spread / effect
        needed.append(ratio * ratio)  # A power of floats raises an error where a product is infinite.
    return _whole(max(needed))


def seeds_needed_to_be_better(probability: float = 0.75, power: float = 0.95, *, significance: float = 0.05) -> int:
    """Compute the seeds of each of two arms that show which arm's runs are better.

    Noether 1987, "Sample size determination for some common nonparametric tests", for the one-sided Mann-Whitney test
    with as many runs of either arm.

    Args:
        probability: that a run of the better arm beats a run of the other, ties counting one half; above 0.5, below 1.
        power: the chance of seeing it.
        significance: the chance of seeing it where the arms are alike.

    Raises:
        InputError: a number that is out of range.

    >>> seeds_needed_to_be_better(0.75)
    29
    """
    probability = number("probability", probability, above=0.5, below=1.0)
    z_significance, z_power = _normal_quantiles(significance, power, significance)
    return _whole((z_significance + z_power) ** 2 / 6 / (probability - 0.5) ** 2)


def seeds_needed_to_know(half_width: float, *, share: float = 0.5) -> int:
    """Compute the seeds of an arm that determine its share of converged runs within plus or minus `half_width`.

    It is the smallest number for which Wilson's 95 % interval, the reported interval, is as narrow.

    Args:
        half_width: half the width of the interval, above 0 and below 0.5.
        share: the share that will be seen; one half needs the most seeds.

    Raises:
        InputError: a number that is out of range.

    >>> seeds_needed_to_know(0.05), seeds_needed_to_know(0.05, share=0.05)
    (381, 83)
    """
    half_width = number("half_width", half_width, above=0.0, below=0.5)
    share = number("share", share, at_least=0.0)
    if share > 1:
        raise InputError(f"share must be 1 at the most; got {share:g}")
    most = 1
    while _wilson_half_width(share, most) > half_width:
        most = _whole(2.0 * most)
    least = most // 2  # Too few seeds, or no seed.
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if _wilson_half_width(share, middle) <= half_width else (middle, most)
    return most


def precision_reached(estimate: Estimate) -> Reached:
    """Return the precision of a share after a study, and the further seeds that would halve its interval.

    Args:
        estimate: as `vgrad_jax.statistics.intervals.share` gives it.

    >>> from vgrad_jax.statistics.intervals import share
    >>> reached = precision_reached(share(64, 128))
    >>> round(reached.half_width, 3), reached.more_seeds
    (0.085, 396)
    """
    half_width = estimate.half_width
    needed = seeds_needed_to_know(half_width / 2, share=estimate.value)
    return Reached(half_width, max(needed - estimate.n, 0))


def _normal_quantiles(tail: float, power: float, significance: float) -> tuple[float, float]:
    from scipy.special import ndtri

    number("significance", significance, above=0.0, below=1.0)
    number("power", power, above=0.0, below=1.0)
    if power <= significance:
        raise InputError(f"power must be above the significance of {significance:g}; got {power:g}")
    return -float(ndtri(tail)), float(ndtri(power))


def _wilson_half_width(share: float, n: int) -> float:
    low, high = wilson(share, n)
    return float(high - low) / 2


def _whole(needed: float) -> int:
    """Return a number of seeds, rounded up.

    Raises:
        InputError: there are not as many seeds.
    """
    if needed > MAX_SEED:
        many = f"{needed:.3g}" if math.isfinite(needed) else "countless"
        raise InputError(
            f"the question needs {many} seeds an arm, and a study has {MAX_SEED} at the most; ask for a larger "
            "difference or a wider interval"
        )
    return max(math.ceil(needed), 2)
