"""Small trainings that were judged wrongly or not at all: one of each kind, and what is right."""

import os
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import serialization

import vgrad_jax as vg

X = jax.random.normal(jax.random.key(0), (64, 8))
ADAM = optax.adam(3e-3)


def two_layers(key, fan_in=8, gain=1.0):
    first, second = jax.random.split(key)
    return {
        "a": gain * jax.random.normal(first, (fan_in, 16)) / fan_in**0.5,
        "b": gain * jax.random.normal(second, (16, 1)) / 4,
    }


def squared(p, batch):
    x, y = batch
    return jnp.mean((jnp.tanh(x @ p["a"]) @ p["b"] - y) ** 2)


WAVE = (X, jnp.sin(2 * X[:, :1]))


def trained(loss, params, batch, optimizer, steps, *, every=5, history=100, spoil=lambda n, batch: batch):
    """Train in one scan, and return the record."""
    recorder = vg.record(every=every, history=history, around=optimizer)

    def step(carry, number):
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params, spoil(number, batch))
        updates, state = recorder.update(gradient, state, params, value=value)
        return (optax.apply_updates(params, updates), state), None

    run = jax.jit(lambda params: jax.lax.scan(step, (params, recorder.init(params)), jnp.arange(steps))[0][1])
    return vg.get_record(run(params))


@partial(jax.jit, static_argnums=0)
def spoiled(at, number, batch):
    x, y = batch
    return jnp.where(number == at, jnp.nan, x), y


def test_a_refused_step_is_a_note_beside_the_verdict():
    record = trained(
        squared, two_layers(jax.random.key(1)), WAVE, optax.apply_if_finite(ADAM, 5), 400, spoil=partial(spoiled, 303)
    )
    diagnosis = vg.diagnose(record)
    assert diagnosis.status in ("healthy", "solved")
    assert "steps_refused" in [finding.code for finding in diagnosis.findings]
    assert record.first_broken_step == 303  # Between two records.
    assert record.refused_steps == 1


def test_missing_data_after_a_good_start_are_not_the_learning_rates_fault():
    record = trained(squared, two_layers(jax.random.key(1)), WAVE, ADAM, 400, spoil=partial(spoiled, 303))
    diagnosis = vg.diagnose(record)
    assert diagnosis.status == "non_finite"
    assert diagnosis.findings[0].value == 303
    assert diagnosis.findings[0].causes[0] == "non_finite_op"


def test_a_training_that_diverges_to_infinity_is_the_learning_rates_fault():
    record = trained(squared, two_layers(jax.random.key(1)), WAVE, optax.sgd(20.0), 100, every=1)
    assert vg.diagnose(record).status == "learning_rate_large"
    assert vg.diagnose(record).findings[0].causes == ("learning_rate",)


def test_a_full_ring_remembers_the_first_bad_step():
    optimizer = vg.record(every=10, history=8)
    params = {"w": jnp.ones((4, 4))}

    def step(state, number):
        gradient = {"w": jnp.where(number >= 503, jnp.nan, 1.0) * jnp.ones((4, 4))}
        return optimizer.update(gradient, state)[1], None

    state, _ = jax.jit(lambda: jax.lax.scan(step, optimizer.init(params), jnp.arange(1000)))()
    record = vg.get_record(state)
    assert record.step[0] > 503
    assert record.first_broken_step == 503
    (finding,) = vg.diagnose(record).findings
    assert (finding.status, finding.value) == ("non_finite", 503)


def encoder_and_decoder(key, gain=0.05):
    def part(key):
        return {f"l{n}": gain * jax.random.normal(k, (16, 16)) for n, k in enumerate(jax.random.split(key, 5))}

    return {"encoder": part(key), "decoder": part(jax.random.fold_in(key, 1))}


def reconstruct(p, x):
    h = x
    for part in ("encoder", "decoder"):
        for number in range(5):
            h = jnp.tanh(h @ p[part][f"l{number}"])
    return jnp.mean((h - x) ** 2)


def test_the_order_of_the_forward_pass_is_known_to_the_verdict():
    x = jax.random.normal(jax.random.key(0), (64, 16))
    check = vg.check_init(reconstruct, encoder_and_decoder, x, num_seeds=2)
    record = trained(reconstruct, encoder_and_decoder(jax.random.key(0)), x, optax.sgd(0.1), 40, every=1)
    assert check.status == "vanishing"
    assert vg.diagnose(record).status == "vanishing"  # In the order of names it seems to explode.
    assert vg.diagnose(record, check=check).status == "vanishing"


def stacked(key, layers=12):
    a, b = jax.random.split(key)
    return {
        "blocks": {"w": 0.3 * jax.random.normal(a, (layers, 16, 16)) / 4, "b": jnp.zeros((layers, 16))},
        "out": {"w": jax.random.normal(b, (16, 1)) / 4},
    }


