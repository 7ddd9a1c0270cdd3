import pytest

from vgrad_jax.prescription import prescribing
from vgrad_jax.prescription.cabinet import CABINET
from vgrad_jax.prescription.candidates import single_changes


@pytest.fixture
def few(monkeypatch):
    """Make a cabinet of few remedies, whose networks share a program."""

    def choose(*names):
        chosen = tuple(remedy for remedy in CABINET if remedy.name in names)
        assert len(chosen) == len(names)
        monkeypatch.setattr(
            prescribing, "single_changes", lambda *arguments: single_changes(*arguments, cabinet=chosen)
        )

    return choose
