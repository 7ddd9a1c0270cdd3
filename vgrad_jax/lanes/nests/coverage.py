"""Operations with native code, by name: the registered operations, and those that are defined by them."""

from vgrad_jax.lanes import rules
from vgrad_jax.lanes.nests.expansions import EXPANSIONS
from vgrad_jax.lanes.nests.records import OPERATIONS, RULES, WHOLE
from vgrad_jax.lanes.primitives import PRIMITIVES

__all__ = ["registered"]

assert rules.__all__, "the import of the rules registers their records"


def registered() -> dict[str, str]:
    """Return how each primitive with native code is written, by its name.

    >>> registered()["dot_general"], registered()["lu"]
    ('as a whole array', 'by others')
    """
    kinds = dict.fromkeys(
        (name for name, record in PRIMITIVES.items() if record.family == "elementwise"), "elementwise"
    )
    kinds |= dict.fromkeys((name for name in RULES if name not in kinds), "at another index")
    kinds |= dict.fromkeys(WHOLE, "as a whole array")
    kinds |= dict.fromkeys(OPERATIONS, "with code of its own")
    kinds |= dict.fromkeys(EXPANSIONS, "by others")
    return kinds
