"""Products of matrices in register tiles: few loads for many multiply-adds.

for each batch, row tile, column tile:  totals = 0
    for each term:  load the tile's rows and columns;  totals[row, column] += rows[row] * columns[column]
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from vgrad_jax.lanes import mathematics
from vgrad_jax.lanes.code import Memory, Register
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.nests.reductions import accumulated, start
from vgrad_jax.lanes.nests.writer import Index, Position, Writer

__all__ = ["write_product"]

TILE = 24
"""Totals of a tile: as many as leave registers for its rows and columns, on a processor with 32."""
LOAD = 0.5
"""Time of a load, where that of a multiply-add is 1."""
VARIANT = 0.06
"""Share of the time that another form of tiles may save without being worth its code."""
LATENCY = 4
"""Totals below which a tile waits for its own sums."""


class _Axes(NamedTuple):
    """Axes of both operands, by their role."""

    batch: tuple[tuple[int, ...], tuple[int, ...]]
    contracted: tuple[tuple[int, ...], tuple[int, ...]]
    free: tuple[tuple[int, ...], tuple[int, ...]]


def _axes_of(node: Node) -> _Axes:
    contracted, batch = node.parameters["dimension_numbers"]
    contracted, batch = ((tuple(map(int, pair[0])), tuple(map(int, pair[1]))) for pair in (contracted, batch))
    free = tuple(
        tuple(axis for axis in range(len(operand.shape)) if axis not in contracted[n] and axis not in batch[n])
        for n, operand in enumerate(node.inputs)
    )
    return _Axes(batch, contracted, (free[0], free[1]))


def _sizes(node: Node, operand: int, axes: Sequence[int]) -> list[int]:
    return [node.inputs[operand].shape[axis] for axis in axes]


@lru_cache(maxsize=4096)
def tile_of(rows: int, columns: int, most: int) -> tuple[int, int]:
    """Return the rows and columns of a tile that take the least time."""

    def time(tile: tuple[int, int]) -> float:
        total, variants = 0.0, 0
        for height, heights in _parts(rows, tile[0]):
            for width, widths in _parts(columns, tile[1]):
                total += heights * widths * max(height * width, LATENCY) + heights * widths * LOAD * (height + width)
                variants += 1
        return total * (1 + VARIANT * (variants - 1))

    tiles = ((r, c) for r in range(1, min(rows, most) + 1) for c in range(1, min(columns, most) + 1) if r * c <= most)
    return min(tiles, key=time)


def _parts(size: int, tile: int) -> list[tuple[int, int]]:
    """Return the sizes of an axis's tiles with their numbers."""
    return [(tile, size // tile), (size % tile, 1)] if size % tile else [(tile, size // tile)]


def write_product(writer: Writer, node: Node, memory: Memory) -> None:
    """Write a product of arrays."""
    axes = _axes_of(node)
    rows, columns = _sizes(node, 0, axes.free[0]), _sizes(node, 1, axes.free[1])
    most = TILE * 16 // max(writer.code.width, 16)
    tile = tile_of(rows[-1] if rows else 1, columns[-1] if columns else 1, most)
    outer = [*_sizes(node, 0, axes.batch[0]), *rows[:-1], *columns[:-1]]
    batches = len(axes.batch[0])

    def tiles(prefix: tuple[str, ...]) -> None:
        batch, before = prefix[:batches], prefix[batches:]
        split = max(len(rows) - 1, 0)

        def one_tile(row: str, height: int, column: str, width: int) -> None:
            firsts = [(*before[:split], writer.added(row, str(n))) if rows else () for n in range(height)]
            seconds = [(*before[split:], writer.added(column, str(n))) if columns else () for n in range(width)]
            _tile(writer, node, memory, axes, batch, firsts, seconds)

        _along(
            writer,
            rows[-1] if rows else 1,
            tile[0],
            lambda row, height: _along(
                writer,
                columns[-1] if columns else 1,
                tile[1],
                lambda column, width: one_tile(row, height, column, width),
            ),
        )

    writer.nest(outer, tiles, unrolled=1)


def _along(writer: Writer, size: int, tile: int, body) -> None:  # type: ignore[no-untyped-def]
    """Write a loop over the tiles of an axis."""
    count, rest = divmod(size, tile)

    def iteration(number: str, _: list[str]) -> list[str]:
        with writer.scope():
            body(writer.times(number, tile), tile)
        return []

    if count == 1:
        body("0", tile)
    else:
        writer.code.loop(count, iteration)
    if rest:
        body(str(count * tile), rest)


def _tile(
    writer: Writer,
    node: Node,
    memory: Memory,
    axes: _Axes,
    batch: tuple[str, ...],
    rows: Sequence[Index],
    columns: Sequence[Index],
) -> None:
    sizes = _sizes(node, 0, axes.contracted[0])
    count = len(rows) * len(columns)
    last = sizes[-1] if sizes else 1
    parts = max(n for n in (1, 2, 4) if last % n == 0 and (n == 1 or (n * count <= LATENCY and last > 2 * n)))

    def operand(number: int, free: Index, terms: Index) -> Register:
        position: dict[int, Position] = dict(zip(axes.batch[number], batch, strict=True))
        position |= dict(zip(axes.free[number], free, strict=True))
        position |= dict(zip(axes.contracted[number], terms, strict=True))
        return writer.value(node.inputs[number], tuple(position[n] for n in range(len(position))))

    def step(terms: tuple[str, ...], totals: list[Register]) -> list[Register]:
        after: list[Register] = []
        for part in range(parts):
            moved: Index = terms
            if terms:
                moved = (*terms[:-1], writer.added(writer.times(terms[-1], parts), str(part)))
            left = [operand(0, row, moved) for row in rows]
            right = [operand(1, column, moved) for column in columns]
            for a in left:
                for b in right:
                    after.append(_added(writer, node, totals[len(after)], a, b))
        return after

    first = start(writer, 0, node.kind, node.varying)
    lengths = [*sizes[:-1], last // parts] if sizes else []
    totals = accumulated(writer, lengths, [first] * (count * parts), step)
    for part in range(1, parts):
        for n in range(count):
            totals[n] = _sum(writer, node, totals[n], totals[part * count + n])
    results = iter(totals)
    for row in rows:
        for column in columns:
            writer.store(memory, node.shape, (*batch, *row, *column), next(results))


def _sum(writer: Writer, node: Node, a: Register, b: Register) -> Register:
    return mathematics.add(writer.code, a, b) if node.kind == "float" else writer.code.binary("add", a, b)


def _added(writer: Writer, node: Node, total: Register, a: Register, b: Register) -> Register:
    if node.kind == "float":
        return mathematics.add(writer.code, total, mathematics.multiply(writer.code, a, b))
    return writer.code.binary("add", total, writer.code.binary("mul", a, b))


def multiply_adds(node: Node) -> int:
    """Return the number of multiply-adds of a product."""
    return node.size * math.prod(_sizes(node, 0, _axes_of(node).contracted[0]))
