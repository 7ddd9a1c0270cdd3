"""Table of statuses: everything about a verdict that is neither a computation nor a threshold.

A status has a meaning, a priority, layers that it spreads to, and advice. A new status is a row here, with its
thresholds in `thresholds.py`, its rule, and its test.
"""

from collections.abc import Mapping

from vgrad_jax.diagnosis.ill_posed import ILL_POSED
from vgrad_jax.diagnosis.status import CAUSES, NOTES, Remedy, Spread, Status

__all__ = [
    "FAULTLESS",
    "HEALTHY",
    "PRIORITY",
    "STATUSES",
    "TABLE",
    "UNCLEAR",
    "Spread",
    "Status",
    "NOTES",
    "CAUSES",
    "Remedy",
    "most_frequent_first",
    "rank",
    "spread_of",
    "status_of",
]


HEALTHY, UNCLEAR = "healthy", "unclear"

_SCALE = (
    "Scale the kernels' variance to {variance}; if it is, add residual branches or a norm, or take fewer layers. A "
    "larger learning rate cannot mend a ratio between layers."
)
_NOTHING_LEARNED = Remedy(
    "Check that inputs and targets of a row belong together, and that there is something to learn: can a simple model "
    "beat the constant? Then try another learning rate, optimiser or initialisation.",
)
_LARGE_STEPS = "Divide the learning rate by 3 to 10, or warm it up; clip the gradient by its global norm if single "