def scanned(p, x):
    h, _ = jax.lax.scan(lambda h, layer: (jnp.tanh(h @ layer["w"] + layer["b"][None]), None), x, p["blocks"])
    return jnp.mean((h @ p["out"]["w"] - jnp.sin(x[:, :1])) ** 2)


def test_a_stack_that_was_recorded_as_one_layer_is_judged_by_the_look():
    x = jax.random.normal(jax.random.key(0), (64, 16))
    check = vg.check_init(scanned, stacked, x, num_seeds=2)
    record = trained(scanned, stacked(jax.random.key(0)), x, optax.sgd(0.1), 40, every=1)
    assert vg.diagnose(record, check=check).status == "vanishing"
    assert vg.diagnose(record).status != "exploding"


def test_accumulation_gives_the_verdict_of_the_larger_batch():
    params = two_layers(jax.random.key(1))
    inner = optax.MultiSteps(optax.adam(1e-2), 4).gradient_transformation()
    accumulated = trained(squared, params, WAVE, inner, 800, every=8)
    plain = trained(squared, params, WAVE, optax.adam(1e-2), 200, every=2)
    assert vg.diagnose(accumulated).status == vg.diagnose(plain).status


def test_targets_far_from_the_outputs_are_named():
    far = (X, 1e6 * jnp.sin(X[:, :1]) + 5e6)
    record = trained(squared, two_layers(jax.random.key(1)), far, optax.adam(1e-3), 400)
    for check in (None, vg.check_init(squared, two_layers, far)):
        diagnosis = vg.diagnose(record, check=check)
        assert diagnosis.status == "ill_scaled"
        assert "targets_large" in [finding.code for finding in diagnosis.findings]


@pytest.mark.parametrize("shift", [0.0, -5.0, 3.0])
def test_a_constant_added_to_the_loss_does_not_hide_small_steps(shift):
    record = trained(
        lambda p, b: squared(p, b) + shift, two_layers(jax.random.key(1)), WAVE, optax.sgd(1e-7), 100, every=2
    )
    assert vg.diagnose(record).status == "learning_rate_small"


def test_a_loss_below_zero_that_falls_is_healthy():
    record = trained(lambda p, b: squared(p, b) - 5, two_layers(jax.random.key(1)), WAVE, ADAM, 400)
    assert vg.diagnose(record).status in ("healthy", "solved")


def test_an_output_that_starts_at_zero_is_healthy_before_training():
    def init(key):
        return {**two_layers(key), "b": jnp.zeros((16, 1))}

    check = vg.check_init(squared, init, WAVE, num_seeds=2)
    assert check.status == "healthy"
    assert [finding.code for finding in check.diagnosis.findings] == ["zero_initialised"]
    assert "relu" not in str(check).lower()


def test_an_operation_without_a_derivative_is_named_with_a_way_around_it():
    def loss(p, b):
        return jnp.mean((jnp.round(4 * jnp.tanh(b[0] @ p["a"])) / 4 @ p["b"] - b[1]) ** 2)

    check = vg.check_init(loss, two_layers, WAVE, num_seeds=2)
    (finding,) = check.diagnosis.findings
    assert (finding.status, finding.code) == ("dead", "no_derivative")
    assert "straight-through" in finding.advice
    assert "round" in finding.sentence


def test_rows_that_are_not_in_the_batch_are_no_vanishing_gradient():
    def init(key):
        return {"table": jax.random.normal(key, (100_000, 8)), "w": {"a": jax.random.normal(key, (8, 4)) / 3}}

    def loss(p, b):
        return optax.softmax_cross_entropy_with_integer_labels(p["table"][b[0]].mean(1) @ p["w"]["a"], b[1]).mean()

    ids = jax.random.randint(jax.random.key(0), (32, 5), 0, 100_000)
    labels = jax.random.randint(jax.random.key(1), (32,), 0, 4)
    check = vg.check_init(loss, init, (ids, labels), num_seeds=2)
    assert check.status == "healthy"
    record = trained(loss, init(jax.random.key(0)), (ids, labels), optax.adam(1e-2), 60, every=2)
    assert vg.diagnose(record).status in ("healthy", "solved")


def test_a_recurrence_that_overflows_is_told_by_its_growth():
    def loss(p, b):
        h, _ = jax.lax.scan(lambda h, x: (jax.nn.relu(x @ p["x"] + h @ p["h"]), None), jnp.zeros((4, 16)), b)
        return jnp.mean(h @ p["out"])

    def init(key):
        a, b, c = jax.random.split(key, 3)
        return {
            "x": jax.random.normal(a, (3, 16)),
            "h": 3 * jax.random.normal(b, (16, 16)) / 4,
            "out": jax.random.normal(c, (16, 1)),
        }

    check = vg.check_init(loss, init, jax.random.normal(jax.random.key(0), (200, 4, 3)), num_seeds=2)
    assert check.status == "exploding"
    assert "recurrent matrix" in check.diagnosis.findings[0].advice


