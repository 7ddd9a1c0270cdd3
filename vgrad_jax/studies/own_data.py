"""Fields that follow from the data: the loss from the target, and a batch that small tables can fill.

data ─► two classes, more, or numbers ─► loss
data ─► training rows ────────────────► batch size
"""

from typing import Any

from vgrad_jax.data import load_data, summary_of
from vgrad_jax.experiment import Training
from vgrad_jax.studies.fields import Fields, part_of

__all__ = ["DEFAULTS", "DEFAULT_GRID", "adapted"]

LOSS_OF_CLASSES = {None: "squared_error", 2: "binary_cross_entropy"}
"""Number of classes to the loss; None for a target of numbers. More than two classes have the softmax's loss."""

DEFAULTS: dict[str, Any] = {
    "mlp.hidden": (16, 16),
    "optimizer.name": "adam",
    "optimizer.learning_rate": 0.01,
    "training.epochs": 100,
}
"""Fields of a study that names its data alone, on the command line."""

DEFAULT_GRID: dict[str, list[Any]] = {
    "mlp.activation": ["tanh", "relu"],
    "mlp.kernel_init": ["glorot_uniform", "he_normal"],
}
"""Grid of a study that names its data alone: the article's question."""


def adapted(values: Fields) -> Fields:
    """Return an arm's fields with the loss and the batch size that its data ask for, where the arm does not say.

    Raises:
        InputError: a field is impossible, or the data cannot be read.
    """
    missing = {"training.loss", "training.batch_size"} - set(values)
    if not missing:
        return values
    data = part_of("data", values)
    chosen = dict(values)
    if "training.loss" in missing:
        summary = summary_of(data)
        classes = None if summary.classes is None else len(summary.classes)
        chosen["training.loss"] = LOSS_OF_CLASSES.get(classes, "softmax_cross_entropy")
    if "training.batch_size" in missing:
        chosen["training.batch_size"] = min(Training().batch_size, len(load_data(data).train_y))
    return chosen
