"""The multilayer perceptron: its description, its parameters, and its logits for one example."""

import itertools
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vgrad_jax.boundary import called, checked
from vgrad_jax.descriptions import UNWRITTEN, Description, NamedFunction, number, whole_number
from vgrad_jax.errors import InputError, unknown_name
from vgrad_jax.keys import PRNGKey, layer_key
from vgrad_jax.memory import require_memory
from vgrad_jax.nets.activations import activated, canonical_activation, learned_slope, prelu
from vgrad_jax.nets.asymmetric import asymmetric
from vgrad_jax.nets.initializers import RAI, Initializer, canonical_initializer, initializer_function
from vgrad_jax.nets.layers import layer_initializer, resolved_bias_initializer
from vgrad_jax.nets.learned import require_numbers, with_numbers
from vgrad_jax.nets.params import Layer, LearnedLayer, Params

__all__ = [
    "MLP",
    "Layer",
    "Params",
    "apply_mlp",
    "hidden_values",
    "init_layer",
    "init_mlp",
    "next_values",
    "require_room",
    "with_learned",
]

NORMS = ("layer", "batch")
"""Names of the norms."""
DATA_INITS = ("lsuv",)
"""Names of the initialisations that depend on data."""
FORM = "a name, or a function f(key, shape, dtype) that gives an array"
"""Form of an initialiser, for messages."""
NORM_EPSILON = 1e-5
"""Number that is added to a variance before its square root divides."""


