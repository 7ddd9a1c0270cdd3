"""Origins of values: which leaves of the parameters a value is made of, and whether the data are in it.

    leaf 3, (12, 16, 16) ──► slice 0 ──► squeeze ──► @ x        made of (3, 0); then of data
    leaf 5, (50000, 32) ───► gather(tokens)                     picked: rows of axis 0; then of data

Nothing is computed here but sets. Layers that are stacked in one leaf and used one by one are told apart: their pieces
are slices of the leaf's first axis. A leaf of which the batch picks rows is told from a leaf that is used as it stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np

from vgrad_jax.gradients.layers import Piece
from vgrad_jax.jaxprs import ClosedJaxpr, Scan, called, evaluate, scan_of

__all__ = ["CONSTANT", "DATA", "Origin", "Picks", "constant_origin", "flow", "follow_carry"]

PICKS = ("slice", "dynamic_slice", "gather")
"""Primitives that take rows out of their first atom."""
SAME_ELEMENTS = ("convert_element_type", "mul", "div", "neg", "copy", "optimization_barrier", "reduce_precision")
"""Primitives that keep a leaf's elements apart, each where it is."""


class Origin(NamedTuple):
    """Set of the pieces of leaves that a value is made of, and whether it depends on the batch."""

    pieces: frozenset[Piece]
    data: bool


CONSTANT = Origin(frozenset(), False)
"""Origin of a number in the program."""
DATA = Origin(frozenset(), True)
"""Origin of the batch."""


@dataclass
class Picks:
    """Uses of leaves as tables, of which rows are picked."""

    shapes: tuple[tuple[int, ...], ...]
    """Shape of each leaf."""
    rows: dict[int, set[tuple[int, ...]]] = field(default_factory=dict)
    """Axes of the rows that are picked from a leaf."""
    dense: set[int] = field(default_factory=set)
    """Leaves that are also used as they stand."""

    def axes(self, leaf: int) -> tuple[int, ...] | None:
        """Return the axes of a table's rows; None for a leaf that is no table."""
        rows = self.rows.get(leaf, set())
        return next(iter(rows)) if len(rows) == 1 and leaf not in self.dense else None

    def note(self, equation: Any, origins: Sequence[Origin]) -> None:
        """Note how an equation uses each leaf that it reads as it stands."""
        for number, (atom, origin) in enumerate(zip(equation.invars, origins, strict=True)):
            leaf = self.leaf_of(atom, origin)
            if leaf is None:
                continue
            rows = _rows(equation, number, origins)
            if rows is not None:
                self.rows.setdefault(leaf, set()).add(rows)
            elif equation.primitive.name not in SAME_ELEMENTS or any(o.data for o in origins):
                self.dense.add(leaf)

    def leaf_of(self, atom: Any, origin: Origin) -> int | None:
        """Return the leaf whose elements, each where it was, a value holds; None for any other value."""
        if origin.data or len(origin.pieces) != 1:
            return None
        ((leaf, index),) = origin.pieces
        return leaf if index is None and tuple(atom.aval.shape) == self.shapes[leaf] else None


def _rows(equation: Any, number: int, origins: Sequence[Origin]) -> tuple[int, ...] | None:
    """Return the axes of the rows of a table that an equation picks; None where it reads all of it."""
    name, shape = equation.primitive.name, equation.invars[number].aval.shape
    if name == "dot_general":
        # A product with inputs picks rows as well: where a column of the batch is zero, its row has no gradient.
        inputs = origins[1 - number]
        return tuple(equation.params["dimension_numbers"][0][number]) if inputs == DATA else None
    if name not in PICKS or number:
        return None
    if name == "gather":
        return tuple(sorted(equation.params["dimension_numbers"].start_index_map))
    size = equation.outvars[0].aval.shape
    return tuple(axis for axis, (part, full) in enumerate(zip(size, shape, strict=True)) if part < full) or None


