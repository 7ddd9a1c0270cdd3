"""Losses that fall although the network learns little: each mechanism on both sides of its thresholds."""

import numpy as np
import pytest
from made_evidence import LAYERS, RECORDS, STUCK, course, evidence

import vgrad_jax as vg
from vgrad_jax.diagnosis.bad_starts import fell_to_a_plateau, weights_decayed
from vgrad_jax.diagnosis.evidence import Before
from vgrad_jax.diagnosis.symptoms import (
    died_but_one,
    has_learned,
    has_surely_learned,
    is_solved,
    never_reached,
    weak_layers,
)
from vgrad_jax.inspection import Concern

LEARNED, SOLVED = course(early=0.5, late=0.3), course(early=0.1, late=0.001)
FALLING = -np.linspace(0.5, 40.0, RECORDS)
LAST = np.arange(LAYERS) == LAYERS - 1


def codes(made):
    return {finding.code for rule in vg.RULES.values() for finding in rule.find(made)}


def one_alive(alive=1):
    """Return a training at whose end only some layers on the output side have a gradient."""
    return np.where(np.arange(LAYERS) < LAYERS - alive, np.inf, 0.0)


@pytest.mark.parametrize("loss", [LEARNED, SOLVED])
def test_a_loss_that_fell_while_all_but_one_layer_died_is_not_learned(loss):
    dead, alive = evidence(shrinks=one_alive(), loss=loss), evidence(shrinks=one_alive(2), loss=loss)
    assert died_but_one(dead)
    assert not has_learned(dead)
    assert not is_solved(dead)
    assert "gradient_is_zero" in codes(dead)
    # Two layers are a network, and a loss that is solved may leave no gradient at all.
    assert has_learned(alive)
    assert has_learned(evidence(shrinks=np.inf, loss=loss))


def test_layers_that_were_frozen_from_the_start_did_not_die():
    frozen = evidence(np.where(LAST, -2.0, -np.inf), loss=LEARNED)
    assert not died_but_one(frozen)
    assert has_learned(frozen)


def reached(apart, updates):
    profile = np.where(LAST, -1.0, -1.0 - apart)
    return evidence(profile, loss=LEARNED, updates=np.where(LAST, -2.0, updates))


def test_layers_without_a_gradient_that_counts_and_that_never_moved_learned_nothing():
    assert never_reached(reached(6.1, -6.1))
    assert not never_reached(reached(5.9, -6.1))
    assert not never_reached(reached(6.1, -5.9))
    assert codes(reached(6.1, -6.1)) >= {"gradient_shrinks"}
    assert not codes(reached(5.9, -6.1)) & {"gradient_shrinks", "loss_insensitive"}
    saturated = evidence(
        np.where(LAST, -1.0, -8.0), loss=LEARNED, updates=np.where(LAST, -2.0, -7.0), saturated_fraction=np.ones(LAYERS)
    )
    assert "activations_saturated" in codes(saturated)


def test_a_gradient_that_arrives_later_has_reached_the_layers():
    arrives = evidence(np.where(LAST, -1.0, -9.0), shrinks=np.where(LAST, 0.0, -7.0), loss=LEARNED, updates=-6.5)
    assert not never_reached(arrives)


def decayed(change, loss):
    weights = np.where(np.arange(RECORDS)[:, None] < 10, 0.0, change) + 1e-6 * np.arange(RECORDS)[:, None]
    return evidence(loss=loss, params_log10_rms=weights + np.zeros(LAYERS), updates=-0.5)


def test_weights_that_decay_faster_than_they_learn():
    assert weights_decayed(decayed(-1.1, STUCK))
    assert "weights_decay" in codes(decayed(-1.1, STUCK))
    assert "weights_decay" not in codes(decayed(-0.9, STUCK))
    assert "weights_decay" not in codes(decayed(-1.1, LEARNED))
    # The loss may leap while they decay: the steps are large because the decay is.
    leap = STUCK.copy()
    leap[3] = 3.0
    assert "steps_too_large" not in codes(decayed(-1.1, leap))
    assert "steps_too_large" in codes(decayed(-0.9, leap))


def test_a_loss_without_a_smallest_value():
    assert "loss_without_floor" in codes(evidence(loss=FALLING))
    # A density's loss settles below zero; one of four times its start may be a density's; a positive loss has a floor.
    settled = -40.0 * (1 - np.exp(-np.arange(RECORDS) / 3)) - 0.5
    assert "loss_without_floor" not in codes(evidence(loss=settled))
    assert "loss_without_floor" not in codes(evidence(loss=-np.linspace(0.5, 2.0, RECORDS)))
    assert "loss_without_floor" not in codes(evidence(loss=np.linspace(40.0, 0.5, RECORDS)))
    assert "loss_without_floor" not in codes(evidence(loss=FALLING[:9], records=9))


