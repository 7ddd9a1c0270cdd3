"""Changes of an `Experiment`: functions that return the changed one, or raise the reason why they do not apply."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from vgrad_jax.data import load_data
from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment

__all__ = [
    "changed",
    "with_activation",
    "with_batch_norm",
    "with_branches",
    "with_clipping",
    "with_fields",
    "with_fitting_loss",
    "with_initialiser",
    "with_layer_norm",
    "with_less_decay",
    "with_momentum",
    "with_more_epochs",
    "with_optimizer",
    "with_output",
    "with_rate",
    "with_schedule",
    "with_small_batches",
    "with_standard_features",
    "without_single_unit",
]


def changed(experiment: Experiment, fields: Mapping[str, Any]) -> Experiment:
    """Return an experiment with other values of fields.

    Args:
        experiment: the untouched experiment.
        fields: path of a field, such as "mlp.activation", to its value.

    Raises:
        InputError: a value is impossible.

    >>> changed(Experiment(), {"mlp.activation": "relu", "training.epochs": 3}).mlp.activation
    'relu'
    """
    parts: dict[str, dict[str, Any]] = {}
    for path, value in fields.items():
        part, _, field = path.partition(".")
        parts.setdefault(part, {})[field] = value
    return replace(experiment, **{part: replace(getattr(experiment, part), **own) for part, own in parts.items()})


def with_fields(**values: Any) -> Callable[[Experiment], Experiment]:
    """Return the change that sets fields; `mlp__activation` stands for "mlp.activation"."""
    fields = {name.replace("__", "."): value for name, value in values.items()}
    return lambda experiment: changed(experiment, fields)


def with_initialiser(name: str, data_init: str | None = None, **more: Any) -> Callable[[Experiment], Experiment]:
    """Return the change of the initialiser of all kernels: those of the output, of branches and of data give way.

    Args:
        name: initialiser of the kernels.
        data_init: scale by data.
        more: further fields, as `with_fields` names them.
    """
    start = {"kernel_init": name, "output_init": None, "branch_init": None, "data_init": data_init}
    return with_fields(**{f"mlp__{field}": value for field, value in start.items()}, **more)


def with_activation(name: str, kernel_init: str | None = None) -> Callable[[Experiment], Experiment]:
    """Return the change of the activation of all hidden layers, and of the initialiser of all kernels where given."""

    def change(experiment: Experiment) -> Experiment:
        if not experiment.mlp.hidden:
            raise InputError("the network has no hidden layer, so it has no activation")
        after = changed(experiment, {"mlp.activation": name})
        return after if kernel_init is None else with_initialiser(kernel_init)(after)

    return change


def with_output(name: str) -> Callable[[Experiment], Experiment]:
    """Return the change of the initialiser of the output layer's kernel."""

    def change(experiment: Experiment) -> Experiment:
        if experiment.mlp.data_init is not None and name != "zeros":
            raise InputError(f"{experiment.mlp.data_init} gives the output layer a scale of its own")
        return changed(experiment, {"mlp.output_init": name})

    return change


def with_rate(factor: float) -> Callable[[Experiment], Experiment]:
    """Return the change that multiplies the learning rate."""

    def change(experiment: Experiment) -> Experiment:
        rate = experiment.optimizer.learning_rate * factor
        return changed(experiment, {"optimizer.learning_rate": float(f"{rate:.6g}")})

    return change


def with_clipping(experiment: Experiment) -> Experiment:
    """Return the experiment with its gradient clipped at a global norm of 1."""
    if experiment.optimizer.clip_norm is not None:
        raise InputError("the gradient is clipped already")
    return changed(experiment, {"optimizer.clip_norm": 1.0})


def with_momentum(experiment: Experiment) -> Experiment:
    """Return the experiment with a momentum of 0.9, for gradient descent without one."""
    if experiment.optimizer.name != "sgd" or experiment.optimizer.momentum:
        raise InputError("momentum is for gradient descent that has none yet")
    return changed(experiment, {"optimizer.momentum": 0.9})


