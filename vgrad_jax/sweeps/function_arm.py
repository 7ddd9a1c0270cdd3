"""Arms of a sweep that are functions: the adapter to the protocol `Trainable`."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import jax
from jaxtyping import PyTree

from vgrad_jax.errors import InputError
from vgrad_jax.results.functions import FunctionRun
from vgrad_jax.results.schema import Layout
from vgrad_jax.sweeps.arm import Arm
from vgrad_jax.sweeps.identity import Identity, identity_of
from vgrad_jax.sweeps.live_bytes import live_bytes
from vgrad_jax.sweeps.sending import received, sent
from vgrad_jax.sweeps.size import ArmSize
from vgrad_jax.sweeps.tracing import Traced, trace_arm
from vgrad_jax.training.settings import Settings

__all__ = ["KIND", "FunctionArm"]

KIND = "function"
"""Kind of an arm in its description."""


@dataclass(frozen=True, eq=False)
class FunctionArm:
    """An `Arm` behind the protocol `vgrad_jax.sweeps.arms.Trainable`.

    The function is traced when the arm is made, and what was traced is what runs. Another process traces it again.

    Raises:
        InputError: the function cannot be traced, or gives another program each time.
    """

    name: str
    arm: Arm
    traced: Traced = field(init=False, repr=False)
    identity: Identity = field(init=False, repr=False)

    def __post_init__(self) -> None:
        traced, again = trace_arm(self.name, self.arm), trace_arm(self.name, self.arm)
        identity = identity_of(traced.closed)
        if identity != identity_of(again.closed):
            raise InputError(
                f"arm {self.name!r}: train is not pure: traced twice, it gives two programs, as with NumPy's random "
                "numbers or a counter; draw everything from the key"
            )
        object.__setattr__(self, "traced", traced)
        object.__setattr__(self, "identity", identity)

    def __reduce__(self) -> tuple[Any, ...]:
        # A jaxpr cannot be sent: the other process traces again.
        return _received, (self._content,)

    @cached_property
    def _content(self) -> bytes:
        """Name and arm as bytes, the same for every block of a sweep."""
        return sent(self.name, self.arm)

    @property
    def layout(self) -> Layout:
        """Axes of the arm's results."""
        labels = self.traced.layout.record
        return Layout(epochs=(), num_layers=0 if labels is None else len(labels["paths"]), function=self.traced.layout)

    @property
    def size(self) -> ArmSize:
        """Size of one training; the working memory is that of the traced program's values at their peak."""
        working = live_bytes(self.traced.closed)
        return ArmSize(
            results=self.traced.result_bytes,
            plain=working,
            lanes=working,
            parameters=0,
            width=0,
            epochs=1,
            is_described=False,
        )

    @property
    def threshold(self) -> None:
        """No threshold that other arms share: a function defines its own convergence."""

    @property
    def program_key(self) -> Hashable:
        """Identity of the program; constants are part of it."""
        return self.identity.digest

    def describe(self) -> dict[str, Any]:
        """Return plain values that identify the function and what its results mean."""
        return {
            "kind": KIND,
            "factors": dict(self.arm.factors or {}),
            **self.traced.layout.to_plain(),
            "program": {name: getattr(self.identity, name) for name in ("constants", "operations", "scalars")},
            # The last name in the alphabet: where nothing else differs, the whole text does.
            "whole_program": self.identity.text,
        }

    def fingerprint(self) -> str:
        """Return the digest of the program and its constants."""
        return self.identity.digest

    def inputs(self, keys: jax.Array) -> PyTree:
        """Return no inputs: a function draws everything from its key."""
        del keys
        return ()

    def settings(self) -> Settings:
        """Return no numbers: a function holds all of its own."""
        return {}

    def trainer(self, rows_at_once: int | None) -> Callable[[PyTree, Any, Settings], FunctionRun]:
        """Return the traced function of one key."""
        del rows_at_once
        closed, structure = self.traced.closed, self.traced.structure

        def train_one(inputs: PyTree, key: Any, settings: Settings) -> FunctionRun:
            del inputs, settings
            return jax.tree.unflatten(structure, jax.core.eval_jaxpr(closed.jaxpr, closed.consts, key))

        return train_one


@lru_cache(maxsize=64)  # Every block of a sweep brings the arms along, and tracing them takes as long as a small block.
def _received(content: bytes) -> FunctionArm:
    return FunctionArm(*received(content))
