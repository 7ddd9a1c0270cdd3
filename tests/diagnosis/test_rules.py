"""Each rule on both sides of each of its thresholds, on evidence that is made up number by number."""

import dataclasses
import math

import numpy as np
import pytest
from made_evidence import BFLOAT16, FLOAT16, LAYERS, RECORDS, STUCK, course, evidence, with_number

import vgrad_jax as vg
from vgrad_jax.diagnosis.evidence import Before
from vgrad_jax.diagnosis.profiles import drop_of, largest
from vgrad_jax.diagnosis.rules_of_gradients import vanishing
from vgrad_jax.diagnosis.rules_of_training import learning_rate_small
from vgrad_jax.diagnosis.statuses import CAUSES, NOTES, TABLE
from vgrad_jax.diagnosis.symptoms import faded, has_learned, lost, overgrown, rose, stalled
from vgrad_jax.diagnosis.thresholds import WITHOUT_EFFECT
from vgrad_jax.inspection import Concern, NonFinite, ZeroReason


def steep(drop):
    """Return a profile with this drop: of six layers the first and the last but one count."""
    return [-2 - drop, -2 - drop + 0.1, -3.0, -2.5, -2.0, -9.0]


def products(growth):
    return np.array([0.0, 0.5, growth, math.nan, 0.2, 0.1])


HALF = np.where(np.arange(LAYERS) < 3, 1.0, 0.0)
SHORT = {"smallest": np.full(LAYERS, FLOAT16)}
ZEROS = np.where(np.arange(LAYERS) < 2, -np.inf, -2.0)

CONCERN = Concern("inputs_large", "Inputs are large.", 100.0, 10.0, None, False)


def zero(path, reason):
    """Return a reason for a zero gradient."""
    return ZeroReason(path, reason, None, None, "Why.")


def of_zeros(reason):
    """Return a look that knows one reason for all zero gradients."""
    return Before(zeros=tuple(zero(f"layer_{n}/kernel", reason) for n in range(LAYERS)))


def broken_from(record):
    """Return shares of numbers that are not finite from a record on."""
    return np.where(np.arange(RECORDS)[:, None] >= record, 0.25, 0.0) * (np.arange(LAYERS) == 3)


def leap(height, *, late=1.0):
    """Return a loss that leaps up for a record."""
    loss = course(late=late)
    loss[6] = height
    return loss


def drifting(amount):
    """Return sizes of parameters that grow by so much from record to record."""
    return np.arange(RECORDS)[:, None] * amount + np.zeros(LAYERS)


