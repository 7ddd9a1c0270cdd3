"""Studies that a user writes in Python: a file or a module that names its arms."""

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from vgrad_jax.errors import InputError, unknown_name

__all__ = ["StudyFile", "read_study"]

ARMS = "arms"
"""Name in a file that holds its arms."""


class StudyFile(NamedTuple):
    """A study in Python."""

    name: str
    """Name of the study's folder."""
    arms: dict[str, Any]
    """Arm name to `Experiment`, `Arm` or function."""


def read_study(target: str, chosen: list[str] | None) -> StudyFile:
    """Run a user's file or import a user's module, and return the arms that it names.

    Args:
        target: a file such as "my_study.py", which names `arms`; or "module:name".
        chosen: names of arms; None or an empty list chooses all arms.

    Raises:
        InputError: no such file or module; it raises; it names no arms; or no arm has a chosen name.
    """
    path = Path(target)
    if path.suffix == ".py":
        module, attribute, name = _run_file(path), ARMS, path.stem
    elif ":" in target and not path.exists():
        module_name, _, attribute = target.partition(":")
        module, name = _import(module_name), attribute
    else:
        raise InputError(
            f"expected a Python file that names its arms, such as my_study.py, or module:name; got {target!r}"
        )
    if not hasattr(module, attribute):
        raise InputError(f"{target!r} names no {attribute!r}; expected {attribute} = {{'mine': vg.Arm(train), ...}}")
    arms = getattr(module, attribute)
    if callable(arms):
        try:
            arms = arms()
        except Exception as error:
            raise InputError(
                f"{attribute!r} in {target!r} must map names to arms, or be a function without arguments that returns "
                f"such a mapping; it raised {type(error).__name__}: {error}"
            ) from error
    if not isinstance(arms, Mapping) or not arms:
        raise InputError(f"{attribute!r} in {target!r} must map names to arms, one at least; got {arms!r}")
    for arm in chosen or ():
        if arm not in arms:
            raise unknown_name(f"arm of {target!r}", arm, arms)
    return StudyFile(name, {arm: arms[arm] for arm in dict.fromkeys(chosen or arms)})


def _run_file(path: Path) -> ModuleType:
    """Run a file as a module; its folder is searched for modules first, as Python does for a script."""
    if not path.is_file():
        raise InputError(f"there is no file {str(path)!r}")
    sys.path.insert(0, str(path.parent.resolve()))
    name = f"study_{path.stem}"  # A file such as jax.py must not take the name of a package.
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise InputError(f"{str(path)!r} raised {type(error).__name__}: {error}") from error
    return module


def _import(name: str) -> ModuleType:
    """Import a module; the working folder is searched too."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise InputError(f"the module {name!r} cannot be imported: {type(error).__name__}: {error}") from error
