"""Inspect a loss before training, of any framework: read from its jaxpr, one batch and the first parameters."""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
from jaxtyping import PyTree

from vgrad_jax.compiling import ProgramCache
from vgrad_jax.gradients.layers import map_layers
from vgrad_jax.gradients.objective import Objective, objective_of
from vgrad_jax.inspection.chance import Chance, chance_of
from vgrad_jax.inspection.collapse import constant_is_best
from vgrad_jax.inspection.concern import Concern
from vgrad_jax.inspection.graph import Graph, graph_of
from vgrad_jax.inspection.hidden import Hidden, hidden_of
from vgrad_jax.inspection.inputs import inputs_scaled
from vgrad_jax.inspection.nonfinite import NonFinite
from vgrad_jax.inspection.outputs import gradient_cut, logarithms, sigmoid_shares, softmax_of_one
from vgrad_jax.inspection.probes import Probe, binary_targets, class_targets
from vgrad_jax.inspection.softmaxes import activation_twice, softmax_over_rows
from vgrad_jax.inspection.tail import Tail, tail_of
from vgrad_jax.inspection.targets import broadcast_targets, differences, of_binary_loss, of_class_loss, of_differences
from vgrad_jax.inspection.weights import kernels_constant, penalty_outweighs, some_steps_later
from vgrad_jax.inspection.zeros import ZeroReason

__all__ = ["NOT_INSPECTED", "Inspection", "inspect_loss"]

Value = TypeVar("Value")


@dataclass(frozen=True)
class Inspection:
    """Concerns about a loss, and the loss of chance."""

    concerns: tuple[Concern, ...] = ()
    """Certain ones first."""
    chance: float | None = None
    """Loss of the best constant prediction, without penalties; None where it cannot be told."""
    chance_rows: int = 0
    """Number of outputs of the batch that share each constant of this prediction."""
    chance_constants: int = 0
    """Number of these constants."""
    chance_is_partial: bool = False
    """True where the loss has penalties or side terms, which chance does not count."""
    hidden: Hidden | None = None
    """Rank of the last hidden layer; None where it cannot be told."""
    zeros: tuple[ZeroReason, ...] = ()
    """Reason for each gradient that is exactly zero, where it was asked for."""
    nonfinite: NonFinite | None = None
    """First operation that is not finite, where it was asked for."""


NOT_INSPECTED = Inspection()
"""Inspection of a loss that was not given: nothing is known."""


class _Traced(NamedTuple):
    """Program of a loss."""

    graph: Graph
    tail: Tail


_PROGRAMS: ProgramCache[_Traced] = ProgramCache(most=16)
"""Programs of losses with the functions that were compiled of them."""


def inspect_loss(
    loss_fn: Callable[[PyTree, Any], Any], params: PyTree, batch: PyTree, *, program: Hashable = None
) -> Inspection:
    """Say what speaks against a loss, its data or its first parameters, and which loss chance gives.

    Args:
        loss_fn: `f(params, batch)` to a scalar, or to a tuple that begins with it.
        params: any pytree.
        batch: whatever the loss takes.
        program: equal for two calls whose loss has the same program, so that it is traced and compiled once; None where
            that is not known.

    Returns:
        Concerns and chance; nothing where the loss cannot be told apart from the model.
    """
    try:
        objective = objective_of(loss_fn, params)
        trace = partial(_trace, objective, batch)
        graph, tail = trace() if program is None else _PROGRAMS.get(program, trace)
    except Exception:  # The inspection comes on top of a check, and must not break it.
        return Inspection()
    known = dict(enumerate([*objective.leaves, *jax.tree.leaves(batch)]))
    concerns: list[Concern] = []
    later = partial(some_steps_later, objective, batch, known)
    for part in _parts(graph, tail, known, _layers(params), later):
        concerns += _tried(part, [])
    chance: Chance | None = _tried(lambda: chance_of(graph, tail, known), None)
    return Inspection(
        tuple(sorted(concerns, key=lambda concern: not concern.certain)),
        None if chance is None else chance.loss,
        0 if chance is None else chance.rows,
        0 if chance is None else chance.constants,
        chance is not None and chance.is_partial,
        _tried(lambda: hidden_of(Probe(graph, tail, known)), None),
    )


def _trace(objective: Objective, batch: PyTree) -> _Traced:
    graph = graph_of(objective.loss, objective.leaves, batch)
    return _Traced(graph, tail_of(graph))


def _parts(
    graph: Graph, tail: Tail, known: dict[int, Any], layers: list[str], later: Callable[[], dict[int, Any]]
) -> Iterator[Callable[[], list[Concern]]]:
    """Yield the parts of an inspection."""
    probe = Probe(graph, tail, known)
    yield lambda: kernels_constant(graph, tail, known, layers, later)
    yield lambda: penalty_outweighs(graph, tail, known)
    yield lambda: inputs_scaled(probe)
    if probe.fits:
        yield lambda: _of_output(probe)


def _of_output(probe: Probe) -> list[Concern]:
    """Judge the output and the targets."""
    if of_one := softmax_of_one(probe):
        return of_one
    if first := gradient_cut(probe) or broadcast_targets(probe):
        return first
    concerns = [
        *constant_is_best(probe),
        *activation_twice(probe),
        *softmax_over_rows(probe),
        *logarithms(probe),
        *sigmoid_shares(probe),
        *of_differences(probe, differences(probe)),
    ]
    if (targets := binary_targets(probe)) is not None:
        concerns += of_binary_loss(probe, targets)
    elif (targets := class_targets(probe)) is not None:
        concerns += of_class_loss(probe, targets)
    return concerns


def _layers(params: PyTree) -> list[str]:
    """Return the layer of each leaf."""
    layers = map_layers(params)
    owner = {piece.leaf: path for path, pieces in zip(layers.paths, layers.pieces, strict=True) for piece in pieces}
    return [owner[leaf] for leaf in range(len(owner))]


def _tried(part: Callable[[], Value], otherwise: Value) -> Value:
    """Return a part of the inspection, or another value where it cannot be had."""
    try:
        return part()
    except Exception:  # A loss may hold primitives that cannot be carried out alone, such as those of a mesh.
        return otherwise
