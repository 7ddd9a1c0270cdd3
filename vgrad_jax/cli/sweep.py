"""`vgrad sweep`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from vgrad_jax.cli.report import show
from vgrad_jax.cli.shared import AsJson, Epochs, StudyName, StudySeed, arms_of_study, claim, free_folder, study_of
from vgrad_jax.cli.study_file import read_study
from vgrad_jax.descriptions import MAX_SEED, number, whole_number
from vgrad_jax.errors import InputError
from vgrad_jax.presets import STUDIES

__all__ = ["sweep"]

OWN_SEEDS = 128
"""Runs of each arm of a user's own study, unless --seeds says otherwise."""

SEEDS = (
    "Runs of each arm; by default "
    + ", ".join(f"{s.seeds} for {name}" for name, s in STUDIES.items())
    + f", {OWN_SEEDS} for your own."
)


def sweep(
    target: Annotated[
        str | None,
        typer.Argument(help="Your own study: a Python file that names its `arms`, or module:name.", show_default=False),
    ] = None,
    study: StudyName = "article",
    arm: Annotated[list[str] | None, typer.Option(help="Only this arm; may be given several times.")] = None,
    seeds: Annotated[int | None, typer.Option(help=SEEDS)] = None,
    epochs: Epochs = None,
    study_seed: StudySeed = 0,
    out: Annotated[Path | None, typer.Option(help="New folder for the results; by default one in runs/.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the sweep in --out, perhaps with more --seeds.")
    ] = False,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler whose workers share --out; extra: cluster.")
    ] = None,
    chunk: Annotated[int | None, typer.Option(help="Seeds trained together; by default by memory.")] = None,
    workers: Annotated[int | None, typer.Option(help="Chunks trained at the same time; by default the cores.")] = None,
    engine: Annotated[str, typer.Option(help="plain, lanes, or auto, which chooses for each arm.")] = "auto",
    precision: Annotated[
        float | None, typer.Option(help="Stop an arm once its share converged is known to +- this, such as 0.05.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train every arm of a study over many seeds; write a page, figures and the labelled results.

    Example: vgrad sweep --arm tanh_uniform --arm relu_he --seeds 64 --out runs/pair

    Example: vgrad sweep my_study.py --seeds 500, where my_study.py names arms = {"mine": vg.Arm(train), ...}
    """
    from vgrad_jax.report import write_report
    from vgrad_jax.sweeps.running import SweepInterrupted
    from vgrad_jax.sweeps.running import sweep as run_sweep

    if target is not None and epochs is not None:
        raise InputError("--epochs is for ready-made studies; the arms of your own study hold their epochs")
    arms: Mapping[str, Any]
    if target is None:
        arms, name = arms_of_study(study, arm, epochs), study
        seeds = study_of(study).seeds if seeds is None else seeds
        title = f"{study}: {seeds} seeds, {next(iter(arms.values())).training.epochs} epochs"
    else:
        name, arms = read_study(target, arm)
        seeds = OWN_SEEDS if seeds is None else seeds
        title = f"{name}: {seeds} seeds"
    whole_number("--seeds", seeds, minimum=1)
    if precision is not None:
        number("--precision", precision, above=0.0, below=0.5)
    whole_number("--study-seed", study_seed, maximum=MAX_SEED)
    if resume and (out is None or not _resumable(out)):
        raise InputError(f"--resume needs the folder of an interrupted sweep: --out DIR with results.zarr; got {out}")
    folder = out or free_folder(Path("runs"), name)
    if not resume:
        claim(folder)
    try:
        results = run_sweep(
            arms,
            seeds,
            seed=study_seed,
            store=folder / "results.zarr",
            resume=resume,
            scheduler=scheduler,
            precision=precision,
            chunk=chunk,
            workers=workers,
            engine=engine,
        )
    except SweepInterrupted as interruption:
        if bool(interruption.results["completed"].any(dim="seed").all()):
            write_report(interruption.results, folder)
        command = f"the same command with --out {folder} --resume goes on"
        raise KeyboardInterrupt(f"{interruption}, in {folder / 'results.zarr'}; {command}") from None
    findings = write_report(results, folder)
    show(findings, folder, title, as_json=as_json)


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
