"""Learned slopes and branch factors, and the sine: against NumPy, finite differences and closed forms."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vgrad_jax as vg
from vgrad_jax.losses import LOSSES
from vgrad_jax.theory.mean_field import mean_field
from vgrad_jax.training.initial import initial_networks
from vgrad_jax.training.records import batch_loss
from vgrad_jax.training.run import initial_params

LEARNED = vg.Experiment(
    mlp=vg.MLP(
        hidden=(4, 4, 3),
        activation=("prelu", "prelu(0.1)", "tanh"),
        bias_init="normal(0.5)",
        residual=0.5,
        learned_residual=True,
    ),
    data=vg.Data("moons", samples=16),
    optimizer=vg.Optimizer("sgd", learning_rate=0.1, momentum=0.5),
    training=vg.Training(epochs=2, batch_size=8),
    recording=vg.Recording(parameters_at=(0, 2), gradients_at=(0,)),
)
REZERO = vg.MLP(hidden=(6,) * 3, activation="tanh", residual=0.0, learned_residual=True)


def numpy_loss(leaves, x, y):
    """Mean loss of the network of `LEARNED`, from its leaves in float64."""
    first, b1, slope1, second, b2, slope2, factor, third, b3, last, b4 = leaves
    z1 = x @ first + b1
    z2 = z1 + factor * (np.where(z1 > 0, z1, slope1 * z1) @ second + b2)
    z3 = np.where(z2 > 0, z2, slope2 * z2) @ third + b3
    logits = (np.tanh(z3) @ last + b4)[:, 0]
    return np.mean(np.log1p(np.exp((1 - 2 * y) * logits)))


def test_loss_and_gradient_are_numpys():
    dataset = vg.load_data(LEARNED.data)
    params = initial_params(LEARNED, jax.random.key(0), dataset)
    assert [type(layer) for layer in params] == [vg.LearnedLayer, vg.LearnedLayer, vg.Layer, vg.Layer]
    batch = (jnp.asarray(dataset.train_x), jnp.asarray(dataset.train_y))
    loss = LOSSES[LEARNED.training.loss]
    value, gradient = jax.jit(jax.value_and_grad(partial(batch_loss, mlp=LEARNED.mlp, loss=loss)))(params, batch)
    leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(params)]
    assert [float(leaves[place]) for place in (2, 5, 6)] == pytest.approx([0.25, 0.1, 0.5])
    x, y = np.asarray(dataset.train_x, np.float64), np.asarray(dataset.train_y)
    assert float(value) == pytest.approx(numpy_loss(leaves, x, y), rel=1e-5)
    for place, own in enumerate(jax.tree.leaves(gradient)):
        found = np.zeros(leaves[place].shape)
        for index in np.ndindex(found.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [leaf.copy() for leaf in leaves]
                moved[place][index] += step
                ends.append(numpy_loss(moved, x, y))
            found[index] = (ends[0] - ends[1]) / 2e-5
        np.testing.assert_allclose(own, found, atol=2e-6)


def test_rezero_starts_as_the_identity_and_learns_its_factors_first():
    """Bachlechner et al. 2020: at the start the gradient reaches every depth, and no kernel of a branch has one."""
    x = jnp.array([0.5, -1.0])
    deep = vg.MLP(hidden=(6,) * 8, activation="tanh", residual=0.0, learned_residual=True)
    params = vg.init_mlp(jax.random.key(0), deep, 2)
    short = vg.MLP(hidden=(6,), activation="tanh")
    ends = (vg.Layer(*params[0][:2]), params[-1])
    np.testing.assert_allclose(vg.apply_mlp(params, x, deep), vg.apply_mlp(ends, x, short), rtol=1e-6)
    gradient, short_gradient = (
        jax.jit(jax.grad(lambda own, mlp=mlp: vg.apply_mlp(own, x, mlp)[0]))(own)
        for own, mlp in ((params, deep), (ends, short))
    )
    np.testing.assert_allclose(gradient[0].kernel, short_gradient[0].kernel, rtol=1e-5)
    assert isinstance(gradient[0], vg.Layer)  # The first layer is no branch.
    for layer in gradient[1:-1]:
        assert not np.any(layer.kernel)
        assert abs(float(layer.factor)) > 1e-4


def test_many_networks_start_as_one_does():
    dataset = vg.load_data(LEARNED.data)
    keys = jax.random.split(jax.random.key(1), 3)
    many = initial_networks(LEARNED, dataset, keys)
    one = initial_params(LEARNED, keys[1], dataset)
    for all_of_them, own in zip(jax.tree.leaves(many), jax.tree.leaves(one), strict=True):
        np.testing.assert_allclose(all_of_them[1], own, rtol=1e-6)


def test_parameters_that_are_kept_have_names():
    results = vg.sweep({"arm": LEARNED}, 2, engine="plain", progress=False)
    names = results["parameter"].values.tolist()
    assert [name for name in names if "slope" in name or "factor" in name] == ["0/slope", "1/slope", "1/factor"]
    assert names.index("0/slope") == names.index("0/bias/3") + 1
    kept = results["parameters"].sel(arm="arm", parameter=["0/slope", "1/slope", "1/factor"]).values
    np.testing.assert_allclose(kept[:, 0], [[0.25, 0.1, 0.5]] * 2, rtol=1e-6)
    assert np.all(kept[:, 1] != kept[:, 0])


@pytest.mark.parametrize(
    ("described", "drawn", "words"),
    [
        (REZERO, vg.MLP(hidden=(6,) * 3), "layer 1 of the network learns a factor, and the parameters have none"),
        (vg.MLP(hidden=(6,) * 3), REZERO, "layer 1 of the network learns no factor, and the parameters have one"),
        (vg.MLP((4,), "prelu"), vg.MLP((4,), "relu"), "layer 0 of the network learns a slope, and the parameters have"),
        (vg.MLP((4,), "relu"), vg.MLP((4,), "prelu"), "layer 0 of the network learns no slope"),
    ],
)
def test_parameters_of_another_description_are_refused(described, drawn, words):
    params = vg.init_mlp(jax.random.key(0), drawn, 2)
    with pytest.raises(vg.InputError, match=f"{words}.*draw them with init_mlp"):
        vg.apply_mlp(params, jnp.ones(2), described)


def test_descriptions():
    assert "learned_residual" not in vg.MLP(residual=1.0).to_dict()
    for mlp in (REZERO, LEARNED.mlp):
        assert vg.MLP.from_json(mlp.to_json()) == mlp
    with pytest.raises(vg.InputError, match="needs the factor that branches start with"):
        vg.MLP(learned_residual=True)
    with pytest.raises(vg.InputError, match="must be True or False; got 1"):
        vg.MLP(residual=0.0, learned_residual=1)


def test_theory_says_that_it_has_no_learned_numbers():
    dataset = vg.load_data(LEARNED.data)
    assert "learn a slope" in vg.theory.predict(REZERO, dataset.train_x, dataset.train_y).why_not


@pytest.mark.parametrize("frequency", [1.0, 1.5])
def test_the_sine_of_a_normal_is_that_of_the_closed_form(frequency):
    """E sin^2(wz) = (1 - e^(-2 w^2 q)) / 2 and E (w cos(wz))^2 = w^2 (1 + e^(-2 w^2 q)) / 2, at the fixed point."""
    found = mean_field(f"sine({frequency})", 2.0, 0.0)
    q = found.q_star
    decay = np.exp(-2 * frequency**2 * q)
    assert q == pytest.approx(1 - decay, rel=1e-4)
    assert found.chi_1 == pytest.approx(frequency**2 * (1 + decay), rel=1e-4)