# Finding, evidence just short of it, evidence just beyond.
BOUNDARIES = {
    "attenuation over time": ("gradient_shrinks", evidence(steep(2.45)), evidence(steep(2.55))),
    "attenuation at one moment": (
        "gradient_shrinks",
        evidence(steep(2.95), loss=None, params_log10_rms=None),
        evidence(steep(3.05), loss=None, params_log10_rms=None),
    ),
    "attenuation, but it learns": (
        "gradient_shrinks",
        evidence(steep(4), loss=course(late=0.89)),
        evidence(steep(4), loss=course(late=0.91)),
    ),
    "insensitive": ("loss_insensitive", evidence(-4.95, loss=np.ones(RECORDS)), evidence(-5.05, loss=np.ones(RECORDS))),
    "insensitive to small weights": (
        "loss_insensitive",
        evidence(-2.0, weights=-2.95, loss=np.ones(RECORDS)),
        evidence(-2.0, weights=-3.05, loss=np.ones(RECORDS)),
    ),
    "preactivations": (
        "preactivations_grow",
        evidence(product_log10_rms=products(1.45)),
        evidence(product_log10_rms=products(1.55)),
    ),
    "first step": ("first_update_replaces_weights", evidence(updates=1.95), evidence(updates=2.05)),
    "growth, but it learns": (
        "preactivations_grow",
        evidence(product_log10_rms=products(3), loss=course(late=0.89)),
        evidence(product_log10_rms=products(3), loss=course(late=0.91)),
    ),
    "larger on the input side": ("gradient_grows", evidence(steep(-2.95)), evidence(steep(-3.05))),
    "larger, but it learns": (
        "gradient_grows",
        evidence(steep(-4), loss=course(late=0.89)),
        evidence(steep(-4), loss=course(late=0.91)),
    ),
    "worse": ("training_diverges", evidence(loss=course(late=1.45)), evidence(loss=course(late=1.55))),
    "layers killed by a large step": (
        "training_diverges",
        evidence(shrinks=np.where(np.arange(LAYERS) == 1, np.inf, 0), updates=-1.05),
        evidence(shrinks=np.where(np.arange(LAYERS) == 1, np.inf, 0), updates=-0.95),
    ),
    "short dtype": (
        "gradient_underflows",
        evidence(-4.2, smallest=np.full(LAYERS, BFLOAT16)),
        evidence(-4.3, **SHORT),
    ),
    "largest element": (
        "gradient_underflows",
        evidence(-2, log10_max=np.full((RECORDS, LAYERS), FLOAT16 + 0.55), **SHORT),
        evidence(-2, log10_max=np.full((RECORDS, LAYERS), FLOAT16 + 0.45), **SHORT),
    ),
    "largest element beside zeros": (
        "gradient_underflows",
        evidence(-3.15, zero_fraction=np.full((RECORDS, LAYERS), 0.11), **SHORT),
        evidence(-3.25, zero_fraction=np.full((RECORDS, LAYERS), 0.11), **SHORT),
    ),
    "zeros beside a small element": (
        "gradient_underflows",
        evidence(-3.5, zero_fraction=np.full((RECORDS, LAYERS), 0.09), **SHORT),
        evidence(-3.5, zero_fraction=np.full((RECORDS, LAYERS), 0.11), **SHORT),
    ),
    "half of the layers underflow": (
        "gradient_underflows",
        evidence(np.where(np.arange(LAYERS) < 2, -5.0, -2.0), **SHORT),
        evidence(np.where(np.arange(LAYERS) < 3, -5.0, -2.0), **SHORT),
    ),
    "underflow, but it learns": (
        "gradient_underflows",
        evidence(-5.0, loss=course(late=0.89), **SHORT),
        evidence(-5.0, loss=course(late=0.91), **SHORT),
    ),
    "learned": (
        "nothing_left_to_learn",
        evidence(loss=course(early=0.5, late=0.021)),
        evidence(loss=course(early=0.5, late=0.019)),
    ),
    "shrunk": ("nothing_left_to_learn", evidence(shrinks=1.95, loss=None), evidence(shrinks=2.05, loss=None)),
    "shrunk alike": (
        "nothing_left_to_learn",
        evidence(shrinks=np.linspace(3, 5.05, LAYERS), loss=None),
        evidence(shrinks=np.linspace(3, 4.95, LAYERS), loss=None),
    ),
    "shrunk over enough records": (
        "nothing_left_to_learn",
        evidence(shrinks=4, loss=None, records=4),
        evidence(shrinks=4, loss=None, records=5),
    ),
    "shrunk, not attenuated": (
        "nothing_left_to_learn",
        evidence(steep(2.55), shrinks=4, loss=None),
        evidence(steep(2.45), shrinks=4, loss=None),
    ),
    "dead": ("gradient_is_zero", evidence(ZEROS, loss=course(late=0.89)), evidence(ZEROS, loss=course(late=0.91))),
    "dead over the whole window": (
        "gradient_is_zero",
        evidence(log10_rms=np.where(np.arange(RECORDS)[:, None] == 16, -2.0, ZEROS)),
        evidence(log10_rms=np.where(np.arange(RECORDS)[:, None] == 14, -2.0, ZEROS)),
    ),
    "dead, not faded": (
        "gradient_is_zero",
        evidence([-np.inf, -np.inf, -25.1, -14.0, -5.0, -2.0]),
        evidence([-np.inf, -np.inf, -24.9, -14.0, -5.0, -2.0]),
    ),
    "saturated": (
        "activations_saturated",
        evidence(steep(4), saturated_fraction=0.49 * HALF),
        evidence(steep(4), saturated_fraction=0.51 * HALF),
    ),
    "saturated, but the gradient passes": (
        "activations_saturated",
        evidence(steep(2), saturated_fraction=HALF),
        evidence(steep(4), saturated_fraction=HALF),
    ),
    "small updates": ("updates_small", evidence(updates=-3.25), evidence(updates=-3.35)),
    "small updates and a falling loss": (
        "updates_small",
        evidence(updates=-4, loss=course(early=0.89, late=0.89)),
        evidence(updates=-4, loss=course(early=0.91, late=0.91)),
    ),
    "small updates and a lost gradient": ("updates_small", evidence(steep(3), updates=-6), evidence(updates=-6)),
    "not finite from the start": (
        "non_finite_gradient",
        evidence(nonfinite_fraction=broken_from(1)),
        evidence(nonfinite_fraction=broken_from(0)),
    ),
    "not finite later, after small steps": (
        "breaks_later",
        evidence(nonfinite_fraction=broken_from(9), updates=-0.95),
        evidence(nonfinite_fraction=broken_from(9), updates=-1.05),
    ),
    "not finite later, after large steps": (
        "training_diverges",
        evidence(nonfinite_fraction=broken_from(9), updates=-1.05),
        evidence(nonfinite_fraction=broken_from(9), updates=-0.95),
    ),
    "not finite later, after a rise": (
        "training_diverges",
        evidence(nonfinite_fraction=broken_from(9), loss=course(early=1.45)),
        evidence(nonfinite_fraction=broken_from(9), loss=course(early=1.55)),
    ),
    "numbers that recover": (
        "numbers_recovered",
        evidence(nonfinite_fraction=broken_from(12)),
        evidence(nonfinite_fraction=with_number(12, 3, 0.25)),
    ),
    "uphill": (
        "update_ascends",
        evidence(update_cosine=np.full(RECORDS, 0.28)),
        evidence(update_cosine=np.full(RECORDS, 0.32)),
    ),
    "a leap that never came back": (
        "steps_too_large",
        evidence(updates=-0.5, loss=leap(1.45)),
        evidence(updates=-0.5, loss=leap(1.55)),
    ),
    "a leap that came back": (
        "spike_recovered",
        evidence(updates=-0.5, loss=leap(1.45, late=0.5)),
        evidence(updates=-0.5, loss=leap(1.55, late=0.5)),
    ),
    "no better than a constant": (
        "no_better_than_constant",
        evidence(loss=course(first=2.0, early=1.0, late=0.89), chance=1.0),
        evidence(loss=course(first=2.0, early=1.0, late=0.91), chance=1.0),
    ),
    "no better than at its start": (
        "no_better_than_start",
        evidence(loss=course(late=0.89)),
        evidence(loss=course(late=0.98)),
    ),
    "flat, and no gradient is left": (
        "saturates_later",
        evidence(shrinks=1.25),
        evidence(shrinks=1.35),
    ),
    "no gradient is left, and the loss fell": (
        "saturates_later",
        evidence(shrinks=1.35, loss=course(late=0.89)),
        evidence(shrinks=1.35, loss=course(late=0.91)),
    ),
    "too sensitive": (
        "loss_too_sensitive",
        evidence(0.45, loss=np.ones(RECORDS)),
        evidence(0.55, loss=np.ones(RECORDS)),
    ),
    "too few steps": (
        "few_updates",
        evidence(loss=np.linspace(1, 0.7, RECORDS), step=np.linspace(0, 149, RECORDS).astype(int)),
        evidence(loss=np.linspace(1, 0.7, RECORDS), step=np.linspace(0, 148, RECORDS).astype(int)),
    ),
    "correlated units": (
        "units_collinear",
        evidence(before=Before(correlation=0.994, singular_ratio=0.2, input_ratio=0.5)),
        evidence(before=Before(correlation=0.996, singular_ratio=0.2, input_ratio=0.5)),
    ),
    "units of rank one": (
        "units_collinear",
        evidence(before=Before(correlation=0.9, singular_ratio=0.031, input_ratio=0.5)),
        evidence(before=Before(correlation=0.9, singular_ratio=0.029, input_ratio=0.5)),
    ),
    "units of rank one, like the inputs": (
        "units_collinear",
        evidence(before=Before(correlation=0.9, singular_ratio=0.029, input_ratio=0.08)),
        evidence(before=Before(correlation=0.9, singular_ratio=0.029, input_ratio=0.1)),
    ),
    "advice becomes a cause where training failed": (
        "inputs_large",
        evidence(loss=course(late=0.89), before=Before(concerns=(CONCERN,))),
        evidence(loss=course(late=0.91), before=Before(concerns=(CONCERN,))),
    ),
    "weights that never move": (
        "nothing_moves",
        evidence(params_log10_rms=drifting(1e-6)),
        evidence(params_log10_rms=drifting(0.0)),
    ),
    "updates below half a spacing": (
        "updates_rounded_away",
        evidence(params_log10_rms=drifting(0.0), updates=-2.65, spacing=np.full(LAYERS, -2.7)),
        evidence(params_log10_rms=drifting(0.0), updates=-2.75, spacing=np.full(LAYERS, -2.7)),
    ),
}


