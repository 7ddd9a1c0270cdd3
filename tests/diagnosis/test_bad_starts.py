"""Falls from a bad start that a record alone can tell from learning: each sign on both sides of its threshold."""

import numpy as np
import pytest
from made_evidence import LAYERS, RECORDS, course, evidence

import vgrad_jax as vg
from vgrad_jax.diagnosis.bad_starts import (
    fell_from_a_bad_start,
    fell_to_a_plateau,
    outputs_were_huge,
    targets_are_far,
    weights_grew_most,
)
from vgrad_jax.diagnosis.evidence import Before
from vgrad_jax.diagnosis.symptoms import has_learned, is_solved
from vgrad_jax.inspection import Concern, ZeroReason

FALLING = np.linspace(3.0, 1.5, RECORDS)


def codes(made):
    return {finding.code for rule in vg.RULES.values() for finding in rule.find(made)}


def changing(*by_layer):
    """Return sizes of weights that change by so many decades in the course of the training, of six layers."""
    return np.linspace(0.0, 1.0, RECORDS)[:, None] * np.asarray(by_layer, float)


SHRINKING = changing(-0.01, -0.02, -0.1, -0.01, -0.01, -0.1)


def test_a_loss_that_falls_while_all_weights_shrink_is_not_learned():
    assert not has_learned(evidence(loss=FALLING, params_log10_rms=SHRINKING))
    assert has_learned(evidence(loss=FALLING, params_log10_rms=SHRINKING * [1, 1, 1, 1, -1, 1]))
    # Far below its own start, and where chance is known, the fall counts.
    assert has_learned(evidence(loss=np.geomspace(30.0, 1.5, RECORDS), params_log10_rms=SHRINKING))
    assert has_learned(evidence(loss=FALLING, params_log10_rms=SHRINKING, chance=2.5))
    assert not has_learned(evidence(loss=FALLING, params_log10_rms=SHRINKING, chance=1.6))


def test_the_growth_of_weights_is_that_of_the_layer_that_grew_most():
    assert weights_grew_most(evidence(params_log10_rms=changing(0.1, 0.0, -0.1, 0.0, 0.0, -0.1))) > 0
    # Frozen layers neither grow nor shrink.
    assert weights_grew_most(evidence(params_log10_rms=changing(0.0, 0.0, -0.1, 0.0, 0.0, -0.1))) < -0.05
    grew = weights_grew_most(evidence(params_log10_rms=changing(0.0, 0.5, -1.0, 0.0, 0.0, 0.0)))
    assert grew == pytest.approx(0.5 * 17 / 19)  # The lower median of the last five of 20 records.
    assert weights_grew_most(evidence()) is None
    assert (
        weights_grew_most(
            evidence(params_log10_rms=np.where(np.arange(LAYERS) == LAYERS - 1, changing(*[0.5] * LAYERS), -np.inf))
        )
        is None
    )
    assert weights_grew_most(evidence(params_log10_rms=None)) is None


SCALES = 2.0 ** np.array([-10, -5, 0, 5, 10])
COURSES = {
    "falls": {"loss": FALLING, "params_log10_rms": SHRINKING},
    "learns": {"loss": FALLING, "params_log10_rms": -SHRINKING},
    "decays": {"loss": np.geomspace(5.0, 0.05, RECORDS), "params_log10_rms": changing(*[-2.0] * LAYERS)},
    "plateau": {"loss": np.array([3.0, *[1.4] * (RECORDS - 1)])},
    "flat": {"loss": np.full(RECORDS, 0.7), "shrinks": 1.5},
    "chance": {"loss": course(first=2.0, late=0.68), "chance": 0.7, "chance_rows": 32, "chance_constants": 1},
    "solved": {"loss": course(early=0.1, late=0.001)},
    "without a floor": {"loss": -np.linspace(0.5, 40.0, RECORDS)},
    "chance of nothing": {"loss": course(first=0.4, early=0.02, late=-0.01), "chance": 0.0},
}


@pytest.mark.parametrize("name", COURSES)
def test_a_factor_of_the_loss_changes_no_finding(name):
    """Steps stay the same, as those of Adam do; losses beyond ten thousand are left out."""
    made, found = COURSES[name], []
    for scale in SCALES:
        own = made | {"loss": scale * made["loss"]} | ({"chance": scale * made["chance"]} if "chance" in made else {})
        found.append(codes(evidence(-2.0 + np.log10(scale), **own)))
    assert all(own == found[0] for own in found)


