"""How fast do other tools train the same network, from the same weights, for the same number of epochs?

The outcome asserts the same work. The share of runs that reach the threshold, and their mean accuracy, must agree with
the sweep's within their intervals.
"""

import jax
import numpy as np
import pytest

import vgrad_jax as vg
from benchmarks import peers, work
from benchmarks.measure import side_by_side


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Warnings of the other tools.
def test_peers(benchmark, case, size):
    experiment = case.experiment(parameters_at=(case.epochs,))
    threshold = experiment.training.threshold
    available = peers.available()
    missing = sorted(set(peers.PEERS) - set(available))

    # A sweep of fewer seeds would leave cores idle. The other tools train seed after seed, except `torch.func.vmap`.
    ours_seeds = case.seeds if size == "smallest" else max(case.seeds, 256)

    def sweep(engine):
        results = lambda seed: vg.sweep({"case": experiment}, ours_seeds, seed=seed, engine=engine, progress=False)  # noqa: E731
        return lambda number: results(number + 1).train_accuracy.values[0, :, -1]

    tasks = {number: peers.make_task(experiment, case.seeds, number + 1) for number in range(-1, case.rounds)}

    def peer(train):
        return lambda number: train(tasks[number])

    calls = {f"vgrad_jax, {engine}": sweep(engine) for engine in case.engines}
    calls.update((name, peer(available[name])) for name in available)
    seeds = {name: case.seeds if name in available else ours_seeds for name in calls}
    with jax.numpy_rank_promotion("allow"):  # Code of the other tools.
        measured = side_by_side(benchmark, calls, case.rounds)
    accuracies = {
        name: np.concatenate(
            [work.accuracies(result, experiment) if name in available else result for result in measured.results[name]]
        )
        for name in calls
    }
    ours = accuracies[f"vgrad_jax, {case.engines[0]}"]
    fastest = f"vgrad_jax, {case.engines[-1]}"
    benchmark.extra_info.update(case=case.name, seeds=case.seeds, epochs=case.epochs, missing=missing)
    benchmark.extra_info["peers"] = {
        name: {
            "run_milliseconds": measured.median(name) / seeds[name] * 1e3,
            "times_ours": measured.ratio(name, fastest) * ours_seeds / seeds[name],
            "first_call_seconds": measured.first[name],
            **work.assert_same_work(ours, accuracies[name], threshold),
        }
        for name in calls
    }
