"""Trainings that `make_train` makes: the same numbers as by another road, whatever the framework of the model."""

import dataclasses
import functools
import inspect

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import vgrad_jax as vg
from vgrad_jax.training.make_train import _takes_key

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.float32)
SIZES = {"epochs": 3, "batch_size": 8}


def cross_entropy(logits, y):
    return optax.sigmoid_binary_cross_entropy(logits, y).mean()


def test_it_trains_as_an_experiment_does(small):
    """Give the network, loss and optimiser of an `Experiment`: the same keys give the same parameters."""
    training = vg.Training(epochs=3, batch_size=8)
    experiment = dataclasses.replace(small, training=training, recording=vg.Recording(parameters_at=(1, 2, 3)))
    dataset = vg.load_data(experiment.data)

    def init(key):
        return vg.init_mlp(key, experiment.mlp, in_features=2)

    def loss_fn(params, batch):
        logits = jax.vmap(lambda row: vg.apply_mlp(params, row, experiment.mlp))(batch[0])
        return cross_entropy(logits[:, 0], batch[1])

    def flat(params, held_out):
        assert held_out[0].shape == dataset.test_x.shape
        return {"weights": jax.flatten_util.ravel_pytree(params)[0]}

    train = vg.make_train(init, loss_fn, optax.sgd(0.1, momentum=0.9), experiment.data, evaluate=flat, **SIZES)
    key = vg.run_key(3, 5)
    history = vg.train(experiment, key)
    expected = jax.vmap(lambda epoch: jax.flatten_util.ravel_pytree(epoch)[0])(history.parameters)
    np.testing.assert_allclose(jax.jit(train)(key)["weights"], expected, rtol=2e-5, atol=1e-6)


def linear(key):
    return {"first": jax.random.normal(key, (3, 4)) / 2, "second": jnp.full((4, 1), 0.5), "number": jnp.arange(2)}


def linear_loss(params, batch):
    return jnp.mean(((batch[0] @ params["first"] @ params["second"])[:, 0] - batch[1]) ** 2)


def test_losses_evaluations_and_records_are_those_of_the_steps():
    """Take the same steps in a Python loop."""
    from vgrad_jax.keys import epoch_key, network_key, order_key
    from vgrad_jax.training import shuffled

    def evaluate(params, held_out):
        return {"rows": jnp.float32(len(held_out[1])), "loss_after": linear_loss(params, held_out)}

    made = vg.make_train(
        linear, linear_loss, optax.sgd(0.1), (X, Y), record=4, evaluate=evaluate, held_out=(X[:5], Y[:5]), **SIZES
    )
    results = jax.jit(made)(jax.random.key(1))
    params = linear(network_key(jax.random.key(1)))
    trained = {name: params[name] for name in ("first", "second")}
    losses, sizes, after = [], [], []
    for epoch in range(1, 4):
        order = np.asarray(shuffled(epoch_key(order_key(jax.random.key(1)), epoch), len(X)))
        losses.append([])
        for rows in (order[:8], order[8:16], order[16:]):
            loss, gradient = jax.value_and_grad(lambda p, rows=rows: linear_loss({**params, **p}, (X[rows], Y[rows])))(
                trained
            )
            losses[-1].append(float(loss))
            sizes.append([float(jnp.log10(jnp.sqrt(jnp.mean(g**2)))) for g in gradient.values()])
            trained = jax.tree.map(lambda p, g: p - 0.1 * g, trained, gradient)
        after.append(float(linear_loss(trained, (X[:5], Y[:5]))))
    np.testing.assert_allclose(results["train_loss"], np.mean(losses, axis=1), rtol=1e-5)
    np.testing.assert_allclose(results["loss_after"], after, rtol=1e-5)
    assert results["rows"].tolist() == [5.0] * 3
    record = results["gradients"]
    assert record.paths == ("first", "second")
    assert record.step.tolist() == [0, 3, 6]  # Nine updates, and four records at the most: one in three.
    np.testing.assert_allclose(record.log10_rms, np.array(sizes)[[0, 3, 6]], atol=1e-5)


def test_a_recorder_of_your_own_stands_before_the_optimiser():
    counted = vg.make_train(linear, linear_loss, optax.sgd(0.1), (X, Y), record=9, **SIZES)
    own = vg.make_train(linear, linear_loss, optax.sgd(0.1), (X, Y), record=vg.record(every=2, history=3), **SIZES)
    first, second = (jax.jit(made)(jax.random.key(0))["gradients"] for made in (counted, own))
    assert second.step.tolist() == [4, 6, 8]
    np.testing.assert_allclose(second.log10_rms, first.log10_rms[4::2], atol=1e-6)
    np.testing.assert_allclose(second.loss, first.loss[4::2], rtol=1e-6)


