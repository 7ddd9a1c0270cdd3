"""A training that diverges is told by its cause, with the number that belongs to the cause."""

import numpy as np
import pytest
from made_evidence import LAYERS, RECORDS, course, evidence

import vgrad_jax as vg

KILLED = np.where(np.arange(LAYERS) == 1, np.inf, 0)
NOT_FINITE = np.where(np.arange(RECORDS)[:, None] >= 9, 0.25, 0.0) * (np.arange(LAYERS) == 3)
AFTER_LARGE_STEPS = "but at step 90 numbers stop being finite, and nothing before it points to the steps."
HARMS = {
    "gradient not finite after large steps, loss not recorded": (
        evidence(nonfinite_fraction=NOT_FINITE, loss=None, updates=0.0),
        (None, 90.0, 0.0),
        AFTER_LARGE_STEPS,
    ),
    "gradient not finite after large steps": (
        evidence(nonfinite_fraction=NOT_FINITE, loss=course(late=0.5), updates=0.0),
        (None, 90.0, 0.0),
        AFTER_LARGE_STEPS,
    ),
    "loss not finite after a rise": (
        evidence(loss=course(early=4.0, late=np.nan)),
        (None, 150.0, 0.0),
        "but at step 150 numbers stop being finite",
    ),
    "a layer breaks first": (
        evidence(
            nonfinite_fraction=NOT_FINITE,
            first_broken_step=87,
            first_broken_layers=np.arange(LAYERS) == 3,
            first_broken_loss=False,
            loss_before_break=0.7,
            update_before_break=0.3,
        ),
        ("layer_3", 87.0, 0.0),
        "the loss was 0.7 before, and 0.7 at first and updates were 10^0.3 of the weights.",
    ),
    "loss larger": (
        evidence(shrinks=KILLED, updates=0.0, loss=course(late=2.0)),
        (None, 2.0, 1.5),
        "but later the loss is 2 times what it was at first.",
    ),
    "layers killed": (
        evidence(shrinks=KILLED, updates=0.0),
        ("layer_1", 1 / 6, 0.0),
        "but later 1 of 6 layers have no gradient any more, this layer nearest to the output.",
    ),
    "layers killed, loss not recorded": (
        evidence(shrinks=KILLED, updates=0.0, loss=None),
        ("layer_1", 1 / 6, 0.0),
        "but later 1 of 6 layers have no gradient any more, this layer nearest to the output.",
    ),
    "layers killed, loss missing in every record": (
        evidence(shrinks=KILLED, updates=0.0, loss=np.full(RECORDS, np.nan)),
        ("layer_1", 1 / 6, 0.0),
        "but later 1 of 6 layers have no gradient any more, this layer nearest to the output.",
    ),
}


@pytest.mark.parametrize("cause", HARMS)
def test_a_training_that_diverges_is_told_by_its_cause(cause):
    made, numbers, words = HARMS[cause]
    (finding,) = vg.RULES["learning_rate_large"].find(made)
    assert (finding.layer, finding.value, finding.threshold) == (numbers[0], pytest.approx(numbers[1]), numbers[2])
    assert finding.value > finding.threshold
    assert words in finding.sentence


def test_a_training_that_diverges_tells_the_first_update_where_it_is_known():
    def sentence(**changes):
        return vg.RULES["learning_rate_large"].find(evidence(loss=course(late=4.0), **changes))[0].sentence

    assert "The first update is 10^-1.5" in sentence(updates=-1.5)
    assert "first update" not in sentence(update_ratio_log10=None)
