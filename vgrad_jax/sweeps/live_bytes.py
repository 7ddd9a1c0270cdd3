"""Estimate of a program's working memory, without compiling it.

A walk through the jaxpr adds the sizes of all values that are still needed at each equation, inner programs included.
XLA fuses operations, so that many of these values never exist; it also keeps copies. The estimate is the peak. For
trainings of 260 kB to 5 MB a seed it is 1.3 to 2.2 times the temporary memory that XLA reports.
"""

from typing import Any

import numpy as np

from vgrad_jax.jaxprs import ClosedJaxpr, Jaxpr, JaxprEqn, is_literal

__all__ = ["live_bytes"]


def live_bytes(closed: ClosedJaxpr) -> int:
    """Return the largest number of bytes that a program's values take at one time, its constants left out.

    >>> import jax
    >>> live_bytes(jax.make_jaxpr(lambda x: (x + 1.0).sum())(np.zeros(1000, np.float32)))
    8000
    """
    return _peak(closed.jaxpr)


def _peak(jaxpr: Jaxpr) -> int:
    last = {atom: number for number, equation in enumerate(jaxpr.eqns) for atom in _variables(equation.invars)}
    last.update(dict.fromkeys(_variables(jaxpr.outvars), len(jaxpr.eqns)))
    live = peak = sum(_bytes(atom.aval) for atom in jaxpr.invars if atom in last)
    alive = {atom for atom in jaxpr.invars if atom in last}
    for number, equation in enumerate(jaxpr.eqns):
        made = [atom for atom in equation.outvars if atom in last]
        live += sum(_bytes(atom.aval) for atom in made)
        alive |= set(made)
        peak = max(peak, live + _inside(equation))
        for atom in {atom for atom in _variables(equation.invars) if atom in alive and last[atom] == number}:
            live -= _bytes(atom.aval)
            alive.discard(atom)
    return peak


def _inside(equation: JaxprEqn) -> int:
    """Return the peak of an equation's inner programs, beside the equation's own values."""
    inner = [value for parameter in equation.params.values() for value in _programs(parameter)]
    return max(map(_peak, inner), default=0)


def _programs(value: Any) -> list[Jaxpr]:
    if isinstance(value, ClosedJaxpr):
        return [value.jaxpr]
    if isinstance(value, Jaxpr):
        return [value]
    return [jaxpr for part in value for jaxpr in _programs(part)] if isinstance(value, tuple | list) else []


def _variables(atoms: Any) -> list[Any]:
    return [atom for atom in atoms if not is_literal(atom)]


def _bytes(aval: Any) -> int:
    dtype = getattr(aval, "dtype", None)
    itemsize = getattr(dtype, "itemsize", 4)
    return int(np.prod(getattr(aval, "shape", ()), dtype=np.int64)) * int(itemsize)
