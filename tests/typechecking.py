"""The run-time type checker of the tests."""

import functools
import inspect
from typing import get_args

import jax
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
