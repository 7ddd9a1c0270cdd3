"""Schedules of the learning rate against closed forms, against optax, and in a training against NumPy's own."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import vgrad_jax as vg
from vgrad_jax.keys import order_key
from vgrad_jax.optimizers import make_optimizer
from vgrad_jax.schedules import SCHEDULES, canonical_schedule, schedule_of
from vgrad_jax.training.run import epoch_order

STEPS = 24


def closed_form(schedule, rate, warmup):
    """Rates of all steps, in NumPy."""
    step = np.arange(STEPS)
    share = (step - warmup) / (STEPS - warmup)
    after = {
        "constant": np.ones(STEPS),
        "cosine": 0.5 * (1 + np.cos(np.pi * share)),
        "cosine(0.2)": 0.2 + 0.8 * 0.5 * (1 + np.cos(np.pi * share)),
        "exponential(0.01)": 10.0 ** (-2 * share),
    }[schedule]
    return rate * np.where(step < warmup, step / max(warmup, 1), after)


@pytest.mark.parametrize("warmup", [0, 6])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "cosine(0.2)", "exponential(0.01)"])
def test_a_schedule_has_its_closed_form(schedule, warmup):
    rate_at = schedule_of(schedule, 0.3, STEPS, warmup)
    rates = [float(rate_at(step)) for step in range(STEPS)]
    np.testing.assert_allclose(rates, closed_form(schedule, 0.3, warmup), rtol=1e-5, atol=1e-8)


def test_warm_up_and_cosine_are_those_of_optax():
    of_optax = optax.warmup_cosine_decay_schedule(0.0, 0.3, 6, STEPS, 0.06)
    ours = schedule_of("cosine(0.2)", 0.3, STEPS, 6)
    np.testing.assert_allclose([ours(k) for k in range(STEPS)], [of_optax(k) for k in range(STEPS)], rtol=1e-6)


LINEAR = vg.Experiment(
    mlp=vg.MLP(hidden=(), kernel_init="normal(1)"),
    data=vg.Data("moons", samples=24),
    optimizer=vg.Optimizer("sgd", learning_rate=0.5, schedule="cosine", warmup=0.25),
    training=vg.Training(epochs=6, batch_size=3),
    recording=vg.Recording(parameters_at=(0, 6)),
)


def test_a_training_takes_the_steps_of_numpy():
    key, data = jax.random.key(3), vg.load_data(LINEAR.data)
    history = jax.jit(lambda key: vg.train(LINEAR, key))(key)
    ((kernels, biases),) = history.parameters
    kernel, bias = np.asarray(kernels[0], np.float64), np.asarray(biases[0], np.float64)
    rates = iter(closed_form("cosine", 0.5, 6))
    for epoch in range(1, 7):
        order = np.asarray(epoch_order(order_key(key), jnp.asarray(epoch), 12))
        for rows in order.reshape(4, 3):
            x, y = np.asarray(data.train_x)[rows], np.asarray(data.train_y)[rows]
            residual = 1 / (1 + np.exp(-(x @ kernel + bias)[:, 0])) - y
            rate = next(rates)
            kernel, bias = kernel - rate * (x.T @ residual)[:, None] / 3, bias - rate * residual.mean()
    np.testing.assert_allclose(kernels[1], kernel, atol=1e-5)
    np.testing.assert_allclose(biases[1], bias, atol=1e-5)


def test_descriptions_without_a_schedule_are_written_as_before():
    assert "schedule" not in vg.Optimizer().to_json()
    assert "warmup" not in vg.Experiment().to_json()
    for optimizer in (LINEAR.optimizer, vg.Optimizer(warmup=0.1)):
        assert vg.Optimizer.from_json(optimizer.to_json()) == optimizer
    assert vg.Optimizer(schedule="cosine").to_dict()["schedule"] == "cosine"


@pytest.mark.slow
def test_every_engine_has_the_same_schedule():
    experiment = vg.Experiment(
        mlp=vg.MLP(hidden=(3,)),
        data=vg.Data("moons", samples=24),
        optimizer=vg.Optimizer("adam", learning_rate=0.1, schedule="exponential(0.1)", warmup=0.2),
        training=vg.Training(epochs=3, batch_size=4),
    )
    losses = [
        vg.sweep({"arm": experiment}, 4, engine=engine, progress=False).train_loss.values
        for engine in ("plain", "lanes", "nests")
    ]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    np.testing.assert_allclose(losses[2], losses[0], rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"schedule": "cosin"}, "unknown schedule 'cosin'"),
        ({"schedule": "cosine(2)"}, "ends at a share of the learning rate, from 0 to 1"),
        ({"schedule": "exponential(0)"}, "above 0 to 1"),
        ({"schedule": "exponential"}, "takes 1 finite numbers"),
        ({"warmup": 1.0}, "warmup must be a finite number"),
    ],
)
def test_impossible_schedules_are_refused(arguments, message):
    with pytest.raises(vg.InputError, match=message):
        vg.Optimizer(**arguments)


def test_a_schedule_needs_the_number_of_steps():
    with pytest.raises(vg.InputError, match="needs the number of steps"):
        make_optimizer(vg.Optimizer(schedule="cosine"))
    assert [canonical_schedule(name + "(0.5)" * (most > 0)) for name, (_, most) in SCHEDULES.items()]
