"""Boundary of the public functions: arguments are compared with their annotations before a function sees them.

    call ─► as many arguments as the function takes? ─► each of the kind that is annotated? ─► function
                  no: InputError with the names             no: InputError with what came

A call under `jit` or `vmap` is checked while it is traced, so that compiled code is as fast as without. Only kinds are
compared: an array is not read, and `Any` fits everything. Numbers have bounds, which the function itself checks.

A user's function shows whether it takes its arguments when it is called. `called` tells a function of a wrong form from
an exception in the user's own lines.
"""

import functools
import inspect
import numbers
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

import jax.numpy as jnp
import numpy as np
from jaxtyping import AbstractArray

from vgrad_jax.errors import InputError

__all__ = ["array_of", "called", "checked", "checked_class", "fits", "in_words", "require_signature"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Class = TypeVar("Class")

LIBRARIES = frozenset(sys.stdlib_module_names) | {"jax", "jaxlib", "numpy"}
"""Packages whose lines are not the user's: a function of theirs that was handed over by mistake raises in them."""

MOST_ELEMENTS = 1000
"""Number of elements of a sequence that are compared."""


def checked(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Return a public function that refuses arguments of a wrong kind before it begins.

    Raises:
        InputError: when called, if an argument is missing, unknown, or of a kind that its annotation excludes.

    >>> @checked
    ... def half(count: int) -> int:
    ...     return count // 2
    >>> half("x")
    Traceback (most recent call last):
    vgrad_jax.errors.InputError: half: count must be a whole number; got 'x' (str)
    """
    signature = inspect.signature(function)
    annotations = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if parameter.annotation is not inspect.Parameter.empty
        and parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    }
    name = function.__qualname__.rpartition("<locals>.")[2].removesuffix(".__init__")

    @functools.wraps(function)
    def checking(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
        try:
            given = signature.bind(*arguments, **options).arguments
        except TypeError as error:
            names = ", ".join(signature.parameters)
            raise InputError(f"{name}: {error}; its arguments are {names}") from None
        for argument, value in given.items():
            if argument in annotations and not fits(value, annotations[argument]):
                raise InputError(f"{name}: {argument} must be {in_words(annotations[argument])}; got {_shown(value)}")
        return function(*arguments, **options)

    return checking


def checked_class(cls: type[Class]) -> type[Class]:
    """Return a class whose constructor is `checked`."""
    cls.__init__ = checked(cls.__init__)  # type: ignore[method-assign]
    return cls


def called(name: str, form: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call a user's function, and refuse one that does not take these arguments.

    An exception in the function's own lines stays as it is.

    Args:
        name: name of the function, for the message.
        form: how it is called and what it returns, for the message.
        function: anything that can be called.
        arguments: positional arguments of the call.
        options: keyword arguments of the call.

    Raises:
        InputError: the call fails, and no line of the function's own is running.

    >>> called("loss_fn", "f(params, batch) to a scalar", dict, 1, 2)
    Traceback (most recent call last):
    vgrad_jax.errors.InputError: loss_fn must be f(params, batch) to a scalar; got the class dict, whose call raised \
TypeError: dict expected at most 1 argument, got 2. Give a function of these arguments
    """
    try:
        return function(*arguments, **options)
    except InputError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        if _is_in_own_lines(error):
            raise
        said = str(error).partition("\n")[0][:200].rstrip(".")
        raise InputError(
            f"{name} must be {form}; got {_shown_function(function)}, whose call raised "
            f"{type(error).__name__}: {said}. Give a function of these arguments"
        ) from error


def require_signature(name: str, function: Callable[..., Any], wanted: tuple[str, ...]) -> None:
    """Refuse a function that cannot be called with so many arguments.

    Args:
        name: name of the function, for the message.
        function: anything that can be called.
        wanted: names of the positional arguments.

    Raises:
        InputError: it takes another number, or is a class of Python's own such as int.

    >>> require_signature("loss_fn", lambda: 0, ("params", "batch"))
    Traceback (most recent call last):
    vgrad_jax.errors.InputError: loss_fn is called as f(params, batch), but it takes (): too many positional arguments
    """
    called_as = f"{name} is called as f({', '.join(wanted)})"
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # A function of C code may have none.
        bare = function.func if isinstance(function, functools.partial) else function
        if isinstance(bare, type):
            raise InputError(f"{called_as}; got {_shown(bare)}. Give a function of these arguments") from None
        return
    try:
        signature.bind(*wanted)
    except TypeError as error:
        raise InputError(f"{called_as}, but it takes {signature}: {error}") from None


def array_of(name: str, values: Any, dtype: Any = None) -> np.ndarray:
    """Return a user's values as an array.

    Args:
        name: name of the values, for messages.
        values: anything.
        dtype: dtype of the array; None keeps that of the values.

    Raises:
        InputError: the values make no such array.

    >>> array_of("times", ["x"], np.float64)
    Traceback (most recent call last):
    vgrad_jax.errors.InputError: times must be an array of numbers; got ['x'] (list)
    """
    try:
        return np.asarray(values, dtype)
    except Exception:  # A user's object may raise any error.
        kind = "an array" if dtype is None else "an array of numbers"
        raise InputError(f"{name} must be {kind}; got {_shown(values)}") from None


def fits(value: Any, annotation: Any) -> bool:
    """Return whether a value is of the kind of an annotation; a kind that is not known fits.

    >>> fits(3, int), fits(True, int), fits([1, 2], tuple[int, ...]), fits("sgd", int | None)
    (True, False, True, False)
    """
    origin = get_origin(annotation)
    if annotation is Any:
        return True
    if annotation is None or annotation is types.NoneType:
        return value is None
    if origin in (Union, types.UnionType):
        return any(fits(value, part) for part in get_args(annotation))
    if origin is Literal:
        return isinstance(value, str) and value in get_args(annotation)
    if origin is not None:
        return _fits_container(value, origin, get_args(annotation))
    if isinstance(annotation, type):
        return _fits_class(value, annotation)
    return True


def in_words(annotation: Any) -> str:
    """Return the kind of an annotation in words.

    >>> in_words(int | None), in_words(Callable[[int], int])
    ('a whole number or None', 'a function')
    """
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(in_words(part) for part in get_args(annotation)))
    if origin is Literal:
        return f"one of {', '.join(map(repr, get_args(annotation)))}"
    kind = origin if origin is not None else annotation
    if isinstance(kind, type) and issubclass(kind, AbstractArray):
        return "a PRNG key, such as jax.random.key(0)" if _is_key(kind) else "an array"
    if kind in WORDS:
        return WORDS[kind]
    name = kind.__name__ if isinstance(kind, type) else str(kind)
    return f"{'an' if name[:1] in 'AEIOU' or name == 'MLP' else 'a'} {name}"


WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "a text",
    None: "None",
    types.NoneType: "None",
    tuple: "a tuple",
    list: "a list",
    dict: "a dictionary",
    Mapping: "a mapping",
    Sequence: "a sequence",
    Callable: "a function",
}
"""Kinds in words."""


