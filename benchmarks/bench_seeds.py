"""How many seeds a second does a sweep train, by number of seeds, width, depth and engine? How near is the peak?"""

import jax
import numpy as np

import vgrad_jax as vg
from benchmarks.measure import side_by_side
from benchmarks.work import achieved


def chunk(case, engine):
    """Return all seeds for lanes on a GPU, where a lane is a thread; None elsewhere: the sweep chooses its chunk."""
    return case.seeds if engine == "lanes" and jax.default_backend() != "cpu" else None


def test_seeds(benchmark, case):
    arms = {"case": case.experiment(every=1)}

    def sweep(engine):
        return lambda number: vg.sweep(
            arms, case.seeds, seed=number + 1, engine=engine, progress=False, chunk=chunk(case, engine)
        ).train_loss.values[0, :, -1]

    measured = side_by_side(benchmark, {engine: sweep(engine) for engine in case.engines}, case.rounds)
    benchmark.extra_info.update(
        case=case.name, seeds=case.seeds, width=case.width, depth=case.depth, epochs=case.epochs
    )
    for engine in case.engines:
        first, later = measured.results[case.engines[0]][-1], measured.results[engine][-1]
        np.testing.assert_allclose(np.median(first), np.median(later), rtol=0.05, err_msg="not the same training")
        seconds = measured.median(engine)
        benchmark.extra_info[engine] = {
            "seeds_per_second": case.seeds / seconds,
            "run_milliseconds": seconds / case.seeds * 1e3,
            "compile_seconds": measured.compile_seconds(engine),
            "times_plain": measured.ratio("plain", engine) if "plain" in case.engines else None,
            **achieved(case, seconds, every=1),
        }
