"""The room's one error."""

__all__ = ["NotInLanesError"]


class NotInLanesError(NotImplementedError):
    """A function does not run as native code; the message says why.

    The same function runs by `jax.vmap`.
    """