def test_weights_that_decay_while_the_loss_still_depends_on_them_are_learned():
    fallen = np.geomspace(3.0, 0.03, RECORDS)
    shrinking = changing(*[-2.0] * LAYERS)
    assert is_solved(evidence(0.5, loss=fallen, params_log10_rms=shrinking))
    assert not is_solved(evidence(-3.0, loss=fallen, params_log10_rms=shrinking))
    # A constant of a model is a number alone, and may become small.
    alone = evidence(-3.0, loss=fallen, params_log10_rms=shrinking, counts=np.ones(LAYERS))
    assert is_solved(alone)
    assert "weights_decay" not in codes(alone)


def test_a_loss_of_weights_that_decayed_is_not_solved():
    fallen = np.geomspace(300.0, 2.0, RECORDS)
    decayed = evidence(loss=fallen, params_log10_rms=changing(*[-2.0] * LAYERS))
    assert not is_solved(decayed)
    assert "weights_decay" in codes(decayed)


def test_far_targets_are_learned_where_little_of_the_loss_is_left():
    def far(left):
        return evidence(1.0, loss=np.geomspace(1e5, left * 1e5, RECORDS), weights=-3.5, shrinks=-1.0)

    assert targets_are_far(far(0.15))
    assert fell_from_a_bad_start(far(0.15))
    assert "targets_large" in codes(far(0.15))
    assert not fell_from_a_bad_start(far(0.05))


def test_a_huge_first_loss_is_put_down_to_large_kernels_or_to_the_inputs():
    def huge(late, weights=-1.0, first=1e6):
        return evidence(6.5, loss=np.geomspace(first, late, RECORDS), weights=weights)

    assert outputs_were_huge(huge(10.0))
    assert not is_solved(huge(10.0))
    assert codes(huge(10.0)) & {"inputs_large", "first_loss_huge"} == {"inputs_large"}
    assert codes(huge(10.0, weights=0.1)) & {"inputs_large", "first_loss_huge"} == {"first_loss_huge"}
    # Once it is below a usual chance it does not matter how it began.
    assert is_solved(huge(0.05))
    assert not outputs_were_huge(huge(10.0, first=9e3))


@pytest.mark.parametrize(("late", "huge"), [(50.0, True), (1e5, False)])
def test_outputs_whose_loss_falls_by_a_thousand_were_larger_than_a_sum_of_squares(late, huge):
    made = evidence(5.6, loss=np.geomspace(1e6, late, RECORDS), weights=-1.0)
    assert made.sensitivity[0].max() == pytest.approx(0.6)
    assert outputs_were_huge(made) == huge


@pytest.mark.parametrize(("late", "huge"), [(2e4, True), (5e3, False), (50.0, True)])
def test_a_sum_of_many_squares_has_a_large_start_and_ends_far_below_it(late, huge):
    made = evidence(6.5, loss=np.geomspace(1e6, late, RECORDS), weights=-1.0)
    assert made.sensitivity[0].max() == pytest.approx(1.5)
    assert outputs_were_huge(made) == huge


def test_updates_that_the_memory_of_large_gradients_stopped_were_not_stopped_by_a_schedule():
    stopped = np.where(np.arange(RECORDS)[:, None] < 8, -2.0, -7.0) + np.zeros(LAYERS)
    weights = np.where(np.arange(RECORDS)[:, None] < 8, np.arange(RECORDS)[:, None] * 0.01, 0.08) + np.zeros(LAYERS)
    assert "updates_stopped" in codes(evidence(updates=stopped, params_log10_rms=weights, shrinks=2.9))
    assert "updates_stopped" not in codes(evidence(updates=stopped, params_log10_rms=weights, shrinks=3.1))


def test_a_zero_gradient_that_a_look_found_counts_where_others_learned_little():
    profile = np.where(np.arange(LAYERS) == 1, -np.inf, -2.0)
    found = Before(zeros=(ZeroReason("layer_1/w", "unclear", None, None, "Why."),))
    frozen = Before(zeros=(ZeroReason("layer_1/w", "stopped", None, None, "Why."),))
    little, much = course(late=0.7), course(late=0.5)
    dead = {"gradient_is_zero", "no_gradient"}
    assert codes(evidence(profile, loss=little, before=found)) & dead
    assert not codes(evidence(profile, loss=much, before=found)) & dead
    assert not codes(evidence(profile, loss=little, before=frozen)) & dead
    assert not codes(evidence(profile, loss=little)) & dead


