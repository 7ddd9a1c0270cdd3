"""JAX's program form, the jaxpr: the parts of its equations, and interpreters that walk through it.

A jaxpr is a list of equations between variables. An equation applies a primitive to atoms, which are variables or
literals; primitives such as `scan` and `jit` hold inner jaxprs among their parameters:

    scan[jaxpr={ lambda ; c x. let y = add c x in (y, y) } length=4] 0.0 xs
          inner jaxpr                                     parameters  atoms

No other file of the library reads these parameters, so that a new form of jaxprs in JAX is met here.
"""

import linecache
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import jaxlib
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, jaxprs_in_params

__all__ = [
    "ClosedJaxpr",
    "Jaxpr",
    "JaxprEqn",
    "Draw",
    "Scan",
    "SourceLine",
    "While",
    "branches",
    "called",
    "carry_out",
    "draw_of",
    "equations_inside",
    "function_name",
    "evaluate",
    "is_library_function",
    "is_literal",
    "is_read",
    "literal_value",
    "programs_inside",
    "scan_of",
    "source_line",
    "times_differentiated",
    "trace",
    "variables",
    "while_of",
]

Value = TypeVar("Value")
"""An interpreter's value of an atom: an array, or a fact about one."""

CALLED = ("jaxpr", "call_jaxpr", "fun_jaxpr")
"""Parameters that hold the jaxpr of a primitive that calls it once with the equation's atoms."""

LIBRARY_FOLDERS = tuple(f"{Path(str(file)).parent}{os.sep}" for file in (jax.__file__, jaxlib.__file__, __file__))
"""Folders whose lines are never a user's."""

INSTALLED = (f"site-packages{os.sep}", f"dist-packages{os.sep}", f"lib{os.sep}python")
"""Parts of the paths of installed packages."""

CONTROL_FLOW = ("scan", "while", "cond", "shard_map", "custom_root", "custom_linear_solve", "pallas_call")
"""Primitives with inner jaxprs that they do not simply call."""


