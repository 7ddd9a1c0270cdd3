"""Studies that are ready to run."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from vgrad_jax.boundary import checked
from vgrad_jax.data import Data
from vgrad_jax.experiment import Experiment, Recording, Training
from vgrad_jax.nets.mlp import MLP
from vgrad_jax.optimizers import Optimizer

__all__ = ["STUDIES", "StudyPreset", "article", "depth"]

_UNIFORM = "uniform(0, 1)"


@checked
def article(*, epochs: int = 500) -> dict[str, Experiment]:
    """Return the article's experiment and the arms that separate its causes.

    The article is Brownlee 2019, "How to Fix the Vanishing Gradients Problem Using the ReLU". It trains five hidden
    layers of five units on two noisy circles, and changes activation AND initialisation at once. Each crossed arm
    changes a single factor.

    Args:
        epochs: passes over the training rows; the article takes 500. Parameters are kept at the start and after every
            fiftieth epoch. The article prints its first layer's weights after epochs 50 and 100.

    Returns:
        Arm name to `Experiment`:

        - `tanh_uniform`: tanh, every kernel uniform(0, 1): the article's failing network;
        - `relu_he`: ReLU, he_uniform, output kernel uniform(0, 1): the article's cure;
        - `tanh_he`, `tanh_glorot`, `relu_uniform`, `relu_glorot`: the crossed cells;
        - `tanh_uniform_two_heads`: the article's listing taken literally, with two consecutive sigmoid units.

    >>> sorted(article())[:2]
    ['relu_glorot', 'relu_he']
    """
    networks = {
        "tanh_uniform": MLP(activation="tanh", kernel_init=_UNIFORM),
        "relu_he": MLP(activation="relu", kernel_init="he_uniform", output_init=_UNIFORM),
        "tanh_he": MLP(activation="tanh", kernel_init="he_uniform", output_init=_UNIFORM),
        "tanh_glorot": MLP(activation="tanh", kernel_init="glorot_uniform", output_init=_UNIFORM),
        "relu_uniform": MLP(activation="relu", kernel_init=_UNIFORM),
        "relu_glorot": MLP(activation="relu", kernel_init="glorot_uniform", output_init=_UNIFORM),
        "tanh_uniform_two_heads": MLP(
            hidden=(5, 5, 5, 5, 5, 1), activation=("tanh",) * 5 + ("sigmoid",), kernel_init=_UNIFORM
        ),
    }
    training = Training(epochs=epochs)
    recording = Recording(parameters_at=tuple(range(0, min(training.epochs, 500) + 1, 50)))
    return {name: Experiment(mlp=mlp, training=training, recording=recording) for name, mlp in networks.items()}


DEPTHS = (2, 4, 7, 12, 20, 32, 50)
"""Numbers of hidden layers in the study of depth."""
WIDTH = 32
"""Units in each hidden layer of the study of depth."""


@checked
def depth(*, epochs: int = 20) -> dict[str, Experiment]:
    """Return the study of depth: how deep a network of each activation and initialisation still learns.

    The data are images of ten digits, 512 of them to train on; layers have 32 units, and the optimiser is SGD. A run
    converges at a training accuracy of 80 %. Each family has 2 to 50 hidden layers. Mean-field theory predicts their
    trainable depth from the depth scale xi of the correlation:

    - `tanh_glorot`: at the edge of chaos, any depth;
    - `tanh_he`: chaotic, gradients explode slowly, some 130 layers;
    - `tanh_pytorch`: ordered, six layers; kernels and biases are drawn as PyTorch's linear layer does;
    - `relu_he`: at the edge of chaos, any depth; the exact law over seeds applies;
    - `relu_glorot`: ordered, nine layers.

    Args:
        epochs: passes over the training rows.

    Returns:
        Arm name to `Experiment`; an arm's name is its family's name and the number of hidden layers.

    >>> list(depth())[:3], depth()["relu_he_50"].mlp.num_layers
    (['tanh_glorot_2', 'tanh_glorot_4', 'tanh_glorot_7'], 51)
    """
    families: dict[str, dict[str, Any]] = {
        "tanh_glorot": {"activation": "tanh", "kernel_init": "glorot_normal"},
        "tanh_he": {"activation": "tanh", "kernel_init": "he_normal"},
        "tanh_pytorch": {"activation": "tanh", "kernel_init": "pytorch", "bias_init": "pytorch"},
        "relu_he": {"activation": "relu", "kernel_init": "fan_in_normal(2)"},
        "relu_glorot": {"activation": "relu", "kernel_init": "glorot_normal"},
    }
    shared = Experiment(
        # 512 training rows are 16 full batches: a smaller last batch would be a second compiled step.
        data=Data("digits", samples=1024),
        optimizer=Optimizer("sgd", learning_rate=0.005, momentum=0.9),
        training=Training(epochs=epochs, loss="softmax_cross_entropy", threshold=0.8),
        # Each record costs a gradient of all rows.
        recording=Recording(every=5),
    )
    return {
        f"{name}_{layers}": replace(shared, mlp=MLP(hidden=(WIDTH,) * layers, **network))
        for name, network in families.items()
        for layers in DEPTHS
    }


class StudyPreset(NamedTuple):
    """A study that is ready to run, as the command line offers it."""

    make: Callable[..., dict[str, Experiment]]
    """Function from the number of epochs to the study's arms."""
    epochs: int
    """Default number of epochs."""
    seeds: int
    """Default number of runs of each arm: a sweep takes some minutes on two cores."""
    title: str
    """Title of its page."""


STUDIES = {
    "article": StudyPreset(article, epochs=500, seeds=128, title="Activation or initialisation? The article"),
    "depth": StudyPreset(depth, epochs=20, seeds=32, title="How deep can a network be, and still learn?"),
}
"""Studies by name."""
