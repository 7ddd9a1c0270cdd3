"""Sweeps: every arm is trained over every seed.

arms ─► plan ─► agenda ─► blocks ─► workers: threads of this process, or a cluster ─► target: memory or a store
"""

import json
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from vgrad_jax.boundary import checked
from vgrad_jax.data import summary_of
from vgrad_jax.descriptions import MAX_SEED, number, whole_number
from vgrad_jax.errors import InputError, unknown_name
from vgrad_jax.experiment import Experiment
from vgrad_jax.memory import require_memory
from vgrad_jax.results.axes import Schema, named_alike, schema_of
from vgrad_jax.results.description import describe, undescribed
from vgrad_jax.results.environment import versions
from vgrad_jax.results.functions import FUNCTIONS
from vgrad_jax.results.lock import only_writer
from vgrad_jax.results.memory import Memory
from vgrad_jax.results.metadata import DATA
from vgrad_jax.results.schema import Layout
from vgrad_jax.results.store import Store
from vgrad_jax.results.target import Target
from vgrad_jax.sweeps.agenda import Agenda
from vgrad_jax.sweeps.arm import Arm
from vgrad_jax.sweeps.arms import Trainable, check_arms
from vgrad_jax.sweeps.blocks import Job, fill
from vgrad_jax.sweeps.cluster import connected, num_threads, train_blocks
from vgrad_jax.sweeps.engine import PROGRAMS
from vgrad_jax.sweeps.experiment_arm import ExperimentArm
from vgrad_jax.sweeps.plan import Block, Plan, make_plan
from vgrad_jax.sweeps.policy import local_platform
from vgrad_jax.sweeps.progress import Progress, reporting
from vgrad_jax.sweeps.room import MOST_SEEDS, check_room

if TYPE_CHECKING:
    import xarray
    from distributed import Client

__all__ = ["SweepInterrupted", "sweep"]

CHOICES = ("auto", "plain", "lanes", "nests")
"""Engines that a user may ask for."""

OF_PARAMETERS = ("parameter", "parameters_epoch", "gradients_epoch")
"""Coordinates of kept parameters and gradients."""

