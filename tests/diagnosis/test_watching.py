from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import vgrad_jax as vg
from vgrad_jax.diagnosis import STATUSES
from vgrad_jax.diagnosis.verdict import statuses_of

DEPTH, WIDTH, STEPS, EVERY = 5, 6, 60, 5


def init(key, gain):
    return [gain * jax.random.normal(k, (WIDTH, WIDTH)) / WIDTH**0.5 for k in jax.random.split(key, DEPTH)]


def loss_of(params, batch):
    h, y = batch
    for kernel in params[:-1]:
        h = jnp.tanh(h @ kernel)
    return jnp.mean((h @ params[-1] - y) ** 2)


def batch_of(key):
    x = jax.random.normal(key, (32, WIDTH))
    return x, jnp.tanh(x[:, ::-1])


def train(gain, rate, poison=STEPS, *, history=32, patience=2, check=None):
    """Return the alarms and states of all steps of a training; data are missing from step `poison` on."""
    batch = batch_of(jax.random.key(1))
    optimizer = vg.record(EVERY, history, around=optax.sgd(rate))

    def step(carry, number):
        params, state = carry
        x, y = batch
        value, gradient = jax.value_and_grad(loss_of)(params, (jnp.where(number < poison, x, jnp.nan), y))
        updates, state = optimizer.update(gradient, state, params, value=value)
        return (optax.apply_updates(params, updates), state), (vg.watch(state, check=check, patience=patience), state)

    params = init(jax.random.key(0), gain)
    return jax.lax.scan(step, (params, optimizer.init(params)), jnp.arange(STEPS))[1]


@cache
def program(**options):
    """Return the training, compiled once for each of the options."""
    return jax.jit(partial(train, **options))


@pytest.mark.parametrize(
    ("gain", "rate", "status", "step"),
    [(1.0, 0.1, "healthy", STEPS - EVERY), (0.1, 0.1, "vanishing", EVERY), (1.0, 1e-6, "learning_rate_small", None)],
)
def test_a_fault_is_called_and_a_healthy_training_is_not(gain, rate, status, step):
    alarms, _ = program()(gain, rate)
    first = alarms.first()
    assert first.status == status
    assert step is None or first.step == step


def test_the_numbers_of_a_compiled_loop_are_those_of_diagnose():
    alarms, states = program(patience=1)(0.1, 0.1)
    for number in range(STEPS):
        state = jax.tree.map(lambda leaf, n=number: leaf[n], states)
        status = vg.diagnose(vg.get_record(state)).status
        recorded = number % EVERY == 0
        assert alarms.status[number] == (
            status if recorded and status not in ("unclear", "chance_level", "solved") else "healthy"
        )
        assert vg.watch(state, patience=1).code == alarms.code[number]
        assert alarms.step[number] == number - number % EVERY


def test_an_alarm_takes_as_many_records_as_the_patience_says():
    steps = [int(program(patience=patience)(0.1, 0.1)[0].first().step) for patience in (1, 2, 3)]
    assert steps == [0, EVERY, 2 * EVERY]


def test_numbers_that_are_not_finite_need_no_second_record():
    alarms, _ = program(patience=3)(1.0, 0.1, 23)
    first = alarms.first()
    assert (first.status, int(first.step)) == ("non_finite", 25)


def test_seeds_under_vmap_have_alarms_of_their_own():
    gains = jnp.array([0.1, 1.0, 0.1])
    alarms, _ = jax.jit(jax.vmap(lambda gain: train(gain, 0.1)))(gains)
    assert alarms.code.shape == (3, STEPS)
    assert alarms.first().status.tolist() == ["vanishing", "healthy", "vanishing"]
    alone, _ = program()(0.1, 0.1)
    np.testing.assert_array_equal(alarms.code[0], alone.code)
    np.testing.assert_array_equal(alarms.code[2], alone.code)


def test_a_ring_that_forgot_the_start_still_alarms_at_the_end():
    alarms, states = program(history=4)(1.0, 0.1, 51)
    assert alarms.first().status == "non_finite"
    last = jax.tree.map(lambda leaf: leaf[-1], states)
    assert vg.get_record(last).step[0] > 0
    assert statuses_of(vg.get_record(last)) == ["non_finite"]


def test_a_loop_ends_at_the_alarm():
    batch = batch_of(jax.random.key(1))
    optimizer = vg.record(EVERY, 32, around=optax.sgd(0.1))

    @jax.jit
    def run(params):
        def going(carry):
            return ~carry[2].sounds & (carry[3] < STEPS)

        def step(carry):
            params, state, _, number = carry
            value, gradient = jax.value_and_grad(loss_of)(params, batch)
            updates, state = optimizer.update(gradient, state, params, value=value)
            return optax.apply_updates(params, updates), state, vg.watch(state), number + 1

        silent = vg.Alarm(jnp.int32(0), jnp.int32(-1))
        return jax.lax.while_loop(going, step, (params, optimizer.init(params), silent, 0))

    *_, alarm, steps = run(init(jax.random.key(0), 0.1))
    assert (alarm.status, str(alarm), int(steps)) == ("vanishing", f"vanishing at step {EVERY}", EVERY + 1)
    *_, alarm, steps = run(init(jax.random.key(0), 1.0))
    assert (alarm.status, str(alarm), int(steps)) == ("healthy", "no alarm", STEPS)


def test_a_check_tells_the_cause():
    check = vg.check_init(loss_of, init(jax.random.key(0), 30.0), batch_of(jax.random.key(1)))
    alarms, states = jax.jit(partial(train, check=check))(30.0, 0.01)
    record = vg.get_record(jax.tree.map(lambda leaf: leaf[-1], states))
    assert alarms.first().status == "saturated" == vg.diagnose(record, check=check).status
    assert program()(30.0, 0.01)[0].first().status == "vanishing"


def test_before_the_first_update_nothing_alarms():
    optimizer = vg.record(EVERY, 32)
    state = optimizer.init(init(jax.random.key(0), 1.0))
    alarm = vg.watch(state)
    assert (str(alarm), int(alarm.step)) == ("no alarm", -1)
    assert alarm.first() is alarm


def test_no_code_stands_for_two_statuses():
    assert STATUSES[0] == "healthy"
    assert len(set(STATUSES)) == len(STATUSES)


def test_bad_input_is_refused():
    state = vg.record(EVERY, 32).init(init(jax.random.key(0), 1.0))
    with pytest.raises(vg.InputError, match="no recorder in this state"):
        vg.watch(optax.sgd(0.1).init(jnp.ones(3)))
    with pytest.raises(vg.InputError, match="patience"):
        vg.watch(state, patience=0)
    with pytest.raises(vg.InputError, match="no recorder named 'mine'"):
        vg.watch(state, name="mine")
