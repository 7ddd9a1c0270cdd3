"""Every arm over every seed."""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from vgrad_jax.data import Dataset, load_data
from vgrad_jax.descriptions import MAX_SEED, whole_number
from vgrad_jax.errors import unknown_name
from vgrad_jax.experiment import Experiment
from vgrad_jax.sweeps import study as studies
from vgrad_jax.sweeps.engine import ENGINES, train_seeds
from vgrad_jax.sweeps.plan import Chunk, Plan, make_plan
from vgrad_jax.sweeps.progress import progress_bar
from vgrad_jax.sweeps.results import coordinates, parameter_names, variables_of
from vgrad_jax.sweeps.store import Store
from vgrad_jax.training.run import History, initial_params

if TYPE_CHECKING:
    import xarray

__all__ = ["SweepInterrupted", "sweep"]

Progress = Callable[[int, int], None]


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
    plan = make_plan(arms, datasets, num_seeds, chunk=chunk, workers=workers, engine=engine)
    if resume and store is not None and Path(store).exists():
        target = Store.resume(store, study, num_seeds)
        plan = plan._replace(chunk=target.chunk, engines=target.engines)
    else:
        target = Store.create(store, labels, _attributes(study, plan), plan.chunk)

    def train_chunk(chunk: Chunk) -> History:
        fingerprint = study["data"][chunk.arm]
        return train_seeds(
            ENGINES[plan.engines[chunk.arm]], arms[chunk.arm], fingerprint, seed, chunk.start, plan.chunk
        )

    all_names = labels["parameter"][1].tolist() if "parameter" in labels else None

    def write(chunk: Chunk, history: History) -> None:
        names = parameter_names(widths[chunk.arm]) if all_names else None
        variables = dict(variables_of(history, names, all_names))
        target.write(plan.arms.index(chunk.arm), chunk.start, chunk.stop, variables)

    def is_missing(chunk: Chunk) -> bool:
        return not target.completed(plan.arms.index(chunk.arm), chunk.start, chunk.stop)

    missing = list(filter(is_missing, plan.chunks()))
    with _reporting(progress, plan) as report:
        _run(missing, plan, train_chunk, write, report, target)
    results = target.dataset()
    return results.load() if store is None else results


def _attributes(study: Mapping[str, Any], plan: Plan) -> dict[str, str]:
    return {
        "title": "per-layer gradients and outcomes of seeds",
        "study": json.dumps(study),
        "versions": json.dumps(studies.versions()),
        "engines": json.dumps(plan.engines),
    }


def _run(
    missing: list[Chunk],
    plan: Plan,
    train_chunk: Callable[[Chunk], History],
    write: Callable[[Chunk, History], None],
    report: Progress,
    target: Store,
) -> None:
    total = len(plan.arms) * plan.num_seeds
    done = total - sum(chunk.stop - chunk.start for chunk in missing)
    report(done, total)
    # One chunk waits for each that runs: more would hold finished results in memory.
    queue = iter(missing)
    pending: dict[Future[History], Chunk] = {}
    with ThreadPoolExecutor(plan.workers) as executor:
        try:
            while True:
                for chunk in islice(queue, 2 * plan.workers - len(pending)):
                    pending[executor.submit(train_chunk, chunk)] = chunk
                if not pending:
                    return
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    write(pending[future], future.result())
                    chunk = pending.pop(future)
                    done += chunk.stop - chunk.start
                    report(done, total)
        except BaseException as cause:
            executor.shutdown(wait=True, cancel_futures=True)
            done += _write_finished(pending, write)
            if not isinstance(cause, KeyboardInterrupt):
                raise
            message = f"interrupted; {done} of {total} trainings are finished and kept"
            raise SweepInterrupted(message, target.dataset()) from None


def _write_finished(pending: Mapping[Future[History], Chunk], write: Callable[[Chunk, History], None]) -> int:
    """Keep what was computed when a sweep stops early; the number of runs kept."""
    kept = 0
    for future, chunk in pending.items():
        if not future.cancelled() and future.exception() is None:
            with suppress(OSError):  # A full disk is why it stops, perhaps.
                write(chunk, future.result())
                kept += chunk.stop - chunk.start
    return kept


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