@pytest.mark.parametrize("name", BOUNDARIES)
def test_on_both_sides_of_a_threshold(name):
    code, short, beyond = BOUNDARIES[name]
    findings = [{f.code for rule in vg.RULES.values() for f in rule.find(side)} for side in (short, beyond)]
    assert code not in findings[0]
    assert code in findings[1]


FINDINGS = {
    "non_finite_gradient": (evidence(nonfinite_fraction=broken_from(0)), "layer_3", 0.25, 0.0, "25%"),
    "preactivations_grow": (evidence(product_log10_rms=products(2.5)), "layer_2", 2.5, 1.5, "10^2.5"),
    "first_update_replaces_weights": (
        evidence(updates=[1.0, np.nan, 2.5, 3.25, np.inf, 0.0]),
        "layer_3",
        3.25,
        2.0,
        "first update is 10^3.2 of",
    ),
    "gradient_grows": (evidence(steep(-4)), "layer_0", 4.0, 3.0, "10^4.0 times larger"),
    "training_diverges": (evidence(loss=course(late=4.0), updates=-1.5), None, 4.0, 1.5, "4 times"),
    "gradient_underflows": (
        evidence([-4.5, -4.5, -5.0, -4.5, -4.5, -2.0], **SHORT),
        "layer_2",
        -4.5,
        FLOAT16,
        "10^-4.5, and the smallest normal number of its dtype 10^-4.2; 0% of it",
    ),
    "nothing_left_to_learn": (evidence(loss=course(early=0.5, late=0.01)), None, 0.01, 0.02, "0.01 of"),
    "gradient_is_zero": (evidence(ZEROS), "layer_1", 1 / 3, 0.0, "2 of 6 layers"),
    "activations_saturated": (evidence(steep(4), saturated_fraction=0.7 * HALF), "layer_0", 0.7, 0.5, "70%"),
    "gradient_shrinks": (evidence(steep(4)), "layer_5", 4.0, 2.5, "10^4.0 times smaller"),
    "loss_insensitive": (evidence([-6.0, -7, -6, -6, -6, -6], loss=np.ones(RECORDS)), "layer_1", -5.0, -3.0, "10^-5.0"),
    "updates_small": (evidence(updates=[-6, -5, -4.5, -5, np.inf, np.nan]), None, -4.5, -3.3, "10^-4.5 of"),
    "breaks_later": (evidence(nonfinite_fraction=broken_from(9)), None, 90.0, 0.0, "At step 90"),
    "no_better_than_constant": (
        evidence(loss=course(first=2.0), chance=1.0),
        None,
        1.0,
        0.9,
        "100% of 1, the loss of the best constant",
    ),
    "no_better_than_start": (evidence(), None, 1.0, 0.97, "100% of its start, 0.7"),
    "saturates_later": (evidence(shrinks=1.5), None, 1.5, 1.3, "10^-1.5 of its first size"),
    "loss_too_sensitive": (evidence(0.75, loss=np.ones(RECORDS)), "layer_0", 2.75, 2.5, "by 10^-2.8 of their size"),
    "first_loss_huge": (
        evidence(6.5, loss=np.geomspace(1e6, 10.0, RECORDS), weights=np.where(np.arange(LAYERS) == 2, 0.3, -1.0)),
        "layer_2",
        0.8,
        0.5,
        "The first loss is 1e+06",
    ),
    "far_from_chance": (
        evidence(loss=np.linspace(20.0, 10.0, RECORDS), chance=1.0, updates=-2.5),
        None,
        pytest.approx(11, abs=1),
        5.0,
        "times that of the best constant",
    ),
    "few_updates": (
        evidence(loss=np.linspace(1, 0.7, RECORDS), step=np.arange(RECORDS)),
        None,
        20.0,
        150.0,
        "After 20 ",
    ),
    "nothing_moves": (evidence(params_log10_rms=drifting(0.0)), None, -2.0, -3.3, "not applied"),
    "updates_rounded_away": (
        evidence(params_log10_rms=drifting(0.0), updates=-2.75, spacing=np.full(LAYERS, -2.7)),
        None,
        -2.75,
        -3.3,
        "smaller than half the spacing",
    ),
    "update_ascends": (evidence(update_cosine=np.full(RECORDS, 0.8)), None, 0.8, 0.3, "uphill"),
    "steps_too_large": (evidence(updates=-0.5, loss=leap(3.0)), None, 3.0, 1.5, "leapt to 3 times"),
    "spike_recovered": (evidence(loss=leap(3.0, late=0.5)), None, 3.0, 1.5, "leapt to 3 times"),
    "few_records": (evidence(records=1, step=np.array([500])), None, 1.0, 5.0, "1 record of its end"),
    "steps_refused": (evidence(refused_steps=2, first_broken_step=7), None, 2.0, 0.0, "the first at step 7"),
    "numbers_recovered": (evidence(nonfinite_fraction=with_number(7, 3, 0.1)), None, 70.0, 0.0, "first at step 70"),
    "units_collinear": (
        evidence(before=Before(correlation=0.999, singular_ratio=0.01, input_ratio=0.5)),
        None,
        0.999,
        0.995,
        "0.01 of the first",
    ),
    "no_second_derivative": (evidence(before=Before(zeros=(zero("", "no_derivative"),))), None, 0.0, 0.0, "Why."),
    "logistic_shrinks": (
        evidence(steep(4), before=Before(kinds=frozenset({"logistic"}))),
        "layer_5",
        4.0,
        2.5,
        "10^4.0 times smaller",
    ),
    "no_gradient": (evidence(ZEROS, before=Before(kinds=frozenset({"tanh"}))), "layer_1", 1 / 3, 0.0, "2 of 6"),
    "no_derivative": (evidence(ZEROS, before=of_zeros("no_derivative")), "layer_1", 1 / 3, 0.0, "Why."),
    "no_path": (evidence(np.full(LAYERS, -np.inf), before=of_zeros("stopped")), "layer_5", 1.0, 0.0, "Why."),
    "zeros_stay": (evidence(ZEROS, before=of_zeros("zeros_stay")), "layer_1", 1 / 3, 0.0, "Why."),
    "frozen": (evidence(ZEROS, before=of_zeros("unused")), "layer_0", 1.0, 1.0, "Why."),
    "zero_initialised": (
        evidence(ZEROS, loss=None, records=1, before=of_zeros("zero_for_first_step")),
        "layer_0",
        1.0,
        1.0,
        "Why.",
    ),
    "loss_is_zero": (evidence(np.full(LAYERS, -np.inf), loss=np.zeros(RECORDS)), None, 0.0, 0.0, "no example counts"),
    "updates_stopped": (
        evidence(
            updates=np.where(np.arange(RECORDS)[:, None] < 4, -2.0, -np.inf) + np.zeros(LAYERS),
            params_log10_rms=np.minimum(np.arange(RECORDS)[:, None], 4) * 0.01 + np.zeros(LAYERS),
        ),
        None,
        40.0,
        191.0,
        "From step 40 on",
    ),
    "weights_decay": (
        evidence(params_log10_rms=drifting(-0.1), updates=-0.5),
        None,
        -1.7,
        -1.0,
        "The weights shrank to 10^-1.7",
    ),
    "loss_without_floor": (
        evidence(loss=-np.linspace(0.5, 40.0, RECORDS)),
        None,
        pytest.approx(71.7, abs=0.5),
        5.0,
        "it has no smallest",
    ),
    "recurrence_grows": (
        evidence(
            nonfinite_fraction=broken_from(0),
            first_broken_step=0,
            before=Before(nonfinite=NonFinite("overflow", "forward", "mul", None, "layer_2", "It grows.", growth=1.7)),
        ),
        "layer_2",
        1.7,
        1.0,
        "It grows.",
    ),
}


