"""Damaged stores are refused in a sentence, or give what they gave before."""

import pytest

from tests.results.fuzzing import fuzz


def test_a_few_damaged_stores(tmp_path):
    faults, harms = fuzz(range(40), tmp_path)
    assert faults == []
    assert len(harms) > 15


@pytest.mark.slow
def test_many_damaged_stores(tmp_path):
    assert fuzz(range(1000, 11_000), tmp_path)[0] == []
