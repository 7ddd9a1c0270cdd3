import jax
import pytest


@pytest.fixture(scope="module")
def quickly_compiled():
    """Programs that are compiled without optimisation, for tests that compile far longer than they compute."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
