"""The run-time type checker of the tests.

`jaxtyped` binds the arguments of every call, which takes longer than most functions of the package: a function without
an array among its annotations is checked by beartype alone, and a function within a function is not checked.
"""

import functools
import inspect
from typing import get_args

import jax
import jaxtyping
import numpy as np
from beartype import beartype
from jaxtyping import AbstractArray


def check(function):
    """Beartype, with two kinds of constructors apart.

    Descriptions refuse wrong types themselves, in words that are tested. A state, which holds arrays, is checked where
    all of them are arrays: JAX rebuilds states around axes, shapes, None and other placeholders too.
    """
    if not function.__qualname__.endswith(".__init__"):
        return beartype(function)
    signature = inspect.signature(function)
    names = [parameter.name for parameter in signature.parameters.values() if holds_arrays(parameter.annotation)]
    return checked_with_arrays(function, signature, names) if names else function


def with_cheap_calls(jaxtyped):
    """Return jaxtyping's decorator, for the import hook: functions without arrays go to the type checker alone."""

    @functools.wraps(jaxtyped)
    def decorator(*, typechecker):
        whole = jaxtyped(typechecker=typechecker)

        def decorate(decorated):
            # A function within a function is defined at every call, and decorating it takes longer than calling it.
            if "<locals>" in decorated.__qualname__:
                return decorated
            annotations = getattr(decorated, "__annotations__", {}).values()
            # A text names what is imported for the type checker alone, which jaxtyping leaves unresolved.
            plain = not any(isinstance(own, str) or holds_arrays(own) for own in annotations)
            plain = plain and not isinstance(decorated, type)
            return typechecker(decorated) if plain else whole(decorated)

        return decorate

    return decorator


def checked_with_arrays(function, signature, names):
    checked = beartype(function)

    @functools.wraps(function)
    def check_arrays(*arguments, **options):
        fields = signature.bind(*arguments, **options).arguments
        arrays = [fields[name] for name in names if fields.get(name) is not None]
        if arrays and all(isinstance(array, jax.Array | np.ndarray) for array in arrays):
            checked(*arguments, **options)

    return check_arrays


def holds_arrays(annotation):
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return True
    return any(holds_arrays(part) for part in get_args(annotation))


jaxtyping.jaxtyped = with_cheap_calls(jaxtyping.jaxtyped)
