"""Snippets: programs of libraries with a network, its optimiser and its loss filled in."""

from collections.abc import Callable

from vgrad_jax.prescription.snippet_parts import Parts, asymmetric, fitting, forward_lines, normalising, only_where
from vgrad_jax.prescription.torch_snippet import torch_snippet

__all__ = ["WRITERS"]

JAX_ASYMMETRIC = """\
    first, second = jax.random.split(key)
    rows = jnp.concatenate([kernel, bias[None]])
    chosen = jax.random.randint(first, bias.shape, 0, len(rows))
    drawn = jnp.sqrt(jax.random.uniform(second, bias.shape))
    rows = rows.at[chosen, jnp.arange(len(bias))].set(drawn)
    return rows[:-1], rows[-1]
"""
"""Body of the function of a key, a kernel and a bias that returns the asymmetric kernel and bias."""

KERAS_ASYMMETRIC = """\
    rows = keras.ops.concatenate([layer.kernel, layer.bias[None]])
    chosen = keras.random.randint(layer.bias.shape, 0, rows.shape[0])
    drawn = keras.ops.sqrt(keras.random.uniform(layer.bias.shape))
    rows = keras.ops.where(keras.ops.arange(rows.shape[0])[:, None] == chosen, drawn, rows)
    layer.kernel.assign(rows[:-1])
    layer.bias.assign(rows[-1])
"""
"""Body of the function that makes a layer of Keras asymmetric."""


def _jax(parts: Parts) -> str:
    forward = forward_lines(
        parts,
        'h @ layer["kernel"]',
        'layer["bias"]',
        'h @ layer["kernel"] + layer["bias"]',
        layers="params",
        indent="    ",
        number='layer["{0}"]',
    )
    fit, call = fitting(
        parts,
        "fit_to_data(params, x)",
        forward_lines(
            parts,
            'h @ layer["kernel"]',
            'layer["bias"]',
            "params",
            layers="params",
            indent="    ",
            number='layer["{0}"]',
            before=['layer["kernel"] /= jnp.maximum(jnp.std(h @ layer["kernel"]), 1e-12)'],
        ),
    )
    learned = "".join(
        f"    for layer, {name} in zip(params, {name.upper()}S):\n"
        f'        layer["{name}"] = {only_where(name, f"jnp.asarray({name})")}\n'
        for name in parts.learned
    )
    function, lines = asymmetric(
        parts,
        "asymmetric(key, kernel, bias)",
        JAX_ASYMMETRIC,
        "layer, own = params[index], jax.random.fold_in(key, index)\n"
        'layer["kernel"], layer["bias"] = asymmetric(own, layer["kernel"], layer["bias"])',
        indent="    ",
    )
    return f"""import jax
import jax.numpy as jnp
import optax

{parts.constants}{normalising(parts.norm, "jnp.mean", "jax.lax.rsqrt")}{function}

def init(key):
    params = []
    for kernel, bias, fan_in, fan_out in zip(KERNELS, BIASES, WIDTHS[:-1], WIDTHS[1:]):
        key, first, second = jax.random.split(key, 3)
        params.append({{"kernel": kernel(first, (fan_in, fan_out)), "bias": bias(second, (fan_out,))}})
{lines}{learned}    return params


def model(params, x):  # x: (rows, features)
{forward}{fit}

def loss_fn(params, x, y):
    logits = model(params, x)
    return {parts.loss}


{parts.training}
optimizer = {parts.optimizer}
params = init(jax.random.key(0))
{call}state = optimizer.init(params)


@jax.jit
def step(params, state, x, y):
    loss, gradient = jax.value_and_grad(loss_fn)(params, x, y)
    updates, state = optimizer.update(gradient, state, params)
    return optax.apply_updates(params, updates), state, loss
"""


