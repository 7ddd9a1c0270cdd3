"""Description of an arm of a study: network, data, optimiser, training and recording."""

from dataclasses import dataclass, field

from vgrad_jax.data import Data
from vgrad_jax.descriptions import Description, number, whole_number
from vgrad_jax.errors import InputError, unknown_name
from vgrad_jax.losses import LOSSES
from vgrad_jax.nets.mlp import MLP
from vgrad_jax.optimizers import Optimizer

__all__ = ["Experiment", "Recording", "Training"]


@dataclass(frozen=True)
class Training(Description):
    """Description of a training: epochs, batches, loss and the threshold of convergence.

    Args:
        epochs: passes over the training rows.
        batch_size: rows in a batch; rows are shuffled anew in every epoch, and a smaller last batch is kept.
        loss: a name from `LOSSES`.
        threshold: accuracy on all training rows at which a run counts as converged, in (0, 1].

    Raises:
        InputError: a number is impossible, or the loss is unknown.
    """

    epochs: int = 500
    batch_size: int = 32
    loss: str = "binary_cross_entropy"
    threshold: float = 0.80

    def __post_init__(self) -> None:
        object.__setattr__(self, "epochs", whole_number("epochs", self.epochs, minimum=1, maximum=10**7))
        object.__setattr__(self, "batch_size", whole_number("batch_size", self.batch_size, minimum=1))
        if self.loss not in LOSSES:
            raise unknown_name("loss", self.loss, LOSSES)
        object.__setattr__(self, "threshold", number("threshold", self.threshold, above=0.0))
        if self.threshold > 1:
            raise InputError(f"threshold is an accuracy, 1 at the most; got {self.threshold!r}")


@dataclass(frozen=True)
class Recording(Description):
    """Description of the records of a run; recording never changes the training.

    Args:
        every: epochs between two records. Record 0 is at initialisation, and the last epoch always has a record.
        parameters_at: recorded epochs at which all parameters are kept.
        gradients_at: recorded epochs at which the whole gradient of the full training loss is kept.

    Raises:
        InputError: a number is impossible, or epochs are not in increasing order.
    """

    every: int = 1
    parameters_at: tuple[int, ...] = ()
    gradients_at: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "every", whole_number("every", self.every, minimum=1))
        for name in ("parameters_at", "gradients_at"):
            epochs = getattr(self, name)
            if not isinstance(epochs, tuple | list):
                raise InputError(f"{name} must be a tuple of epochs, such as (50, 100); got {epochs!r}")
            epochs = tuple(whole_number(f"an epoch of {name}", epoch) for epoch in epochs)
            if list(epochs) != sorted(set(epochs)):
                raise InputError(f"{name} must be in increasing order, each epoch once; got {epochs}")
            object.__setattr__(self, name, epochs)

    def epochs(self, total: int) -> tuple[int, ...]:
        """Return the recorded epochs of a training of `total` epochs; epoch 0 is initialisation.

        >>> Recording(every=4).epochs(10)
        (0, 4, 8, 10)
        """
        recorded = tuple(range(0, total + 1, self.every))
        return recorded if recorded[-1] == total else (*recorded, total)


@dataclass(frozen=True)
class Experiment(Description):
    """Description of an arm of a study.

    The default is a tanh network with He initialisation on the article's task.

    Args:
        mlp: the network.
        data: the data.
        optimizer: the optimiser.
        training: epochs, batches, loss and the threshold of convergence.
        recording: the records of a run.

    Raises:
        InputError: a part has the wrong type, or parts do not fit each other.

    >>> Experiment.from_json(Experiment().to_json()) == Experiment()
    True
    """

    mlp: MLP = field(default_factory=MLP)
    data: Data = field(default_factory=Data)
    optimizer: Optimizer = field(default_factory=lambda: Optimizer("sgd", learning_rate=0.01, momentum=0.9))
    training: Training = field(default_factory=Training)
    recording: Recording = field(default_factory=Recording)

    @classmethod
    def nested(cls) -> dict[str, type[Description]]:
        """Return the fields that are descriptions themselves: field name to class."""
        return {"mlp": MLP, "data": Data, "optimizer": Optimizer, "training": Training, "recording": Recording}

    def __post_init__(self) -> None:
        for name, kind in self.nested().items():
            if not isinstance(getattr(self, name), kind):
                raise InputError(f"{name} must be a {kind.__name__}; got {getattr(self, name)!r}")
        recorded = self.recording.epochs(self.training.epochs)
        for name in ("parameters_at", "gradients_at"):
            missing = sorted(set(getattr(self.recording, name)) - set(recorded))
            if missing:
                raise InputError(
                    f"{name} names epochs that are not recorded: {missing}; with {self.training.epochs} epochs and a "
                    f"record every {self.recording.every}, the last ones recorded are {recorded[-3:]}"
                )
        rows = self.data.train_samples
        if rows is not None and self.training.batch_size > rows:
            raise InputError(f"a batch of {self.training.batch_size} needs as many training rows; there are {rows}")
