"""How much faster are more workers, devices and machines, and how efficient are they relative to a single worker?

Each number of devices and each cluster has a process of its own, because JAX fixes its devices once for each process.
The first sweep in a process compiles; the median of the later sweeps counts.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import vgrad_jax as vg
from benchmarks.floor import cores
from benchmarks.measure import side_by_side

ROOT = Path(__file__).parents[1]

IN_A_PROCESS = """
import json, sys, time
import jax
case, rounds, devices, engine = json.loads(sys.argv[1])
if devices:
    jax.config.update("jax_num_cpu_devices", devices)
from benchmarks.cases import Case
import vgrad_jax as vg

arms = {"case": Case(**{**case, "engines": ()}).experiment(every=1)}
sweep = lambda seed: vg.sweep(arms, case["seeds"], seed=seed, engine=engine, workers=1, progress=False)
seconds = []
for seed in range(rounds + 1):
    start = time.perf_counter()
    sweep(seed)
    seconds.append(time.perf_counter() - start)
print(json.dumps(sorted(seconds[1:])[rounds // 2]))
"""

ON_A_CLUSTER = """
import json, sys, tempfile, time
from pathlib import Path
from distributed import LocalCluster
from benchmarks.cases import Case
import vgrad_jax as vg

if __name__ == "__main__":
    case, rounds, workers, engine = json.loads(sys.argv[1])
    arms = {"case": Case(**{**case, "engines": ()}).experiment(every=1)}
    seconds = []
    with LocalCluster(
        n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as cluster, tempfile.TemporaryDirectory() as folder:
        for seed in range(rounds + 1):
            start = time.perf_counter()
            vg.sweep(
                arms, case["seeds"], seed=seed, engine=engine, scheduler=cluster.scheduler_address,
                store=Path(folder, f"{seed}.zarr"), progress=False,
            )
            seconds.append(time.perf_counter() - start)
    print(json.dumps(sorted(seconds[1:])[rounds // 2]))
"""


def counts():
    """Return the numbers of workers to try: one, two, and all cores."""
    return sorted({1, 2, cores()})


def processes(size):
    """Return the numbers of devices or workers to start processes for.

    The tests start as few as they can, since each imports JAX: tests/sweeps trains on several devices and workers.
    """
    return [1] if size == "smallest" else counts()


def seconds_in_a_process(script, case, count, engine, tmp_path):
    fields = {"name": case.name, "seeds": case.seeds, "width": case.width, "depth": case.depth, "epochs": case.epochs}
    path = tmp_path / "script.py"
    path.write_text(script)
    arguments = json.dumps([fields, case.rounds, count, engine])
    done = subprocess.run(
        [sys.executable, str(path), arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def keep(benchmark, case, kind, engine, seconds):
    single = seconds[1]
    benchmark.extra_info.update(
        case=case.name,
        kind=kind,
        engine=engine,
        seeds=case.seeds,
        epochs=case.epochs,
        seeds_per_second={str(count): case.seeds / value for count, value in seconds.items()},
        efficiency={str(count): single / value / count for count, value in seconds.items()},
    )


@pytest.mark.parametrize("engine", ["plain", "lanes"])
def test_workers(benchmark, case, engine):
    if engine not in case.engines:
        pytest.skip("this size leaves the engine out")
    arms = {"case": case.experiment(every=1)}

    def sweep(workers):
        return lambda number: vg.sweep(
            arms, case.seeds, seed=number + 1, engine=engine, workers=workers, progress=False
        ).sizes["seed"]

    measured = side_by_side(benchmark, {str(count): sweep(count) for count in counts()}, case.rounds)
    keep(benchmark, case, "threads", engine, {count: measured.median(str(count)) for count in counts()})


def test_devices(benchmark, case, size, tmp_path):
    if jax.default_backend() != "cpu":
        pytest.skip("virtual devices are cores of a processor")
    if size == "smallest":
        pytest.skip("starts processes, as the tests of devices do")
    seconds = benchmark.pedantic(
        lambda: {count: seconds_in_a_process(IN_A_PROCESS, case, count, "plain", tmp_path) for count in processes(size)}
    )
    keep(benchmark, case, "virtual CPU devices", "plain", seconds)


def test_cluster(benchmark, case, size, tmp_path):
    pytest.importorskip("distributed")
    if size == "smallest":
        pytest.skip("starts a scheduler and workers, as the tests of clusters do")
    engine = case.engines[-1]
    seconds = benchmark.pedantic(
        lambda: {count: seconds_in_a_process(ON_A_CLUSTER, case, count, engine, tmp_path) for count in processes(size)}
    )
    keep(benchmark, case, "Dask workers", engine, seconds)