def flow(equation: Any, values: Sequence[Any], origins: Sequence[Origin], picks: Picks) -> list[Origin]:
    """Return the origins of an equation's results.

    Args:
        equation: one that is neither a call nor a scan.
        values: of its atoms; None where they are not known.
        origins: of its atoms.
        picks: the leaves, and how they are used; it is brought up to date.
    """
    picks.note(equation, origins)
    piece = _sliced(equation, values, origins, picks)
    if piece is not None:
        return [Origin(frozenset([piece]), False)]
    made_of = Origin(frozenset().union(*(o.pieces for o in origins)), any(o.data for o in origins))
    return [made_of] * len(equation.outvars)


def _sliced(equation: Any, values: Sequence[Any], origins: Sequence[Origin], picks: Picks) -> Piece | None:
    """Return the slice of a stacked leaf that an equation takes out at a known index; None for any other equation."""
    leaf = _slice_of_leaf(equation, origins, picks)
    if leaf is None:
        return None
    if equation.primitive.name == "slice":
        return Piece(leaf, int(equation.params["start_indices"][0]))
    start = values[1]
    return None if start is None or isinstance(start, jax.core.Tracer) else Piece(leaf, int(np.ravel(start)[0]))


def _slice_of_leaf(equation: Any, origins: Sequence[Origin], picks: Picks) -> int | None:
    """Return the leaf of which an equation takes one slice of the first axis, at an index that is no data."""
    name = equation.primitive.name
    if name not in PICKS or any(origin.data for origin in origins):
        return None
    leaf = picks.leaf_of(equation.invars[0], origins[0])
    shape, part = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    if name == "gather":
        one_row = (
            tuple(equation.params["dimension_numbers"].start_index_map) == (0,) and equation.invars[1].aval.size == 1
        )
        part = tuple(equation.params["slice_sizes"]) if one_row else ()
    one_of_many = len(shape) > 1 and shape[0] > 1 and part[:1] == (1,) and part[1:] == shape[1:]
    return leaf if one_of_many else None


def follow_carry(scan: Scan, origins: Sequence[Origin], picks: Picks) -> tuple[list[Origin], frozenset[int]]:
    """Follow the origins through a scan's iterations, until nothing changes.

    Args:
        scan: the parts of the scan.
        origins: of its atoms.
        picks: the leaves, and how they are used.

    Returns:
        The origins of the body's atoms, and the leaves of which every iteration takes the slice of its own number.
    """
    now, counted = list(origins), set[int]()
    first, last = scan.num_consts, scan.num_consts + scan.num_carry
    while True:
        counted.clear()
        results = _through(scan.body, now, picks, counted, scan.length)
        after = [_union(old, new) for old, new in zip(now[first:last], results, strict=False)]
        if after == now[first:last]:
            return now, frozenset(counted)
        now[first:last] = after


def _union(a: Origin, b: Origin) -> Origin:
    return Origin(a.pieces | b.pieces, a.data or b.data)


def _through(
    body: ClosedJaxpr, origins: Sequence[Origin], picks: Picks, counted: set[int], length: int
) -> list[Origin]:
    """Follow origins through a scan's body, and collect the leaves that its iterations take slice by slice."""

    def step(equation: Any, origins: list[Origin]) -> Sequence[Origin]:
        if (inner := called(equation)) is not None:
            return _through(inner, origins, picks, counted, length)
        if equation.primitive.name == "scan":
            scan = scan_of(equation)
            inside, _ = follow_carry(scan, origins, picks)
            return _through(scan.body, inside, picks, set(), scan.length)
        leaf = _slice_of_leaf(equation, origins, picks) if equation.primitive.name != "slice" else None
        if leaf is not None and picks.shapes[leaf][0] == length and not hasattr(equation.invars[1], "val"):
            counted.add(leaf)
        return flow(equation, [None] * len(origins), origins, picks)

    return evaluate(body, origins, step, constant_origin)


def constant_origin(value: Any) -> Origin:
    """Return the origin of an array in the program: what the loss was closed over is data as well, a number is not."""
    return DATA if np.ndim(value) else CONSTANT