@pytest.mark.parametrize("code", FINDINGS)
def test_a_finding_names_its_layer_and_numbers(code):
    made, layer, value, threshold, words = FINDINGS[code]
    finding, *_ = [f for rule in vg.RULES.values() for f in rule.find(made) if f.code == code]
    expected = pytest.approx(value) if isinstance(value, float) else value
    assert (finding.layer, finding.value, finding.threshold) == (layer, expected, threshold)
    assert words in finding.sentence
    assert len(finding.advice) > 40
    assert finding.is_note == (code in NOTES)
    assert set(finding.causes) <= set(CAUSES)


CONCERNS = (
    "gradient_cut",
    "softmax_of_one",
    "activation_twice",
    "softmax_over_rows",
    "targets_broadcast",
    "constant_is_best",
    "log_of_unbounded",
    "targets_outside_range",
    "targets_not_probabilities",
    "labels_constant",
    "rows_do_not_sum_to_one",
    "binary_loss_on_one_hot",
    "constant_term_outweighs",
    "sigmoid_for_categorical",
    "squared_error_on_classes",
    "kernel_constant",
    "inputs_large",
    "inputs_uneven",
    "targets_large",
)


def findings_of_concern(code, certain, **changes):
    before = Before(concerns=(Concern(code, "It is so.", 7.0, 5.0, "layer_3", certain),))
    made = evidence(before=before, **changes)
    return [f for rule in vg.RULES.values() for f in rule.find(made) if f.code == code]