def with_constant_targets(loss):
    concern = Concern("labels_constant", "All targets are the same.", 32.0, 16.0, None, False)
    return evidence(loss=loss, chance=0.0, before=Before(concerns=(concern,)))


def test_constant_targets_are_why_a_loss_is_gone_at_once():
    gone, slow = np.full(RECORDS, 0.01), np.geomspace(1.0, 0.01, RECORDS)
    gone[0] = 1.0
    assert "labels_constant" in codes(with_constant_targets(gone))
    assert "labels_constant" not in codes(with_constant_targets(slow))
    assert "labels_constant" not in codes(evidence(loss=gone))


def saturated(share, late, **changes):
    shares = np.where(np.arange(LAYERS) == 0, 0.2, share)
    return evidence(loss=course(late=late), saturated_fraction=shares, **changes)


def test_saturation_is_to_blame_for_a_training_that_did_not_come_far():
    assert "activations_saturated" in codes(saturated(0.95, 0.5, chance=1.0))
    assert "activations_saturated" not in codes(saturated(0.85, 0.5, chance=1.0))
    assert "activations_saturated" not in codes(saturated(0.95, 0.3, chance=1.0))
    assert "activations_saturated" not in codes(saturated(0.95, 0.5))


def test_a_gradient_that_vanished_at_first_is_not_killed_by_the_steps():
    profile = [-2.0 - 3, -4.9, -3.0, -2.5, -2.0, -2.0]
    shrinks = np.where(np.arange(LAYERS) < 4, np.inf, 0.0)
    assert "training_diverges" not in codes(evidence(profile, shrinks=shrinks, updates=-0.5))
    assert "training_diverges" in codes(evidence(shrinks=shrinks, updates=-0.5))


def test_a_fall_to_chance_is_no_fall():
    concern = Concern("targets_large", "Targets are large.", 300.0, 30.0, None, False)
    falls = course(early=20.0, late=1.05, first=30.0)
    before = Before(concerns=(concern,))
    assert "targets_large" in codes(evidence(loss=falls, before=before, chance=1.0))
    assert "targets_large" not in codes(evidence(loss=falls, before=before))


def test_an_accumulation_that_emits_at_some_records_has_not_stopped():
    def updates(emits):
        return np.where(emits[:, None], -2.0, -np.inf) + np.zeros(LAYERS)

    moving = 0.01 * np.arange(RECORDS)[:, None] + np.zeros(LAYERS)
    now_and_then = evidence(updates=updates(np.arange(RECORDS) % 4 == 0), params_log10_rms=moving)
    # The last record that was taken of a step with an update is early by chance, but the weights go on moving.
    by_chance = evidence(updates=updates(np.arange(RECORDS) < 4), params_log10_rms=moving)
    late = evidence(
        updates=updates(np.arange(RECORDS) < 12),
        params_log10_rms=0.01 * np.minimum(np.arange(RECORDS), 12)[:, None] + 0 * moving,
    )
    for made in (now_and_then, by_chance, late):
        assert "updates_stopped" not in codes(made)


def of_few_rows(remaining, constants, **changes):
    return evidence(loss=course(late=remaining), chance=1.0, chance_rows=32, chance_constants=constants, **changes)


def test_few_rows_leave_room_between_learning_and_chance():
    # One constant of 32 rows is off by a sixty-fourth, nine constants by as much as the rows may differ.
    assert has_learned(of_few_rows(0.91, 1))
    assert not has_learned(of_few_rows(0.92, 1))
    assert has_learned(of_few_rows(0.96, 9))
    assert not has_learned(of_few_rows(0.98, 9))
    assert "no_better_than_constant" not in codes(of_few_rows(0.96, 1))
    assert "no_better_than_constant" in codes(of_few_rows(0.98, 1))


def test_below_a_chance_of_few_rows_but_not_below_the_own_start_is_not_learned():
    flat = of_few_rows(0.93, 9)
    assert has_learned(flat)
    assert not has_learned(evidence(loss=np.full(RECORDS, 0.93), chance=1.0, chance_rows=32, chance_constants=9))


def test_a_negative_loss_that_stays_at_chance_is_not_solved():
    loss = -0.0042 + 1e-6 * np.exp(-np.arange(RECORDS))
    at_chance = evidence(loss=loss, shrinks=3.0, chance=-0.0042)
    assert not is_solved(at_chance)
    assert "no_better_than_constant" in codes(at_chance)
    assert "no_better_than_constant" not in codes(evidence(loss=loss - 1, shrinks=3.0, chance=-0.0042))


