import jax
import pytest
from cases import FAULTY, HEALTHY

from vgrad_jax.inspection import inspect_loss


@pytest.fixture(autouse=True)
def strict(monkeypatch):
    """No part of an inspection may fail."""
    monkeypatch.setattr("vgrad_jax.inspection.inspection._tried", lambda part, otherwise: part())


@pytest.mark.parametrize("case", HEALTHY, ids=lambda case: case.name)
def test_a_healthy_loss_raises_no_certain_concern(case):
    concerns = inspect_loss(case.loss, case.params, case.batch).concerns
    assert [concern.code for concern in concerns if concern.certain] == []


@pytest.mark.parametrize("case", FAULTY, ids=lambda case: case.name)
def test_a_faulty_loss_raises_its_concern(case):
    concerns = inspect_loss(case.loss, case.params, case.batch).concerns
    assert {concern.code for concern in concerns if concern.certain} == case.certain
    assert {concern.code for concern in concerns if not concern.certain} >= case.advice


@pytest.mark.parametrize("case", [case for case in FAULTY if case.certain][:4], ids=lambda case: case.name)
def test_an_example_mapped_and_compiled_gives_the_same(case):
    def loss(params, batch):
        return jax.jit(jax.checkpoint(case.loss))(params, batch)

    codes = [concern.code for concern in inspect_loss(case.loss, case.params, case.batch).concerns]
    assert [concern.code for concern in inspect_loss(loss, case.params, case.batch).concerns] == codes
