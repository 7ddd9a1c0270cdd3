import dataclasses
import gc
import os
import sys
import tempfile

import pytest
import xdist

os.environ["KERAS_BACKEND"] = "jax"
# Tests compile far longer than they compute. Processes that they start round as they do.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
os.environ["XLA_FLAGS"] = " ".join(
    (os.environ.get("XLA_FLAGS", ""), "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1")
)
# Products of small matrices gain nothing by threads, and the threads of two workers wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Commands keep compiled programs there: one folder for all of them, and new in every run of the tests.
os.environ.setdefault("XDG_CACHE_HOME", tempfile.mkdtemp(prefix="vgrad_jax-tests-"))
# Without bytecode every process of the tests would compile the package's source again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_addoption(parser):
    parser.addoption("--write-golden", action="store_true", help="write tests/golden.json anew")


def pytest_sessionstart(session):
    """Import the package, with checks of types, in every process but the one that only hands out the tests."""
    if xdist.is_xdist_controller(session) and session.config.option.numprocesses:  # With `-n 0` it runs them, too.
        return
    import typechecking  # noqa: F401  The import hook takes the decorator that it leaves.
    from jaxtyping import install_import_hook

    with install_import_hook("vgrad_jax", "typechecking.check"):
        import vgrad_jax  # noqa: F401
    import jax
    from hypothesis import settings

    jax.config.update("jax_numpy_rank_promotion", "raise")
    settings.register_profile("reproducible", derandomize=True, deadline=None)
    settings.load_profile("reproducible")


@pytest.fixture(autouse=True, scope="module")
def few_objects_to_collect():
    """Leave what a module's tests have compiled out of later collections, each of which would look at all of it."""
    yield
    gc.freeze()


@pytest.fixture(scope="module")
def quick_reports():
    """Write reports of few seeds, with figures that are not drawn: for tests of what a report says."""
    from tests.quickly import reports

    with reports():
        yield


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk():
    """Leave out `fsync`, which only a power cut needs; the tests of power cuts put it back."""
    from vgrad_jax.results import durable

    with pytest.MonkeyPatch.context() as context:
        context.setattr(durable, "_sync", lambda *arguments: None)
        yield


@pytest.fixture
def small():
    """An experiment that trains in a moment, with a last batch of its own size: 20 = 8 + 8 + 4."""
    import vgrad_jax as vg

    return vg.Experiment(
        mlp=vg.MLP(hidden=(4, 3), activation="tanh"),
        data=vg.Data("moons", samples=40),
        optimizer=vg.Optimizer("sgd", learning_rate=0.1, momentum=0.9),
        training=vg.Training(epochs=6, batch_size=8),
    )


@pytest.fixture
def arms(small):
    """Two arms of different depth."""
    import vgrad_jax as vg

    deeper = dataclasses.replace(small, mlp=vg.MLP(hidden=(4, 3, 2), activation="relu"))
    return {"shallow": small, "deep": deeper}


@pytest.fixture
def x64():
    """Float64 within the test."""
    import jax

    with jax.enable_x64(True):
        yield
