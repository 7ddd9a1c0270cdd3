"""Studies that are ready to run."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from vgrad_jax.boundary import checked
from vgrad_jax.data import Data
from vgrad_jax.experiment import Experiment, Recording, Training
from vgrad_jax.nets.mlp import MLP
from vgrad_jax.optimizers import Optimizer

__all__ = ["STUDIES", "StudyPreset", "activations", "article", "cures", "depth", "dying_relu", "initialisers"]

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


def activations(*, epochs: int = 40) -> dict[str, Experiment]:
    """Return ten activations with two initialisations each, in six hidden layers of 16 units on two moons.

    Args:
        epochs: passes over the training rows.

    >>> len(activations()), list(activations())[0]
    (20, 'tanh, glorot_normal')
    """
    names = ("tanh", "relu", "gelu", "silu", "elu", "selu", "leaky_relu", "softplus", "soft_sign", "sigmoid")
    shared = Experiment(
        data=Data("moons", samples=400, noise=0.2),
        optimizer=Optimizer("sgd", learning_rate=0.05, momentum=0.9),
        # 200 training rows are eight full batches.
        training=Training(epochs=epochs, batch_size=25, threshold=0.9),
        recording=Recording(every=5),
    )
    return {
        f"{name}, {init}": replace(shared, mlp=MLP(hidden=(16,) * 6, activation=name, kernel_init=init))
        for name in names
        for init in ("glorot_normal", "he_normal")
    }


def initialisers(*, epochs: int = 20) -> dict[str, Experiment]:
    """Return a grid over the variances of weights and biases, in ten hidden tanh layers of 32 units on digits.

    Mean-field theory has a phase for each pair: gradients vanish where chi_1 < 1, and explode where chi_1 > 1
    (Poole et al. 2016; Schoenholz et al. 2017). The page draws the measured gradients over the phase diagram.

    Args:
        epochs: passes over the training rows.

    >>> len(initialisers()), list(initialisers())[0]
    (15, 'weights 0.5, biases 0')
    """
    shared = Experiment(
        data=Data("digits", samples=1024),
        optimizer=Optimizer("sgd", learning_rate=0.005, momentum=0.9),
        training=Training(epochs=epochs, loss="softmax_cross_entropy", threshold=0.8),
        recording=Recording(every=5),
    )
    networks: dict[str, dict[str, Any]] = {
        f"weights {weight:g}, biases {bias:g}": {
            "kernel_init": f"fan_in_normal({weight:g})",
            "bias_init": f"normal({bias**0.5:.4g})" if bias else "zeros",
        }
        for weight in (0.5, 1.0, 1.5, 2.5, 4.0)
        for bias in (0.0, 0.05, 0.3)
    }
    return {
        name: replace(shared, mlp=MLP(hidden=(WIDTH,) * 10, activation="tanh", **network))
        for name, network in networks.items()
    }


def cures(*, epochs: int = 60) -> dict[str, Experiment]:
    """Return a network of 20 sigmoid layers that does not learn, and single changes that may bring it back.

    The sigmoid's slope is 1/4 at most, so that each layer with Glorot's weights divides the gradient by four or more.

    Args:
        epochs: passes over the training rows.

    >>> len(cures()), list(cures())[0]
    (12, 'untouched')
    """
    sick = Experiment(
        mlp=MLP(hidden=(16,) * 20, activation="sigmoid", kernel_init="glorot_normal"),
        data=Data("moons", samples=400, noise=0.1),
        optimizer=Optimizer("sgd", learning_rate=0.05, momentum=0.9),
        training=Training(epochs=epochs, batch_size=10, threshold=0.9),
        recording=Recording(every=5),
    )
    networks: dict[str, dict[str, Any]] = {
        "untouched": {},
        "tanh": {"activation": "tanh"},
        "relu, he": {"activation": "relu", "kernel_init": "he_normal"},
        "selu, lecun": {"activation": "selu", "kernel_init": "lecun_normal"},
        "gelu": {"activation": "gelu"},
        "variance 16": {"kernel_init": "fan_in_normal(16)"},
        "layer norm": {"norm": "layer"},
        "batch norm": {"norm": "batch"},
        "residual": {"residual": 1.0},
        "layer norm, residual": {"norm": "layer", "residual": 1.0},
    }
    arms = {name: replace(sick, mlp=replace(sick.mlp, **changes)) for name, changes in networks.items()}
    arms["adam"] = replace(sick, optimizer=Optimizer("adam", learning_rate=0.01))
    arms["learning rate x 20"] = replace(sick, optimizer=Optimizer("sgd", learning_rate=1.0, momentum=0.9))
    return arms


def dying_relu(*, epochs: int = 20) -> dict[str, Experiment]:
    """Return ReLU networks of three depths, three widths and two learning rates on the article's circles.

    Without biases, a network is dead on one input with the probability 1 - prod(1 - 2^-n) over its widths n (Lu et al.
    2019). The page has it beside the networks that were born dead on all rows, and those that died.

    Args:
        epochs: passes over the training rows.

    >>> len(dying_relu()), list(dying_relu())[0]
    (18, 'depth 2, width 2, rate 0.05')
    """
    return {
        f"depth {depth}, width {width}, rate {rate:g}": Experiment(
            mlp=MLP(hidden=(width,) * depth, activation="relu", kernel_init="fan_in_normal(2)"),
            optimizer=Optimizer("sgd", learning_rate=rate),
            training=Training(epochs=epochs, batch_size=50),
            recording=Recording(every=2),
        )
        for depth in (2, 5, 10)
        for width in (2, 4, 8)
        for rate in (0.05, 1.0)
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
    "activations": StudyPreset(activations, epochs=40, seeds=32, title="Which activation, with which initialisation?"),
    "initialisers": StudyPreset(initialisers, epochs=20, seeds=16, title="Variances of weights and biases: the phases"),
    "cures": StudyPreset(cures, epochs=60, seeds=32, title="Twenty sigmoid layers: what brings them back?"),
    "dying-relu": StudyPreset(dying_relu, epochs=20, seeds=128, title="ReLU networks that are born dead, or die"),
}
"""Studies by name."""
