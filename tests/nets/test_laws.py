"""Every initialiser draws from the law that `nets.laws` states."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vgrad_jax as vg
from vgrad_jax.nets.initializers import CRITICAL, INITIALIZERS
from vgrad_jax.nets.laws import bias_law, kernel_law

NUMBERS = {"uniform": "(-1, 3)", "constant": "(3)", "orthogonal": "(2)"}


def spelled(name):
    return name + NUMBERS.get(name, "(0.7)" if INITIALIZERS[name][0] else "")


def check_moments(values, law):
    values = np.asarray(values, np.float64).reshape(-1)
    assert abs(values.mean() - law.mean) <= 5 * np.sqrt(law.variance / values.size) + 1e-6
    squares = (values - law.mean) ** 2
    assert abs(squares.mean() - law.variance) <= 5 * squares.std() / np.sqrt(values.size) + 1e-6


@pytest.mark.parametrize("name", sorted(set(INITIALIZERS) - {CRITICAL}))
@pytest.mark.parametrize("shape", [(10, 60)])
def test_kernels_follow_their_law(name, shape):
    mlp = vg.MLP(hidden=(shape[1],), kernel_init=spelled(name))
    keys = jax.random.split(jax.random.key(5), 200)
    kernels = jax.vmap(lambda key: vg.init_mlp(key, mlp, shape[0])[0].kernel)(keys)
    check_moments(kernels, kernel_law(mlp.kernel_init, *shape))


@pytest.mark.parametrize("name", ["constant(0.5)", "normal(0.3)", "pytorch", "truncated_normal(2)", "uniform(0, 1)"])
def test_biases_follow_their_law(name):
    mlp = vg.MLP(hidden=(7,), bias_init=name)
    keys = jax.random.split(jax.random.key(6), 2000)
    biases = jax.vmap(lambda key: vg.init_mlp(key, mlp, 3)[0].bias)(keys)
    check_moments(biases, bias_law(mlp.bias_init, 3))


def test_the_untruncated_normal_is_not_truncated():
    draws = {
        name: vg.init_mlp(jax.random.key(0), vg.MLP(hidden=(100,), kernel_init=name), 100)[0].kernel * 50**0.5
        for name in ("he_normal", "fan_in_normal(2)")
    }
    assert jnp.abs(draws["he_normal"]).max() < 2.3
    assert jnp.abs(draws["fan_in_normal(2)"]).max() > 3


@pytest.mark.parametrize(
    ("activation", "bias_init", "weight_variance"),
    [("tanh", "zeros", 1.0), ("relu", "zeros", 2.0), ("tanh", "normal(0.4472135955)", 2.28515247)],
)
def test_critical_is_on_the_edge_of_chaos_of_the_activation_at_hand(activation, bias_init, weight_variance):
    mlp = vg.MLP(hidden=(50, 80), activation=activation, kernel_init="critical", bias_init=bias_init)
    draw = jax.jit(jax.vmap(lambda key: vg.init_mlp(key, mlp, 50)))  # It works inside a jit as well.
    for layer in draw(jax.random.split(jax.random.key(1), 200)):
        check_moments(
            layer.kernel * layer.kernel.shape[1] ** 0.5, type(kernel_law("zeros", 1, 1))(0.0, weight_variance)
        )


def test_a_layer_is_critical_for_the_activation_that_it_reads():
    mlp = vg.MLP(hidden=(4, 4), activation=("tanh", "relu"), kernel_init="critical")
    names = [mlp.kernel_initializer(layer, 4) for layer in range(3)]
    assert names == ["fan_in_normal(1.0)", "fan_in_normal(1.0)", "fan_in_normal(2.0)"]


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"activation": "gelu"}, "no edge of chaos to stay on for 'gelu'"),
        ({"activation": "softplus"}, "no weight variance is critical"),
        ({"bias_init": "uniform(0, 1)"}, "mean zero"),
        ({"bias_init": jax.nn.initializers.zeros}, "variance that is known"),
    ],
)
def test_critical_is_refused_where_there_is_nothing_critical(network, message):
    with pytest.raises(vg.InputError, match=message):
        vg.init_mlp(jax.random.key(0), vg.MLP(kernel_init="critical", **network), 2)


def test_impossible_numbers_are_refused():
    with pytest.raises(vg.InputError, match="positive"):
        vg.MLP(kernel_init="fan_in_normal(-1)")
    with pytest.raises(vg.InputError, match="unknown bias_init 'critical'"):
        vg.MLP(bias_init="critical")
