"""Concerns about the targets: out of reach of the output, no probabilities, all equal, or of another kind of loss."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from vgrad_jax.inspection.concern import FEWEST_ROWS, LARGE_TARGETS, SHARE, UNREACHABLE, Concern
from vgrad_jax.inspection.probes import SCALES, Probe, Targets

__all__ = ["Difference", "broadcast_targets", "differences", "of_binary_loss", "of_class_loss", "of_differences"]

PAIRING = ("sub", "mul", "add")
"""Operations that hold an output against a target."""
SQUARES = ("square", "integer_pow", "mul", "abs")
PILED = 0.1
"""Share of the outputs of a large network that are at a bound, if there is one."""
EXACT, FROM_GRADIENT = 5e-7, 1e-3
"""Accuracy of targets as they were given, and of those that a gradient gave back, as shares of them.

The former is four roundings of single precision. The latter are no more accurate than outputs of a usual size, too.
"""
SUMS_APART = 0.05
"""Mean difference of a row's sum from 1 above which rows are no shares of a whole."""


class Difference(NamedTuple):
    """Output of the network minus targets, whose square or magnitude the loss takes."""

    output: int
    targets: Float[np.ndarray, "..."]
    is_square: bool


def differences(probe: Probe) -> list[Difference]:
    """Return the differences that the loss takes the square or the magnitude of."""
    graph, pure, readers = probe.graph, probe.tail.pure, probe.graph.readers()
    pairs: list[tuple[int, int, bool]] = []
    for step in probe.tail.steps:
        outputs = [value for value in step.inputs if value in pure]
        targets = [value for value in step.inputs if graph.is_data(value)]
        if step.name != "sub" or len(outputs) != 1 or len(targets) != 1:
            continue
        kinds = [reader.name for reader in readers.get(step.outputs[0], []) if reader.name in SQUARES]
        if kinds:
            pairs.append((outputs[0], targets[0], "abs" not in kinds))
    arrays = probe.concrete([targets for _, targets, _ in pairs]) if pairs else []
    return [
        Difference(output, array.astype(np.float64), square)
        for (output, _, square), array in zip(pairs, arrays, strict=True)
        if array.size
    ]


def broadcast_targets(probe: Probe) -> list[Concern]:
    """Find targets `(rows,)` against outputs `(rows, 1)`: each example is held against all targets."""
    graph, pure = probe.graph, probe.tail.pure
    for step in probe.tail.steps:
        outputs = [value for value in step.inputs if value in pure]
        targets = [value for value in step.inputs if graph.is_data(value)]
        if step.name not in PAIRING or len(outputs) != 1 or len(targets) != 1 or not graph.shapes[step.outputs[0]]:
            continue
        rows, shapes = graph.shapes[step.outputs[0]][0], {graph.shapes[value] for value in (*outputs, *targets)}
        if rows >= FEWEST_ROWS and shapes == {(rows, 1), (1, rows)} and not _holds_outputs_together(probe, rows):
            sentence = (
                f"Outputs ({rows}, 1) and targets ({rows},) make a table of {rows} x {rows} differences: each example "
                "is held against the targets of all others."
            )
            return [Concern("targets_broadcast", sentence, float(rows), 1.0, None, True)]
    return []


def _holds_outputs_together(probe: Probe, rows: int) -> bool:
    """Return whether the loss compares all outputs with each other too: then it compares sets, on purpose."""
    graph, pure = probe.graph, probe.tail.pure
    pairs = [{graph.shapes[value] for value in step.inputs if value in pure} for step in probe.tail.steps]
    return {(rows, 1), (1, rows)} in pairs


def of_differences(probe: Probe, among: list[Difference]) -> list[Concern]:
    """Judge targets of squared and absolute errors."""
    concerns = []
    for difference in among:
        y = difference.targets
        largest = float(np.nanmax(np.abs(y), initial=0))
        if largest > LARGE_TARGETS:
            sentence = f"Targets are as large as {largest:.3g}: scale them to about 1."
            concerns.append(Concern("targets_large", sentence, largest, LARGE_TARGETS, None, False))
        if probe.fits:
            concerns += _out_of_reach(probe, difference)
        if difference.is_square and y.ndim > 1 and _one_hot(y, y.ndim - 1):
            sentence = "The squared error is taken on one-hot classes; a crossentropy learns faster."
            concerns.append(Concern("squared_error_on_classes", sentence, 1.0, 1.0, None, False))
        if probe.tail.head is not None and (not probe.units or y.shape == probe.graph.shapes[probe.tail.head]):
            concerns += _constant(y, probe.units, EXACT)
    return concerns


def _out_of_reach(probe: Probe, difference: Difference) -> list[Concern]:
    """Find targets that the output cannot reach."""
    y = difference.targets
    samples = [probe.samples([difference.output], scale)[0].astype(np.float64) for scale in SCALES]
    low, high = _bounds(samples)
    outside = np.maximum(y - high, 0) + np.maximum(low - y, 0)
    spread = np.mean((y - y.mean()) ** 2) or np.mean(y**2) or 1.0
    share = float(np.mean(outside**2) / spread)
    if share > UNREACHABLE:
        sentence = (
            f"Targets go from {y.min():.3g} to {y.max():.3g}, and the output from {low:.3g} to {high:.3g} at most. "
            "Use a linear output, or scale the targets."
        )
        return [Concern("targets_outside_range", sentence, share, UNREACHABLE, None, True)]
    if y.ndim > 1 and y.shape[-1] > 1 and _are_shares(samples[0], y.shape):
        apart = float(np.mean(np.abs(y.sum(-1) - 1)))
        if apart > SUMS_APART:
            sentence = (
                "The output is a softmax, whose rows sum to 1, and the rows of the targets sum to "
                f"{y.sum(-1).min():.3g} to {y.sum(-1).max():.3g}. Use a sigmoid for each unit."
            )
            return [Concern("targets_outside_range", sentence, apart, SUMS_APART, None, True)]
    return []


