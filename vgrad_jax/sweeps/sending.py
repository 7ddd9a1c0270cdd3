"""Functions on their way to a cluster's workers, by cloudpickle; a store holds none of them.

FunctionArm ─► bytes, with the functions of the user's own modules in full ─► a worker, which has no such modules
"""

import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["received", "sent"]

OURS = "vgrad_jax"
"""Package that every worker has."""


def sent(*values: Any) -> bytes:
    """Return values as bytes, functions and classes of the user's own modules in full.

    >>> received(sent(lambda x: x + 1))[0](2)
    3
    """
    import cloudpickle

    with _by_value(cloudpickle, values):
        return bytes(cloudpickle.dumps(values))


def received(content: bytes) -> tuple[Any, ...]:
    """Return the values that another process of the user's sent."""
    import cloudpickle

    values: tuple[Any, ...] = cloudpickle.loads(content)
    return values


@contextmanager
def _by_value(cloudpickle: Any, values: Any) -> Iterator[None]:
    """Have cloudpickle write functions of the user's own modules in full, and not by their names."""
    registered = set(cloudpickle.list_registry_pickle_by_value())
    own = [module for module in _own_modules(values) if module.__name__ not in registered]
    for module in own:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in own:
            cloudpickle.unregister_pickle_by_value(module)


def _own_modules(values: Any) -> list[ModuleType]:
    """Return the modules of the functions in some values, with all modules in the same folders, if not installed."""
    names = {getattr(function, "__module__", None) for function in _functions(values)}
    folders = {folder for name in names if (folder := _folder(sys.modules.get(str(name)))) is not None}
    modules = [module for module in [*sys.modules.values()] if isinstance(module, ModuleType)]
    return [module for module in modules if module.__name__ != "__main__" and _folder(module) in folders]


def _functions(value: Any) -> Iterator[Any]:
    """Yield the functions in nested values, partial functions and descriptions."""
    if isinstance(value, tuple):
        for element in value:
            yield from _functions(element)
    elif isinstance(value, partial):
        yield from _functions((value.func, *value.args, *value.keywords.values()))
    elif is_dataclass(value) and not isinstance(value, type):
        yield from _functions(tuple(getattr(value, field.name) for field in fields(value)))
    elif callable(value):
        yield value


def _folder(module: ModuleType | None) -> Path | None:
    """Return the folder of a module of the user's own; None for installed and built-in modules."""
    file = getattr(module, "__file__", None)
    if module is None or file is None or module.__name__.partition(".")[0] == OURS:
        return None
    path = Path(file)
    return None if _installed() & set(path.parents) or "site-packages" in path.parts else path.parent


@lru_cache(maxsize=1)
def _installed() -> frozenset[Path]:
    """Return the folders of Python and of its packages."""
    return frozenset(Path(folder) for folder in sysconfig.get_paths().values())
