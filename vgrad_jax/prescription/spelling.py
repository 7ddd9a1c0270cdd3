"""Spellings of activations, initialisers, optimisers and losses in other libraries.

JAX, flax nnx and equinox share JAX's spellings. A name that a library lacks is refused with the reason.
"""

import math
from typing import NamedTuple

import jax

from vgrad_jax.errors import InputError
from vgrad_jax.nets.activations import ACTIVATIONS
from vgrad_jax.optimizers import Optimizer
from vgrad_jax.prescription.rates import rate_in

__all__ = ["LIBRARIES", "activation_in", "initializer_in", "loss_in", "optimizer_in"]

LIBRARIES = ("jax", "keras", "torch")
"""Libraries whose spellings are known."""

TRUNCATED = 0.87962566103423978
"""Standard deviation of a standard normal that is truncated at two standard deviations."""


class Scaled(NamedTuple):
    """Initialiser whose variance is `scale` over a fan."""

    scale: float
    mode: str
    distribution: str


SCALED = {
    "glorot_normal": Scaled(1.0, "fan_avg", "truncated_normal"),
    "glorot_uniform": Scaled(1.0, "fan_avg", "uniform"),
    "he_normal": Scaled(2.0, "fan_in", "truncated_normal"),
    "he_uniform": Scaled(2.0, "fan_in", "uniform"),
    "lecun_normal": Scaled(1.0, "fan_in", "truncated_normal"),
    "lecun_uniform": Scaled(1.0, "fan_in", "uniform"),
    "pytorch": Scaled(1 / 3, "fan_in", "uniform"),
}
"""Initialisers with a scale of their own, by name."""

WITH_SCALE = {
    "fan_in_normal": ("fan_in", "normal"),
    "fan_in_uniform": ("fan_in", "uniform"),
    "fan_avg_normal": ("fan_avg", "normal"),
    "fan_avg_uniform": ("fan_avg", "uniform"),
}
"""Initialisers that take a scale, by name: mode and distribution."""

_PRELU = "lambda z, slope: {0}.where(z >= 0, z, slope * z)"
"""The one activation of two arguments: the slope is a parameter of the network."""

_PLAIN = {
    "jax": {"identity": "lambda z: z", "prelu": _PRELU.format("jnp"), "sine": "jnp.sin", "tanh": "jnp.tanh"},
    "keras": {
        **{
            name: f"keras.activations.{name}"
            for name in (
                *("celu", "elu", "hard_sigmoid", "hard_silu", "hard_tanh", "log_sigmoid", "mish", "relu", "relu6"),
                *("selu", "sigmoid", "silu", "softplus", "sparse_plus", "sparse_sigmoid", "squareplus", "tanh"),
            )
        },
        "gelu": "lambda z: keras.activations.gelu(z, approximate=True)",
        "hard_swish": "keras.activations.hard_silu",
        "identity": "keras.activations.linear",
        "leaky_relu": "lambda z: keras.activations.leaky_relu(z, negative_slope=0.01)",
        "prelu": _PRELU.format("keras.ops"),
        "sine": "keras.ops.sin",
        "soft_sign": "keras.activations.softsign",
        "swish": "keras.activations.silu",
    },
    "torch": {
        **{
            name: f"F.{name}"
            for name in ("celu", "elu", "leaky_relu", "mish", "relu", "relu6", "selu", "silu", "softplus")
        },
        "gelu": 'lambda z: F.gelu(z, approximate="tanh")',
        "hard_sigmoid": "F.hardsigmoid",
        "hard_silu": "F.hardswish",
        "hard_swish": "F.hardswish",
        "hard_tanh": "F.hardtanh",
        "identity": "nn.Identity()",
        "log_sigmoid": "F.logsigmoid",
        "prelu": _PRELU.format("torch"),
        "sigmoid": "torch.sigmoid",
        "sine": "torch.sin",
        "soft_sign": "F.softsign",
        "squareplus": "lambda z: (z + torch.sqrt(z**2 + 4)) / 2",
        "swish": "F.silu",
        "tanh": "torch.tanh",
    },
}
"""Spelling of each activation without numbers, by library; for JAX those that `jax.nn` lacks."""

_WITH_NUMBER = {
    "jax": {"prelu": _PLAIN["jax"]["prelu"], "sine": "lambda z: jnp.sin({0} * z)"},
    "keras": {
        "celu": "lambda z: keras.activations.celu(z, alpha={0})",
        "elu": "lambda z: keras.activations.elu(z, alpha={0})",
        "leaky_relu": "lambda z: keras.activations.leaky_relu(z, negative_slope={0})",
        "prelu": _PLAIN["keras"]["prelu"],
        "sine": "lambda z: keras.ops.sin({0} * z)",
        "squareplus": "lambda z: keras.activations.squareplus(z, b={0})",
    },
    "torch": {
        "celu": "lambda z: F.celu(z, alpha={0})",
        "elu": "lambda z: F.elu(z, alpha={0})",
        "leaky_relu": "lambda z: F.leaky_relu(z, negative_slope={0})",
        "prelu": _PLAIN["torch"]["prelu"],
        "sine": "lambda z: torch.sin({0} * z)",
        "squareplus": "lambda z: (z + torch.sqrt(z**2 + {0})) / 2",
    },
}


