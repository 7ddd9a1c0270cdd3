"""The room's error, and the kind of it that no program is to blame for."""

__all__ = ["NotInLanesError", "RefusedCodeError"]


class NotInLanesError(NotImplementedError):
    """A function does not run as native code; the message says why.

    The same function runs by `jax.vmap`.
    """


class RefusedCodeError(NotInLanesError):
    """LLVM or XLA refuses native code: a defect of that code, or an installation that does not fit."""
