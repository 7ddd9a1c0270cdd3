"""A training that diverges is told by its cause, with the number that belongs to the cause."""

import numpy as np
import pytest
from made_evidence import LAYERS, RECORDS, course, evidence, with_number

import vgrad_jax as vg

KILLED = np.where(np.arange(LAYERS) == 1, np.inf, 0)
NOT_FINITE = with_number(9, 3, 0.25)
HARMS = {
    "gradient not finite, loss not recorded": (
        evidence(nonfinite_fraction=NOT_FINITE, loss=None),
        ("layer_3", 0.25, 0.0),
        "but later 25% of this layer's gradient is infinite or missing.",
    ),
    "gradient not finite while the loss falls": (
        evidence(nonfinite_fraction=NOT_FINITE, loss=course(late=0.5)),
        ("layer_3", 0.25, 0.0),
        "but later 25% of this layer's gradient is infinite or missing.",
    ),
    "gradient not finite before the loss": (
        evidence(nonfinite_fraction=NOT_FINITE, loss=course(late=np.nan)),
        ("layer_3", 0.25, 0.0),
        "but later 25% of this layer's gradient is infinite or missing.",
    ),
    "loss and gradient not finite together": (
        evidence(nonfinite_fraction=with_number(15, 3, 1.0), loss=course(late=np.inf)),
        (None, 0.25, 0.0),
        "but the loss is infinite or missing in 25% of the records.",
    ),
    "loss infinite in every record": (
        evidence(loss=np.full(RECORDS, np.inf)),
        (None, 1.0, 0.0),
        "but the loss is infinite or missing in 100% of the records.",
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
    assert (finding.layer, finding.value, finding.threshold) == numbers
    assert finding.value > finding.threshold
    assert words in finding.sentence


def test_a_training_that_diverges_tells_the_first_update_where_it_is_known():
    def sentence(**changes):
        return vg.RULES["learning_rate_large"].find(evidence(loss=course(late=4.0), **changes))[0].sentence

    assert "The first update is 10^-1.5" in sentence(updates=-1.5)
    assert "first update" not in sentence(update_ratio_log10=None)
