"""The trainings of other kinds: labels that exist, and a pair that is trained and judged as `score.py` does it."""

import sys
from pathlib import Path

import jax
import pytest

import vgrad_jax as vg
from vgrad_jax.diagnosis import STATUSES

sys.path.append(str(Path(__file__).parent / "unseen"))

import common
import score
import tables


@pytest.fixture(autouse=True, scope="module")
def written_as_people_do():
    """Add biases without a leading axis, which the other tests refuse."""
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.slow
def test_labels_are_statuses_and_names_are_unique():
    cases = score.all_cases()
    assert len(cases) == len({case.name for case in cases}) == 351
    for case in cases:
        assert case.truth <= set(STATUSES)
        assert bool(case.truth & set(score.SOUND)) == (case.twin is None)
        assert not (case.truth & set(score.SOUND) and case.truth - set(score.SOUND))


@pytest.mark.parametrize("name", ["wine_weight_norm", "wine_ascent"])
def test_a_training_ends_as_its_label_says_and_is_judged_so(name):
    case = next(case for case in tables.cases() if case.name == name)
    record, params = common.train(case, 2)
    assert not score.against(case, common.scores(case, params))
    assert vg.diagnose(record, check=common.check(case, 2)).status in case.truth
