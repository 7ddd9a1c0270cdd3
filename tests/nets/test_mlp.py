import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vgrad_jax as vg
from vgrad_jax.nets.activations import ACTIVATIONS, activation_function
from vgrad_jax.nets.initializers import initializer_function


def test_unequal_widths_and_several_outputs():
    mlp = vg.MLP(hidden=(7, 3, 5))
    params = vg.init_mlp(jax.random.key(0), mlp, in_features=2, out_features=4)
    assert [layer.kernel.shape for layer in params] == [(2, 7), (7, 3), (3, 5), (5, 4)]
    assert [layer.bias.shape for layer in params] == [(7,), (3,), (5,), (4,)]
    assert vg.apply_mlp(params, jnp.ones(2), mlp).shape == (4,)


def test_names_and_functions_give_the_same_network():
    by_name = vg.MLP(activation="relu", kernel_init="he_normal")
    by_function = vg.MLP(activation=jax.nn.relu, kernel_init=jax.nn.initializers.he_normal())
    key, x = jax.random.key(3), jnp.array([0.5, -0.2])
    a, b = (vg.apply_mlp(vg.init_mlp(key, mlp, 2), x, mlp) for mlp in (by_name, by_function))
    np.testing.assert_array_equal(a, b)


def test_one_activation_for_each_layer():
    mlp = vg.MLP(hidden=(2, 1), activation=("relu", "sigmoid"), kernel_init="constant(1)")
    params = vg.init_mlp(jax.random.key(0), mlp, 2)
    value = vg.apply_mlp(params, jnp.array([1.0, -3.0]), mlp)
    np.testing.assert_allclose(value, [0.5])


def test_a_layers_draw_does_not_depend_on_how_many_follow():
    short, long = (vg.init_mlp(jax.random.key(1), vg.MLP(hidden=(5,) * n), 2) for n in (3, 9))
    for a, b in zip(short[:3], long[:3], strict=True):
        np.testing.assert_array_equal(a.kernel, b.kernel)


def test_linear_model():
    mlp = vg.MLP(hidden=())
    params = vg.init_mlp(jax.random.key(0), mlp, 3)
    x = jnp.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(vg.apply_mlp(params, x, mlp), x @ params[0].kernel, rtol=1e-6)


def test_residual_with_factor_zero_is_the_identity_between_hidden_layers():
    mlp = vg.MLP(hidden=(4,) * 6, activation="tanh", residual=0.0)
    params = vg.init_mlp(jax.random.key(0), mlp, 4)
    x = jnp.array([0.3, -1.0, 2.0, 0.1])
    expected = jnp.tanh(x @ params[0].kernel) @ params[-1].kernel
    np.testing.assert_allclose(vg.apply_mlp(params, x, mlp), expected, rtol=1e-5)
    gradient = jax.grad(lambda p: vg.apply_mlp(p, x, mlp)[0])(params)
    assert all(not jnp.any(layer.kernel) for layer in gradient[1:-1])


def test_residual_grows_the_second_moment_as_derived():
    # E|z_L|^2 / E|z_1|^2 = (1 + a^2)^(L - 1) for ReLU and variance 2 / fan_in, independent of the width.
    width, depth, factor, seeds = 48, 6, 0.7, 800
    mlp = vg.MLP(hidden=(width,) * depth, activation="relu", kernel_init="he_normal", residual=factor)
    probe = vg.MLP(hidden=(width,), activation="identity", kernel_init="he_normal")
    x = jnp.ones(width) / 8

    def stream(key):
        params = vg.init_mlp(key, mlp, width, width)
        last = [params[-1]._replace(kernel=jnp.eye(width))]
        # The output layer reads relu(z); E relu(z)^2 = E z^2 / 2 by symmetry.
        out = vg.apply_mlp((*params[:-1], *last), x, mlp)
        first = vg.apply_mlp((params[0], *last), x, probe)
        return 2 * jnp.sum(out**2), jnp.sum(first**2)

    out, first = jax.vmap(stream)(jax.random.split(jax.random.key(0), seeds))
    ratio = out.mean() / first.mean()
    error = (out / first.mean()).std() / np.sqrt(seeds)
    assert abs(ratio - (1 + factor**2) ** (depth - 1)) < 4 * error
    assert error < 0.03 * ratio


def test_layer_norm_and_batch_norm_normalise_the_preactivations():
    x = jax.random.normal(jax.random.key(0), (200, 3)) * 5 + 2
    keep = vg.Layer(jnp.eye(6), jnp.zeros(6))
    for norm, axis in (("layer", 1), ("batch", 0)):
        mlp = vg.MLP(hidden=(6,), activation="identity", norm=norm)
        params = (vg.init_mlp(jax.random.key(1), mlp, 3, 6)[0], keep)
        z = jax.vmap(lambda row, p=params, m=mlp: vg.apply_mlp(p, row, m), axis_name="batch")(x)
        np.testing.assert_allclose(z.mean(axis=axis), 0, atol=1e-5)
        np.testing.assert_allclose(z.std(axis=axis), 1, rtol=1e-3)


def test_a_batch_is_refused_with_the_remedy():
    mlp = vg.MLP()
    params = vg.init_mlp(jax.random.key(0), mlp, 2)
    with pytest.raises(vg.InputError, match=r"jax\.vmap"):
        vg.apply_mlp(params, jnp.ones(3), mlp)
    with pytest.raises(vg.InputError, match="6 layers, the parameters 5"):
        vg.apply_mlp(params[:-1], jnp.ones(2), mlp)


@pytest.mark.parametrize(
    ("name", "mean", "variance"),
    [
        ("uniform(0, 1)", 0.5, 1 / 12),
        ("uniform(-2, 4)", 1.0, 3.0),
        ("normal(0.3)", 0.0, 0.09),
        ("he_uniform", 0.0, 2 / 40),
        ("he_normal", 0.0, 2 / 40),
        ("glorot_uniform", 0.0, 2 / 65),
        ("glorot_normal", 0.0, 2 / 65),
        ("lecun_uniform", 0.0, 1 / 40),
        ("lecun_normal", 0.0, 1 / 40),
        ("truncated_normal(1)", 0.0, 0.8796256610342398**2),
        ("orthogonal(2)", 0.0, 4 / 40),
        ("constant(3)", 3.0, 0.0),
        ("zeros", 0.0, 0.0),
    ],
)
def test_initialisers_follow_their_law(name, mean, variance):
    init = initializer_function(vg.MLP(kernel_init=name).kernel_init)
    draws = jax.vmap(lambda key: init(key, (40, 25), jnp.float32))(jax.random.split(jax.random.key(5), 400))
    values = np.asarray(draws, np.float64).reshape(-1)
    assert abs(values.mean() - mean) <= 5 * np.sqrt(variance / values.size) + 1e-6
    squares = (values - mean) ** 2
    assert abs(squares.mean() - variance) <= 5 * squares.std() / np.sqrt(values.size) + 1e-6


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_elementwise_and_finite(name):
    x = jnp.linspace(-3, 3, 13)
    together = activation_function(name)(x)
    alone = jnp.stack([activation_function(name)(value) for value in x])
    np.testing.assert_allclose(
        together, alone, rtol=1e-6, atol=4e-7
    )  # One unit in the last place of an input, and of a sum.
    assert jnp.all(jnp.isfinite(together))