def with_optimizer(name: str, rate: float) -> Callable[[Experiment], Experiment]:
    """Return the change to another optimiser with its own learning rate."""

    def change(experiment: Experiment) -> Experiment:
        if experiment.optimizer.name == name:
            raise InputError(f"the optimiser is {name} already; the learning rate is a remedy of its own")
        values = {"name": name, "learning_rate": rate, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
        return changed(experiment, {f"optimizer.{field}": value for field, value in values.items()})

    return change


def with_schedule(**values: Any) -> Callable[[Experiment], Experiment]:
    """Return the change that gives a constant learning rate a schedule or a warm-up."""

    def change(experiment: Experiment) -> Experiment:
        if experiment.optimizer.is_scheduled:
            raise InputError("the learning rate has a schedule already")
        return changed(experiment, {f"optimizer.{field}": value for field, value in values.items()})

    return change


def with_less_decay(experiment: Experiment) -> Experiment:
    """Return the experiment with a hundredth of its weight decay."""
    if not experiment.optimizer.weight_decay:
        raise InputError("there is no weight decay")
    return changed(experiment, {"optimizer.weight_decay": experiment.optimizer.weight_decay / 100})


def with_layer_norm(experiment: Experiment) -> Experiment:
    """Return the experiment with layer norm in its hidden layers."""
    if not experiment.mlp.hidden:
        raise InputError("the network has no hidden layer to normalise")
    if min(experiment.mlp.hidden) < 2:
        raise InputError("layer norm makes every value of a layer with one unit zero")
    return changed(experiment, {"mlp.norm": "layer"})


def with_batch_norm(experiment: Experiment) -> Experiment:
    """Return the experiment with batch norm in its hidden layers."""
    if not experiment.mlp.hidden:
        raise InputError("the network has no hidden layer to normalise")
    if experiment.training.batch_size < 2:
        raise InputError("batch norm makes every value of a batch with one row zero")
    return changed(experiment, {"mlp.norm": "batch"})


def with_branches(
    *, scaled: bool = False, learned: bool = False, branch_init: str | None = None
) -> Callable[[Experiment], Experiment]:
    """Return the change that adds residual branches, or gives those that are there another factor or start.

    Args:
        scaled: whether the factor is 1 / sqrt(number of branches); else it is 1.
        learned: whether the factor is learned, from zero on.
        branch_init: initialiser of the branches' kernels; None leaves that of branches that are there. A learned
            factor leaves no "zeros": where factor and kernel are zero, neither has a gradient.
    """

    def change(experiment: Experiment) -> Experiment:
        mlp = experiment.mlp
        branches = sum(before == after for before, after in itertools.pairwise(mlp.hidden))
        if not branches:
            raise InputError("a residual branch needs two hidden layers of equal width behind each other")
        keeps = branch_init is None and mlp.residual is not None and not (learned and mlp.branch_init == "zeros")
        after = changed(
            experiment,
            {
                "mlp.residual": 0.0 if learned else float(f"{branches**-0.5:.4g}") if scaled else 1.0,
                "mlp.branch_init": mlp.branch_init if keeps else branch_init,
                "mlp.learned_residual": learned,
            },
        )
        if after == experiment:
            raise InputError("the network has such residual branches already")
        return after

    return change


def without_single_unit(experiment: Experiment) -> Experiment:
    """Remove a last hidden layer of one unit, through which all must pass, such as a sigmoid before the loss's own."""
    mlp = experiment.mlp
    if len(mlp.hidden) < 2 or mlp.hidden[-1] != 1:
        raise InputError("the last hidden layer is no single unit")
    activation = mlp.activation[:-1] if isinstance(mlp.activation, tuple) else mlp.activation
    return changed(experiment, {"mlp.hidden": mlp.hidden[:-1], "mlp.activation": activation})


def with_fitting_loss(experiment: Experiment) -> Experiment:
    """Return the experiment with the loss that the targets ask for: two classes, more classes, or numbers."""
    dataset = load_data(experiment.data)
    if dataset.train_y.dtype.kind == "f":
        loss = "huber" if experiment.training.loss == "squared_error" else "squared_error"
    else:
        classes = int(max(dataset.train_y.max(), dataset.test_y.max())) + 1
        loss = "softmax_cross_entropy" if classes > 2 else "binary_cross_entropy"
    return changed(experiment, {"training.loss": loss})


def with_standard_features(experiment: Experiment) -> Experiment:
    """Return the experiment with features of mean 0 and deviation 1; the article's data refuse it."""
    return changed(experiment, {"data.scale": "standard"})


def with_small_batches(experiment: Experiment) -> Experiment:
    """Return the experiment with batches of a quarter of the rows, 8 at least."""
    size = experiment.training.batch_size
    if size <= 8:
        raise InputError(f"a batch of {size} rows is small already")
    return changed(experiment, {"training.batch_size": max(8, size // 4)})


def with_more_epochs(experiment: Experiment) -> Experiment:
    """Return the experiment with four times as many epochs."""
    return changed(experiment, {"training.epochs": 4 * experiment.training.epochs})
