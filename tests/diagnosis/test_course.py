"""The course of the loss: start, end and scatter, held against the noise that they were made with."""

import dataclasses
import math

import numpy as np
import pytest

from vgrad_jax.diagnosis.course import Course
from vgrad_jax.diagnosis.recorded_course import course_of

RECORDS = 40


def made(trend, *, noise=0.0, seed=0, every=1, **known):
    """Return the course of a loss with normal noise, of which a record is the mean of `every` steps."""
    rng = np.random.default_rng(seed)
    steps = np.interp(np.arange(RECORDS * every), np.arange(RECORDS) * every, trend)
    steps = steps + noise * rng.standard_normal(len(steps))
    windows = [steps[max(0, (n - 1) * every + 1) : n * every + 1] for n in range(RECORDS)]
    mean = np.array([window.mean() for window in windows])
    std = np.array([window.std(ddof=1) if len(window) > 1 else np.nan for window in windows])
    return course_of(steps[::every], mean, std, 0, float(steps[0]), **known)


def test_start_late_and_what_remains():
    course = made(np.linspace(2.0, 0.1, RECORDS))
    assert course.start == 2.0
    assert course.late == pytest.approx(np.linspace(2.0, 0.1, RECORDS)[-5])  # The lower median of the last ten.
    assert course.remaining == pytest.approx(course.late / 2)
    assert course.late_fall == pytest.approx(1 - course.late / np.linspace(2.0, 0.1, RECORDS)[8], abs=0.02)


def test_chance_and_floor_are_the_scale():
    flat = np.r_[3.0, np.full(RECORDS - 1, 0.7)]
    assert made(flat).remaining == pytest.approx(0.7 / 3)
    assert made(flat, chance=0.7).remaining == pytest.approx(1.0)
    assert made(flat, chance=0.7, floor=0.6).remaining == pytest.approx(1.0)
    assert made(flat - 5, chance=-4.3, floor=-5.0).remaining == pytest.approx(1.0)


@pytest.mark.parametrize("shift", [0.0, -5.0])
def test_a_constant_in_the_loss_does_not_make_a_flat_loss_fall(shift):
    course = made(np.full(RECORDS, 0.5) + shift, noise=0.01)
    assert course.remaining > 0.95


def test_the_scatter_is_that_of_the_noise():
    errors = [made(np.linspace(2, 1, RECORDS), noise=0.1, seed=seed).scatter for seed in range(200)]
    assert np.median(errors) == pytest.approx(0.1, rel=0.1)
    windows = [made(np.linspace(2, 1, RECORDS), noise=0.1, seed=seed, every=25).scatter for seed in range(200)]
    assert np.median(windows) == pytest.approx(0.1 / 5, rel=0.15)


def test_noise_alone_rises_above_its_scatter_in_less_than_one_of_a_hundred():
    courses = [made(np.full(RECORDS, 0.5), noise=0.2, seed=seed) for seed in range(1000)]
    rising = np.mean([course.rise > 0 for course in courses])
    assert rising < 0.01 + 3 * math.sqrt(0.01 / 1000)
    assert all(made(np.linspace(0.5, 2, RECORDS), noise=0.1, seed=seed).rise > 0.5 for seed in range(50))


def test_the_start_is_averaged_only_where_the_first_losses_agree():
    falling = made(np.geomspace(2.0, 0.01, RECORDS), noise=0.01)
    assert falling.start == falling.first
    starts = np.array([made(np.full(RECORDS, 1.0), noise=0.2, seed=seed).start for seed in range(500)])
    assert starts.std() < 0.15


def test_a_ring_that_began_late_has_no_start_unless_the_first_loss_was_kept():
    loss = np.linspace(0.5, 0.4, RECORDS)
    assert course_of(loss, None, None, 100, None).remaining is None
    assert course_of(loss, None, None, 100, 1.0).remaining == pytest.approx(0.41, abs=0.02)


def test_a_loss_that_was_not_recorded_or_is_not_finite():
    assert course_of(np.full(RECORDS, np.nan), None, None, 0, None) is None
    broken = np.r_[np.ones(20), np.full(20, np.inf)]
    assert course_of(broken, None, None, 0, 1.0).remaining == math.inf
    one = broken.copy()
    one[20:] = 0.5
    one[30] = np.nan
    assert course_of(one, None, None, 0, 1.0).remaining == pytest.approx(0.5)


def test_an_offset_is_seen_by_the_tiny_fall_of_weights_that_moved():
    loss = 1e9 + np.geomspace(1.0, 1e-3, RECORDS)
    known = {"gradient_ratio": 0.03, "moved": True}
    assert course_of(loss, None, None, 0, loss[0], **known).remaining == pytest.approx(0.03**2)
    assert course_of(loss, None, None, 0, loss[0], **{**known, "moved": False}).remaining > 0.99


