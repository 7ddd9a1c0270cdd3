"""Gradients and training held against other roads: NumPy backprop, central differences, Keras."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import vgrad_jax as vg
from vgrad_jax.losses import LOSSES
from vgrad_jax.training import step as training_step
from vgrad_jax.training.records import batch_loss
from vgrad_jax.training.run import epoch_order, initial_params

FUNCTIONS = {
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
}


def numpy_backprop(params, x, y, activation):
    """Mean binary cross-entropy's gradient by hand, layer by layer."""
    function, derivative = FUNCTIONS[activation]
    hidden, preactivations = [x], []
    for kernel, bias in params[:-1]:
        preactivations.append(hidden[-1] @ kernel + bias)
        hidden.append(function(preactivations[-1]))
    logits = (hidden[-1] @ params[-1][0] + params[-1][1])[:, 0]
    delta = ((1 / (1 + np.exp(-logits)) - y) / len(y))[:, None]
    gradients = []
    for index in range(len(params) - 1, -1, -1):
        gradients.insert(0, (hidden[index].T @ delta, delta.sum(axis=0)))
        if index:
            delta = (delta @ params[index][0].T) * derivative(preactivations[index - 1])
    return gradients


@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.usefixtures("x64")
def test_gradient_equals_numpy_backprop(activation):
    mlp = vg.MLP(hidden=(4, 3), activation=activation, kernel_init="normal(0.8)", bias_init="normal(0.5)")
    params = vg.init_mlp(jax.random.key(2), mlp, 2)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 2)), rng.integers(0, 2, 30)
    batch = (jnp.asarray(x), jnp.asarray(y))
    gradient = jax.jit(jax.grad(batch_loss), static_argnums=(2, 3))(params, batch, mlp, LOSSES["binary_cross_entropy"])
    by_hand = numpy_backprop([(np.asarray(k), np.asarray(b)) for k, b in params], x, y, activation)
    for layer, (kernel, bias) in zip(gradient, by_hand, strict=True):
        np.testing.assert_allclose(layer.kernel, kernel, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(layer.bias, bias, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("norm", [None, "layer", "batch"])
@pytest.mark.usefixtures("x64")
def test_gradient_equals_central_differences(loss, norm):
    mlp = vg.MLP(hidden=(4, 4), kernel_init="normal(0.8)", bias_init="normal(0.5)", norm=norm, residual=0.5)
    params = vg.init_mlp(jax.random.key(2), mlp, 2, LOSSES[loss].out_features(2))
    x = jax.random.normal(jax.random.key(3), (30, 2))
    y = jax.random.randint(jax.random.key(4), (30,), 0, 2)
    y = 1.3 * y if LOSSES[loss].of_numbers else y
    flat, unravel = jax.flatten_util.ravel_pytree(params)

    @jax.jit
    def value(vector):
        return batch_loss(unravel(vector), (x, y), mlp, LOSSES[loss])

    step = 1e-6
    steps = step * jnp.eye(flat.size)
    differences = jax.jit(jax.vmap(lambda e: (value(flat + e) - value(flat - e)) / (2 * step)))(steps)
    np.testing.assert_allclose(jax.jit(jax.grad(value))(flat), differences, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw"])
def test_a_description_trains_as_optax_does(optimizer):
    description = vg.Optimizer(optimizer, learning_rate=0.05)
    plain = {"sgd": optax.sgd, "rmsprop": optax.rmsprop, "adam": optax.adam}.get(
        optimizer, lambda rate: optax.adamw(rate, weight_decay=0.0)
    )(0.05)
    from vgrad_jax.optimizers import make_optimizer

    def trained(transformation):
        state = training_step.init(jnp.array([1.0, -2.0]), transformation)
        for _ in range(5):
            state, _ = training_step.step(state, 0.5, lambda w, x: jnp.sum((w - x) ** 2), transformation)
        return state.params

    np.testing.assert_array_equal(trained(make_optimizer(description)), trained(plain))


# Keras's variables do not know NumPy 2's `copy` yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("arm", ["tanh_he", "relu_he"])
def test_three_epochs_equal_keras(arm):
    """Same initial weights, same batch order: the weights agree to 1e-5."""
    import keras

    experiment = vg.presets.article(epochs=3)[arm]
    data = vg.load_data(experiment.data)
    key = jax.random.key(11)
    params = initial_params(experiment, key, data)
    activation = experiment.mlp.activation
    model = keras.Sequential(
        [
            keras.Input((2,)),
            *(keras.layers.Dense(5, activation=activation) for _ in range(5)),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.set_weights([np.asarray(leaf) for layer in params for leaf in layer])
    model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.SGD(learning_rate=0.01, momentum=0.9))
    orders = [np.asarray(epoch_order(jax.random.fold_in(key, 1), jnp.asarray(epoch), 500)) for epoch in (1, 2, 3)]
    with jax.numpy_rank_promotion("allow"):
        for rows in (rows for order in orders for rows in np.split(order, range(32, 500, 32))):
            model.train_on_batch(data.train_x[rows], data.train_y[rows][:, None].astype(np.float32))
    recording = vg.Recording(parameters_at=(0, 3))
    history = vg.train(vg.Experiment(mlp=experiment.mlp, training=vg.Training(epochs=3), recording=recording), key)
    ours = [np.asarray(leaf[1]) for layer in history.parameters for leaf in layer]
    start = [np.asarray(leaf[0]) for layer in history.parameters for leaf in layer]
    assert max(np.abs(a - b).max() for a, b in zip(ours, start, strict=True)) > 0.01
    for a, b in zip(ours, model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