def test_zero_weights_have_no_ratio_and_warn_of_nothing():
    zero = np.full((RECORDS, LAYERS), -np.inf)
    made = evidence(updates=np.full((RECORDS, LAYERS), np.nan), params_log10_rms=zero, loss=STUCK)
    assert np.isnan(made.typical_update)
    assert not weights_decayed(made)
    codes(made)


def test_what_surely_learned_is_below_what_chance_could_be():
    # Where chance is not known, a loss may have fallen from a bad start to it: six tenths of the start are not enough.
    assert has_surely_learned(evidence(loss=course(late=0.55)))
    assert not has_surely_learned(evidence(loss=course(late=0.65)))
    assert has_surely_learned(evidence(loss=course(late=0.65), chance=1.0))


def test_a_fall_that_was_over_at_once_is_a_fall_to_chance_unless_little_is_left():
    def at_once(late):
        return np.array([1.0, *[late] * (RECORDS - 1)])

    assert fell_to_a_plateau(evidence(loss=at_once(0.35)))
    assert not fell_to_a_plateau(evidence(loss=at_once(0.25)))
    assert not fell_to_a_plateau(evidence(loss=at_once(0.35), chance=1.0))
    assert not fell_to_a_plateau(evidence(loss=np.linspace(1.0, 0.35, RECORDS)))


def test_layers_are_weak_where_the_loss_hardly_depends_on_them():
    made = evidence([-5.1, -4.9, -np.inf, -2.0, -2.0, -2.0], loss=np.ones(RECORDS))
    assert weak_layers(made).tolist() == [True, False, False, False, False, False]
    assert not weak_layers(evidence(-9.0, loss=None)).any()


def of_hidden_layer(**changes):
    return Before(correlation=0.999, singular_ratio=0.01, input_ratio=0.5, **changes)


@pytest.mark.parametrize(
    ("before", "causes"),
    [
        (of_hidden_layer(kernel_mean=0.9), ("initialisation",)),
        (of_hidden_layer(kernel_mean=0.1), ("hidden_activation", "units")),
        (of_hidden_layer(), ("initialisation",)),
        (
            of_hidden_layer(kernel_mean=0.1, concerns=(Concern("inputs_large", "Large.", 90.0, 10.0, None, False),)),
            ("input_scaling", "hidden_activation"),
        ),
    ],
)
def test_units_are_alike_by_their_kernels_their_inputs_or_their_activation(before, causes):
    (finding,) = [f for f in vg.RULES["collinear"].find(evidence(before=before)) if f.code == "units_collinear"]
    assert finding.causes == causes


def test_an_equal_kernel_of_the_last_layer_is_to_blame_once_the_loss_stays_at_chance():
    concern = Concern("kernel_constant", "All alike.", 0.0, 0.0, "layer_5", False)
    at_chance = {"before": Before(concerns=(concern,)), "chance": 0.7}
    assert "kernel_constant" in codes(evidence(loss=STUCK, **at_chance))
    assert "kernel_constant" not in codes(evidence(loss=course(first=0.7, early=0.6, late=0.5), **at_chance))


def test_targets_that_are_far_are_told_with_their_number():
    far = evidence(1.0, loss=np.full(RECORDS, 1e5), weights=-3.5)
    (finding,) = [f for f in vg.RULES["ill_scaled"].find(far) if f.code == "targets_large"]
    assert finding.value == pytest.approx(1.0 - 3.5 + 2 - 5)
    assert finding.threshold == -1.0


def test_advice_for_a_model_whose_activations_are_unknown_names_both():
    profile = [-7.0, -6.0, -4.0, -3.0, -2.0, -2.0]
    (finding,) = vg.RULES["vanishing"].find(evidence(profile))
    assert "he_normal" in finding.advice
    assert "lecun_normal" in finding.advice


def fast(first, late):
    """Return a noisy training that learns within the first steps: its early mean is far below its first loss."""
    loss = np.array([first, *[late] * (RECORDS - 1)])
    return {"loss": loss, "loss_mean": loss, "loss_std": np.full(RECORDS, 0.15 * late)}


def test_what_the_first_steps_took_off_a_start_at_chance_counts_as_learned():
    made = evidence(**fast(2.1, 1.45), chance=1.9, chance_rows=64, chance_constants=1)
    assert made.course.start < 1.6
    assert made.remaining == pytest.approx(1.45 / 1.9)
    assert has_learned(made)
    # A network that begins below chance has been trained before.
    before = evidence(**fast(1.5, 1.45), chance=1.9, chance_rows=64, chance_constants=1)
    assert before.remaining == pytest.approx(1.45 / before.course.start)


