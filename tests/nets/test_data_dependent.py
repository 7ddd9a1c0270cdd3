"""Kernels that depend on data, against NumPy; and residual branches that start at zero."""

from dataclasses import replace

import jax
import numpy as np
import pytest

import vgrad_jax as vg
from vgrad_jax.theory.comparison import mean_field_of
from vgrad_jax.theory.seed_law import seed_law
from vgrad_jax.training.initial import initial_networks
from vgrad_jax.training.run import initial_params
from vgrad_jax.training.settings import structure_of

LSUV = vg.Experiment(
    mlp=vg.MLP(
        hidden=(4, 4, 3), activation="relu", kernel_init="normal(0.01)", bias_init="normal(0.3)", data_init="lsuv"
    ),
    data=vg.Data("moons", samples=40),
    training=vg.Training(epochs=1, batch_size=10),
)
PLAIN = replace(LSUV, mlp=replace(LSUV.mlp, data_init=None))


@pytest.fixture(scope="module")
def networks():
    data, keys = vg.load_data(LSUV.data), jax.random.split(jax.random.key(5), 3)
    return data, keys, [initial_networks(own, data, keys) for own in (LSUV, PLAIN)]


def test_every_layers_products_have_a_variance_of_one(networks):
    data, _, (fitted, drawn) = networks
    for seed in range(3):
        hidden = np.asarray(data.train_x, np.float64)
        for own, plain in zip(fitted, drawn, strict=True):
            kernel, bias = np.asarray(own.kernel[seed], np.float64), np.asarray(own.bias[seed])
            product = hidden @ kernel
            assert product.std() == pytest.approx(1, rel=1e-4)
            ratio = kernel / np.asarray(plain.kernel[seed])
            np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-4)  # A layer is scaled as a whole.
            np.testing.assert_array_equal(bias, plain.bias[seed])
            hidden = np.maximum(product + bias, 0)


def test_a_run_starts_as_in_a_sweep(networks):
    data, keys, (fitted, _) = networks
    alone = initial_params(LSUV, keys[1], data)
    for own, together in zip(alone, fitted, strict=True):
        np.testing.assert_allclose(own.kernel, together.kernel[1], rtol=1e-4)
    assert structure_of(LSUV) == structure_of(PLAIN)


def test_theory_knows_that_kernels_depend_on_data():
    mlp = vg.MLP(hidden=(4, 4), activation="relu", kernel_init="fan_in_normal(2)", data_init="lsuv")
    data = vg.load_data(LSUV.data)
    assert "depend on the data" in vg.theory.predict(mlp, data.train_x, data.train_y).why_not
    assert "do not depend on data" in seed_law(replace(LSUV, mlp=mlp), data, range(2)).why_not
    assert "depend on the data" in mean_field_of(mlp).why_not
    with pytest.raises(vg.InputError, match="needs the training rows"):
        vg.init_mlp(jax.random.key(0), mlp, 2)
    with pytest.raises(vg.InputError, match="unknown data_init 'lsv'"):
        vg.MLP(data_init="lsv")


BRANCHES = vg.MLP(hidden=(3, 4, 4, 4), activation="tanh", residual=1.0, branch_init="zeros", kernel_init="he_normal")


def test_branches_of_zero_are_the_identity_and_learn():
    params = vg.init_mlp(jax.random.key(0), BRANCHES, 2)
    x = jax.numpy.asarray([0.3, -0.8])
    kernels = [np.asarray(layer.kernel) for layer in params]
    assert [bool((kernel == 0).all()) for kernel in kernels] == [False, False, True, True, False]
    preactivation = np.tanh(np.asarray(x) @ kernels[0]) @ kernels[1]
    np.testing.assert_allclose(vg.apply_mlp(params, x, BRANCHES), np.tanh(preactivation) @ kernels[-1], rtol=1e-5)
    gradient = jax.grad(lambda params: vg.apply_mlp(params, x, BRANCHES)[0])(params)
    # The gradient of a branch is the values that it reads times the gradient of the sum that it joins.
    behind = (1 - np.tanh(preactivation) ** 2) * kernels[-1][:, 0]
    np.testing.assert_allclose(gradient[3].kernel, np.outer(np.tanh(preactivation), behind), rtol=1e-4)


def test_theory_predicts_branches_of_zero():
    data = vg.load_data(LSUV.data)
    prediction = vg.theory.predict(BRANCHES, data.train_x, data.train_y)
    assert np.isfinite(prediction.log10_rms).all()


def test_descriptions_without_them_are_written_as_before():
    assert not {"branch_init", "data_init"} & set(vg.MLP().to_dict())
    for mlp in (LSUV.mlp, BRANCHES):
        assert vg.MLP.from_json(mlp.to_json()) == mlp
