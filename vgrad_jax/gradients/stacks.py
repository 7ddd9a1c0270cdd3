"""Stacks of layers: leaves that a loop goes over, one slice of the first axis for each layer.

- `lax.scan` over the leaf: uses of the leaf, stacked.
- `fori_loop` and `w[i]` at a counter: the same.
- `for i in range(12)` in Python and `w[i]`: uses of its slices 0 to 11.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import PyTree

from vgrad_jax.gradients.forward import Use
from vgrad_jax.gradients.layers import Piece, float_leaves

__all__ = ["stacked_pattern"]

FEWEST_AXES = 3
"""Number of axes from which a leaf that is used slice by slice is a stack of kernels, and not a matrix of vectors."""


def stacked_pattern(names: Sequence[str], uses: Mapping[Piece, Use], params: PyTree) -> str | None:
    """Return a regular expression for the leaves that are stacks; None where there are none.

    Args:
        names: path of each leaf.
        uses: first use of each leaf or slice.
        params: the parameters.
    """
    scans: dict[tuple[int, ...], list[str]] = {}
    for piece, use in sorted(uses.items(), key=lambda item: item[0].leaf):
        if use.stacked and piece.slice is None:
            scans.setdefault(use.before, []).append(names[piece.leaf])
    shapes = [tuple(np.shape(leaf)) for _, leaf in float_leaves(params)]
    loops = [[names[leaf] for leaf in stack] for stack in _written_out(uses, shapes)]
    patterns = [pattern for stack in (*scans.values(), *loops) for pattern in _patterns(stack)]
    return "|".join(patterns) or None


def _written_out(uses: Mapping[Piece, Use], shapes: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Return the stacks whose layers are used one by one, outside of a scan: the leaves of each.

    Leaves are of one stack where each uses its first slice before any uses its second.
    """
    leaves = [leaf for leaf in sorted({piece.leaf for piece in uses}) if _is_sliced(leaf, uses, shapes[leaf])]
    leaves.sort(key=lambda leaf: uses[Piece(leaf, 0)].position(None))
    stacks: list[list[int]] = []
    for leaf in leaves:
        last = stacks[-1] if stacks else None
        begun = uses[Piece(leaf, 0)].position(None)
        if (
            last
            and shapes[leaf][0] == shapes[last[0]][0]
            and begun < min(uses[Piece(member, 1)].position(None) for member in last)
        ):
            last.append(leaf)
        else:
            stacks.append([leaf])
    return [sorted(stack) for stack in stacks if any(len(shapes[leaf]) >= FEWEST_AXES for leaf in stack)]


def _is_sliced(leaf: int, uses: Mapping[Piece, Use], shape: tuple[int, ...]) -> bool:
    """Return whether all slices of a leaf are used, each by itself, and the leaf is never used undivided."""
    slices = {piece.slice for piece in uses if piece.leaf == leaf}
    return slices == set(range(shape[0])) if shape else False


def _patterns(names: list[str]) -> list[str]:
    """Return a regular expression for each leaf of a stack, whose match ends where the paths of the stack branch."""
    words = [name.split("/") for name in names]
    shared = next(
        (depth for depth, level in enumerate(zip(*words, strict=False)) if len(set(level)) > 1), len(words[0]) - 1
    )
    # The last word of a path is the leaf's own name: the index of the layer stands before it.
    shared = min([shared, *(len(name) - 1 for name in words)])
    patterns = []
    for name in words:
        front, rest = "/".join(name[:shared]), "/".join(name[shared:])
        patterns.append(f"^{re.escape(front)}(?=/{re.escape(rest)}$)" if front else f"^{re.escape(rest)}$")
    return patterns
