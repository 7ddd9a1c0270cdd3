"""The verdicts on models whose truth is known; docs/verdicts.md tells how they are made."""

import re

import pytest
from labelled import all_cases
from verdict_table import DOCUMENT, absolute, accuracy, labelled_set, ratio, scores, verdict

from tests.once import made_once

LEAST = 0.95


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    return made_once(tmp_path_factory, "labelled", lambda folder: labelled_set(held=True))


def test_every_status_is_told_in_three_families():
    """The slow tests below take all ten."""
    part = labelled_set(held=True, families=("deep relu", "deep tanh", "half precision"))
    by_status = scores(part, verdict)
    assert set(by_status) == {case.truth for case in all_cases(held=True)}
    assert part.left_out < 10
    assert accuracy(by_status) >= LEAST


@pytest.mark.slow
def test_the_set_is_large_and_its_halves_are_apart(labelled):
    tuned, held = all_cases(held=False), all_cases(held=True)
    assert len(tuned) + len(held) >= 120
    assert not {case.knobs for case in tuned} & {case.knobs for case in held}
    assert labelled.left_out < len(held) / 10


@pytest.mark.slow
def test_precision_and_recall_of_every_status(ours):
    by_status = ours
    assert set(by_status) == {case.truth for case in all_cases(held=True)}
    wrong = {
        truth: score for truth, score in by_status.items() if not (score.precision >= LEAST and score.recall >= LEAST)
    }
    assert not wrong


@pytest.mark.slow
def test_well_above_the_rules_that_people_use(labelled, ours):
    right = accuracy(ours)
    assert right > accuracy(scores(labelled, absolute)) + 0.3
    assert right > accuracy(scores(labelled, ratio)) + 0.3


@pytest.mark.slow
def test_the_document_has_this_table(ours):
    rows = re.findall(r"^\| (\w+) \| (\d+) \| ([\d.]+) / ([\d.]+) \|", DOCUMENT.read_text(), re.MULTILINE)
    by_status = ours
    assert [row[0] for row in rows] == list(by_status)
    for truth, n, precision, recall in rows:
        # Another processor may round one model to the other side.
        assert abs(int(n) - by_status[truth].n) <= 1
        assert (float(precision), float(recall)) == pytest.approx(by_status[truth][1:], abs=1.5 / int(n))