def test_another_draw_of_the_noise_keeps_the_trend():
    course = made(np.linspace(2, 1, RECORDS), noise=0.1)
    others = [course.resampled(np.random.default_rng(seed)) for seed in range(400)]
    assert np.mean([other.late for other in others]) == pytest.approx(course.late, abs=0.05)
    assert np.std([other.first for other in others]) == pytest.approx(course.scatter, rel=0.15)
    assert isinstance(dataclasses.replace(course), Course)
    exact = made(np.linspace(2, 1, RECORDS))
    assert exact.resampled(np.random.default_rng(0)).late == pytest.approx(exact.late, abs=0.03)


def loss(*, first=1.0, early=1.0, late=1.0, records=20):
    return np.array([first, *[early] * (records - 1 - max(1, records // 4)), *[late] * max(1, records // 4)])


def plain(values):
    return course_of(np.asarray(values, float), None, None, 0, None)


def test_numbers_at_the_edges():
    assert plain(loss(late=np.inf)).remaining == math.inf
    assert plain(loss(late=np.inf)).late_fall is None
    assert plain(loss(first=0.0)).remaining is None  # There was nothing to learn.
    assert plain(loss(early=0.0)).late_fall is None
    assert plain([1.0]).remaining is None
    assert plain([1.0, 1.0]).remaining == 1.0
    assert plain(loss(records=4)).late_fall is None
    assert plain(loss(records=5)).late_fall == 0.0
    assert plain(loss(first=-1.0, early=-1.0, late=-1.0)).remaining == 1.0


def test_the_noise_of_a_training_that_diverged_does_not_hide_its_rise():
    """From 0.7 to 40 at once: the losses of the first records do not agree, however much they scatter."""
    rng = np.random.default_rng(0)
    level = np.r_[0.7, 40 + 5 * rng.standard_normal(RECORDS - 1)]
    spread = np.r_[np.nan, np.full(RECORDS - 1, 20.0)]
    course = course_of(level, level, spread, 0, 0.7, steps_a_record=10.0)
    assert course.start == 0.7
    assert course.rise > 10


def test_a_rise_is_in_units_of_the_start():
    assert made(np.linspace(4.0, 12.0, RECORDS)).rise == pytest.approx(made(np.linspace(1.0, 3.0, RECORDS)).rise)
    assert made(np.r_[4.0, np.full(RECORDS - 1, 12.0)]).rise == pytest.approx(2.0)
    assert made(np.r_[5.0, np.full(RECORDS - 1, 7.0)], floor=4.0).rise == pytest.approx(2.0)


def test_the_scatter_of_few_records_is_that_between_them():
    few = course_of(np.array([1.0, 0.9, 0.8]), np.array([1.0, 0.9, 0.8]), np.array([np.nan, 0.05, 0.05]), 0, 1.0)
    assert few.scatter == 0.05
    unknown = course_of(np.array([1.0, 0.9, 0.8]), None, None, 0, None)
    assert unknown.scatter == 0.0


def test_a_flat_loss_below_zero_has_all_of_itself_left():
    assert made(np.full(RECORDS, -0.5), noise=0.01).remaining == 1.0


def test_a_course_with_a_missing_loss_is_not_drawn_again():
    broken = made(np.r_[np.linspace(2, 1, RECORDS - 1), np.nan], noise=0.1)
    assert broken.resampled(np.random.default_rng(0)) is broken


def test_terms_beside_the_prediction_may_keep_a_loss_above_chance():
    late = np.r_[3.0, np.full(RECORDS - 1, 0.8)]
    assert made(late, chance=0.7).remaining > 1
    kept = made(late, chance=0.7, chance_is_partial=True)
    assert kept.is_kept_above_chance
    assert kept.remaining == pytest.approx(0.8 / 3)
    at_chance = made(np.r_[3.0, np.full(RECORDS - 1, 0.7)], chance=0.7, chance_is_partial=True)
    assert not at_chance.is_kept_above_chance
    assert at_chance.remaining == pytest.approx(1.0)


def test_a_loss_about_zero_leaps_by_its_noise_and_not_by_its_start():
    about_zero = [made(np.full(RECORDS, 0.02), noise=1.0, seed=seed, every=20) for seed in range(100)]
    assert np.mean([course.peak > 5 for course in about_zero]) > 0.1
    assert not any(course.leapt for course in about_zero)
    assert made(np.r_[0.02, np.full(RECORDS - 2, 9.0), -1.0], noise=1.0, every=20).leapt
