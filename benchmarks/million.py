"""How long do a million complete trainings of the article's network take on a GPU?

    python -m benchmarks.million [--seeds 1000000] [--chunks 4096 32768] [--out DIR]

Compiles, compares with `plain` on the same device, times calls of each size, trains all seeds, and writes the result as
JSON with the machine and the versions. A call's time ends when its results are on the device, and again when they are
on the host.
"""

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax
import numpy as np

import vgrad_jax as vg
from benchmarks import machine
from vgrad_jax.keys import run_keys
from vgrad_jax.sweeps import engine
from vgrad_jax.sweeps.experiment_arm import ExperimentArm
from vgrad_jax.sweeps.policy import execution_of, local_platform

ARM = "tanh_uniform"
COMPARED = 256
"""Seeds that are compared with `plain`."""

CALLS = 3
"""Calls of each size that are timed."""


def main() -> None:
    """Measure, print a line for each size, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1_000_000, help="complete trainings in all")
    parser.add_argument(
        "--chunks", type=int, nargs="+", default=[4096, 32768], help="seeds of a call; the last for all"
    )
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    arm = ExperimentArm(experiment(given.epochs))
    measured: dict[str, Any] = {"comparison": compared(arm)}
    print(json.dumps(measured["comparison"]), flush=True)
    for chunk in given.chunks:
        measured[f"calls of {chunk}"] = calls(arm, chunk, given.seeds)
        print(chunk, json.dumps(measured[f"calls of {chunk}"]), flush=True)
    measured["all"] = all_seeds(arm, given.chunks[-1], given.seeds)
    print(json.dumps(measured["all"]), flush=True)
    now = datetime.now(UTC)
    document = {"machine_info": machine.describe(), "datetime": now.isoformat(), "arm": ARM, "epochs": given.epochs}
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / f"{machine.label()}-{now:%Y-%m-%d-%H%M%S}-million.json"
    path.write_text(json.dumps(document | measured, indent=2) + "\n")
    print(path)


def experiment(epochs: int) -> vg.Experiment:
    """Return the article's failing network, with all its records."""
    description = vg.presets.article()[ARM].to_dict()
    description["training"]["epochs"] = epochs
    description["recording"]["parameters_at"] = [e for e in description["recording"]["parameters_at"] if e <= epochs]
    return vg.Experiment.from_dict(description)


def train(arm: ExperimentArm, name: str, first: int, seeds: int) -> Any:
    """Train seeds by an engine. The results are on the device."""
    keys = run_keys(0, np.arange(first, first + seeds))
    return engine.ENGINES[name](arm, keys, execution_of(name, seeds, local_platform()))


def compared(arm: ExperimentArm) -> dict[str, Any]:
    """Return how far `lanes` is from `plain` for the same seeds: the numbers drift apart with the epochs."""
    losses = {}
    for name in ("plain", "lanes"):
        losses[name] = np.asarray(train(arm, name, 0, COMPARED).records.train_loss)
    difference = np.abs(losses["plain"] - losses["lanes"])
    return {
        "seeds": COMPARED,
        "largest_difference_at_epoch_0": float(difference[:, 0].max()),
        "largest_difference_at_epoch_1": float(difference[:, 1].max()),
        "median_difference_at_the_end": float(np.median(difference[:, -1])),
        "median_loss": {name: float(np.median(loss[:, -1])) for name, loss in losses.items()},
    }


def calls(arm: ExperimentArm, seeds: int, all_of_them: int) -> dict[str, float]:
    """Return the seconds of calls, and of as many as train all seeds."""
    start = time.perf_counter()
    jax.block_until_ready(train(arm, "lanes", 0, seeds))
    first = time.perf_counter() - start
    on_device, on_host = [], []
    for number in range(1, CALLS + 1):
        start = time.perf_counter()
        history = jax.block_until_ready(train(arm, "lanes", number * seeds, seeds))
        on_device.append(time.perf_counter() - start)
        jax.device_get(history)
        on_host.append(time.perf_counter() - start)
    seconds = float(np.median(on_device))
    return {
        "first_call_seconds": first,
        "seconds": seconds,
        "seconds_with_results_on_the_host": float(np.median(on_host)),
        "seconds_for_all": seconds * all_of_them / seeds,
    }


def all_seeds(arm: ExperimentArm, chunk: int, seeds: int) -> dict[str, float]:
    """Train all seeds, call by call, and keep the last loss of each."""
    losses, start = [], time.perf_counter()
    for first in range(0, seeds, chunk):
        losses.append(train(arm, "lanes", first, chunk).records.train_loss[:, -1])
    last = np.concatenate(jax.device_get(losses))[:seeds]
    return {
        "seeds": len(last),
        "seconds": time.perf_counter() - start,
        "median_loss": float(np.median(last)),
        "finite": float(np.isfinite(last).mean()),
    }


if __name__ == "__main__":
    main()
