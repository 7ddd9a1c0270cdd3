"""Ready-made studies."""

from vgrad_jax.experiment import Experiment, Recording, Training
from vgrad_jax.nets.mlp import MLP

__all__ = ["STUDIES", "article"]

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


STUDIES = {"article": article}
"""Studies that the command line offers, by name; each takes the number of epochs."""
