"""Loops whose result is not finite: the iteration in which it stopped being so, and its growth until then."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from vgrad_jax.inspection.values import Node, Program, facts_of, run_plainly
from vgrad_jax.jaxprs import Scan, scan_of, while_of

__all__ = ["Entry", "enter"]

STEPS_OF_GROWTH = 20
"""Largest number of iterations over which growth is measured."""


@dataclass(frozen=True)
class Entry:
    """A loop's iteration, carried out operation by operation."""

    result: Node
    """Node of the result inside of the loop's body."""
    iteration: int
    """Index on the axis that a scan goes over; the number of iterations before it for a while loop."""
    growth: float | None
    """Factor by which the largest magnitude grew in an iteration; None where it is not known."""


def enter(program: Program, node: Node, number: int, before: int | None = None) -> Entry | None:
    """Carry out the iteration of a loop in which a result stopped being finite.

    Args:
        program: takes up the nodes of the iteration.
        node: a result of the loop.
        number: index of the result that is asked for.
        before: only iterations before this one are looked at.

    Returns:
        The iteration; None where no iteration made it.
    """
    if node.equation.primitive.name == "scan":
        return _enter_scan(program, node, number, before)
    return _enter_while(program, node, number, before)


def _enter_scan(program: Program, node: Node, number: int, before: int | None) -> Entry | None:
    scan, values = scan_of(node.equation), list(node.values or ())
    first, last = scan.num_consts, scan.num_consts + scan.num_carry
    consts, carry = values[:first], values[first:last]
    rows = [value[::-1] if scan.reverse else value for value in values[last:]]
    nan, infinite, largest = _history(scan, consts, carry, rows, number)
    broken = nan if nan[:before].any() else infinite
    if not broken[:before].any():
        return None
    turn = int(np.argmax(broken[:before]))
    if turn:
        body = run_plainly(scan.body)
        ahead = [row[:turn] for row in rows]

        def step(carry: list[Any], row: list[Any]) -> tuple[list[Any], None]:
            return body(*consts, *carry, *row)[: scan.num_carry], None

        carry = jax.lax.scan(step, carry, ahead, length=turn)[0]
    nodes = [*node.parents[:first]]
    nodes += [Node(facts_of(value), "carry", loop=(node, index, turn)) for index, value in enumerate(carry)]
    now = [row[turn] for row in rows]
    nodes += [
        Node(facts_of(value), "operation", parents=[parent])
        for value, parent in zip(now, node.parents[last:], strict=True)
    ]
    results = program.run(scan.body, list(zip([*consts, *carry, *now], nodes, strict=True)))
    iteration = scan.length - 1 - turn if scan.reverse else turn
    return Entry(results[number][1], iteration, _growth(largest[:turn]))


def _history(
    scan: Scan, consts: Sequence[Any], carry: Sequence[Any], rows: Sequence[Any], number: int
) -> tuple[Bool[np.ndarray, " turn"], Bool[np.ndarray, " turn"], Float[np.ndarray, " turn"]]:
    """Return, for each iteration, whether a result has a NaN or an infinity, and its largest magnitude."""
    body = run_plainly(scan.body)

    @jax.jit
    def run(consts: list[Any], carry: list[Any], rows: list[Any]) -> Array:
        def step(carry: list[Any], row: list[Any]) -> tuple[list[Any], Array]:
            results = body(*consts, *carry, *row)
            facts = facts_of(results[number])
            return results[: scan.num_carry], jnp.zeros(6) if facts is None else facts

        return jax.lax.scan(step, carry, rows, length=scan.length)[1]

    facts = np.asarray(run(list(consts), list(carry), list(rows)))
    return facts[:, 0] > 0, (facts[:, 1] + facts[:, 2]) > 0, facts[:, 5]


def _enter_while(program: Program, node: Node, number: int, before: int | None) -> Entry | None:
    loop, values = while_of(node.equation), list(node.values or ())
    first = loop.condition_consts + loop.body_consts
    of_condition, of_body, state = (
        values[: loop.condition_consts],
        values[loop.condition_consts : first],
        values[first:],
    )
    condition, body = run_plainly(loop.condition), run_plainly(loop.body)
    wants_nan = node.is_nan if before is None else False

    def goes_on(carry: tuple[Array, list[Any], list[Any]]) -> Array:
        turn, _, now = carry
        facts = facts_of(now[number])
        broken = jnp.zeros(()) if facts is None else (facts[0] if wants_nan else facts[:3].sum())
        limit = np.iinfo(np.int32).max if before is None else before
        return condition(*of_condition, *now)[0] & (broken == 0) & (turn < limit)

    def step(carry: tuple[Array, list[Any], list[Any]]) -> tuple[Array, list[Any], list[Any]]:
        turn, _, now = carry
        return turn + 1, now, body(*of_body, *now)

    start = (jnp.zeros((), jnp.int32), state, state)
    turns, ahead, last = jax.jit(lambda start: jax.lax.while_loop(goes_on, step, start))(start)
    turn = int(turns) - 1
    if turn < 0 or not bool((facts_of(last[number])[:3] > 0).any()):  # type: ignore[index]
        return None
    nodes = [*node.parents[loop.condition_consts : first]]
    nodes += [Node(facts_of(value), "carry", loop=(node, index, turn)) for index, value in enumerate(ahead)]
    results = program.run(loop.body, list(zip([*of_body, *ahead], nodes, strict=True)))
    ends = [float(np.asarray(facts)[5]) for value in (state, ahead) if (facts := facts_of(value[number])) is not None]
    growth = (ends[1] / ends[0]) ** (1 / turn) if turn and len(ends) == 2 and ends[0] > 0 else None
    return Entry(results[number][1], turn, growth)


def _growth(largest: Float[np.ndarray, " turn"]) -> float | None:
    """Return the geometric mean of the growth over the last iterations that have numbers."""
    known = largest[-STEPS_OF_GROWTH:].astype(np.float64)
    if len(known) < 2 or not (known > 0).all():
        return None
    return float((known[-1] / known[0]) ** (1 / (len(known) - 1)))
