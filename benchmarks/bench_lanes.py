"""How fast are small programs by `vg.lanes`, against `jit(vmap(f))`, `lax.map` and a process on each core?

Each workload of `workloads.py` is written as its users write it. Outcomes assert that all do the same work. The first
call compiles and is timed apart. `lax.map` runs an example after the other; it has an eighth of the examples, and its
time is scaled. So have the processes, each of which runs `lax.map` with one thread.
"""

from contextlib import nullcontext

import jax
import jax.numpy as jnp
import pytest
from jax import lax

import vgrad_jax as vg
from benchmarks.measure import side_by_side
from benchmarks.processes import processes
from benchmarks.workloads import WORKLOADS

ROUNDS = {"smallest": 1, "short": 5, "full": 11}
EXAMPLES_OF_TESTS = 16
IN_TESTS = ("Lorenz, Runge-Kutta", "bandit", "Levenberg-Marquardt")
"""Workloads that the tests run; the others compile for long."""
SHARE_OF_MAP = 8
"""Examples over those of `lax.map`."""


@pytest.mark.parametrize("workload", WORKLOADS)
def test_lanes(benchmark, workload, size):
    if size == "smallest" and workload not in IN_TESTS:
        pytest.skip("compiles for long")
    make, full, tiny = WORKLOADS[workload]
    work = make(tiny if size == "smallest" else full)
    examples = EXAMPLES_OF_TESTS if size == "smallest" else work.examples
    arguments = work.arguments(examples)
    few = jax.tree.map(lambda leaf: leaf[: max(examples // SHARE_OF_MAP, 1)], arguments)
    programs = {
        "lanes": (jax.jit(vg.lanes(work.function)), arguments),
        "vmap": (jax.jit(jax.vmap(work.function)), arguments),
        "lax.map": (jax.jit(lambda *some: lax.map(lambda one: work.function(*one), some)), few),
    }
    if size == "smallest":
        del programs["lax.map"]
    calls = {name: lambda number, f=f, given=given: f(*given) for name, (f, given) in programs.items()}
    with nullcontext() if size == "smallest" else processes(workload, full, max(examples // SHARE_OF_MAP, 1)) as cores:
        if cores is not None:
            calls["processes"] = lambda _: cores.run()
        measured = side_by_side(benchmark, calls, ROUNDS[size])
    outcomes = {name: work.outcome(measured.results[name][0]) for name in programs}
    assert jnp.all(jnp.abs(outcomes["lanes"] - outcomes["vmap"]) <= (1.0 if size == "smallest" else work.tolerance))
    report = vg.lanes_report(work.function, *arguments)
    benchmark.extra_info |= {
        "workload": workload,
        "examples": examples,
        "share_native": report.share_native,
        "milliseconds": {name: 1e3 * measured.median(name) for name in calls},
        "compile_seconds": {name: measured.compile_seconds(name) for name in calls},
        "times_vmap": 1 / measured.ratio("lanes", "vmap"),
        "times_map": SHARE_OF_MAP / measured.ratio("lanes", "lax.map") if "lax.map" in calls else None,
        "times_processes": SHARE_OF_MAP / measured.ratio("lanes", "processes") if "processes" in calls else None,
        "outcome": [float(number) for number in jnp.ravel(outcomes["lanes"])],
    }
