"""Errors about input that cannot be used, with messages that say what to do."""

import difflib
from collections.abc import Iterable
from typing import Any

__all__ = ["InputError", "unknown_name"]


class InputError(ValueError):
    """Error about input that cannot be used.

    The message says what was expected, what came, and what to do. The command line prints the message in a single line
    and exits with 2.
    """


def unknown_name(kind: str, name: Any, valid: Iterable[str]) -> InputError:
    """Return the error for a name that is not in a table, with the nearest valid names.

    Args:
        kind: word for the things that the table names, such as "activation".
        name: the unknown name.
        valid: names in the table.

    >>> print(unknown_name("activation", "tanhh", ["relu", "tanh"]))
    unknown activation 'tanhh'; did you mean 'tanh'? Valid: relu, tanh
    """
    names = sorted(valid)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(repr(n) for n in near)}?" if near else "."
    return InputError(f"unknown {kind} {name!r}{hint} Valid: {', '.join(names)}")