class Scan(NamedTuple):
    """The parts of a scan equation, whose atoms are `[*consts, *carry, *sequences]`."""

    body: ClosedJaxpr
    """From `[*consts, *carry, *rows]` to `[*carry, *rows]`."""
    num_consts: int
    num_carry: int
    length: int
    """Number of iterations."""
    reverse: bool
    """True where the last row comes first."""
    unroll: int
    """Number of iterations that XLA writes out one after the other."""

    def split(self, atoms: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
        """Split the equation's atoms, or what belongs to them, into constants, carry and sequences."""
        stop = self.num_consts + self.num_carry
        return atoms[: self.num_consts], atoms[self.num_consts : stop], atoms[stop:]


def scan_of(equation: JaxprEqn) -> Scan:
    """Return the parts of a scan equation.

    JAX 0.11 describes the atoms by a tree; versions before hold two numbers.

    >>> closed = trace(lambda w, xs: jax.lax.scan(lambda c, x: (c * w, x), w, xs), np.float32(1), np.zeros(4))
    >>> scan_of(closed.jaxpr.eqns[-1])[1:]
    (1, 1, 4, False, 1)
    """
    parameters = equation.params
    if "num_consts" in parameters:
        sizes = parameters["num_consts"], parameters["num_carry"]
    else:
        consts, carry, _ = parameters["ft_in"].update(equation.invars).unpack()
        sizes = len(list(consts)), len(list(carry))
    return Scan(parameters["jaxpr"], *sizes, parameters["length"], parameters["reverse"], parameters["unroll"])


class Draw(NamedTuple):
    """The parts of an equation that draws random bits from a key."""

    shape: tuple[int, ...]
    """Shape of the result."""
    bit_width: int
    """Bits of an element."""


def draw_of(equation: JaxprEqn) -> Draw | None:
    """Return the parts of an equation that draws random bits; None for any other.

    >>> closed = trace(lambda key: jax.random.bits(key, (3,)), jax.random.key(0))
    >>> [draw_of(equation) for equation in (*closed.eqns, *equations_inside(closed.eqns[-1])) if draw_of(equation)]
    [Draw(shape=(3,), bit_width=32)]
    """
    if equation.primitive.name != "random_bits":
        return None
    return Draw(tuple(equation.params["shape"]), equation.params["bit_width"])


class While(NamedTuple):
    """The parts of a while equation, whose atoms are `[*condition's consts, *body's consts, *state]`."""

    condition: ClosedJaxpr
    body: ClosedJaxpr
    condition_consts: int
    body_consts: int


def while_of(equation: JaxprEqn) -> While:
    """Return the parts of a while equation.

    >>> closed = trace(lambda x: jax.lax.while_loop(lambda x: x < 3, lambda x: x + 1, x), 0)
    >>> while_of(closed.jaxpr.eqns[0])[2:]
    (0, 0)
    """
    parameters = equation.params
    return While(
        parameters["cond_jaxpr"], parameters["body_jaxpr"], parameters["cond_nconsts"], parameters["body_nconsts"]
    )


class SourceLine(NamedTuple):
    """A line of a program's text that made an equation."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.text else f"{self.file}:{self.line}"


def source_line(equation: JaxprEqn) -> SourceLine | None:
    """Return the user's line that made an equation; None where JAX does not know it.

    It is the innermost line outside of installed packages and of this library, or else outside of JAX.

    >>> closed = trace(lambda x: jax.numpy.log(x), 1.0)
    >>> source_line(closed.jaxpr.eqns[0]) is None
    False
    """
    traceback = getattr(equation.source_info, "traceback", None)
    frames = list(traceback.frames) if traceback is not None else []
    outside = [frame for frame in frames if not frame.file_name.startswith(LIBRARY_FOLDERS)]
    own = [frame for frame in outside if not any(word in frame.file_name for word in INSTALLED)]
    for frame in (own or outside)[:1]:
        text = linecache.getline(frame.file_name, frame.line_num).strip()
        return SourceLine(frame.file_name, frame.line_num, text)
    return None


def is_library_function(closed: ClosedJaxpr) -> bool:
    """Return whether a called program was written in JAX or in an installed package.

    Its equations bear the line of its first caller, whoever calls it.

    >>> is_library_function(called(trace(lambda x: jax.numpy.round(x), 1.0).jaxpr.eqns[0]))
    True
    """
    _, _, file = _written_in(closed).partition(" at ")
    return file.startswith(LIBRARY_FOLDERS) or any(word in file for word in INSTALLED)


def function_name(closed: ClosedJaxpr) -> str:
    """Return the name of the function that a program was traced from; empty where it is not known.

    >>> function_name(called(trace(lambda x: jax.nn.relu(x), 1.0).jaxpr.eqns[0]))
    'relu'
    """
    return _written_in(closed).partition(" at ")[0]


def _written_in(closed: ClosedJaxpr) -> str:
    return str(getattr(getattr(closed.jaxpr, "debug_info", None), "func_src_info", "") or "")


def times_differentiated(equation: JaxprEqn) -> int:
    """Return how many derivatives the traced program itself took around an equation.

    >>> closed = trace(jax.grad(jax.grad(lambda x: x**3)), 1.0)
    >>> max(times_differentiated(equation) for equation in closed.jaxpr.eqns)
    2
    """
    return str(equation.source_info.name_stack).count("jvp(")


def branches(equation: JaxprEqn) -> Sequence[ClosedJaxpr]:
    """Return the branches of a cond equation, whose first atom is the branch's index."""
    return equation.params["branches"]


def programs_inside(equation: JaxprEqn) -> list[tuple[ClosedJaxpr, int]]:
    """Return the programs of a branch or of a device's share, each with the number of atoms before its own.

    >>> closed = trace(lambda x: jax.lax.cond(x > 0, lambda x: x, lambda x: -x, x), 1.0)
    >>> [first for _, first in programs_inside(closed.jaxpr.eqns[-1])]
    [1, 1]
    """
    if equation.primitive.name == "cond":
        return [(branch, 1) for branch in branches(equation)]
    if equation.primitive.name == "shard_map":
        inner = equation.params["jaxpr"]
        return [(ClosedJaxpr(inner, ()) if isinstance(inner, Jaxpr) else inner, 0)]
    return []


def called(equation: JaxprEqn) -> ClosedJaxpr | None:
    """Return the jaxpr that an equation calls once with its own atoms; None where it does anything else.

    >>> closed = trace(lambda x: jax.jit(lambda y: y + 1)(x), 1.0)
    >>> len(called(closed.jaxpr.eqns[0]).jaxpr.eqns)
    1
    """
    inner = next((equation.params[name] for name in CALLED if name in equation.params), None)
    if inner is None or equation.primitive.name in CONTROL_FLOW:
        return None
    closed = ClosedJaxpr(inner, ()) if isinstance(inner, Jaxpr) else inner
    return closed if len(closed.jaxpr.invars) == len(equation.invars) else None


def equations_inside(equation: JaxprEqn) -> Iterator[JaxprEqn]:
    """Yield the equations of all jaxprs inside of an equation, at any depth."""
    for jaxpr in jaxprs_in_params(equation.params):
        for inner in jaxpr.eqns:
            yield inner
            yield from equations_inside(inner)


def is_literal(atom: Any) -> bool:
    """Return whether an atom is a constant that is written in the program."""
    return isinstance(atom, Literal)


def is_read(jaxpr: Jaxpr, variable: Any) -> bool:
    """Return whether an equation of a jaxpr reads a variable, or it is a result."""
    atoms = (atom for equation in jaxpr.eqns for atom in equation.invars)
    return any(variable is atom for atom in (*atoms, *jaxpr.outvars))


def literal_value(atom: Any) -> np.ndarray:
    """Return a literal as an array of the atom's dtype."""
    return np.asarray(atom.val, atom.aval.dtype)


def variables(atoms: Iterable[Any]) -> list[Any]:
    """Return the atoms that are no constants."""
    return [atom for atom in atoms if not isinstance(atom, Literal)]


def trace(function: Callable[..., Any], *arguments: Any) -> ClosedJaxpr:
    """Return a function's jaxpr for arguments of these shapes and dtypes."""
    return jax.make_jaxpr(function)(*arguments)


def evaluate(
    closed: ClosedJaxpr,
    arguments: Sequence[Value],
    rule: Callable[[JaxprEqn, list[Value]], Sequence[Value]],
    constant: Callable[[Any], Value],
) -> list[Value]:
    """Interpret a jaxpr: compute the values of its results.

    Args:
        closed: the jaxpr and its constants.
        arguments: the value of each of its inputs.
        rule: computes the values of an equation's results from the values of its atoms.
        constant: makes a value of a constant array or a literal.

    Returns:
        The value of each result.

    >>> closed = trace(lambda x, y: (x * y + 1, y), 1.0, 2.0)
    >>> evaluate(closed, ["x", "y"], lambda equation, atoms: [f"({' '.join(atoms)})"], str)
    ['((x y) 1.0)', 'y']
    """
    jaxpr = closed.jaxpr
    environment = dict(zip(jaxpr.constvars, map(constant, closed.consts), strict=True))
    environment.update(zip(jaxpr.invars, arguments, strict=True))

    def read(atom: Any) -> Value:
        return constant(literal_value(atom)) if is_literal(atom) else environment[atom]

    for equation in jaxpr.eqns:
        environment.update(zip(equation.outvars, rule(equation, list(map(read, equation.invars))), strict=True))
    return list(map(read, jaxpr.outvars))


def carry_out(equation: JaxprEqn, arrays: Sequence[Any]) -> list[Any]:
    """Return an equation's results for the arrays of its atoms.

    >>> closed = trace(lambda x: x + 1, 1.0)
    >>> float(carry_out(closed.jaxpr.eqns[0], [2.0, 1.0])[0])
    3.0
    """
    inputs = {atom: array for atom, array in zip(equation.invars, arrays, strict=True) if isinstance(atom, Var)}
    alone = _empty().replace(invars=list(inputs), outvars=list(equation.outvars), eqns=[equation])
    return list(jax.core.eval_jaxpr(alone, (), *inputs.values()))


@lru_cache(maxsize=1)
def _empty() -> Jaxpr:
    return trace(lambda: ()).jaxpr
