import pytest

from vgrad_jax import compiling


def test_without_the_options_the_program_is_compiled_as_usual(monkeypatch):
    monkeypatch.setattr(compiling, "OPTIONS", {"xla_cpu_no_such_option": True})
    assert int(compiling.compiled_quickly(lambda x: x + 1)(1)) == 2


def test_other_errors_are_not_hidden():
    def broken(x):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        compiling.compiled_quickly(broken)(1)