SECONDS_BETWEEN_REPORTS = 0.2
"""Largest time between two updates of the progress, in seconds."""


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C in a sweep.

    `results` is the dataset of the sweep so far; its variable `completed` marks the finished runs.
    """

    def __init__(self, message: str, results: "xarray.Dataset") -> None:
        super().__init__(message)
        self.results = results


@checked
def sweep(
    arms: Mapping[str, Experiment | Arm | Trainable | Callable[[Any], Any]],
    num_seeds: int,
    *,
    seed: int = 0,
    store: str | Path | None = None,
    resume: bool = False,
    chunk: int | None = None,
    workers: int | None = None,
    engine: str = "auto",
    scheduler: str | None = None,
    precision: float | None = None,
    progress: bool | Progress = True,
) -> "xarray.Dataset":
    """Train every arm over many seeds.

    Run k depends on the arm, on `seed` and on k alone. Run k of every arm has the same key, so arms are paired by
    seed.

    Args:
        arms: arm name to `Experiment`, `Arm` or function of a key, mixed. Experiments have the same threshold. Arms may
            differ in their lengths, records and variables.
        num_seeds: runs of each arm, with the seeds 0 to num_seeds - 1.
        seed: seed of the study.
        store: a new folder for the results (Zarr), written block by block; None keeps the results in memory.
        resume: go on with an interrupted store of the same study, or add seeds to a finished store.
        chunk: seeds trained together; None chooses by memory, engine and workers.
        workers: chunks trained at the same time; None is the number of cores on a CPU, and 1 on an accelerator.
        engine: "plain"; "lanes" or "nests", faster for many seeds of narrow or wider networks on a CPU; "auto" chooses
            for each arm. A resumed store keeps its engines.
        scheduler: address of a Dask scheduler, whose workers write into `store`, on shared disks. Extra: `cluster`.
        precision: half the width of an interval, such as 0.05. An arm stops as soon as its share of converged runs is
            known to plus or minus this. The interval is a confidence sequence's: it holds although the data decide
            when to stop. Looks come after fixed numbers of seeds, so that the same call always trains the same seeds.
            Seeds that are left out stay not `completed`; `num_seeds` is the limit.
            `vgrad_jax.statistics.early_stops` returns the intervals. A scheduler excludes a precision.
        progress: True prints the plan with its memory estimate, and a progress bar. A function is called with the
            seeds done and their total.

    Returns:
        A dataset with the dimensions `arm, seed, record, layer` and the coordinate `epoch` on `record`, and with the
        variables and dimensions that functions declare. Values are NaN (-1 in whole numbers) where an arm has fewer
        layers or values than others. `epoch` has the axes `arm, record` where arms have different epochs. Each variable
        carries its description and unit. The attributes hold the study and the versions as JSON. With a store, values
        are read when they are used.

    Raises:
        InputError: the store cannot be used or written; arms do not fit together; a number is impossible. Also: the
            cluster does not answer or has other versions.
        SweepInterrupted: Ctrl-C; the finished runs are in the store and in the exception's `results`.

    >>> from vgrad_jax import presets
    >>> results = sweep({"tanh_he": presets.article(epochs=1)["tanh_he"]}, num_seeds=2, progress=False)
    >>> dict(results.sizes)["seed"], results.gradient_log10_rms.dims
    (2, ('arm', 'seed', 'record', 'layer'))
    """
    arms = check_arms(arms)
    num_seeds = whole_number("num_seeds", num_seeds, minimum=1, maximum=MOST_SEEDS)
    seed = whole_number("seed", seed, maximum=MAX_SEED)
    _check_options(chunk, workers, engine, store, scheduler, precision)
    if precision is not None:
        _check_convergence(arms)
    study = _describe_study(arms, seed, stored=store is not None)
    layouts = named_alike({name: arm.layout for name, arm in arms.items()})
    with ExitStack() as stack:
        client = stack.enter_context(connected(scheduler)) if scheduler is not None else None
        plan = make_plan(
            arms,
            num_seeds,
            chunk=chunk,
            workers=workers or (num_threads(client) if client else None),
            engine=engine,
            in_memory=store is None,
            on_cluster=client is not None,
            precision=precision,
        )
        check_room(plan, None if store is None else Path(store), resume=resume)
        if client is None and local_platform().is_cpu:
            needed = plan.peak_bytes - plan.resident_bytes
            require_memory("this sweep", needed, "take a smaller chunk, fewer workers, fewer seeds or narrower layers")
        schema = schema_of(layouts, num_seeds)
        if store is not None:
            stack.enter_context(only_writer(Path(store)))
        attributes = _attributes(arms, study, plan, layouts)
        target, plan = _target(store, resume, schema, study, attributes, plan)
        parameters = {name: schema.coordinates[name][1] for name in OF_PARAMETERS if name in schema.coordinates}
        # A resumed store has its own order of rows.
        job = Job({name: arms[name] for name in plan.arms}, study["data"], seed, plan.executions, parameters)
        stack.enter_context(PROGRAMS.room_for(2 * len(arms)))  # A refused arm has an entry of each engine.
        report = stack.enter_context(reporting(progress, plan))
        try:
            if client is not None and store is not None:
                _run_on_cluster(client, job, plan, target, Path(store), report)
            else:
                _run(job, plan, target, report)
        except KeyboardInterrupt:
            completed = target.completed()
            message = f"interrupted; {int(completed.sum())} of {completed.size} trainings are finished and kept"
            raise SweepInterrupted(message, target.dataset()) from None
    return target.dataset()


def _check_options(
    chunk: int | None,
    workers: int | None,
    engine: str,
    store: str | Path | None,
    scheduler: str | None,
    precision: float | None,
) -> None:
    for name, value in (("chunk", chunk), ("workers", workers)):
        if value is not None:
            whole_number(name, value, minimum=1)
    if engine not in CHOICES:
        raise unknown_name("engine", engine, CHOICES)
    if precision is not None:
        number("precision", precision, above=0.0, below=0.5)
        if scheduler is not None:
            raise InputError("precision= decides after each round of blocks, and a cluster gets all at once; give one")
    if scheduler is not None and store is None:
        raise InputError("a cluster's workers write into a folder that all machines share; name it with store=")


def _check_convergence(arms: Mapping[str, Trainable]) -> None:
    """Refuse a precision where an arm has no share of converged runs."""
    for name, arm in arms.items():
        function = arm.layout.function
        if function is not None and function.criterion is None:
            raise InputError(
                f"precision= stops an arm when its share of converged runs is known, and arm {name!r} does not say "
                "when a run converges; give vg.Arm(..., converged=...)"
            )


def _describe_study(arms: Mapping[str, Trainable], seed: int, *, stored: bool) -> dict[str, Any]:
    return describe(
        {name: _described(arm, stored=stored) for name, arm in arms.items()},
        {name: arm.fingerprint() for name, arm in arms.items()},
        seed,
    )


def _described(arm: Trainable, *, stored: bool) -> dict[str, Any]:
    """Return an arm's description; without a store, an arm with a nameless function gets a placeholder."""
    try:
        return arm.describe()
    except InputError:
        if stored:
            raise
        return undescribed(arm)