@dataclass(frozen=True)
class MLP(Description):
    """Description of a multilayer perceptron.

    With `z_0` the input and `h_l = activation(z_l)`, layer l computes `norm(h_{l-1} W_l) + b_l`. The output layer has
    neither norm nor activation.

    Args:
        hidden: width of each hidden layer, input side first; widths may differ, and an empty tuple is a linear model.
        activation: a name from `ACTIVATIONS`, a function of an array, or a tuple of these, an entry per hidden layer.
        kernel_init: a name from `INITIALIZERS` such as "uniform(0, 1)", or a function `f(key, shape, dtype)`.
            "critical" is the edge of chaos of the layer's activation. "rai" draws the layer's biases too.
        bias_init: initialiser of the biases, in the same form.
        output_init: initialiser of the output layer's kernel; None is `kernel_init`.
        norm: None, "layer" or "batch". "layer" normalises each example over the layer's units. "batch" normalises each
            unit over the axis named "batch" of the caller's `vmap`. The bias is the norm's shift; the norm has no gain.
        residual: None, or the branch factor a of `z_l = z_{l-1} + a (norm(h_{l-1} W_l) + b_l)`. It applies between
            hidden layers of equal width. The skipped stream is never activated: these are pre-activation residual
            blocks (He et al. 2016, arXiv:1603.05027).
        branch_init: initialiser of the kernels of residual branches; None is `kernel_init`. With "zeros" every branch
            starts as the identity.
        data_init: None, or "lsuv": kernels that are scaled by the training rows, layer by layer, after they were drawn.
        learned_residual: True learns each branch's factor, which starts at `residual`. From zero it is ReZero
            (Bachlechner et al. 2020, arXiv:2003.04887).

    Raises:
        InputError: an unknown name, an impossible size, a learned factor without residual branches, or "rai" with a
            `bias_init` other than "zeros".

    >>> MLP(hidden=(8, 4), activation="relu", kernel_init="uniform(0, 1)").widths(in_features=2, out_features=1)
    (2, 8, 4, 1)
    """

    hidden: tuple[int, ...] = (5,) * 5
    activation: NamedFunction | tuple[NamedFunction, ...] = "tanh"
    kernel_init: NamedFunction = "he_uniform"
    bias_init: NamedFunction = "zeros"
    output_init: NamedFunction | None = None
    norm: str | None = None
    residual: float | None = None
    branch_init: NamedFunction | None = field(default=None, metadata=UNWRITTEN)
    data_init: str | None = field(default=None, metadata=UNWRITTEN)
    learned_residual: bool = field(default=False, metadata=UNWRITTEN)

    def __post_init__(self) -> None:
        if not isinstance(self.hidden, tuple | list):
            raise InputError(f"hidden must be a tuple of widths, such as (5, 5); got {self.hidden!r}")
        _set(self, "hidden", tuple(whole_number("a hidden width", width, minimum=1) for width in self.hidden))
        if isinstance(self.activation, tuple | list):
            if len(self.activation) != len(self.hidden):
                raise InputError(
                    f"a tuple of activations needs an activation for each hidden layer: {len(self.hidden)} layers, "
                    f"{len(self.activation)} activations"
                )
            _set(self, "activation", tuple(canonical_activation("activation", item) for item in self.activation))
        else:
            _set(self, "activation", canonical_activation("activation", self.activation))
        _set(self, "kernel_init", canonical_initializer("kernel_init", self.kernel_init))
        _set(self, "bias_init", canonical_initializer("bias_init", self.bias_init, for_bias=True))
        if self.output_init is not None:
            _set(self, "output_init", canonical_initializer("output_init", self.output_init))
        if self.branch_init is not None:
            _set(self, "branch_init", canonical_initializer("branch_init", self.branch_init))
        if RAI in (self.kernel_init, self.output_init, self.branch_init) and self.bias_init != "zeros":
            raise InputError(
                f"the initialiser 'rai' draws a layer's biases too, so bias_init must stay 'zeros'; got "
                f"{self.bias_init!r}: leave it out"
            )
        if self.data_init is not None and self.data_init not in DATA_INITS:
            raise unknown_name("data_init", self.data_init, DATA_INITS)
        if self.norm is not None and self.norm not in NORMS:
            raise unknown_name("norm", self.norm, NORMS)
        if self.residual is not None:
            _set(self, "residual", number("residual", self.residual))
        if not isinstance(self.learned_residual, bool):
            raise InputError(f"learned_residual must be True or False; got {self.learned_residual!r}")
        if self.learned_residual and self.residual is None:
            raise InputError("learned_residual needs the factor that branches start with, such as residual=0.0")

    @property
    def num_layers(self) -> int:
        """Number of layers with a kernel: the hidden layers and the output layer."""
        return len(self.hidden) + 1

    def widths(self, in_features: int, out_features: int = 1) -> tuple[int, ...]:
        """Return the `num_layers + 1` sizes from the input to the output."""
        return (in_features, *self.hidden, out_features)

    def activations(self) -> tuple[NamedFunction, ...]:
        """Return the activation of each hidden layer."""
        if isinstance(self.activation, tuple):
            return self.activation
        return (self.activation,) * len(self.hidden)

    def is_branch(self, layer: int) -> bool:
        """Return whether a layer is a residual branch: it reads a hidden layer of its own width."""
        between = 0 < layer < len(self.hidden)
        return self.residual is not None and between and self.hidden[layer - 1] == self.hidden[layer]

    def kernel_initializer(self, layer: int, fan_in: int) -> NamedFunction:
        """Return the initialiser of a layer's kernel, with "critical" resolved for the activation that the layer reads.

        Args:
            layer: number of the layer, from 0 on the input side.
            fan_in: number of values that the layer reads.

        Raises:
            InputError: "critical" for an activation or biases without a stable edge of chaos.
        """
        is_output = layer == len(self.hidden)
        own = self.output_init if is_output else self.branch_init if self.is_branch(layer) else None
        init = self.kernel_init if own is None else own
        # The first layer reads the input, which has no activation: its own activation stands in.
        activation = self.activations()[max(layer - 1, 0)] if self.hidden else "identity"
        return layer_initializer(init, activation, self.bias_init, fan_in)


def _set(description: Any, name: str, value: Any) -> None:
    object.__setattr__(description, name, value)


