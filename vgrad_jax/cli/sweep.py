"""`vgrad sweep`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from vgrad_jax.cli.chosen import OWN_SEEDS, Chosen, choose
from vgrad_jax.cli.report import show
from vgrad_jax.cli.shared import (
    AsJson,
    Epochs,
    Open,
    OwnData,
    Quiet,
    Settings,
    Target,
    claim,
    free_folder,
    open_page,
    terminal,
)
from vgrad_jax.descriptions import MAX_SEED, number, whole_number
from vgrad_jax.errors import InputError
from vgrad_jax.presets import STUDIES

__all__ = ["sweep"]

SEEDS = (
    "Runs of each arm; by default "
    + ", ".join(f"{s.seeds} for {name}" for name, s in STUDIES.items())
    + f", {OWN_SEEDS} for your own."
)


def sweep(
    own: Annotated[
        str | None,
        typer.Argument(
            metavar="[STUDY]",
            help="Your own study: a TOML file, a Python file that names its `arms`, or module:name.",
            show_default=False,
        ),
    ] = None,
    study: Annotated[
        str | None, typer.Option(help=f"Ready-made study: {', '.join(STUDIES)}.  [default: article]")
    ] = None,
    data: OwnData = None,
    target: Target = None,
    settings: Settings = None,
    earlier: Annotated[
        Path | None, typer.Option("--from", help="Go on with the sweep in this folder, or repeat it in --out.")
    ] = None,
    arm: Annotated[list[str] | None, typer.Option(help="Only this arm; may be given several times.")] = None,
    seeds: Annotated[int | None, typer.Option(help=SEEDS)] = None,
    epochs: Epochs = None,
    study_seed: Annotated[
        int | None, typer.Option(help="Seed of the whole study; run k depends on it and on k alone.  [default: 0]")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="New folder for the results; by default one in runs/.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the sweep in --out, perhaps with more --seeds.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show arms, seeds, memory and time, and train nothing but a short probe.")
    ] = False,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler whose workers share --out; extra: cluster.")
    ] = None,
    chunk: Annotated[int | None, typer.Option(help="Seeds trained together; chosen by memory by default.")] = None,
    workers: Annotated[int | None, typer.Option(help="Chunks trained at the same time; by default the cores.")] = None,
    engine: Annotated[str, typer.Option(help="plain, lanes, nests, or auto, which chooses for each arm.")] = "auto",
    precision: Annotated[
        float | None, typer.Option(help="Stop an arm once its share of converged runs is known to within this: 0.05.")
    ] = None,
    quiet: Quiet = False,
    open_it: Open = False,
    as_json: AsJson = False,
) -> None:
    """Train every arm of a study over many seeds; write a page, figures and the labelled results.

    Example: vgrad sweep --arm tanh_uniform --arm relu_he --seeds 64 --out runs/pair

    Example: vgrad sweep --data table.csv --target species --set mlp.activation=tanh,relu

    Example: vgrad sweep study.toml, of which `vgrad study init` prints an example

    Example: vgrad sweep my_study.py --seeds 500, where my_study.py names arms = {"mine": vg.Arm(train), ...}
    """
    from vgrad_jax.process import finishing, keeping
    from vgrad_jax.report import write_report
    from vgrad_jax.report.files import is_current
    from vgrad_jax.results.opening import open_results
    from vgrad_jax.statistics.early_stopping import precision_of
    from vgrad_jax.sweeps.room import MOST_SEEDS
    from vgrad_jax.sweeps.running import SweepInterrupted
    from vgrad_jax.sweeps.running import sweep as run_sweep

    if seeds is not None:
        whole_number("--seeds", seeds, minimum=1, maximum=MOST_SEEDS)
    if precision is not None:
        number("--precision", precision, above=0.0, below=0.5)
    if study_seed is not None:
        whole_number("--study-seed", study_seed, maximum=MAX_SEED)
    if resume and (out is None or not _resumable(out)):
        raise InputError(f"--resume needs the folder of an interrupted sweep: --out DIR with results.zarr; got {out}")
    chosen = choose(own, study, data=data, column=target, settings=settings, earlier=earlier, arms=arm, epochs=epochs)
    chosen = chosen._replace(
        seeds=chosen.seeds if seeds is None else seeds,
        study_seed=chosen.study_seed if study_seed is None else study_seed,
    )
    if dry_run:
        _show_plan(chosen, chunk=chunk, workers=workers, engine=engine, precision=precision, as_json=as_json)
        return
    if earlier is not None and out is None and earlier.is_file():
        raise InputError(f"{str(earlier)!r} is an archive, in which nothing is trained; name a new folder with --out")
    if earlier is not None and out is None:
        out, resume = (earlier.parent if (earlier / "zarr.json").exists() else earlier), True
        if precision is None:
            precision = precision_of(open_results(earlier))
    folder = out or free_folder(Path("runs"), chosen.name)
    if not resume:
        claim(folder)
    finished = _finished(folder) if resume else None
    again = f"the same command with --out {folder} --resume goes on"
    with finishing(), keeping(f"finished runs are kept in {folder / 'results.zarr'}; {again}"):
        try:
            results = run_sweep(
                chosen.arms,
                chosen.seeds,
                seed=chosen.study_seed,
                store=folder / "results.zarr",
                resume=resume,
                scheduler=scheduler,
                precision=precision,
                chunk=chunk,
                workers=workers,
                engine=engine,
                progress=not quiet,
            )
        except SweepInterrupted as interruption:
            if bool(interruption.results["completed"].any(dim="seed").all()):
                write_report(interruption.results, folder, title=chosen.title)
            raise KeyboardInterrupt(f"{interruption}, in {folder / 'results.zarr'}; {again}") from None
    if finished is not None and dict(results.sizes) == finished and is_current(folder, folder / "results.zarr"):
        _show_finished(folder, as_json=as_json, quiet=quiet)
        if open_it:
            open_page(folder / "index.html")
        return
    with keeping(f"all runs are kept; `vgrad report {folder}` makes the page"):
        findings = write_report(results, folder, title=chosen.title)
    if as_json or not quiet:
        show(findings, folder, f"{chosen.name}: {chosen.seeds} seeds", as_json=as_json)
    if open_it:
        open_page(folder / "index.html")


def _finished(folder: Path) -> dict[Any, int] | None:
    """Return the sizes of a sweep in a folder of which no run is missing; None for any other folder."""
    from vgrad_jax.results.opening import open_results

    try:
        results = open_results(folder)
    except InputError:  # The sweep itself says what is wrong.
        return None
    return dict(results.sizes) if bool(results["completed"].all()) else None


def _show_finished(folder: Path, *, as_json: bool, quiet: bool) -> None:
    """Say that nothing was to be trained, or print the numbers that were written before."""
    if as_json:
        numbers = json.loads((folder / "tables" / "summary.json").read_text(encoding="utf-8"))
        print(json.dumps({**numbers, "folder": str(folder)}, indent=2, allow_nan=False))
    elif not quiet:
        print(
            f"nothing to train: all runs are there; page: {folder / 'index.html'}   results: {folder / 'results.zarr'}"
        )


def _show_plan(chosen: Chosen, *, as_json: bool, **options: Any) -> None:
    """Print the arms, the plan and the estimated time of a sweep."""
    from vgrad_jax.experiment import Experiment
    from vgrad_jax.report.again import data_sentences_of
    from vgrad_jax.sweeps.arms import check_arms
    from vgrad_jax.sweeps.estimate import estimated_seconds
    from vgrad_jax.sweeps.plan import make_plan

    plan = make_plan(check_arms(chosen.arms), chosen.seeds, **options)
    experiments = {name: arm for name, arm in chosen.arms.items() if isinstance(arm, Experiment)}
    # The speed of a user's function is known only when it runs.
    seconds = estimated_seconds(experiments, plan) if len(experiments) == len(chosen.arms) else None
    if as_json:
        described = {name: experiment.to_dict() for name, experiment in experiments.items()}
        print(
            json.dumps(
                {
                    "arms": {name: described.get(name) for name in chosen.arms},
                    "engines": plan.engines,
                    "seeds": chosen.seeds,
                    "peak_bytes": plan.peak_bytes,
                    "result_bytes": plan.result_bytes,
                    "seconds": seconds,
                },
                indent=2,
            )
        )
        return
    console = terminal()
    for name in chosen.arms:
        console.print(f"{name}: {_sentence(experiments[name]) if name in experiments else 'a function of a key'}")
    for sentence in data_sentences_of(experiments):
        console.print(sentence)
    console.print(str(plan))
    if seconds is not None:
        console.print(f"time: about {_duration(seconds)}, to a factor of two; estimated from a short training")


def _sentence(experiment: Any) -> str:
    """Return the main fields of an experiment."""
    mlp, optimizer, training = experiment.mlp, experiment.optimizer, experiment.training
    schedule = f" {optimizer.schedule}" if optimizer.is_scheduled else ""
    schedule += f" after a warm-up in {optimizer.warmup:.0%} of the steps" if optimizer.warmup else ""
    return (
        f"hidden {list(mlp.hidden)}, {mlp.activation}, {mlp.kernel_init}; {optimizer.name} "
        f"{optimizer.learning_rate:g}{schedule}; {training.epochs} epochs in batches of {training.batch_size}; "
        f"{training.loss}"
    )


def _duration(seconds: float) -> str:
    """Return a time in the unit that people would use."""
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(seconds, 1):.0f} seconds"


def _resumable(folder: Path) -> bool:
    """Return whether a sweep began in a folder.

    A sweep that was killed early left no store, but only its lock or an incomplete layout of the store.
    """
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    return "results.zarr" in names or all(
        name == "results.zarr.lock" or (name.startswith(".results.zarr.") and name.endswith(".incomplete"))
        for name in names
    )