def activation_in(library: str, activation: object) -> str:
    """Return an activation's spelling: a function of `z`, or for "prelu" of `z` and the slope.

    Raises:
        InputError: the activation is a function, or the library lacks it.

    >>> activation_in("jax", "tanh"), activation_in("torch", "leaky_relu(0.2)")
    ('jnp.tanh', 'lambda z: F.leaky_relu(z, negative_slope=0.2)')
    """
    kind, numbers = _split("activation", activation)
    table = (_WITH_NUMBER if numbers else _PLAIN).get(library, {})
    if kind in table:
        return table[kind].format(*(repr(number) for number in numbers)) if numbers else table[kind]
    if library == "jax" and hasattr(jax.nn, kind):
        given = [f"{name}={number!r}" for name, number in zip(ACTIVATIONS[kind].parameters, numbers, strict=False)]
        return f"lambda z: jax.nn.{kind}(z, {', '.join(given)})" if given else f"jax.nn.{kind}"
    raise InputError(f"the activation {activation!r} has no name in {library}; write it there by hand")


def initializer_in(library: str, initializer: object, fan_in: int, fan_out: int) -> str:
    """Return an initialiser's spelling; for PyTorch a function of a tensor that fills it.

    Args:
        library: a name of `LIBRARIES`.
        initializer: a name with its numbers, such as "uniform(0, 1)".
        fan_in: number of values that the layer reads.
        fan_out: number of its units.

    Raises:
        InputError: the initialiser is a function.

    >>> initializer_in("keras", "he_normal", 2, 4)
    "keras.initializers.VarianceScaling(2.0, 'fan_in', 'truncated_normal')"
    """
    kind, numbers = _split("initialiser", initializer)
    scaled = SCALED.get(kind)
    if kind in WITH_SCALE:
        scaled = Scaled(numbers[0], *WITH_SCALE[kind])
    if kind == "orthogonal" and not numbers:
        numbers = (1.0,)
    if library == "jax":
        return _jax_initializer(kind, numbers, scaled)
    if library == "keras":
        return _keras_initializer(kind, numbers, scaled)
    return _torch_initializer(kind, numbers, scaled, fan_in, fan_out)


def _jax_initializer(kind: str, numbers: tuple[float, ...], scaled: Scaled | None) -> str:
    module = "jax.nn.initializers"
    if scaled is not None:
        return f"{module}.variance_scaling({scaled.scale!r}, {scaled.mode!r}, {scaled.distribution!r})"
    if kind == "uniform":
        low, high = numbers
        return f"lambda key, shape: jax.random.uniform(key, shape, minval={low!r}, maxval={high!r})"
    if kind == "zeros":
        return f"{module}.zeros"
    return f"{module}.{kind}({numbers[0]!r})"


def _keras_initializer(kind: str, numbers: tuple[float, ...], scaled: Scaled | None) -> str:
    module = "keras.initializers"
    if scaled is not None:
        distribution = "untruncated_normal" if scaled.distribution == "normal" else scaled.distribution
        return f"{module}.VarianceScaling({scaled.scale!r}, {scaled.mode!r}, {distribution!r})"
    spelled = {
        "uniform": "RandomUniform({0}, {1})",
        "normal": "RandomNormal(stddev={0})",
        "truncated_normal": "TruncatedNormal(stddev={0})",
        "constant": "Constant({0})",
        "zeros": "Zeros()",
        "orthogonal": "Orthogonal({0})",
    }[kind]
    return f"{module}.{spelled.format(*numbers)}"


def _torch_initializer(kind: str, numbers: tuple[float, ...], scaled: Scaled | None, fan_in: int, fan_out: int) -> str:
    if scaled is not None:
        fan = fan_in if scaled.mode == "fan_in" else (fan_in + fan_out) / 2
        deviation = math.sqrt(scaled.scale / fan)
        if scaled.distribution == "uniform":
            limit = math.sqrt(3) * deviation
            return f"lambda w: nn.init.uniform_(w, {-limit:.6g}, {limit:.6g})"
        if scaled.distribution == "normal":
            return f"lambda w: nn.init.normal_(w, std={deviation:.6g})"
        kind, numbers = "truncated_normal", (deviation / TRUNCATED,)
    spelled = {
        "uniform": "uniform_(w, {0:.6g}, {1:.6g})",
        "normal": "normal_(w, std={0:.6g})",
        "truncated_normal": "trunc_normal_(w, std={0:.6g}, a=-{2:.6g}, b={2:.6g})",
        "constant": "constant_(w, {0:.6g})",
        "zeros": "zeros_(w)",
        "orthogonal": "orthogonal_(w, {0:.6g})",
    }[kind]
    values = (*numbers, *[0.0] * (2 - len(numbers)), 2 * numbers[0] if numbers else 0.0)
    return f"lambda w: nn.init.{spelled.format(*values)}"


