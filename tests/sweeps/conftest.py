"""What the tests with processes of their own share."""

import os

import jax
import pytest

import vgrad_jax as vg


@pytest.fixture(scope="session")
def tiny():
    """The smallest training there is: two steps an epoch."""
    return vg.Experiment(
        mlp=vg.MLP(hidden=(2,), activation="tanh"),
        data=vg.Data("moons", samples=16),
        optimizer=vg.Optimizer("sgd", learning_rate=0.1),
        training=vg.Training(epochs=2, batch_size=4),
    )


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """For processes that need a program which this one, or an earlier one of them, has compiled."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    yield {**os.environ, **{name.upper(): str(value) for name, value in settings.items()}}
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture(scope="session")
def whole(tiny, environment):
    """What every sweep of two tiny arms has to give, however it went: 48 seeds, two of them trained together."""
    return vg.sweep({"a": tiny, "b": tiny}, 48, chunk=2, engine="plain", progress=False)