TABLE: dict[str, Status] = {
    "ill_posed": ILL_POSED,
    "non_finite": Status(
        "A gradient or the loss is infinite or missing, and the steps are not to blame.",
        Spread.ACTIVE,
        {
            "non_finite_gradient": Remedy(
                "Look for a logarithm or root of zero, a division by zero, or missing values in the data: "
                "vg.locate_nonfinite names the operation and its line. A root needs its argument kept from zero inside "
                "it, not its result.",
                ("non_finite_op",),
            ),
            "breaks_later": Remedy(
                "Hand the batch of that step and the parameters before it to vg.locate_nonfinite, which names the "
                "operation and its line; look for missing values in the data, or a logarithm or root of zero.",
                ("non_finite_op",),
            ),
        },
    ),
    "exploding": Status(
        "Signals or gradients grow with every layer.",
        Spread.ACTIVE,
        {
            "preactivations_grow": Remedy(
                "Scale the kernels' variance to {variance}, scale residual branches by 1 / sqrt(depth), or normalise; "
                "clipping the gradient only hides it.",
                ("initialisation",),
            ),
            "recurrence_grows": Remedy(
                "Make the recurrent matrix orthogonal with a norm of at most one, take a gated cell, or shorten the "
                "sequence; clip the gradient by its global norm.",
                ("initialisation",),
            ),
            "first_update_replaces_weights": Remedy(
                "Look at the preactivations by check_init, and hand the check to diagnose. Where they grow, scale the "
                "kernels' variance or normalise; where they keep their size, divide the learning rate by 10 until an "
                "update is smaller than the weights.",
                ("initialisation", "learning_rate"),
            ),
            "first_loss_huge": Remedy(
                "Standardise the inputs and look at the preactivations by check_init: where they grow, scale the "
                "kernels' variance or normalise. diagnose(baseline=) takes the loss of the best constant prediction.",
                ("initialisation", "input_scaling"),
            ),
            "loss_too_sensitive": Remedy(
                "Scale the kernels' variance to {variance}, or normalise: the loss leaps with the smallest step.",
                ("initialisation",),
            ),
            "gradient_grows": Remedy(
                "Lower the kernels' variance, or normalise; clip the gradient by its global norm to keep single steps "
                "small.",
                ("initialisation",),
            ),
        },
    ),
    "learning_rate_large": Status(
        "The first gradient is in order, and the steps make the loss worse.",
        Spread.ALL,
        {
            "update_ascends": Remedy(
                "Give the optimiser the gradient of what is to be made small, and add its updates: optax's updates "
                "have their sign already. A scale needs the negative learning rate.",
                ("optimiser",),
            ),
            "training_diverges": Remedy(_LARGE_STEPS + "batches cause it.", ("learning_rate",)),
            "steps_too_large": Remedy(_LARGE_STEPS + "batches cause it.", ("learning_rate",)),
        },
    ),
    "underflow": Status(
        "The gradient is near the smallest number that its dtype can hold.",
        Spread.ALL,
        {
            "gradient_underflows": Remedy(
                "Multiply the loss by 2^10 to 2^15 and divide the gradient by it in float32 (loss scaling), or compute "
                "in bfloat16, which has the range of float32."
            )
        },
    ),
    "solved": Status(
        "The gradient is small because there is nothing left to learn.",
        Spread.ALL,
        {
            "nothing_left_to_learn": Remedy(
                "Nothing is wrong: stop, or look at held-out data. A small gradient is no reason to raise the learning "
                "rate."
            )
        },
        is_fault=False,
    ),
    "collinear": Status(
        "The units of the last hidden layer are nearly multiples of each other: the network computes one feature.",
        Spread.ALL,
        {
            "units_collinear": Remedy(
                "Draw kernels with zero mean and variance {variance}: kernels of one sign, or equal ones, make every "
                "layer nearly of rank one.",
                ("initialisation",),
            ),
            "kernel_constant": Remedy(
                "Draw the kernel at random: units with equal weights have equal gradients and stay equal.",
                ("initialisation",),
            ),
        },
    ),
    "dead": Status(
        "The gradient of some layers is exactly zero.",
        Spread.ZERO,
        {
            "gradient_is_zero": Remedy(
                "Units that are off for every example have no gradient to come back by: start biases at zero and "
                "kernels with zero mean, lower the learning rate, or use leaky_relu, elu or gelu.",
                ("initialisation", "learning_rate"),
            ),
            "no_gradient": Remedy(
                "Look for a path that is cut, an operation without a derivative, or units that have no slope; "
                "vg.check_init tells which."
            ),
            "zeros_stay": Remedy(
                "Draw all but the last of these kernels at random: zeros behind zeros never get a gradient.",
                ("initialisation",),
            ),
            "no_path": Remedy(
                "Take the parameters out of stop_gradient, or use them in the loss; where they are meant to be frozen, "
                "leave them out with exclude=.",
            ),
            "gradient_cut": Remedy(
                "Take the stop_gradient out of the way from the output to the loss, or a smooth loss in place of one "
                "that counts, compares or rounds.",
                ("loss",),
            ),
            "no_derivative": Remedy(
                "Take a straight-through estimator (the operation forward, the identity backward: x + "
                "stop_gradient(f(x) - x)), or a smooth function in its place; where a second derivative is needed, an "
                "activation that has one, such as tanh, softplus or gelu.",
                ("hidden_activation",),
            ),
        },
    ),
    "saturated": Status(
        "The gradient is lost where tanh or logistic functions have no slope.",
        Spread.ATTENUATED,
        {
            "activations_saturated": Remedy(
                "Make preactivations smaller: kernels with zero mean and variance 1 / fan-in (lecun_normal, glorot), "
                "biases at zero, inputs scaled to about 1, or a norm before the activation.",
                ("initialisation", "input_scaling"),
            ),
            "saturates_later": Remedy(
                "Look at the last activation: targets outside its range drive it to its end, where it has no slope. "
                "Take an output without an activation, or scale the targets into its range; else lower the learning "
                "rate.",
                ("output_activation", "learning_rate"),
            ),
        },
    ),
    "vanishing": Status(
        "The gradient is lost on its way to the input, or the loss does not depend on the weights.",
        Spread.ATTENUATED,
        {
            "gradient_shrinks": Remedy(_SCALE, ("initialisation",)),
            "logistic_shrinks": Remedy(
                "Take the logistic function out of hidden layers: its slope is at most 1/4. tanh, ReLU or gelu with a "
                "variance of the kernels that fits, residual branches or a norm keep the gradient.",
                ("hidden_activation",),
            ),
            "loss_insensitive": Remedy(_SCALE, ("initialisation",)),
        },
    ),
    "learning_rate_small": Status(
        "The gradient is in order, and the steps are too small to use it.",
        Spread.ALL,
        {
            "updates_small": Remedy(
                "Multiply the learning rate by 10 until the loss falls; about 10^-3 of the weights a step is usual.",
                ("learning_rate",),
            ),
            "far_from_chance": Remedy(
                "Multiply the learning rate by 10 or more, or standardise inputs and targets: the way is shorter then.",
                ("learning_rate",),
            ),
            "updates_stopped": Remedy(
                "Look at the schedule: the learning rate ends at zero long before the training does. Count its steps "
                "in updates, not in epochs.",
                ("learning_rate",),
            ),
            "updates_rounded_away": Remedy(
                "Keep the parameters in float32 and compute in the short dtype, or multiply the learning rate by 10.",
                ("learning_rate",),
            ),
            "nothing_moves": Remedy(
                "Apply the updates, params = optax.apply_updates(params, updates), and hand the new parameters to the "
                "next step.",
                ("optimiser",),
            ),
        },
    ),
    "ill_scaled": Status(
        "Inputs or targets are far from the size that a network of this kind can fit.",
        Spread.ALL,
        {
            "inputs_large": Remedy(
                "Standardise the inputs: subtract the mean and divide by the deviation of the training rows.",
                ("input_scaling",),
            ),
            "inputs_uneven": Remedy(
                "Standardise each column of the inputs by its own mean and deviation.", ("input_scaling",)
            ),
            "targets_large": Remedy(
                "Standardise the targets, and scale predictions back.", ("labels", "input_scaling")
            ),
        },
    ),
    "too_few_steps": Status(
        "The training ended after very few updates, with most of the loss left.",
        Spread.ALL,
        {
            "few_updates": Remedy(
                "Train for ten times as many updates: more epochs, smaller batches, or both; a larger learning rate "
                "needs fewer.",
                ("epochs_too_few", "learning_rate"),
            )
        },
    ),
    "chance_level": Status(
        "The loss is no better than that of the best constant prediction, or there is nothing to learn.",
        Spread.ALL,
        {
            "weights_decay": Remedy(
                "Divide the weight decay or the penalty by 10 or more: it shrinks the weights faster than they learn.",
                ("regularisation",),
            ),
            "no_better_than_constant": _NOTHING_LEARNED,
            "no_better_than_start": _NOTHING_LEARNED,
        },
    ),
    UNCLEAR: Status(
        "The gradient shows no fault, but what was recorded does not show that the loss falls, or why it does not.",
        Spread.ALL,
        {},
        is_fault=False,
    ),
    HEALTHY: Status("No rule finds a fault.", Spread.ALL, {}, is_fault=False),
}
"""Statuses in the order of priority: causes before their consequences."""

