"""Values as a line of block characters."""

import math
from collections.abc import Sequence

__all__ = ["sparkline"]

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], low: float, high: float, *, zero: str = "x", broken: str = "?") -> str:
    """Return values as blocks from low to high, a character for each.

    Args:
        values: such as log10 sizes of gradients, input side first.
        low: the value of the lowest block; smaller values have it too.
        high: the value of the highest block; larger values have it too.
        zero: the character for -inf, the size of a gradient of exactly zero.
        broken: the character for +inf and NaN.

    >>> sparkline([-4.0, -2.0, 0.0, -math.inf, math.nan], -4.0, 0.0)
    '▁▅█x?'
    """
    width = max(high - low, 1e-9)

    def block(value: float) -> str:
        if not math.isfinite(value):
            return zero if value == -math.inf else broken
        return BLOCKS[round((len(BLOCKS) - 1) * min(max((value - low) / width, 0), 1))]

    return "".join(map(block, values))