def test_evaluations_may_be_rarer_than_epochs_and_count_in_epochs():
    made = vg.make_train(
        linear, linear_loss, optax.sgd(0.1), (X, Y), epochs=5, batch_size=10,
        evaluate=lambda params, rows: linear_loss(params, rows), evaluate_every=2,
    )  # fmt: skip
    results = vg.sweep({"a": vg.Arm(made, converged="evaluation < 1e9")}, 2, progress=False)
    assert results["train_loss"].dims[2:] == ("epoch",)
    assert results["evaluation"].dims[2:] == ("evaluated_epoch",)
    assert results["evaluated_epoch"].values.tolist() == [2, 4, 5]
    assert (results["epochs_to_converge"] == 2).all()
    every = vg.make_train(
        linear, linear_loss, optax.sgd(0.1), (X, Y), epochs=5, batch_size=10, evaluate=linear_loss
    )  # fmt: skip
    full = vg.sweep({"a": every}, 2, progress=False)
    np.testing.assert_array_equal(full["evaluation"].values[..., [1, 3, 4]], results["evaluation"].values)


def test_a_loss_with_three_arguments_draws_from_a_new_key_at_each_step():
    def noisy(params, batch, key):
        return linear_loss(params, batch) * 0 + jax.random.normal(key)

    results = vg.make_train(linear, noisy, optax.sgd(0.1), (X, Y), **SIZES)(jax.random.key(0))
    again = vg.make_train(linear, noisy, optax.sgd(0.1), (X, Y), **SIZES)(jax.random.key(1))
    assert len({*results["train_loss"].tolist(), *again["train_loss"].tolist()}) == 6


def linen_arm():
    from flax import linen as nn

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            x = nn.tanh(nn.BatchNorm(use_running_average=not train)(nn.Dense(4)(x)))
            return nn.Dense(1)(x)[:, 0]

    net = Net()

    def init(key):
        variables = net.init(key, X, True)
        return variables["params"], variables["batch_stats"]

    def loss_fn(params, stats, batch):
        logits, new = net.apply({"params": params, "batch_stats": stats}, batch[0], True, mutable="batch_stats")
        return cross_entropy(logits, batch[1]), new["batch_stats"]

    def evaluate(params, stats, rows):
        logits = net.apply({"params": params, "batch_stats": stats}, rows[0], False)
        return {"accuracy": ((logits > 0) == (rows[1] > 0)).mean(), "mean": stats["BatchNorm_0"]["mean"].sum()}

    return vg.make_train(init, loss_fn, optax.sgd(0.1), (X, Y), record=3, evaluate=evaluate, has_state=True, **SIZES)


def nnx_arm():
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.first, self.second = nnx.Linear(3, 4, rngs=rngs), nnx.Linear(4, 1, rngs=rngs)
            self.norm, self.dropout = nnx.BatchNorm(4, rngs=rngs), nnx.Dropout(0.2, rngs=rngs)

        def __call__(self, x):
            return self.second(self.dropout(nnx.tanh(self.norm(self.first(x)))))[:, 0]

    def evaluate(net, rows):
        net.eval()
        return {"accuracy": ((net(rows[0]) > 0) == (rows[1] > 0)).mean(), "mean": net.norm.mean[...].sum()}

    def loss_fn(net, batch):
        return cross_entropy(net(batch[0]), batch[1])

    return vg.make_train(
        lambda key: Net(nnx.Rngs(key)), loss_fn, optax.sgd(0.1), (X, Y), record=3, evaluate=evaluate, **SIZES
    )


def equinox_arm():
    import equinox as eqx

    def init(key):
        return eqx.nn.MLP(3, "scalar", 4, 1, activation=jnp.tanh, key=key)

    def loss_fn(model, batch):
        return cross_entropy(jax.vmap(model)(batch[0]), batch[1])

    def evaluate(model, rows):
        return {"accuracy": ((jax.vmap(model)(rows[0]) > 0) == (rows[1] > 0)).mean()}

    return vg.make_train(init, loss_fn, optax.sgd(0.1), (X, Y), record=3, evaluate=evaluate, **SIZES)


def haiku_arm():
    import haiku as hk

    net = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP([4, 1], activation=jnp.tanh)(x)[:, 0]))

    def loss_fn(params, batch):
        return cross_entropy(net.apply(params, batch[0]), batch[1])

    def evaluate(params, rows):
        return {"accuracy": ((net.apply(params, rows[0]) > 0) == (rows[1] > 0)).mean()}

    return vg.make_train(
        lambda key: net.init(key, X), loss_fn, optax.sgd(0.1), (X, Y), record=3, evaluate=evaluate, **SIZES
    )


