"""A process on each core, each with its share of the examples, one after the other, as people do if `vmap` is slow."""

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


class Processes:
    """Processes that wait for a round to begin."""

    def __init__(self, connections: list[Connection]) -> None:
        self._connections = connections

    def run(self) -> list[float]:
        """Let every process run its share once; return the mean of their outcomes."""
        for connection in self._connections:
            connection.send("run")
        outcomes = [connection.recv() for connection in self._connections]
        return [sum(numbers) / len(numbers) for numbers in zip(*outcomes, strict=True)]


@contextmanager
def processes(workload: str, steps: int, examples: int) -> Iterator[Processes]:
    """Start a process on each core, and end them all.

    Args:
        workload: name in `benchmarks.workloads.WORKLOADS`.
        steps: the workload's argument.
        examples: those of all processes together.
    """
    context = multiprocessing.get_context("spawn")
    cores = sorted(os.sched_getaffinity(0))
    pairs = [context.Pipe() for _ in cores]
    started = [
        context.Process(target=_serve, args=(theirs, workload, steps, examples, number, core), daemon=True)
        for number, (core, (_, theirs)) in enumerate(zip(cores, pairs, strict=True))
    ]
    for process, (_, theirs) in zip(started, pairs, strict=True):
        process.start()
        theirs.close()  # Without another holder the end of a process is the end of its connection: no wait for ever.
    try:
        yield Processes([ours for ours, _ in pairs])
    finally:
        for ours, _ in pairs:
            ours.close()
        for process in started:
            process.join()


def _serve(connection: Connection, workload: str, steps: int, examples: int, number: int, core: int) -> None:
    """Run a process's share whenever the connection says so."""
    count = len(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {ONE_THREAD}"
    import jax
    import jax.numpy as jnp
    from jax import lax

    from benchmarks.workloads import WORKLOADS

    work = WORKLOADS[workload][0](steps)
    start, stop = number * examples // count, (number + 1) * examples // count
    share: Any = jax.tree.map(lambda leaf: leaf[start:stop], work.arguments(examples))
    program = jax.jit(lambda *some: lax.map(lambda one: work.function(*one), some))
    while True:
        try:
            connection.recv()
        except EOFError:
            return
        connection.send([float(value) for value in jnp.ravel(work.outcome(program(*share)))])