def test_large_inputs_and_not_what_they_saturate_are_the_fault():
    def made(*concerns):
        return evidence(chance=0.7, saturated_fraction=np.ones(LAYERS), before=Before(concerns=concerns))

    large = Concern("inputs_large", "Inputs are large.", 100.0, 10.0, None, False)
    assert "activations_saturated" in codes(made())
    assert "activations_saturated" not in codes(made(large))
    assert "inputs_large" in codes(made(large))


def test_a_loss_that_a_constant_output_solves_is_ill_posed_although_it_is_solved():
    constant = Concern("constant_is_best", "A constant is best.", 0.0, 1e-3, None, True)
    made = evidence(loss=course(early=0.1, late=0.001), before=Before(concerns=(constant,)))
    assert is_solved(made)
    assert "constant_is_best" in codes(made)


def test_a_plateau_of_larger_weights_and_smaller_gradients_is_a_fit():
    plateau = course(first=8.0, early=4.0, late=4.0)
    grown = changing(0.0, 0.0, 0.0, 0.0, 0.0, 0.2)
    assert fell_to_a_plateau(evidence(loss=plateau, shrinks=0.3))
    assert not fell_to_a_plateau(evidence(loss=plateau, shrinks=0.3, params_log10_rms=grown))
    assert fell_to_a_plateau(evidence(loss=plateau, shrinks=0.1, params_log10_rms=grown))
    assert fell_to_a_plateau(evidence(loss=plateau, shrinks=0.3, params_log10_rms=grown / 3))


def test_a_loss_that_comes_back_above_its_start_is_not_learned():
    gone = np.full(RECORDS, 0.01)
    gone[0] = 1.0
    again = gone.copy()
    again[14] = 1.5
    spread = {"loss_std": np.full(RECORDS, 0.001)}
    assert is_solved(evidence(loss=gone, loss_mean=gone, **spread))
    assert not is_solved(evidence(loss=again, loss_mean=again, **spread))
    assert not has_learned(evidence(loss=again, loss_mean=again, **spread))
    assert is_solved(evidence(loss=again))  # The loss of one batch may be an accident: no mean was kept.


def test_a_gradient_far_below_the_output_layers_does_not_grow():
    grows, stuck = [-1.0, -2.0, -3.0, -4.0, -5.0, -4.0], [-7.0, -15.0, -15.0, -15.0, -15.0, 0.0]
    assert "gradient_grows" in codes(evidence(grows))
    assert "gradient_grows" not in codes(evidence(stuck))


def test_a_loss_below_the_numbers_of_a_short_dtype_underflows_where_no_gradient_is_left():
    def tiny(loss, profile=-np.inf):
        return codes(evidence(profile, loss=np.full(RECORDS, loss)))

    assert "gradient_underflows" in tiny(6e-5)
    assert "gradient_underflows" not in tiny(6.2e-5)
    assert "gradient_underflows" not in tiny(6e-5, profile=-9.0)


def test_the_first_loss_is_no_leap():
    """The mean of the first steps is far below the first loss of a training that learns at once."""
    falls = np.array([3.0, 1.2, 1.1, *[1.0] * 17])
    noisy = {"loss_mean": falls, "loss_std": 0.3 * falls, "updates": -0.5}
    made = evidence(loss=falls, **noisy)
    assert made.course.start < 2.0
    assert not made.course.leapt
    leapt = falls.copy()
    leapt[5] = 6.0
    assert evidence(loss=leapt, **noisy).course.leapt
    leapt[5] = 5.5  # 1.83 times the first loss, within three times the scatter of a batch.
    assert not evidence(loss=leapt, **noisy).course.leapt


def test_chance_that_is_nothing_is_of_one_label():
    made = evidence(loss=course(late=0.3), chance=0.0)
    assert made.remaining == pytest.approx(0.3)
    assert evidence(loss=course(first=1e7, late=0.9), chance=1.0).remaining == pytest.approx(0.9)
    assert evidence(loss=1e-9 * course(late=0.3), chance=5e-10).remaining == pytest.approx(0.6)


def test_a_flat_loss_is_at_chance_unless_chance_is_known_to_lie_far_above_it():
    flat = np.full(RECORDS, 0.1)
    assert "no_better_than_start" in codes(evidence(loss=flat))
    assert "no_better_than_constant" in codes(evidence(loss=flat, chance=0.1))
    assert not {"no_better_than_start", "no_better_than_constant"} & codes(evidence(loss=flat, chance=0.69))
