"""Options of the benchmarks: the size of the grid, and the folder of the results."""

import os
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import pytest

from benchmarks import SIZES

RESULTS = Path(__file__).parent / "results"


def pytest_addoption(parser):
    group = parser.getgroup("benchmarks")
    group.addoption("--size", choices=SIZES, default="smallest", help="size of the grid (%(default)s)")
    group.addoption("--keep", action="store_true", help="time every case, and write the results to benchmarks/results")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Set the options of pytest-benchmark before it reads them."""
    if config.getoption("--keep"):
        from benchmarks import machine

        if config.getoption("numprocesses", None) or "JAX_DISABLE_MOST_OPTIMIZATIONS" in os.environ:
            raise pytest.UsageError(
                "--keep measures time, which parallel workers and the settings of tests distort; run "
                "pytest benchmarks -n 0 --keep, without the tests"
            )
        name = f"{machine.label()}-{datetime.now(UTC):%Y-%m-%d-%H%M%S}-{config.getoption('--size')}.json"
        RESULTS.mkdir(exist_ok=True)
        config.option.benchmark_json = str(RESULTS / name)
        config.option.benchmark_enable = True
        config.option.benchmark_disable = False


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        from benchmarks.cases import cases

        question = metafunc.module.__name__.rpartition("bench_")[2]
        grid = cases(question, metafunc.config.getoption("--size"))
        metafunc.parametrize("case", grid, ids=lambda case: case.name.replace(", ", "-").replace(" ", "-"))


@pytest.fixture
def size(request):
    """Size of the grid, as the command line gives it."""
    return request.config.getoption("--size")


def pytest_benchmark_generate_machine_info(config):
    del config
    from benchmarks import machine

    return machine.describe()


def pytest_benchmark_update_json(config, benchmarks, output_json):
    """Keep the entries that the tables read, and the commit for later checks."""
    del benchmarks
    output_json["size"] = config.getoption("--size")
    output_json["commit_info"] = {key: output_json["commit_info"].get(key) for key in ("id", "time", "dirty")}
    kept = ("name", "params", "extra_info")
    output_json["benchmarks"] = [{key: entry[key] for key in kept} for entry in output_json["benchmarks"]]
    for entry in output_json["benchmarks"]:
        entry["params"] = {key: str(value) for key, value in (entry["params"] or {}).items()}
