"""Running numbers of a training, against NumPy over the whole of it."""

import jax
import numpy as np
import pytest

import vgrad_jax as vg
from tests.arrays import ones
from vgrad_jax.gradients.running import MEMORY, FirstBreak, LossWindow, largest_finite

add_step = jax.jit(FirstBreak.add, static_argnames="has_loss")
with_update = jax.jit(FirstBreak.with_update)
LOSSES = np.float32([np.nan, 3.0, 1.0, np.nan, 4.0, np.inf, 1.5])


def test_moments_of_a_window_are_those_of_its_finite_losses():
    """Compare after every loss: a mean needs one loss, and a deviation two."""
    window, add = LossWindow.empty(), jax.jit(LossWindow.add)
    assert np.isnan(window.moments()).all()
    for count in range(1, len(LOSSES) + 1):
        window = add(window, LOSSES[count - 1])
        finite = LOSSES[:count][np.isfinite(LOSSES[:count])]
        mean, deviation = window.moments()
        assert int(window.number) == len(finite)
        np.testing.assert_allclose(mean, finite.mean() if len(finite) else np.nan, rtol=1e-6)
        expected = finite.std(ddof=1) if len(finite) > 1 else np.nan
        np.testing.assert_allclose(deviation, expected, rtol=1e-5)


def test_the_first_break_and_what_came_before_it():
    """Break a layer in step 3, the loss in step 5, and both in step 6."""
    losses = np.float32([4.0, 2.0, 1.0, 8.0, 9.0, np.inf, np.nan])
    broken = np.zeros((7, 2), bool)
    broken[3, 1] = broken[6] = True
    state = FirstBreak.empty(2)
    assert (int(state.step), state.layers.tolist(), bool(state.in_loss), int(state.steps)) == (
        -1,
        [False] * 2,
        False,
        0,
    )
    for step, (loss, layers) in enumerate(zip(losses, broken, strict=True)):
        state = add_step(state, np.int32(step), layers, loss, has_loss=True)
    assert (int(state.step), state.layers.tolist(), bool(state.in_loss), int(state.steps)) == (
        3,
        [False, True],
        False,
        3,
    )
    assert float(state.first_loss) == 4.0
    before = 4.0
    for loss in losses[1:3]:
        before = MEMORY * before + (1 - MEMORY) * loss
    np.testing.assert_allclose(state.loss_before, before, rtol=1e-6)


def test_a_loss_alone_breaks_a_training_only_where_it_was_given():
    fine, nan = np.zeros(2, bool), np.float32(np.nan)
    given, absent = (add_step(FirstBreak.empty(2), np.int32(0), fine, nan, has_loss=has) for has in (True, False))
    assert (int(given.step), bool(given.in_loss), int(given.steps)) == (0, True, 1)
    assert (int(absent.step), bool(absent.in_loss), int(absent.steps)) == (-1, False, 0)


def test_the_largest_update_before_the_break_is_kept():
    state = with_update(FirstBreak.empty(2), np.float32([-3.0, -2.0]))
    assert float(state.update_before) == -2.0
    assert float(with_update(state, np.float32([np.nan, np.inf])).update_before) == -2.0
    assert float(with_update(state, np.float32([-1.0, -np.inf])).update_before) == -1.0
    after = add_step(state, np.int32(0), np.ones(2, bool), np.float32(1.0), has_loss=True)
    assert float(with_update(after, np.float32([5.0, 5.0])).update_before) == -2.0


def test_the_largest_of_no_finite_number_is_nan():
    assert np.isnan(jax.jit(largest_finite)(np.float32([np.nan, np.inf, -np.inf])))


@pytest.mark.parametrize("updates", [1, 2, 3])
def test_moments_of_a_record_are_those_of_all_updates(updates):
    recorder = vg.record(history=4)
    state, update = recorder.init({"w": ones(2)}), jax.jit(recorder.update)
    sizes = np.arange(updates) ** 2.0
    for size in sizes:
        _, state = update({"w": 10.0**size * ones(2)}, state)
    record = vg.get_record(state)
    np.testing.assert_allclose(record.mean_log10_rms, [sizes.mean()], atol=1e-5)
    expected = sizes.std(ddof=1) if updates > 1 else np.nan
    np.testing.assert_allclose(record.std_log10_rms, [expected], atol=1e-5)