def optimizer_in(library: str, optimizer: Optimizer, steps: int) -> str:
    """Return an optimiser's spelling; PyTorch's clipping and its schedule are calls of their own.

    Args:
        library: a name of `LIBRARIES`.
        optimizer: the description.
        steps: number of steps of the training, for a schedule.

    Raises:
        InputError: the library has no such optimiser.

    >>> optimizer_in("jax", Optimizer("adam", learning_rate=0.001, clip_norm=1.0), 100)
    'optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.001))'
    """
    name = optimizer.name
    more = {"momentum": optimizer.momentum, "nesterov": optimizer.nesterov, "weight_decay": optimizer.weight_decay}
    given = {key: value for key, value in more.items() if value}
    if name == "adamw":
        given["weight_decay"] = optimizer.weight_decay  # The libraries' defaults differ, and none is zero.
    if library == "jax":
        call = f"optax.{name}({', '.join([rate_in(library, optimizer, steps), *_arguments(given)])})"
        clip = optimizer.clip_norm
        return call if clip is None else f"optax.chain(optax.clip_by_global_norm({clip!r}), {call})"
    if name == "rmsprop" and library == "keras":
        given |= {"rho": 0.9}
        if given.pop("nesterov", False):
            raise InputError("keras has no Nesterov's momentum for RMSProp; write it there by hand")
    if name == "rmsprop" and library == "torch":
        return f"RMSProp({', '.join(['model.parameters()', *_arguments({'lr': optimizer.learning_rate, **given})])})"
    if name != "sgd":
        given |= {{"keras": "epsilon", "torch": "eps"}[library]: 1e-8}
    spelled = {"sgd": "SGD", "rmsprop": "RMSprop", "adam": "Adam", "adamw": "AdamW"}[name]
    if library == "keras":
        clip_norm = {} if optimizer.clip_norm is None else {"global_clipnorm": optimizer.clip_norm}
        rate = rate_in(library, optimizer, steps)
        return f"keras.optimizers.{spelled}({', '.join([rate, *_arguments({**given, **clip_norm})])})"
    rate = f"lr={optimizer.learning_rate!r}"
    return f"torch.optim.{spelled}({', '.join(['model.parameters()', rate, *_arguments(given)])})"


_LOSSES = {
    "binary_cross_entropy": {
        "jax": "optax.sigmoid_binary_cross_entropy(logits[:, 0], y).mean()",
        "keras": "keras.losses.BinaryCrossentropy(from_logits=True)",
        "torch": "F.binary_cross_entropy_with_logits(logits[:, 0], y.float())",
    },
    "softmax_cross_entropy": {
        "jax": "optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()",
        "keras": "keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
        "torch": "F.cross_entropy(logits, y)",
    },
    "hinge": {
        "jax": "optax.hinge_loss(logits[:, 0], 2.0 * y - 1).mean()",
        "keras": "keras.losses.Hinge()",
        "torch": "F.relu(1 - (2.0 * y - 1) * logits[:, 0]).mean()",
    },
    "squared_error": {
        "jax": "((logits[:, 0] - y) ** 2).mean()",
        "keras": "keras.losses.MeanSquaredError()",
        "torch": "F.mse_loss(logits[:, 0], y)",
    },
    "huber": {
        "jax": "optax.huber_loss(logits[:, 0], y).mean()",
        "keras": "keras.losses.Huber()",
        "torch": "F.huber_loss(logits[:, 0], y)",
    },
}


def loss_in(library: str, loss: str) -> str:
    """Return a loss's spelling: of `logits` and `y`, or for Keras an object.

    >>> loss_in("torch", "softmax_cross_entropy")
    'F.cross_entropy(logits, y)'
    """
    return _LOSSES[loss][library]


def _arguments(values: dict[str, float]) -> list[str]:
    return [f"{name}={value!r}" for name, value in values.items()]


def _split(word: str, name: object) -> tuple[str, tuple[float, ...]]:
    """Return the kind and the numbers of a name.

    Raises:
        InputError: the name is a function.
    """
    if not isinstance(name, str):
        raise InputError(f"the {word} {name!r} is a function, which has no name in other libraries; copy it by hand")
    kind, _, rest = name.partition("(")
    return kind, tuple(float(part) for part in rest.rstrip(")").split(",")) if rest else ()