def test_relu_under_a_second_derivative_is_not_the_learning_rates_fault():
    def u(p, t):
        return (jax.nn.relu(jnp.reshape(t, (1,)) @ p["a"] + p["c"]) @ p["b"])[0]

    def loss(p, t):
        second = jax.vmap(lambda s: jax.grad(jax.grad(lambda q: u(p, q)))(s))(t)
        return jnp.mean((second + 9.87 * jnp.sin(3.14 * t)) ** 2) + u(p, 1.0) ** 2 + u(p, -1.0) ** 2

    def init(key):
        return {**two_layers(key, fan_in=1), "c": jnp.zeros(16)}

    t = jnp.linspace(-1, 1, 32)
    check = vg.check_init(loss, init, t, num_seeds=2)
    assert check.diagnosis.findings[0].code == "no_second_derivative"
    record = trained(loss, init(jax.random.key(0)), t, optax.adam(1e-3), 600)
    assert vg.diagnose(record).status != "learning_rate_small"
    assert vg.diagnose(record, check=check).findings[0].code == "no_second_derivative"


def test_updates_that_go_uphill_and_updates_that_are_not_applied():
    params = two_layers(jax.random.key(1))
    ascending = trained(squared, params, WAVE, optax.chain(optax.scale_by_adam(), optax.scale(1e-2)), 200)
    assert vg.diagnose(ascending).findings[0].code == "update_ascends"
    recorder = vg.record(history=40, around=ADAM)

    def step(state, _):
        value, gradient = jax.value_and_grad(squared)(params, WAVE)
        return recorder.update(gradient, state, params, value=value)[1], None

    state, _ = jax.jit(lambda: jax.lax.scan(step, recorder.init(params), None, length=40))()
    assert vg.diagnose(vg.get_record(state)).findings[0].code == "nothing_moves"


def test_another_order_of_the_batches_gives_the_same_verdict():
    """Fine-tuning with batches of 16: the loss is low and noisy from the first step on."""
    params = two_layers(jax.random.key(1))
    tune = optax.adam(1e-2)
    state = tune.init(params)

    @jax.jit
    def pretrain(params, state):
        def step(carry, _):
            params, state = carry
            updates, state = tune.update(jax.grad(squared)(params, WAVE), state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, state), None, length=150)[0]

    params, _ = pretrain(params, state)
    shifted = (X + 0.2, jnp.sin(2 * X[:, :1]) + 0.3 * jax.random.normal(jax.random.key(5), (64, 1)))
    recorder = vg.record(every=5, history=60, around=optax.adam(1e-3))

    def train(key):
        def step(carry, number):
            params, state = carry
            chosen = jax.random.randint(jax.random.fold_in(key, number), (16,), 0, 64)
            batch = jax.tree.map(lambda rows: rows[chosen], shifted)
            value, gradient = jax.value_and_grad(squared)(params, batch)
            updates, state = recorder.update(gradient, state, params, value=value)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, recorder.init(params)), jnp.arange(300))[0][1]

    record = vg.get_record(jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(9), 64)))
    assert max(vg.diagnose(record).seeds.values()) >= 63


def test_double_precision_keeps_the_loss_in_double_precision():
    program = """
import jax, jax.numpy as jnp, optax, vgrad_jax as vg
x = jax.random.normal(jax.random.key(0), (64, 8))
a, b = jax.random.split(jax.random.key(1))
params = {"a": jax.random.normal(a, (8, 16)) / 3, "b": jax.random.normal(b, (16, 1)) / 4}
plain = lambda p: jnp.mean((jnp.tanh(x @ p["a"]) @ p["b"] - jnp.sin(x[:, :1])) ** 2)
for loss in (plain, lambda p: plain(p) + 1e9, lambda p: plain(p) * 1e60):
    recorder = vg.record(every=5, history=40, around=optax.adam(1e-2))
    def step(carry, _):
        p, s = carry
        v, g = jax.value_and_grad(loss)(p)
        u, s = recorder.update(g, s, p, value=v)
        return (optax.apply_updates(p, u), s), None
    state = jax.jit(lambda p: jax.lax.scan(step, (p, recorder.init(p)), None, length=150)[0][1])(params)
    print(vg.diagnose(vg.get_record(state)).status)
"""
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "JAX_ENABLE_X64": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(set(run.stdout.split())) == 1, run.stdout


def test_a_recorders_state_is_serialised_by_flax_and_by_dictionaries():
    optimizer = optax.chain(vg.record(history=3), ADAM)
    params = {"w": jnp.ones((3, 1)), "temperature": 0.5}
    state = optimizer.init(params)
    _, state = optimizer.update(jax.tree.map(jnp.ones_like, params), state, params)
    saved = serialization.to_bytes(state)
    back = serialization.from_bytes(optimizer.init(params), saved)
    for restored in (back, serialization.msgpack_restore(saved)):
        record = vg.get_record(restored)
        assert record.paths == vg.get_record(state).paths
        np.testing.assert_array_equal(record.log10_rms, vg.get_record(state).log10_rms)