@pytest.mark.parametrize("code", CONCERNS)
def test_a_certain_concern_is_a_finding_before_and_after_a_failed_training(code):
    for changes in ({"loss": None, "records": 1}, {"loss": STUCK}):
        (finding,) = findings_of_concern(code, True, **changes)
        assert finding[2:6] == ("layer_3", 7.0, 5.0, "It is so.")
        assert finding.causes
    solved = {"loss": course(early=0.3, late=0.01), "chance": 1.0}
    assert len(findings_of_concern(code, True, **solved)) == (code == "constant_is_best")


def test_a_penalty_may_be_all_that_a_solved_loss_has_lost():
    solved = course(early=0.3, late=0.01)
    assert findings_of_concern("constant_term_outweighs", True, loss=solved)
    assert not findings_of_concern("targets_outside_range", True, loss=solved)


@pytest.mark.parametrize("code", CONCERNS)
def test_an_uncertain_concern_is_a_finding_once_training_has_failed(code):
    assert not findings_of_concern(code, False, loss=None, records=1)
    assert not findings_of_concern(code, False, loss=course(early=0.3, late=0.01))
    assert len(findings_of_concern(code, False, loss=STUCK)) == (code not in ("kernel_constant", "gradient_cut"))


def test_every_code_has_an_example_here():
    codes = {code for row in TABLE.values() for code in row.advice}
    assert {*FINDINGS, *CONCERNS} == {*codes, *NOTES}