@checked
def init_mlp(key: PRNGKey, mlp: MLP, in_features: int, out_features: int = 1) -> Params:
    """Draw a network's parameters.

    Layer l draws from `layer_key(key, l)`, so that a layer's draw does not depend on the number of layers after it.

    Args:
        key: a PRNG key.
        mlp: the network.
        in_features: size of one example.
        out_features: number of logits.

    Returns:
        A tuple of `Layer(kernel (fan_in, fan_out), bias (fan_out,))`, input side first. A layer that learns the slope
        of "prelu" or the factor of its branch is a `LearnedLayer`, which has these scalars too.

    Raises:
        InputError: the initialisation depends on data.

    >>> params = init_mlp(jax.random.key(0), MLP(hidden=(8, 4)), in_features=2)
    >>> [layer.kernel.shape for layer in params]
    [(2, 8), (8, 4), (4, 1)]
    """
    if mlp.data_init is not None:
        raise InputError(
            f"data_init {mlp.data_init!r} needs the training rows: train an Experiment, or draw without it and call "
            "vgrad_jax.nets.data_dependent.fitted_to_data"
        )
    whole_number("in_features", in_features, minimum=1)
    whole_number("out_features", out_features, minimum=1)
    require_room(mlp.widths(in_features, out_features))
    layers = []
    for index, (fan_in, fan_out) in enumerate(itertools.pairwise(mlp.widths(in_features, out_features))):
        kernel_init = initializer_function(mlp.kernel_initializer(index, fan_in))
        bias_init = initializer_function(resolved_bias_initializer(mlp.bias_init, fan_in))
        layer = init_layer(layer_key(key, index), kernel_init, bias_init, fan_in, fan_out)
        layers.append(with_learned(mlp, index, layer))
    return tuple(layers)


def with_learned(mlp: MLP, index: int, layer: Layer) -> Layer | LearnedLayer:
    """Return a layer with the numbers that it learns besides, at their start; leading axes are those of its bias.

    >>> mlp = MLP(hidden=(4, 4), activation="prelu(0.1)", residual=0.0, learned_residual=True)
    >>> learned = with_learned(mlp, 1, Layer(jnp.zeros((4, 4)), jnp.zeros(4)))
    >>> round(float(learned.slope), 3), float(learned.factor)
    (0.1, 0.0)
    """
    return with_numbers(layer, *_learned_starts(mlp, index))


def _learned_starts(mlp: MLP, index: int) -> tuple[float | None, float | None]:
    """Return where the slope and the branch factor of a layer start; None for one that the layer does not learn."""
    slope = learned_slope(mlp.activations()[index]) if index < len(mlp.hidden) else None
    return slope, mlp.residual if mlp.learned_residual and mlp.is_branch(index) else None


def require_room(widths: tuple[int, ...], networks: int = 1) -> None:
    """Refuse networks whose parameters do not fit into memory, before they are drawn.

    Args:
        widths: sizes from the input to the output.
        networks: number of networks that are held together.

    Raises:
        InputError: there is not enough memory, or a layer has more weights than an array's index can count.
    """
    weights = [(fan_in + 1) * fan_out for fan_in, fan_out in itertools.pairwise(widths)]
    if max(weights) >= 2**31:
        raise InputError(f"a layer would have {max(weights):.3g} weights, and an array has less than 2^31 elements")
    many = f"{networks} networks" if networks > 1 else "a network"
    require_memory(f"{many} of {sum(weights):.3g} weights", 4 * sum(weights) * networks, "take narrower layers")


def init_layer(key: PRNGKey, kernel_init: Initializer, bias_init: Initializer, fan_in: int, fan_out: int) -> Layer:
    """Draw one layer's parameters: a kernel `(fan_in, fan_out)` and a bias `(fan_out,)`; "rai" draws both together."""
    dtype = jnp.zeros(()).dtype
    kernel_key, bias_key = jax.random.split(key)
    if kernel_init is asymmetric:
        drawn = asymmetric(kernel_key, (fan_in + 1, fan_out), dtype)
        return Layer(drawn[:-1], drawn[-1])
    kernel = called("kernel_init", FORM, kernel_init, kernel_key, (fan_in, fan_out), dtype)
    bias = called("bias_init", FORM, bias_init, bias_key, (fan_out,), dtype)
    for init, array, shape in ((kernel_init, kernel, (fan_in, fan_out)), (bias_init, bias, (fan_out,))):
        if jnp.shape(array) != shape:
            raise InputError(
                f"the initialiser {init!r} must return an array of the shape {shape}; it returned {jnp.shape(array)}"
            )
    return Layer(kernel, bias)