def _nnx(parts: Parts) -> str:
    forward = forward_lines(
        parts,
        "h @ layer.kernel[...]",
        "layer.bias[...]",
        "layer(h)",
        layers="self.layers",
        indent="        ",
    )
    fit, call = fitting(
        parts,
        "fit_to_data(model, x)",
        forward_lines(
            parts,
            "h @ layer.kernel[...]",
            "layer.bias[...]",
            "model",
            layers="model.layers",
            indent="    ",
            before=["layer.kernel[...] /= jnp.maximum(jnp.std(h @ layer.kernel[...]), 1e-12)"],
        ),
    )
    learned = "".join(
        f"        self.{name}s = nnx.List(\n"
        f"            {only_where(name, f'nnx.Param(jnp.asarray({name}))')} for {name} in {name.upper()}S\n"
        "        )\n"
        for name in parts.learned
    )
    function, lines = asymmetric(
        parts,
        "asymmetric(key, kernel, bias)",
        JAX_ASYMMETRIC,
        "layer = self.layers[index]\n"
        "layer.kernel[...], layer.bias[...] = asymmetric(rngs.params(), layer.kernel[...], layer.bias[...])",
        indent="        ",
    )
    return f"""import jax
import jax.numpy as jnp
import optax
from flax import nnx

{parts.constants}{normalising(parts.norm, "jnp.mean", "jax.lax.rsqrt")}{function}

def flax_init(init):  # flax hands over a dtype, and sharding options
    return lambda key, shape, *_, **__: init(key, shape)


class Network(nnx.Module):
    def __init__(self, rngs):
        sizes = zip(KERNELS, BIASES, WIDTHS[:-1], WIDTHS[1:])
        self.layers = nnx.List(
            nnx.Linear(fan_in, fan_out, kernel_init=flax_init(kernel), bias_init=flax_init(bias), rngs=rngs)
            for kernel, bias, fan_in, fan_out in sizes
        )
{lines}{learned}
    def __call__(self, x):  # x: (rows, features)
{forward}{fit}

def loss_fn(model, x, y):
    logits = model(x)
    return {parts.loss}


{parts.training}
model = Network(nnx.Rngs(0))
{call}optimizer = nnx.Optimizer(model, {parts.optimizer}, wrt=nnx.Param)


@nnx.jit
def step(model, optimizer, x, y):
    loss, gradient = nnx.value_and_grad(loss_fn)(model, x, y)
    optimizer.update(model, gradient)
    return loss
"""


def _equinox(parts: Parts) -> str:
    forward = forward_lines(
        parts,
        "h @ layer.weight.T",
        "layer.bias",
        "h @ layer.weight.T + layer.bias",
        layers="self.layers",
        indent="        ",
    )
    fit, call = fitting(
        parts,
        "model = fit_to_data(model, x)",
        "    layers = []\n"
        + forward_lines(
            parts,
            "h @ layer.weight.T",
            "layer.bias",
            "eqx.tree_at(lambda model: model.layers, model, layers)",
            layers="model.layers",
            indent="    ",
            before=[
                "deviation = jnp.maximum(jnp.std(h @ layer.weight.T), 1e-12)",
                "layer = eqx.tree_at(lambda layer: layer.weight, layer, layer.weight / deviation)",
                "layers.append(layer)",
            ],
        ),
    )
    fields = "".join(f"    {name}s: list\n" for name in parts.learned)
    learned = "".join(
        f"        self.{name}s = [{only_where(name, f'jnp.asarray({name})')} for {name} in {name.upper()}S]\n"
        for name in parts.learned
    )
    function, lines = asymmetric(
        parts,
        "asymmetric(key, kernel, bias)",
        JAX_ASYMMETRIC,
        # JAX's `split` is a `fold_in` of the numbers from zero on, which drew the layers.
        "layer, own = self.layers[index], jax.random.fold_in(key, len(KERNELS) + index)\n"
        "kernel, bias = asymmetric(own, layer.weight.T, layer.bias)\n"
        "values = kernel.T, bias\n"
        "self.layers[index] = eqx.tree_at(lambda layer: (layer.weight, layer.bias), layer, values)",
        indent="        ",
    )
    return f"""import equinox as eqx
import jax
import jax.numpy as jnp
import optax

{parts.constants}{normalising(parts.norm, "jnp.mean", "jax.lax.rsqrt")}{function}

def linear(key, kernel, bias, fan_in, fan_out):
    first, second = jax.random.split(key)
    values = kernel(first, (fan_in, fan_out)).T, bias(second, (fan_out,))
    layer = eqx.nn.Linear(fan_in, fan_out, key=key)
    return eqx.tree_at(lambda layer: (layer.weight, layer.bias), layer, values)


class Network(eqx.Module):
    layers: list
{fields}
    def __init__(self, key):
        keys = jax.random.split(key, len(KERNELS))
        self.layers = [linear(*values) for values in zip(keys, KERNELS, BIASES, WIDTHS[:-1], WIDTHS[1:])]
{lines}{learned}
    def __call__(self, x):  # x: (rows, features)
{forward}{fit}

def loss_fn(model, x, y):
    logits = model(x)
    return {parts.loss}


{parts.training}
model = Network(jax.random.key(0))
{call}optimizer = {parts.optimizer}
state = optimizer.init(eqx.filter(model, eqx.is_array))


@eqx.filter_jit
def step(model, state, x, y):
    loss, gradient = eqx.filter_value_and_grad(loss_fn)(model, x, y)
    updates, state = optimizer.update(gradient, state, eqx.filter(model, eqx.is_array))
    return eqx.apply_updates(model, updates), state, loss
"""