@pytest.mark.parametrize(("deviation", "learned"), [(0.05, True), (0.2, False)])
def test_below_chance_by_less_than_batches_differ_is_not_learned(deviation, learned):
    loss = course(late=0.85)
    noisy = {"loss_mean": loss, "loss_std": np.full(RECORDS, deviation)}
    assert has_learned(of_few_rows(0.85, 1, **noisy)) == learned
    assert has_learned(evidence(loss=loss, **noisy, chance=1.0))  # A chance that was given is exact.


@pytest.mark.parametrize(("late", "at_chance"), [(-0.01, True), (-0.02, True), (-0.3, False)])
def test_a_loss_that_crosses_zero_is_at_chance_where_it_is_hardly_beyond_it(late, at_chance):
    """A bound of the information in pairs is zero for a constant critic."""
    loss = course(first=0.4, early=0.02, late=late)
    made = evidence(loss=loss, loss_mean=loss, loss_std=np.full(RECORDS, 0.03), chance=0.0)
    assert made.course.ends_at_chance == at_chance
    assert has_learned(made) != at_chance
    assert ("no_better_than_constant" in codes(made)) == at_chance


def test_a_fall_of_a_small_part_is_learned_where_weights_grew_and_gradients_shrank():
    """A likelihood has a floor that is not known: what its loss lost is a small part of it."""
    falls = course(first=4.0, early=3.8, late=3.7)
    grown = np.linspace(0.0, 0.3, RECORDS)[:, None] + np.zeros(LAYERS)
    fit = {"loss": falls, "loss_mean": falls, "loss_std": np.full(RECORDS, 0.01)}
    assert has_learned(evidence(**fit, params_log10_rms=grown, shrinks=0.5))
    assert not has_learned(evidence(**fit, params_log10_rms=grown))
    assert not has_learned(evidence(**fit, params_log10_rms=grown / 5, shrinks=0.5))
    assert not has_learned(evidence(**fit, params_log10_rms=grown, shrinks=0.5, chance=4.0))


def test_a_loss_that_gave_half_of_its_fall_back_is_not_learned():
    def back(late):
        return evidence(loss=np.array([4.0, *[1.0] * 9, *[late] * 10]))

    assert has_learned(back(2.0))
    assert not has_learned(back(3.0))
    noisy = np.array([4.0, *[1.0, 2.5] * 9, 3.0])
    assert not evidence(loss=noisy).course.came_back


def test_a_mean_of_the_first_steps_hides_no_fall():
    quiet = {"loss_std": np.full(RECORDS, 0.02)}
    assert "no_better_than_start" in codes(evidence(**fast(1.0, 0.98) | quiet))
    # The noise of one batch may hide a fall in the steps of the first record.
    assert "no_better_than_start" not in codes(evidence(**fast(1.0, 0.98)))
    assert "no_better_than_start" not in codes(evidence(**fast(1.4, 1.0)))


def test_a_long_way_is_put_down_to_the_scale_that_a_look_found():
    concern = Concern("inputs_large", "Inputs are large.", 100.0, 10.0, None, False)
    far = {"loss": np.geomspace(600.0, 100.0, RECORDS), "chance": 2.0}
    assert "far_from_chance" in codes(evidence(**far))
    of_inputs = codes(evidence(**far, before=Before(concerns=(concern,))))
    assert "inputs_large" in of_inputs
    assert "far_from_chance" not in of_inputs
    nearer = far | {"loss": np.geomspace(150.0, 50.0, RECORDS), "before": Before(concerns=(concern,))}
    assert "far_from_chance" in codes(evidence(**nearer))


def test_chance_of_many_rows_is_that_of_every_batch():
    noisy = {"loss": course(late=0.84), "loss_std": np.full(RECORDS, 0.3), "chance": 1.0, "chance_constants": 1}
    assert not has_learned(evidence(**noisy, chance_rows=64))
    assert has_learned(evidence(**noisy, chance_rows=4096))


def test_terms_beside_the_prediction_are_not_held_against_chance():
    above = {"loss": course(first=3.0, early=0.8, late=0.8), "chance": 0.7}
    assert "no_better_than_constant" in codes(evidence(**above))
    assert "no_better_than_constant" not in codes(evidence(**above, chance_is_partial=True))
    collapsed = above | {"loss": course(first=3.0, early=0.7, late=0.7)}
    assert "no_better_than_constant" in codes(evidence(**collapsed, chance_is_partial=True))