@checked
def apply_mlp(params: Params, x: Float[Array, " in_features"], mlp: MLP) -> Float[Array, " out_features"]:
    """Compute the network's logits for ONE example; batches and seeds are the caller's `vmap`.

    Args:
        params: parameters, as `init_mlp` returns them.
        x: one example.
        mlp: the network. With `norm="batch"` call this function under `jax.vmap(..., axis_name="batch")`.

    Returns:
        Logits, before any sigmoid or softmax.

    Raises:
        InputError: `params` are not this network's, or `x` is not one example of the input's size.

    >>> mlp = MLP(hidden=(8, 4), activation="relu")
    >>> params = init_mlp(jax.random.key(0), mlp, in_features=2)
    >>> apply_mlp(params, jnp.ones(2), mlp).shape
    (1,)
    >>> jax.vmap(apply_mlp, (None, 0, None))(params, jnp.ones((32, 2)), mlp).shape
    (32, 1)
    """
    if len(params) != mlp.num_layers:
        raise InputError(
            f"the network has {mlp.num_layers} layers, the parameters {len(params)}; draw them with init_mlp"
        )
    if x.shape != params[0].kernel.shape[:1]:
        raise InputError(
            f"one example has the shape {params[0].kernel.shape[:1]}; got {x.shape}; for a batch use jax.vmap"
        )
    read = hidden_values(params, x, mlp)[-1] if mlp.hidden else x
    return read @ params[-1].kernel + params[-1].bias


def hidden_values(params: Params, x: Float[Array, " in_features"], mlp: MLP) -> tuple[Float[Array, " width"], ...]:
    """Compute the activations of every hidden layer for ONE example, input side first.

    Args:
        params: parameters, as `init_mlp` returns them.
        x: one example.
        mlp: the network. With `norm="batch"` call this function under `jax.vmap(..., axis_name="batch")`.

    Raises:
        InputError: the layers of `params` learn other numbers than the network's.

    >>> mlp = MLP(hidden=(8, 4), activation="relu")
    >>> [values.shape for values in hidden_values(init_mlp(jax.random.key(0), mlp, 2), jnp.ones(2), mlp)]
    [(8,), (4,)]
    """
    require_numbers(params, [_learned_starts(mlp, index) for index in range(len(params))])
    values: list[Float[Array, " width"]] = []
    hidden = x
    preactivation = None
    for layer, activation in zip(params[:-1], mlp.activations(), strict=True):
        hidden, preactivation = next_values(mlp, layer, activation, hidden, preactivation)
        values.append(hidden)
    return tuple(values)


def next_values(
    mlp: MLP,
    layer: Layer | LearnedLayer,
    activation: NamedFunction,
    hidden: Float[Array, " fan_in"],
    before: Float[Array, " width"] | None,
) -> tuple[Float[Array, " fan_out"], Float[Array, " fan_out"]]:
    """Compute a hidden layer's activations and preactivations for ONE example.

    Args:
        mlp: the network.
        layer: parameters of the layer.
        activation: of the layer.
        hidden: values that the layer reads.
        before: preactivations of the layer before; None for the first layer.
    """
    slope, learned = (layer.slope, layer.factor) if isinstance(layer, LearnedLayer) else (None, None)
    branch = _normalise(hidden @ layer.kernel, mlp.norm) + layer.bias
    if mlp.residual is not None and before is not None and before.shape == branch.shape:
        branch = before + (mlp.residual if learned is None else learned) * branch
    return activated(activation, branch) if slope is None else prelu(branch, slope), branch


def _normalise(preactivation: Float[Array, " width"], norm: str | None) -> Float[Array, " width"]:
    if norm is None:
        return preactivation
    if norm == "layer":
        centred = preactivation - jnp.mean(preactivation)
        return centred * jax.lax.rsqrt(jnp.mean(centred**2) + NORM_EPSILON)
    centred = preactivation - jax.lax.pmean(preactivation, "batch")
    return centred * jax.lax.rsqrt(jax.lax.pmean(centred**2, "batch") + NORM_EPSILON)