def _bounds(samples: list[Float[np.ndarray, "..."]]) -> tuple[float, float]:
    """Return the bounds of an output, infinite where it has none: outputs of a large network pile up at a bound."""
    finite = [sample[np.isfinite(sample)] for sample in samples]
    if not all(len(sample) for sample in finite):
        return -np.inf, np.inf
    low, high = min(float(sample.min()) for sample in finite), max(float(sample.max()) for sample in finite)
    near = 1e-3 * (high - low)
    has_low = np.mean(finite[-1] <= low + near) > PILED
    has_high = np.mean(finite[-1] >= high - near) > PILED
    return low if has_low else -np.inf, high if has_high else np.inf


def _are_shares(output: Float[np.ndarray, "..."], shape: tuple[int, ...]) -> bool:
    """Return whether every row of an output sums to 1."""
    same = output.shape == shape and bool(np.isfinite(output).all())
    return same and bool((output >= 0).all()) and bool(np.allclose(output.sum(-1), 1, atol=1e-3))


def _one_hot(y: Float[np.ndarray, "..."], axis: int) -> bool:
    """Return whether every row has one 1 and zeros else, along an axis."""
    if y.shape[axis] < 2 or y.size // y.shape[axis] < FEWEST_ROWS:
        return False
    return bool(np.isin(y, (0, 1)).all() and (y.sum(axis) == 1).all())


def _constant(
    y: Float[np.ndarray, "..."], units: tuple[int, ...], accuracy: float = FROM_GRADIENT, *, is_rare: bool = False
) -> list[Concern]:
    """Find targets that are the same in every row.

    Args:
        y: targets.
        units: the units' axes.
        accuracy: difference, as a share of the targets, up to which they are the same.
        is_rare: True where a batch without the other class may be an accident.
    """
    rows = np.moveaxis(y, units, range(-len(units), 0)).reshape(-1, *(y.shape[axis] for axis in units))
    rows = rows[np.isfinite(rows).reshape(len(rows), -1).all(1)]
    size = np.abs(rows).max(initial=0 if accuracy == EXACT else 1)
    if len(rows) < FEWEST_ROWS or np.abs(rows - rows[0]).max(initial=0) > accuracy * size:
        return []
    sentence = f"All {len(rows)} targets of the batch are the same: there is nothing to tell apart."
    certain = bool(np.abs(rows[0]).max(initial=0) > 1e-3) and not is_rare
    return [Concern("labels_constant", sentence, float(len(rows)), float(FEWEST_ROWS), None, certain)]


def of_binary_loss(probe: Probe, targets: Targets) -> list[Concern]:
    """Judge targets of a binary crossentropy."""
    y = targets.values
    known = y[np.isfinite(y)]
    if outside := _outside(known):
        return outside
    units = probe.units
    one_of_many = len(units) == 1 and y.shape[units[0]] > 1 and not probe.predicts_inputs
    if one_of_many and _one_hot(_rounded(y), units[0]):
        sentence = "A binary crossentropy is taken on one-hot rows: exactly one unit is 1. Use a softmax crossentropy."
        return [Concern("binary_loss_on_one_hot", sentence, 1.0, 1.0, None, True)]
    return _constant(y, units)


def _rounded(y: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return targets that were found from a gradient, without its rounding errors."""
    near: Bool[np.ndarray, ...] = np.abs(y - np.round(y)) < 1e-2
    return np.where(near, np.round(y), y)


def _outside(y: Float[np.ndarray, " target"]) -> list[Concern]:
    """Find targets of a crossentropy that are no probabilities."""
    share = float(np.mean((y < -0.02) | (y > 1.02))) if len(y) else 0.0
    if share <= 0:
        return []
    sentence = (
        f"The loss is a crossentropy, and its targets go from {y.min():.3g} to {y.max():.3g}: they are no "
        "probabilities, and the loss has no lower bound. Use classes in one-hot rows, or scale them to 0 and 1."
    )
    return [Concern("targets_not_probabilities", sentence, share, 0.0, None, True)]


def of_class_loss(probe: Probe, targets: Targets) -> list[Concern]:
    """Judge targets of a categorical crossentropy, classes last."""
    q, weights = targets
    rows, weights = q.reshape(-1, q.shape[-1]), weights.ravel()
    number, known = len(rows), np.isfinite(rows).all(-1)
    rows, weights = rows[known], weights[known]
    if outside := _outside(rows.ravel()):
        return outside
    if not probe.predicts_inputs:
        for scale in (1.0, float(number)):  # The loss sums over its rows, or takes their mean.
            counts = rows * (weights * scale)[:, None]
            several = (counts > 0.5).sum(-1) > 1
            if several.any() and np.abs(counts - np.round(counts)).max() < SHARE * max(1.0, counts.max()):
                sentence = (
                    f"Rows of the targets have sums up to {counts.sum(-1).max():.0f}, and a softmax crossentropy wants "
                    "rows that sum to 1. Use a sigmoid for each unit and a binary crossentropy."
                )
                return [Concern("rows_do_not_sum_to_one", sentence, float(np.mean(several)), 0.0, None, True)]
    is_first = bool(len(rows)) and bool(rows[:, 0].mean() > 1 - SHARE)
    return _constant(rows, (1,), is_rare=is_first)
