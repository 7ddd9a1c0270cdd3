"""A table of what `lanes` would execute natively and what by XLA."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax

from vgrad_jax.boundary import checked
from vgrad_jax.jaxprs import ClosedJaxpr, JaxprEqn, evaluate
from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.mapping import called_on_one_example, chooser_for, one_example
from vgrad_jax.lanes.nests import Chooser, Cost, cost_of, inlined_program, inner_programs
from vgrad_jax.lanes.varying import varying_results

__all__ = ["LanesReport", "Row", "lanes_report"]

COLUMNS = ("loop", "operation", "times", "by", "share of time", "why")


class Row(NamedTuple):
    """Operations of one kind in one loop."""

    loop: str
    """Loops around the operations, the outermost first; empty outside of loops."""
    operation: str
    """JAX's name of the primitive."""
    times: int
    native: bool
    why: str
    """Why it is not native; empty where it is."""
    nanoseconds: float
    """Predicted time of all of them, in all iterations."""


@dataclass(frozen=True)
class LanesReport:
    """A table of what `lanes` would execute natively and what by XLA; `print` shows it."""

    rows: tuple[Row, ...]
    examples: int

    @property
    def share_native(self) -> float:
        """The share of the predicted time that native code takes."""
        total = sum(row.nanoseconds for row in self.rows)
        return sum(row.nanoseconds for row in self.rows if row.native) / total if total else 0.0

    def __str__(self) -> str:
        total = sum(row.nanoseconds for row in self.rows) or 1.0
        lines = [COLUMNS]
        for row in sorted(self.rows, key=lambda row: -row.nanoseconds):
            by, share = "native" if row.native else "XLA", f"{row.nanoseconds / total:.1%}"
            lines.append((row.loop or "-", row.operation, str(row.times), by, share, row.why))
        widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
        table = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines]
        head = f"{self.examples} examples; native: {self.share_native:.0%} of the predicted time"
        return "\n".join(line.rstrip() for line in (head, *table))


@checked
def lanes_report(f: Callable[..., Any], *arguments: Any, in_axes: Any = 0, **keywords: Any) -> LanesReport:
    """Report what `lanes(f, in_axes)` would execute natively and what by XLA, and why. Nothing is compiled.

    Args:
        f: a function of one example.
        arguments: as for `lanes(f, in_axes)`: arrays, or their shapes and dtypes.
        in_axes: as of `jax.vmap`.
        keywords: as for `lanes(f, in_axes)`.

    Raises:
        InputError: the function has side effects.

    >>> import jax.numpy as jnp
    >>> def step(x, _):
    ...     return jnp.sin(x), None
    >>> report = lanes_report(lambda x: jax.lax.scan(step, x, None, length=100)[0], jnp.zeros(64))
    >>> [(row.loop, row.operation, row.native) for row in report.rows]
    [('scan x 100', 'sin', True)]
    """
    mapped = jax.vmap(partial(one_example, partial(called_on_one_example, f)), in_axes)
    closed = jax.make_jaxpr(mapped)(*arguments, **keywords)
    rows: list[Row] = []
    examples = 0
    for equation in closed.jaxpr.eqns:
        if equation.primitive.name == "lanes":
            examples = equation.params["examples"]
            rows += _rows_of(equation.params["closed"], equation.params["varying"], examples)
    return LanesReport(tuple(_together(rows)), examples)


def _rows_of(closed: ClosedJaxpr, varying: Sequence[bool], examples: int) -> Iterator[Row]:
    try:
        chooser, refusal = chooser_for(examples), ""
    except NotInLanesError as error:
        chooser, refusal = Chooser(examples, 16, 1), str(error)
    yield from _Walk(chooser, refusal).program(closed, varying, "", 1.0, None)


class _Walk:
    """Walks through a program and the programs inside of it."""

    def __init__(self, chooser: Chooser, refusal: str) -> None:
        self.chooser, self.refusal = chooser, refusal

    def program(
        self, closed: ClosedJaxpr, varying: Sequence[bool], loop: str, times: float, decided: tuple[bool, str] | None
    ) -> list[Row]:
        """Return the rows of a program.

        Args:
            closed: the program.
            varying: which of its inputs differ from example to example.
            loop: the loops around it.
            times: iterations of these loops.
            decided: what was decided for all of it; None where each equation has its own choice.
        """
        jaxpr = closed.jaxpr
        choices = {}
        if decided is None:
            known = {**dict.fromkeys(jaxpr.constvars, False), **dict(zip(jaxpr.invars, varying, strict=True))}
            choices = self.chooser.choices(jaxpr, known)
        rows: list[Row] = []

        def rule(equation: JaxprEqn, flags: list[bool]) -> list[bool]:
            if decided is not None:
                native, why, inside = *decided, False
            else:
                native, why, inside, _ = self._choice(choices[id(equation)])
            rows.extend(self._equation(equation, flags, loop, times, (native, why), inside))
            return varying_results(equation, flags)

        evaluate(closed, list(varying), rule, lambda constant: False)
        return rows

    def _choice(self, choice: Any) -> tuple[bool, str, bool, Cost]:
        if self.refusal:
            return False, self.refusal, False, choice.cost
        return choice.native, choice.reason, choice.inside, choice.cost

    def _equation(
        self, equation: JaxprEqn, flags: list[bool], loop: str, times: float, decided: tuple[bool, str], inside: bool
    ) -> list[Row]:
        call = inlined_program(equation)
        if call is not None:
            return self.program(call, flags, loop, times, decided)
        programs = inner_programs(equation)
        if programs:
            return self._loop(equation, flags, programs, loop, times, None if inside else decided)
        cost = cost_of(equation, flags, self.chooser)
        native, why = decided
        return [Row(loop, equation.primitive.name, 1, native, why, times * (cost.native if native else cost.xla))]

    def _loop(
        self,
        equation: JaxprEqn,
        flags: list[bool],
        programs: list[ClosedJaxpr],
        loop: str,
        times: float,
        decided: tuple[bool, str] | None,
    ) -> list[Row]:
        name, rows = equation.primitive.name, list[Row]()
        count = self.chooser.iterations(equation)
        inner = f"{loop} > " if loop else ""
        inner += f"scan x {count}" if name == "scan" else name
        for program, inputs in self.chooser.inner_flags(equation, flags, programs):
            rows += self.program(program, inputs, inner, times * float(count), decided)
        return rows


def _together(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield one row for all operations of a kind."""
    groups: dict[tuple[str, str, bool, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.loop, row.operation, row.native, row.why), []).append(row)
    for some in groups.values():
        yield some[0]._replace(times=len(some), nanoseconds=sum(row.nanoseconds for row in some))
