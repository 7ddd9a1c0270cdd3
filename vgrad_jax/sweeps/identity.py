"""Identity of a program: its jaxpr in a canonical form, and the bytes of its constants.

    ClosedJaxpr ─► operations, scalars, constants ─► Identity ─► description of an arm in a store

Names of variables and functions, source lines and addresses are left out. A program that is written as a `def`, as a
lambda or as a closure therefore has one identity.
"""

import functools
import hashlib
import re
import types
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vgrad_jax.jaxprs import ClosedJaxpr, Jaxpr, JaxprEqn, called, is_literal, literal_value

__all__ = ["Identity", "identity_of"]

ADDRESS = re.compile(r" at 0x[0-9a-f]+|0x[0-9a-f]{6,}")

NAMES_ALONE = ("name", "debug_info", "jvp_jaxpr_fun", "jvp_jaxpr_thunk", "fwd_jaxpr_thunk", "bwd", "num_consts")
"""Parameters that say where an operation comes from, or how its derivative would be traced."""

MOST_SCALARS = 1000
"""Most numbers of a program that are written down, to name the one that has changed."""


class Identity(NamedTuple):
    """Identity of a program; equal for programs that compute the same from the same constants."""

    text: str
    """Digest of all operations with their parameters, in their order."""
    operations: dict[str, int]
    """Name of each operation to its number in the program, inner programs included."""
    scalars: list[str]
    """Numbers written in the program, in their order; `MOST_SCALARS` at the most."""
    constants: list[str]
    """Type and digest of each constant array."""

    @property
    def digest(self) -> str:
        """Digest of everything."""
        return _digest(repr(self).encode())


def identity_of(closed: ClosedJaxpr) -> Identity:
    """Return the identity of a program.

    >>> f = jax.make_jaxpr(lambda x: 2 * x + 1)(1.0)
    >>> def named(y):
    ...     doubled = 2 * y
    ...     return doubled + 1
    >>> identity_of(f) == identity_of(jax.make_jaxpr(named)(1.0))
    True
    """
    writer = _Writer()
    text = "\n".join(writer.lines(closed.jaxpr))
    constants = [_constant(value) for value in closed.consts] + writer.constants
    return Identity(_digest(text.encode()), dict(sorted(writer.operations.items())), writer.scalars, constants)


class _Writer:
    """Writer of a program's canonical lines, which counts its operations and collects its numbers."""

    def __init__(self) -> None:
        self.operations: Counter[str] = Counter()
        self.scalars: list[str] = []
        self.constants: list[str] = []
        self.number = 0

    def lines(self, jaxpr: Jaxpr) -> Iterator[str]:
        """Yield a line for each equation of a program, with variables numbered in the order of their appearance."""
        names: dict[Any, str] = {}
        yield "in " + " ".join(self._new(names, atom) for atom in (*jaxpr.constvars, *jaxpr.invars))
        yield from self._equations(jaxpr, names)
        yield "out " + " ".join(self._read(names, atom) for atom in jaxpr.outvars)

    def _equations(self, jaxpr: Jaxpr, names: dict[Any, str]) -> Iterator[str]:
        """Yield the lines of equations; a program within `jit` stands as if it were written out."""
        for equation in jaxpr.eqns:
            inner = called(equation) if equation.primitive.name == "jit" else None
            if inner is not None:
                self.constants += [_constant(constant) for constant in inner.consts]
                inside = {atom: self._new(names, atom) for atom in inner.jaxpr.constvars}
                inside |= zip(inner.jaxpr.invars, [self._read(names, a) for a in equation.invars], strict=True)
                yield from self._equations(inner.jaxpr, inside)
                names.update(zip(equation.outvars, [self._read(inside, a) for a in inner.jaxpr.outvars], strict=True))
                continue
            self.operations[equation.primitive.name] += 1
            atoms = " ".join(self._read(names, atom) for atom in equation.invars)
            results = " ".join(self._new(names, atom) for atom in equation.outvars)
            yield f"{results} = {equation.primitive.name} {atoms}"
            yield from self._parameters(equation)

    def _new(self, names: dict[Any, str], atom: Any) -> str:
        self.number += 1
        return names.setdefault(atom, f"{self.number}:{_type(atom.aval)}")

    def _read(self, names: dict[Any, str], atom: Any) -> str:
        return self._literal(atom) if is_literal(atom) else names[atom]

    def _parameters(self, equation: JaxprEqn) -> Iterator[str]:
        for name, value in sorted(equation.params.items()):
            if name not in NAMES_ALONE:
                yield f" {name}:"
                yield from self._value(value)

    def _value(self, value: Any) -> Iterator[str]:
        if isinstance(value, ClosedJaxpr):
            self.constants += [_constant(constant) for constant in value.consts]
            yield from self.lines(value.jaxpr)
        elif isinstance(value, Jaxpr):
            yield from self.lines(value)
        elif isinstance(value, tuple | list):
            for element in value:
                yield from self._value(element)
        elif isinstance(value, np.ndarray | jax.Array):
            self.constants.append(_constant(value))
        elif callable(value) and not isinstance(value, type):
            yield f" function {_code(value)}"
        else:
            yield f" {ADDRESS.sub('', repr(value))}"

    def _literal(self, atom: Any) -> str:
        if np.ndim(atom.val):
            self.constants.append(_constant(atom.val))
            return f"constant:{_type(atom.aval)}"
        text = f"{literal_value(atom)!s} {_type(atom.aval)}"
        if len(self.scalars) < MOST_SCALARS:
            self.scalars.append(text)
        return text


