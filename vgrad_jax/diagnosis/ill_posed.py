"""Status of an output, a loss and targets that do not fit together, with the advice for each finding."""

from vgrad_jax.diagnosis.status import Remedy, Spread, Status

__all__ = ["ILL_POSED"]

ILL_POSED = Status(
    "Output, loss and targets do not fit together: what is minimised is not what is wanted.",
    Spread.ALL,
    {
        "softmax_of_one": Remedy(
            "Take a sigmoid for two classes on one unit, or as many units as there are classes under the softmax.",
            ("output_activation",),
        ),
        "activation_twice": Remedy(
            "Hand the loss of logits the outputs before their softmax or sigmoid, or take a loss of probabilities.",
            ("output_activation", "loss"),
        ),
        "constant_is_best": Remedy(
            "Add a term that keeps outputs of different examples apart: negative pairs, variance and covariance, or a "
            "predictor with a stopped gradient.",
            ("loss",),
        ),
        "targets_broadcast": Remedy(
            "Give outputs and targets the same shape: take outputs[:, 0], or targets[:, None].",
            ("loss", "labels"),
        ),
        "softmax_over_rows": Remedy(
            "Take the softmax over the axis of the classes, mostly axis=-1; axis=0 is the batch.",
            ("output_activation",),
        ),
        "loss_is_zero": Remedy(
            "Look at what the loss counts: a mask that hides everything, a margin that nothing violates, or targets "
            "that are all alike leave nothing to learn.",
            ("loss", "labels"),
        ),
        "log_of_unbounded": Remedy(
            "Put a softmax or a sigmoid before the loss, or take a loss of logits, such as optax's.",
            ("output_activation",),
        ),
        "targets_outside_range": Remedy(
            "Take an output without an activation, or scale the targets into the activation's range.",
            ("output_activation",),
        ),
        "targets_not_probabilities": Remedy(
            "Give the loss targets from 0 to 1: numbers of classes are for a loss of whole numbers, under a "
            "softmax with a unit a class.",
            ("loss", "labels"),
        ),
        "labels_constant": Remedy(
            "Look at how the targets are made, and whether batches mix the classes: here every row has the same.",
            ("labels",),
        ),
        "rows_do_not_sum_to_one": Remedy(
            "Take a sigmoid a unit and binary cross-entropy where a row may have several labels.",
            ("output_activation", "loss"),
        ),
        "binary_loss_on_one_hot": Remedy(
            "Take a softmax with categorical cross-entropy where exactly one class is right.",
            ("loss", "output_activation"),
        ),
        "loss_without_floor": Remedy(
            "Check the sign of the loss and what it is normalised by: it can be made as small as one likes, and "
            "nothing is learned by it.",
            ("loss",),
        ),
        "constant_term_outweighs": Remedy(
            "Divide the weight of the penalty by 10 or more until it is a small part of the loss.",
            ("regularisation",),
        ),
        "no_second_derivative": Remedy(
            "Take an activation that has a second derivative, such as tanh, softplus, gelu or sine.",
            ("hidden_activation",),
        ),
        "sigmoid_for_categorical": Remedy(
            "Take a softmax under a categorical loss: sigmoids that are divided by their sum learn more slowly.",
            ("output_activation",),
        ),
        "squared_error_on_classes": Remedy(
            "Take cross-entropy for classes: the squared error of a saturated output has hardly a gradient.",
            ("loss",),
        ),
    },
)
"""Row of the table of statuses."""
