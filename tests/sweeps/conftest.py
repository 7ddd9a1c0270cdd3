"""Fixtures that the tests of sweeps share."""

import os

import jax
import pytest

import vgrad_jax as vg


@pytest.fixture(scope="session")
def tiny():
    """Describe a tiny training: two hidden units, and two steps an epoch."""
    return vg.Experiment(
        mlp=vg.MLP(hidden=(2,), activation="tanh"),
        data=vg.Data("moons", samples=16),
        optimizer=vg.Optimizer("sgd", learning_rate=0.1),
        training=vg.Training(epochs=2, batch_size=4),
    )


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """Return an environment in which processes share compiled programs on disk with this process."""
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
def reference(tiny, environment):
    """Train two tiny arms over 48 seeds, in chunks of two: every other sweep of these arms must give these results."""
    return vg.sweep({"a": tiny, "b": tiny}, 48, chunk=2, engine="plain", progress=False)