def test_causes_are_words_of_the_vocabulary():
    assert {cause for row in TABLE.values() for remedy in row.advice.values() for cause in remedy.causes} <= set(CAUSES)


def test_advice_speaks_of_the_models_own_activations():
    def advice(kind):
        made = evidence(steep(4), before=Before(kinds=frozenset({kind})))
        return next(f.advice for f in vg.RULES["vanishing"].find(made))

    assert "he_normal" in advice("relu")
    assert "lecun_normal" not in advice("relu")
    assert "lecun_normal" in advice("tanh")
    assert "ReLU" not in advice("tanh")
    assert "logistic" in advice("logistic")


@pytest.mark.parametrize("unknown", [None, np.full(LAYERS, np.nan)])
def test_a_first_update_beyond_the_weights_tells_nothing_of_preactivations_that_are_unknown(unknown):
    (finding,) = vg.RULES["exploding"].find(evidence(updates=3.0, product_log10_rms=unknown))
    assert (finding.status, finding.code) == ("exploding", "first_update_replaces_weights")
    assert finding.value > finding.threshold
    assert "grow" not in finding.sentence


def test_without_a_loss_nothing_is_learned_or_harmed():
    alone = evidence(loss=None)
    assert (alone.remaining, alone.late_fall, alone.sensitivity) == (None, None, None)
    assert not any(symptom(alone) for symptom in (has_learned, stalled, rose, lost, overgrown, faded))


# What the rules read from the evidence.


