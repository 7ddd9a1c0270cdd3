"""Code of a network, its optimiser and its loss, to copy into another program.

A snippet is complete and runs by itself. `model` maps rows of features to logits. A norm has no gain, and its shift is
the bias, as in `vgrad_jax.MLP`.
"""

import itertools
from collections.abc import Sequence

from vgrad_jax.data import load_data
from vgrad_jax.descriptions import NamedFunction, canonical_call
from vgrad_jax.errors import unknown_name
from vgrad_jax.experiment import Experiment
from vgrad_jax.nets.activations import learned_slope
from vgrad_jax.nets.asymmetric import DEVIATION
from vgrad_jax.nets.initializers import RAI
from vgrad_jax.nets.layers import resolved_bias_initializer
from vgrad_jax.nets.mlp import MLP
from vgrad_jax.prescription.rates import torch_schedule
from vgrad_jax.prescription.snippet_parts import Parts
from vgrad_jax.prescription.snippets import WRITERS
from vgrad_jax.prescription.spelling import activation_in, initializer_in, loss_in, optimizer_in
from vgrad_jax.training.run import num_logits

__all__ = ["FRAMEWORKS", "code_for"]

FRAMEWORKS = {
    "jax": "bare JAX and optax",
    "nnx": "flax nnx",
    "equinox": "equinox",
    "keras": "Keras",
    "torch": "PyTorch",
}
"""Names of the frameworks, and how people call them."""


def code_for(experiment: Experiment, framework: str) -> str:
    """Return the code of an experiment's network, optimiser and loss.

    Args:
        experiment: to be written.
        framework: a name of `FRAMEWORKS`.

    Raises:
        InputError: an unknown framework, or a part is a function, which has no name in other frameworks.

    >>> "optax.sgd(0.01, momentum=0.9)" in code_for(Experiment(), "jax")
    True
    """
    if framework not in FRAMEWORKS:
        raise unknown_name("framework", framework, FRAMEWORKS)
    return WRITERS[framework](_parts(experiment, framework))


def _parts(experiment: Experiment, framework: str) -> Parts:
    library = framework if framework in ("keras", "torch") else "jax"
    mlp, training = experiment.mlp, experiment.training
    dataset = load_data(experiment.data)
    widths = mlp.widths(dataset.train_x.shape[1], num_logits(experiment, dataset))
    sizes = list(itertools.pairwise(widths))
    starts = [_start(mlp, layer, size[0]) for layer, size in enumerate(sizes)]
    kernels, biases = (
        [initializer_in(library, name, *size) for name, size in zip(names, sizes, strict=True)]
        for names in zip(*starts, strict=True)
    )
    slopes = [learned_slope(activation) for activation in mlp.activations()]
    learned = {"slope": slopes} if any(slope is not None for slope in slopes) else {}
    if mlp.learned_residual:
        learned["factor"] = [mlp.residual if mlp.is_branch(layer) else None for layer in range(len(mlp.hidden))]
    activations = [activation_in(library, activation) for activation in mlp.activations()]
    if "slope" in learned:
        activations = [
            spelled if slope is not None else f"lambda z, slope: ({spelled})(z)"
            for spelled, slope in zip(activations, slopes, strict=True)
        ]
    steps = training.epochs * -(-len(dataset.train_x) // training.batch_size)
    constants = (
        f"WIDTHS = {widths}\n"
        f"KERNELS = {_listed(kernels)}\n"
        f"BIASES = {_listed(biases)}\n"
        f"ACTIVATIONS = {_listed(activations)}\n"
    )
    constants += "".join(f"{name.upper()}S = {starts}  # learned\n" for name, starts in learned.items())
    return Parts(
        constants,
        mlp.data_init,
        mlp.norm,
        mlp.residual,
        optimizer_in(library, experiment.optimizer, steps),
        loss_in(library, training.loss),
        f"# {training.epochs} epochs in batches of {training.batch_size} rows",
        experiment.optimizer.clip_norm,
        torch_schedule(experiment.optimizer, steps),
        tuple(learned),
        _asymmetric(mlp, widths),
    )


def _start(mlp: MLP, layer: int, fan_in: int) -> tuple[NamedFunction, NamedFunction]:
    """Return the initialisers of a layer's kernel and bias; for "rai" the normal before a number is replaced."""
    kernel = mlp.kernel_initializer(layer, fan_in)
    if kernel == RAI:
        normal = canonical_call("normal", (DEVIATION / fan_in**0.5,))
        return normal, normal
    return kernel, resolved_bias_initializer(mlp.bias_init, fan_in)


def _asymmetric(mlp: MLP, widths: Sequence[int]) -> str:
    """Return the numbers of the layers that "rai" draws, as Python spells them; empty where there is none."""
    layers = tuple(index for index, fan_in in enumerate(widths[:-1]) if mlp.kernel_initializer(index, fan_in) == RAI)
    if layers == tuple(range(len(widths) - 1)):
        return f"range({len(layers)})"
    return repr(layers) if layers else ""


def _listed(items: Sequence[str]) -> str:
    """Return a list, short where all items are alike."""
    if items and len(set(items)) == 1:
        return f"[{items[0]}] * {len(items)}"
    return "[\n" + "".join(f"    {item},\n" for item in items) + "]"
