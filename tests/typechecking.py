"""The run-time type checker of the tests."""

from beartype import beartype


def check(function):
    """Beartype, but for the making of descriptions: they refuse wrong types themselves, in words that are tested."""
    return function if function.__qualname__.endswith(".__init__") else beartype(function)