def test_the_drop_is_between_medians_of_thirds():
    def drop(*profile):
        return drop_of(np.array(profile))

    # Six layers before the output: two at either end, of which the lower one counts.
    assert drop(-8.0, -9.0, -5.0, -4.0, -3.0, -2.5, 7.0) == 6.0
    assert drop(-8.0, -9.0, -5.0, -4.0, -3.5, -3.0, 7.0) == 5.5
    assert drop(-6.0, -4.0, -1.0) == 2.0
    assert drop(-6.0, -1.0) == 0.0  # One layer and the output show no attenuation.
    assert drop(-6.0, -4.0, -1.0, 9.0) == 5.0
    assert drop(-np.inf, -4.0, -1.0) == np.inf
    assert drop(-4.0, -4.0, -np.inf, 0.0) == 0.0
    assert drop(np.nan, -4.0, -1.0) == 0.0


def test_the_window_is_the_latest_quarter_and_a_record_at_the_least():
    assert [evidence(records=n).late.start for n in (1, 3, 4, 8, 20)] == [0, 2, 3, 6, 15]
    assert evidence(shrinks=1.0).late_profile.tolist() == [-3.0] * LAYERS
    assert evidence(shrinks=1.0).shrinkage.tolist() == [1.0] * LAYERS


def test_the_first_record_that_is_not_finite():
    assert evidence().first_broken is None
    assert evidence(nonfinite_fraction=with_number(7, 3, 0.1)).first_broken == 7
    assert evidence(loss=np.where(np.arange(RECORDS) == 5, np.nan, 0.7)).first_broken == 5
    assert evidence(loss=np.full(RECORDS, np.nan)).first_broken is None  # The loss was not recorded.


def test_growth_is_from_the_first_product_to_the_largest():
    assert evidence(product_log10_rms=np.array([np.nan, -1.0, 0.5, 3.0, 2.0, -4.0])).growth == 4.0
    assert evidence(product_log10_rms=np.full(LAYERS, np.nan)).growth is None
    assert evidence().growth is None


def test_sensitivity_is_of_euclidean_norms():
    made = evidence(-3.0, weights=-1.0, loss=np.full(RECORDS, 0.01), counts=np.full(LAYERS, 1000.0))
    np.testing.assert_allclose(made.sensitivity, -3 - 1 + 3 + 2)


def test_the_largest_number():
    assert largest(np.array([-3.0, np.inf, -1.0, np.nan])) == -1.0
    assert math.isnan(largest(np.array([np.nan, np.inf])))
    assert largest(np.array([-np.inf])) == -np.inf


def test_zeros_after_a_steady_decay_are_no_dead_units():
    assert faded(evidence([-np.inf, -25.1, -20.0, -10.0, -5.0, -2.0]))
    assert not faded(evidence([-np.inf, -24.9, -20.0, -10.0, -5.0, -2.0]))
    assert not faded(evidence([-np.inf, -26.0, -25.0, -24.0, -20.0, -16.1]))
    assert faded(evidence([-np.inf, -26.0, -25.0, -24.0, -20.0, -15.9]))
    assert not faded(evidence([-np.inf, -np.inf, -np.inf, -np.inf, -26.0, -2.0]))


def of_two_layers(made):
    """Keep two layers of made-up evidence."""
    kept = {
        name: value[..., :2]
        for name, value in vars(made).items()
        if isinstance(value, np.ndarray) and value.shape[-1] == LAYERS
    }
    return dataclasses.replace(made, paths=made.paths[:2], **kept)


def test_weights_without_an_effect_are_no_matter_of_the_learning_rate():
    """A loss of single precision cannot show a change of 10^-6 of itself."""
    for units in (1.0, 1e5):  # A loss in other units changes nothing.
        sizes = -14.0 + math.log10(units)
        without = of_two_layers(evidence(profile=sizes, updates=-14.0, loss=STUCK * units))
        assert largest(without.sensitivity[0]) < WITHOUT_EFFECT
        assert [finding.code for finding in vanishing(without)] == ["loss_insensitive"]
        assert not learning_rate_small(without)
    felt = of_two_layers(evidence(profile=-4.0, updates=-14.0))
    assert not vanishing(felt)
    assert [finding.code for finding in learning_rate_small(felt)] == ["updates_small"]