SWEPT = [pytest.param(make, marks=pytest.mark.slow) for make in (equinox_arm, nnx_arm, linen_arm, haiku_arm)]


@pytest.mark.parametrize("make", SWEPT)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_framework_is_swept(make):
    assert len(inspect.getsource(make).splitlines()) < 25
    arm = vg.Arm(make(), converged="accuracy >= 0.6")
    results = vg.sweep({"a": arm}, 3, progress=False)
    assert results["train_loss"].dims == results["accuracy"].dims == ("arm", "seed", "epoch")
    assert np.isfinite(results["train_loss"]).all()
    assert np.ptp(results["train_loss"].values[0, :, -1]) > 0
    assert (results["record_step"].values == [0, 3, 6]).all()
    assert np.isfinite(results["gradient_log10_rms"]).all()
    if "mean" in results:  # Batch statistics move from step to step.
        assert (np.abs(np.diff(results["mean"].values[0], axis=1)) > 0).all()


def test_a_stateless_equinox_model_is_trained_as_by_equinox():
    import equinox as eqx

    from vgrad_jax.keys import network_key

    made = vg.make_train(
        lambda key: eqx.nn.MLP(3, "scalar", 4, 1, activation=jnp.tanh, key=key),
        lambda model, batch: cross_entropy(jax.vmap(model)(batch[0]), batch[1]),
        optax.sgd(0.1), (X, Y), epochs=1, batch_size=20,
        evaluate=lambda model, rows: model.layers[0].weight,
    )  # fmt: skip
    key = jax.random.key(4)
    model = eqx.nn.MLP(3, "scalar", 4, 1, activation=jnp.tanh, key=network_key(key))
    gradient = eqx.filter_grad(lambda model: cross_entropy(jax.vmap(model)(X), Y))(model)
    expected = model.layers[0].weight - 0.1 * gradient.layers[0].weight
    np.testing.assert_allclose(made(key)["evaluation"][0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be"),
        ({"batch_size": 21}, "a batch of 21 needs as many rows; the data has 20"),
        ({"data": (X, Y[:5])}, r"the arrays of data have \[5, 20\] rows"),
        ({"data": "circles"}, "data must be arrays with a leading axis"),
        ({"held_out": (X, 3.0)}, "held_out must be arrays"),
        ({"optimizer": "adam"}, "optimizer must be a GradientTransformation"),
        ({"init": 3}, "init must be a function"),
        ({"evaluate": 3}, "evaluate must be a function"),
        ({"loss_fn": 3}, "loss_fn must be a function"),
        ({"record": -1}, "record must be"),
        ({"record": "all"}, "record must be"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = {"init": linear, "loss_fn": linear_loss, "optimizer": optax.sgd(0.1), "data": (X, Y), **SIZES, **change}
    with pytest.raises(vg.InputError, match=message):
        vg.make_train(**arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"init": lambda key: {"w": jnp.arange(3)}}, "init must return a model with floating-point arrays"),
        ({"loss_fn": lambda params, batch: batch[1]}, "loss_fn must give a scalar"),
        ({"has_state": True}, r"init must return a pair \(params, state\)"),
        (
            {"has_state": True, "init": lambda key: (linear(key), 0.0), "loss_fn": lambda p, s, b: linear_loss(p, b)},
            "must return a pair",
        ),
        ({"evaluate": lambda params, rows: {"train_loss": 1.0}}, "evaluate must not return 'train_loss'"),
    ],
)
def test_functions_that_do_not_fit_are_refused(change, message):
    arguments = {"init": linear, "loss_fn": linear_loss, "optimizer": optax.sgd(0.1), "data": (X, Y), **SIZES, **change}
    with pytest.raises(vg.InputError, match=f"arm 'a': .*{message}"):
        vg.sweep({"a": functools.partial(vg.make_train(**arguments))}, 2, progress=False)


@pytest.mark.parametrize(
    ("loss", "drawn"),
    [
        (lambda params, batch, key: 0.0, True),
        (lambda params, batch, key=None: 0.0, True),
        (lambda params, batch, rng=None: 0.0, True),
        (lambda params, batch, smoothing=0.1: 0.0, False),
        (lambda params, batch: 0.0, False),
        (lambda params, batch, *, key=None: 0.0, False),
    ],
)
def test_a_loss_has_a_key_where_it_takes_one(loss, drawn):
    assert _takes_key(loss, 2) is drawn