PRIORITY = tuple(status for status, row in TABLE.items() if row.advice)
"""Statuses of findings; the first status that has a finding is the verdict."""
FAULTLESS = tuple(status for status, row in TABLE.items() if not row.is_fault)
"""Statuses that name no fault of the gradients."""
STATUSES = (HEALTHY, *PRIORITY, UNCLEAR)
"""Every verdict, but for those of a user's own rules."""

_STATUS_OF_CODE = {code: status for status, row in TABLE.items() for code in row.advice}
_RANK = {status: index for index, status in enumerate(TABLE)}


def status_of(code: str) -> tuple[str, Remedy]:
    """Return the status that a finding's code speaks for, and the remedy; a note speaks for "healthy".

    >>> status_of("updates_small")[0], status_of("spike_recovered")[0]
    ('learning_rate_small', 'healthy')
    """
    if code in NOTES:
        return HEALTHY, Remedy(NOTES[code])
    status = _STATUS_OF_CODE[code]
    return status, TABLE[status].advice[code]


def rank(status: str) -> int:
    """Return the position of a status in the order of priority; a status of a user's own rule is before all others.

    >>> rank("vanishing") < rank("healthy"), rank("of_my_own_rule")
    (True, -1)
    """
    return _RANK.get(status, -1)


def most_frequent_first(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the number of seeds by status, the largest first; of equal numbers that of the worse status first.

    >>> most_frequent_first({"healthy": 2, "solved": 1, "vanishing": 2})
    {'vanishing': 2, 'healthy': 2, 'solved': 1}
    """
    ordered = sorted(counts, key=lambda status: (-counts[status], rank(status), status))
    return {status: counts[status] for status in ordered}


def spread_of(status: str) -> Spread:
    """Return which layers take a status; one of a user's own rule spreads to every layer with a gradient."""
    return TABLE[status].spread if status in TABLE else Spread.ACTIVE
