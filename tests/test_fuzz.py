"""Little of what `python -m tests.fuzzing` does: inputs that Hypothesis draws are used or refused, and nothing else."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vgrad_jax as vg
from tests.fuzzing import running
from tests.fuzzing.running import KINDS, outcome, prepared
from tests.fuzzing.values import WrongError


@pytest.fixture(scope="module", autouse=True)
def nothing_trains():
    with prepared():
        yield


@pytest.mark.parametrize("kind", KINDS)
def test_an_input_is_used_or_refused_in_a_sentence(kind):
    seen = set()

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.randoms(use_true_random=False))
    def check(random):
        said = outcome(kind, random)
        assert said in ("used", "refused")
        seen.add(said)

    check()
    assert seen == {"used", "refused"}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ZeroDivisionError("here"), "records: ZeroDivisionError"),
        (WrongError("a number"), "a number"),
        (vg.InputError("x" * 30_000), "a sentence of 30000 characters"),
    ],
)
def test_a_fault_is_seen(monkeypatch, error, said):
    def fail(random, folder):
        raise error

    monkeypatch.setitem(KINDS, "records", fail)
    assert said in outcome("records", None)


def test_a_hang_is_seen(monkeypatch):
    def hang(random, folder):
        while True:
            pass

    monkeypatch.setattr(running, "SECONDS", 0.05)
    monkeypatch.setitem(KINDS, "records", hang)
    assert "seconds of the processor" in outcome("records", None)
