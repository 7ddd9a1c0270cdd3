"""Time what is compared side by side: A, B, A, B, ... in one run."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, NamedTuple

import jax


class Contestants(NamedTuple):
    """What was measured of functions that ran side by side."""

    first: dict[str, float]
    """Seconds of the first call, which compiles."""
    seconds: dict[str, list[float]]
    """Seconds of every later call."""
    results: dict[str, list[Any]]
    """What the later calls gave."""

    def median(self, name: str) -> float:
        """Median seconds of a call."""
        return median(self.seconds[name])

    def ratio(self, name: str, to: str) -> float:
        """How many times longer `name` takes than `to`: the median over pairs of the same round."""
        return median(a / b for a, b in zip(self.seconds[name], self.seconds[to], strict=True))

    def compile_seconds(self, name: str) -> float:
        """What the first call took longer than a later one: tracing and compiling."""
        return max(self.first[name] - self.median(name), 0.0)


def side_by_side(benchmark: Any, calls: Mapping[str, Callable[[int], Any]], rounds: int) -> Contestants:
    """Call every function once to compile, then all of them in turn, `rounds` times.

    Args:
        benchmark: the fixture of pytest-benchmark; it times whole rounds, and where it is disabled there is one.
        calls: functions of the round's number, of which the first call gets -1; their results are waited for.
        rounds: how often.
    """
    measured = Contestants({}, {name: [] for name in calls}, {name: [] for name in calls})
    for name, call in calls.items():
        measured.first[name], _ = _timed(call, -1)

    def one_round() -> None:
        number = len(next(iter(measured.seconds.values())))
        for name, call in calls.items():
            seconds, result = _timed(call, number)
            measured.seconds[name].append(seconds)
            measured.results[name].append(result)

    benchmark.pedantic(one_round, rounds=rounds)
    benchmark.extra_info["rounds"] = len(measured.seconds[name])
    return measured


def _timed(call: Callable[[int], Any], number: int) -> tuple[float, Any]:
    start = time.perf_counter()
    result = jax.block_until_ready(call(number))
    return time.perf_counter() - start, result