def _keras(parts: Parts) -> str:
    forward = forward_lines(
        parts,
        "keras.ops.matmul(h, layer.kernel)",
        "layer.bias",
        "layer(h)",
        layers="self.dense",
        indent="        ",
    )
    product = "keras.ops.matmul(h, layer.kernel)"
    fit, call = fitting(
        parts,
        "fit_to_data(model, x)",
        forward_lines(
            parts,
            product,
            "layer.bias",
            "model",
            layers="model.dense",
            indent="    ",
            before=[f"layer.kernel.assign(layer.kernel / keras.ops.maximum(keras.ops.std({product}), 1e-12))"],
        ),
    )
    constant = "keras.initializers.Constant"
    learned = "".join(
        f"        self.{name}s = [\n"
        f"            {only_where(name, f'self.add_weight((), {constant}({name}))')} for {name} in {name.upper()}S\n"
        "        ]\n"
        for name in parts.learned
    )
    function, lines = asymmetric(
        parts, "asymmetric(layer)", KERAS_ASYMMETRIC, "asymmetric(self.dense[index])", indent="        "
    )
    epochs, _, rest = parts.training.removeprefix("# ").partition(" epochs in batches of ")
    return f"""import keras

{parts.constants}{normalising(parts.norm, "keras.ops.mean", "keras.ops.rsqrt")}{function}

class Network(keras.Model):
    def __init__(self):
        super().__init__()
        sizes = zip(KERNELS, BIASES, WIDTHS[:-1], WIDTHS[1:])
        self.dense = []
        for kernel, bias, fan_in, fan_out in sizes:
            kernel, bias = kernel.clone(), bias.clone()  # each with a seed of its own
            layer = keras.layers.Dense(fan_out, kernel_initializer=kernel, bias_initializer=bias)
            layer.build((None, fan_in))
            self.dense.append(layer)
{lines}{learned}
    def call(self, x):  # x: (rows, features)
{forward}{fit}

model = Network()
{call}model.compile(optimizer={parts.optimizer}, loss={parts.loss})
# model.fit(x, y, epochs={epochs}, batch_size={rest.partition(" ")[0]})
"""


WRITERS: dict[str, Callable[[Parts], str]] = {
    "jax": _jax,
    "nnx": _nnx,
    "equinox": _equinox,
    "keras": _keras,
    "torch": torch_snippet,
}
"""Functions of a network in its parts to a complete program, by framework."""
