"""Time functions side by side: A, B, A, B, ... in one process."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, NamedTuple

import jax


class Contestants(NamedTuple):
    """Measurements of functions that ran side by side."""

    first: dict[str, float]
    """Seconds of the first call, which compiles."""
    seconds: dict[str, list[float]]
    """Seconds of every later call."""
    results: dict[str, list[Any]]
    """Results of every later call."""

    def median(self, name: str) -> float:
        """Return the median seconds of a later call."""
        return median(self.seconds[name])

    def ratio(self, name: str, to: str) -> float:
        """Return the time of `name` over the time of `to`: the median over pairs of the same round."""
        return median(a / b for a, b in zip(self.seconds[name], self.seconds[to], strict=True))

    def compile_seconds(self, name: str) -> float:
        """Return how much longer the first call took than the median call: tracing and compiling."""
        return max(self.first[name] - self.median(name), 0.0)


def side_by_side(benchmark: Any, calls: Mapping[str, Callable[[int], Any]], rounds: int) -> Contestants:
    """Call every function once to compile, then call all of them in turn, `rounds` times.

    Args:
        benchmark: the fixture of pytest-benchmark. It times whole rounds; where it is disabled it runs a single round.
        calls: functions of the round's number; the first call gets -1. Each result is waited for.
        rounds: number of rounds.
    """
    measured = Contestants({}, {name: [] for name in calls}, {name: [] for name in calls})
    for name, call in calls.items():
        measured.first[name], _ = _timed(call, -1)

    def run_round() -> None:
        number = len(next(iter(measured.seconds.values())))
        for name, call in calls.items():
            seconds, result = _timed(call, number)
            measured.seconds[name].append(seconds)
            measured.results[name].append(result)

    benchmark.pedantic(run_round, rounds=rounds)
    benchmark.extra_info["rounds"] = len(measured.seconds[name])
    return measured


def _timed(call: Callable[[int], Any], number: int) -> tuple[float, Any]:
    start = time.perf_counter()
    result = jax.block_until_ready(call(number))
    return time.perf_counter() - start, result