def _code(function: Any) -> str:
    """Return a digest of a function that the program calls in Python: of its code and of all values that it holds."""
    return _digest(repr(_parts(getattr(function, "callback_func", function), frozenset())).encode())


def _parts(value: Any, seen: frozenset[int]) -> Any:
    """Return what a Python value means, without addresses, files and lines."""
    if id(value) in seen:
        return "again"
    seen = seen | {id(value)}
    if isinstance(value, types.CodeType):
        constants = [_parts(constant, seen) for constant in value.co_consts]
        return value.co_code, value.co_names, value.co_freevars, constants
    if isinstance(value, functools.partial):
        return "partial", [_parts(part, seen) for part in (value.func, *value.args, *sorted(value.keywords.items()))]
    if isinstance(value, types.MethodType):
        return "method", _parts(value.__func__, seen), _parts(value.__self__, seen)
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        used = [value.__globals__[name] for name in value.__code__.co_names if name in value.__globals__]
        held = [*cells, *(value.__defaults__ or ()), *sorted((value.__kwdefaults__ or {}).items()), *used]
        return "function", _parts(value.__code__, seen), [_parts(part, seen) for part in held]
    if isinstance(value, types.ModuleType | type | types.BuiltinFunctionType):
        return "name", getattr(value, "__module__", None), getattr(value, "__qualname__", value.__name__)
    if isinstance(value, np.ndarray | jax.Array | np.generic):
        return "array", _constant(value)
    if isinstance(value, list | tuple | set | frozenset):
        parts = [_parts(part, seen) for part in value]
        return type(value).__name__, sorted(parts, key=repr) if isinstance(value, set | frozenset) else parts
    if isinstance(value, dict):
        return "dict", [(_parts(key, seen), _parts(part, seen)) for key, part in value.items()]
    if value is None or isinstance(value, str | bytes | bool | int | float | complex | type(Ellipsis)):
        return type(value).__name__, repr(value)
    if hasattr(value, "__dict__") and type(value).__module__.partition(".")[0] not in LIBRARIES:
        return type(value).__qualname__, _parts(type(value).__call__, seen), _parts(vars(value), seen)
    return "object", type(value).__module__, type(value).__qualname__, ADDRESS.sub("", repr(value))


LIBRARIES = ("jax", "jaxlib", "numpy", "optax", "flax", "equinox", "haiku")
"""Packages whose objects are known by their names: their versions are part of a store."""


def _type(aval: Any) -> str:
    return aval.str_short() if hasattr(aval, "str_short") else str(aval)


def _constant(value: Any) -> str:
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    array = np.ascontiguousarray(np.asarray(value))
    return f"{array.dtype}{list(array.shape)} {_digest(array.tobytes())}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
