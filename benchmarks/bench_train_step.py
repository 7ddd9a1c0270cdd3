"""How long does a training step take, and how much does recording add?

Compilation is timed apart. "every epoch" records losses, accuracies and each layer's gradient on all rows after every
epoch. In the case with one batch of all rows an epoch is one step, so that a record follows every step.
"""

import math

import numpy as np
import pytest

import vgrad_jax as vg
from benchmarks.measure import side_by_side


@pytest.mark.parametrize("engine", ["plain", "lanes"])
def test_train_step(benchmark, case, engine):
    if engine not in case.engines:
        pytest.skip("this size leaves the engine out")
    recordings = {"off": case.epochs, "every epoch": 1}

    def sweep(every):
        arms = {"case": case.experiment(every=every)}
        return lambda number: vg.sweep(
            arms, case.seeds, seed=number + 1, engine=engine, workers=1, progress=False
        ).train_loss.values[:, :, -1]

    measured = side_by_side(benchmark, {name: sweep(every) for name, every in recordings.items()}, case.rounds)
    np.testing.assert_allclose(
        measured.results["off"][-1],
        measured.results["every epoch"][-1],
        rtol=1e-2,
        err_msg="recording changed the training",
    )
    rows = len(vg.load_data(case.experiment().data).train_x)
    steps = case.epochs * math.ceil(rows / case.batch_size) * case.seeds
    benchmark.extra_info.update(
        case=case.name,
        engine=engine,
        seeds=case.seeds,
        epochs=case.epochs,
        compile_seconds=measured.compile_seconds("every epoch"),
        step_microseconds={name: measured.median(name) / steps * 1e6 for name in recordings},
        recording_share=1 - 1 / measured.ratio("every epoch", "off"),
    )
