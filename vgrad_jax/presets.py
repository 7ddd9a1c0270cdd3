"""Ready-made studies."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from vgrad_jax.data import Data
from vgrad_jax.experiment import Experiment, Recording, Training
from vgrad_jax.nets.mlp import MLP
from vgrad_jax.optimizers import Optimizer

__all__ = ["STUDIES", "Study", "article", "depth"]

_UNIFORM = "uniform(0, 1)"


def article(*, epochs: int = 500) -> dict[str, Experiment]:
    """The article's experiment and the arms that take it apart.

    The article (Brownlee 2019, "How to Fix the Vanishing Gradients Problem Using the ReLU") trains five hidden
    layers of five units on two noisy circles and changes activation AND initialisation at once. The crossed arms
    change one at a time.

    Args:
        epochs: passes over the training rows; the article's own is 500. Parameters are kept at the start and after
            every fiftieth epoch, 50 and 100 among them, where the article prints its first layer's weights.

    Returns:
        Arm name to `Experiment`:

        - `tanh_uniform`: tanh, every kernel uniform(0, 1): the article's failing network;
        - `relu_he`: ReLU, he_uniform, output kernel uniform(0, 1): its cure;
        - `tanh_he`, `tanh_glorot`, `relu_uniform`, `relu_glorot`: the crossed cells;
        - `tanh_uniform_two_heads`: the article's listing taken literally, two sigmoid units one after the other.

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
WIDTH = 32


def depth(*, epochs: int = 20) -> dict[str, Experiment]:
    """How deep can a network be, with each activation and initialisation, and still learn?

    Images of ten digits, 512 to train on, layers of 32 units, SGD; a run converges at a training accuracy of 80 %. Each
    family has 2 to 50 hidden layers. What mean-field theory says of them, by the depth scale xi of the correlation:

    - `tanh_glorot`: at the edge of chaos, any depth;
    - `tanh_he`: chaotic, gradients explode slowly, some 130 layers;
    - `tanh_pytorch`: ordered, six layers: what PyTorch's linear layer draws, kernels and biases;
    - `relu_he`: at the edge of chaos, any depth, and the exact law over seeds applies;
    - `relu_glorot`: ordered, nine layers.

    Args:
        epochs: passes over the training rows.

    Returns:
        Arm name, the family's with the number of hidden layers behind it, to `Experiment`.

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
        # Batches that divide the rows evenly: another one at the end would be compiled as a step of its own.
        data=Data("digits", samples=1024),
        optimizer=Optimizer("sgd", learning_rate=0.005, momentum=0.9),
        training=Training(epochs=epochs, loss="softmax_cross_entropy", threshold=0.8),
        # Each record is a gradient of all rows.
        recording=Recording(every=5),
    )
    return {
        f"{name}_{layers}": replace(shared, mlp=MLP(hidden=(WIDTH,) * layers, **network))
        for name, network in families.items()
        for layers in DEPTHS
    }


class Study(NamedTuple):
    """A ready-made study, as the command line offers it."""

    make: Callable[..., dict[str, Experiment]]
    """Takes the number of epochs."""
    epochs: int
    """Unless the user says otherwise."""
    seeds: int
    """Runs of each arm, unless the user says otherwise: some minutes on two cores."""


STUDIES = {"article": Study(article, epochs=500, seeds=128), "depth": Study(depth, epochs=20, seeds=32)}
"""Studies by name."""