def _attributes(
    arms: Mapping[str, Trainable], study: Mapping[str, Any], plan: Plan, layouts: Mapping[str, Layout]
) -> dict[str, Any]:
    """Return the attributes of the results: the study and everything that decides how its seeds are trained."""
    facts = {name: asdict(summary_of(a.experiment.data)) for name, a in arms.items() if isinstance(a, ExperimentArm)}
    functions = {name: layout.function for name, layout in layouts.items() if layout.function is not None}
    return {
        "title": "per-layer gradients and outcomes of seeds",
        "study": json.dumps(study),
        "versions": json.dumps(versions()),
        "engines": json.dumps(plan.engines),
        "layers": json.dumps({name: layout.num_layers for name, layout in layouts.items()}),
        "chunk": plan.chunk,
        **({} if plan.precision is None else {"precision": plan.precision}),
        **({DATA: json.dumps(facts)} if facts else {}),
        **({FUNCTIONS: json.dumps({name: f.to_plain() for name, f in functions.items()})} if functions else {}),
    }


def _target(
    store: str | Path | None,
    resume: bool,
    schema: Schema,
    study: Mapping[str, Any],
    attributes: Mapping[str, Any],
    plan: Plan,
) -> tuple[Target, Plan]:
    """Return the target of the results, and the plan; an existing store keeps its chunk, block and engines."""
    if store is None:
        return Memory(schema, attributes, plan.block), plan
    if not resume or not Path(store).exists():
        return Store.create(store, schema, attributes, plan.block), plan
    held = Store.resume(store, study, plan.num_seeds)
    held.set_precision(plan.precision)
    return held, plan.stored_as(held.chunk, held.block, held.engines, local_platform())


def _missing(plan: Plan, completed: np.ndarray) -> dict[Block, int]:
    """Return each block with missing runs, and the number of these runs; `completed` is `(arm, seed)`."""
    rows = {arm: ~completed[index] for index, arm in enumerate(plan.arms)}
    missing = {block: int(rows[block.arm][block.start : block.stop].sum()) for block in plan.blocks()}
    return {block: runs for block, runs in missing.items() if runs}


def _run(job: Job, plan: Plan, target: Target, report: Progress) -> None:
    """Train the missing runs in threads of this process.

    Two blocks for each worker are submitted at a time. A thread that finishes a block then has its next block at once,
    and an interruption leaves few blocks in work.
    """
    agenda, warn_of_refusal = Agenda(plan, target), _refusal_warner()
    done, total = agenda.done, agenda.total
    report(done, total)
    stop = Event()
    new_runs: SimpleQueue[int] = SimpleQueue()
    blocks: dict[Future[None], Block] = {}
    pending: set[Future[None]] = set()
    with ThreadPoolExecutor(plan.workers) as executor:
        try:
            while True:
                for block in agenda.take(2 * plan.workers - len(pending)):
                    future = executor.submit(fill, job, target, block, stopped=stop.is_set, report=new_runs.put)
                    blocks[future] = block
                    pending.add(future)
                if not pending:
                    return
                finished, pending = wait(pending, timeout=SECONDS_BETWEEN_REPORTS, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                    block = blocks.pop(future)
                    agenda.finish(block)
                    warn_of_refusal(block.arm, job.refusal(block.arm))
                before = done, total
                total = agenda.total
                while not new_runs.empty():
                    done += new_runs.get()
                if (done, total) != before:
                    report(done, total)
        except BaseException:
            stop.set()
            executor.shutdown(wait=True, cancel_futures=True)
            raise


def _run_on_cluster(client: "Client", job: Job, plan: Plan, target: Target, path: Path, report: Progress) -> None:
    """Train the missing runs on a cluster; the workers write into the store at `path`."""
    completed = target.completed()
    done, total = int(completed.sum()), completed.size
    report(done, total)

    def add(runs: int) -> None:
        nonlocal done
        done += runs
        report(done, total)

    train_blocks(client, job, path, _missing(plan, completed), add, _refusal_warner())


def _refusal_warner() -> Callable[[str, str | None], None]:
    """Return a function of an arm and a reason that warns once for each arm that trains more slowly than planned."""
    warned: set[str] = set()

    def warn(arm: str, reason: str | None) -> None:
        if reason is not None and arm not in warned:
            warned.add(arm)
            warnings.warn(
                f"the engine 'lanes' refuses the arm {arm!r}: {reason}. The engine 'plain' trains it; for a narrow "
                "network on a processor that takes about ten times as long",
                stacklevel=4,
            )

    return warn
