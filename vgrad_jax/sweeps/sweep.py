"""Every arm over every seed."""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from vgrad_jax.data import Dataset, load_data
from vgrad_jax.descriptions import MAX_SEED, whole_number
from vgrad_jax.errors import unknown_name
from vgrad_jax.experiment import Experiment
from vgrad_jax.sweeps import study as studies
from vgrad_jax.sweeps.blocks import Training, fill
from vgrad_jax.sweeps.engine import ENGINES
from vgrad_jax.sweeps.lock import only_writer
from vgrad_jax.sweeps.plan import Block, Plan, make_plan
from vgrad_jax.sweeps.progress import progress_bar
from vgrad_jax.sweeps.results import coordinates
from vgrad_jax.sweeps.store import Store
from vgrad_jax.training.run import initial_params

if TYPE_CHECKING:
    import xarray

__all__ = ["SweepInterrupted", "sweep"]

Progress = Callable[[int, int], None]

SECONDS_BETWEEN_REPORTS = 0.2


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C in a sweep. `results` holds the runs that were finished; `completed` in it says which."""

    def __init__(self, message: str, results: "xarray.Dataset") -> None:
        super().__init__(message)
        self.results = results


def sweep(
    arms: Mapping[str, Experiment],
    num_seeds: int,
    *,
    seed: int = 0,
    store: str | Path | None = None,
    resume: bool = False,
    chunk: int | None = None,
    workers: int | None = None,
    engine: str = "auto",
    progress: bool | Progress = True,
) -> "xarray.Dataset":
    """Train every arm over many seeds.

    Run k depends on the arm, on `seed` and on k alone. Run k of every arm has the same key, so arms are paired by
    seed.

    Args:
        arms: arm name to `Experiment`; all with the same epochs and recording.
        num_seeds: runs of each arm: seeds 0 to num_seeds - 1.
        seed: of the whole study.
        store: a new folder for the results (Zarr), written as they come; None keeps them in memory.
        resume: go on with an interrupted store of the same study, or with a finished one that shall get more seeds.
        chunk: seeds trained together; None chooses by memory.
        workers: chunks trained at the same time; None is one for each core on CPU, one on an accelerator.
        engine: "plain"; "lanes", which is faster for many seeds of narrow networks on CPU and slower to compile;
            "auto" chooses. A store that is resumed keeps its own.
        progress: print the plan with its memory estimate, and a progress bar; or a function called with the seeds
            done and their total.

    Returns:
        A dataset with dims `arm, seed, record, layer` (coordinate `epoch` on `record`; NaN where an arm has fewer
        layers). Each variable carries its description and units; the attributes hold the study and the versions as
        JSON. With a store it is read lazily.

    Raises:
        InputError: a store that cannot be used, arms that do not fit together, impossible numbers.
        SweepInterrupted: Ctrl-C; what was finished is in the store and in the exception's `results`.

    >>> from vgrad_jax import presets
    >>> results = sweep({"tanh_he": presets.article(epochs=1)["tanh_he"]}, num_seeds=2, progress=False)
    >>> dict(results.sizes)["seed"], results.gradient_log10_rms.dims
    (2, ('arm', 'seed', 'record', 'layer'))
    """
    arms = studies.check_arms(arms)
    num_seeds = whole_number("num_seeds", num_seeds, minimum=1)
    seed = whole_number("seed", seed, maximum=MAX_SEED)
    for name, value in (("chunk", chunk), ("workers", workers)):
        if value is not None:
            whole_number(name, value, minimum=1)
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    datasets = {name: load_data(experiment.data) for name, experiment in arms.items()}
    study = studies.describe(arms, datasets, seed, stored=store is not None)
    widths = {name: _widths(arms[name], datasets[name]) for name in arms}
    labels = coordinates(arms, num_seeds, widths)
    plan = make_plan(arms, datasets, num_seeds, chunk=chunk, workers=workers, engine=engine, in_memory=store is None)
    with only_writer(Path(store)) if store is not None else nullcontext():
        if resume and store is not None and Path(store).exists():
            target = Store.resume(store, study, num_seeds)
            plan = plan.stored_as(target.chunk, target.block, target.engines)
        else:
            target = Store.create(store, labels, _attributes(study, plan), plan.block)
        training = Training(
            arms=arms,
            fingerprints=study["data"],
            seed=seed,
            engines=plan.engines,
            chunk=plan.chunk,
            widths=widths,
            parameters=tuple(labels["parameter"][1].tolist()) if "parameter" in labels else None,
        )
        with _reporting(progress, plan) as report:
            _run(training, plan, target, report)
    results = target.dataset()
    return results.load() if store is None else results


def _attributes(study: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    return {
        "title": "per-layer gradients and outcomes of seeds",
        "study": json.dumps(study),
        "versions": json.dumps(studies.versions()),
        "engines": json.dumps(plan.engines),
        "chunk": plan.chunk,
    }


def _unfinished(plan: Plan, completed: np.ndarray) -> list[Block]:
    """The blocks with a run that is not there yet: `completed` is `(arm, seed)`."""
    return [
        block for block in plan.blocks() if not completed[plan.arms.index(block.arm), block.start : block.stop].all()
    ]


def _run(training: Training, plan: Plan, target: Store, report: Progress) -> None:
    """Train what is missing, in threads of this process."""
    completed = target.completed()
    done, total = int(completed.sum()), completed.size
    report(done, total)
    queue = (
        block for block in plan.blocks() if not completed[plan.arms.index(block.arm), block.start : block.stop].all()
    )
    stop = Event()
    new_runs: SimpleQueue[int] = SimpleQueue()
    pending: dict[Future[None], Block] = {}
    with ThreadPoolExecutor(plan.workers) as executor:
        try:
            while True:
                for block in islice(queue, 2 * plan.workers - len(pending)):
                    future = executor.submit(fill, training, target, block, stopped=stop.is_set, report=new_runs.put)
                    pending[future] = block
                finished = wait(pending, timeout=SECONDS_BETWEEN_REPORTS, return_when=FIRST_COMPLETED).done
                for future in finished:
                    future.result()
                    del pending[future]
                before = done
                while not new_runs.empty():
                    done += new_runs.get()
                if done > before:
                    report(done, total)
                if not pending:
                    return
        except BaseException as cause:
            stop.set()
            executor.shutdown(wait=True, cancel_futures=True)
            if not isinstance(cause, KeyboardInterrupt):
                raise
            message = f"interrupted; {int(target.completed().sum())} of {total} trainings are finished and kept"
            raise SweepInterrupted(message, target.dataset()) from None


@contextmanager
def _reporting(progress: bool | Progress, plan: Plan) -> Iterator[Progress]:
    if progress is True:
        with progress_bar(plan) as report:
            yield report
    else:
        yield progress or (lambda done, total: None)


def _widths(experiment: Experiment, dataset: Dataset) -> tuple[int, ...]:
    params = jax.eval_shape(partial(initial_params, experiment, dataset=dataset), jax.random.key(0))
    return (dataset.train_x.shape[1], *(layer.bias.shape[0] for layer in params))