def _fits_container(value: Any, origin: Any, parts: tuple[Any, ...]) -> bool:
    if origin is Callable:
        return callable(value)
    if origin in (tuple, Sequence, list):
        is_sequence = isinstance(value, tuple | list) or (origin is Sequence and isinstance(value, Sequence))
        if not is_sequence or isinstance(value, str | bytes):
            return False
        same = origin is not tuple or (len(parts) == 2 and parts[1] is Ellipsis)
        return not same or not parts or all(fits(element, parts[0]) for element in value[:MOST_ELEMENTS])
    return isinstance(value, origin) if isinstance(origin, type) else True


def _fits_class(value: Any, kind: type) -> bool:
    """Return whether a value is of a class; a scalar array, traced or not, is a number."""
    if issubclass(kind, AbstractArray):
        if not hasattr(value, "shape") or not hasattr(value, "dtype"):
            return False
        if _is_key(kind):
            return isinstance(value, kind) or (value.shape == (2,) and str(value.dtype) == "uint32")
        is_scalar_or_any = kind.dim_str != "" or value.shape == ()
        return is_scalar_or_any and any(jnp.issubdtype(value.dtype, numeric) for numeric in (np.number, np.bool_))
    if kind in (int, float):
        if hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, np.generic):
            kinds = (np.integer,) if kind is int else (np.integer, np.floating)
            return value.shape == () and any(jnp.issubdtype(value.dtype, numeric) for numeric in kinds)
        abstract = numbers.Integral if kind is int else numbers.Real
        return isinstance(value, abstract) and not isinstance(value, bool | np.bool_)
    if kind is bool:
        return isinstance(value, bool | np.bool_)
    if getattr(kind, "_is_protocol", False):
        members = {*vars(kind), *inspect.get_annotations(kind)}
        return all(member.startswith("_") or member in dir(value) for member in members)
    fields = getattr(kind, "_fields", None)
    if fields is not None:  # A named tuple is a protocol: an optimiser, or the arrays of another package.
        return all(hasattr(value, field) for field in fields)
    return isinstance(value, kind)


def _is_in_own_lines(error: BaseException) -> bool:
    """Return whether an exception that `called` caught passed through lines of the called function's own."""
    entry = error.__traceback__ and error.__traceback__.tb_next
    while entry is not None:
        if str(entry.tb_frame.f_globals.get("__name__")).partition(".")[0] not in LIBRARIES:
            return True
        entry = entry.tb_next
    return False


def _shown_function(function: Any) -> str:
    """Return a function for a message, by its name where it has one."""
    if isinstance(function, type):
        return f"the class {function.__name__}"
    name = getattr(function, "__name__", None)
    return f"the function {name}" if isinstance(name, str) else _shown(function)


def _is_key(kind: Any) -> bool:
    """Return whether arrays of a kind are random keys: typed ones, or pairs of unsigned whole numbers."""
    return "prng_key" in kind.dtypes or (kind.dim_str == "2" and "uint32" in kind.dtypes)


def _shown(value: Any) -> str:
    """Return a value for a message, cut to a length that a message can hold."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    try:
        text = repr(value)
    except Exception:  # The representation of a user's object may fail.
        text = "an object"
    text = " ".join(text.split())
    return f"{text if len(text) <= 60 else f'{text[:57]}...'} ({type(value).__name__})"
