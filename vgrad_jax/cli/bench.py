"""`vgrad bench`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from vgrad_jax.cli.shared import AsJson, Quiet, StudyName, arms_of_study, claim, free_folder, terminal

__all__ = ["bench"]


def bench(
    study: StudyName = "article",
    arm: Annotated[str, typer.Option(help="The arm to time.")] = "tanh_he",
    out: Annotated[Path | None, typer.Option(help="New folder for the results; by default one in runs/.")] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Measure how fast a sweep is on this machine. It takes about a minute, compiling included, and draws a picture.

    Example: vgrad bench --arm relu_he
    """

    from vgrad_jax.report import speed as report
    from vgrad_jax.sweeps.speed import measure_speed

    experiment = arms_of_study(study, [arm], epochs=None)[arm]
    folder = out or free_folder(Path("runs"), f"bench-{arm}")
    claim(folder)
    console = terminal(stderr=True, quiet=quiet)
    speeds = measure_speed(experiment, lambda name: console.print(f"timing {name} ..."))
    title = f"{arm}, {experiment.training.epochs} epochs, every epoch recorded"
    written = report.write_speed(speeds, folder, title)
    if as_json:
        print(json.dumps({**written, "folder": str(folder)}, indent=2))
    elif not quiet:
        terminal().print(report.speed_table(speeds, title))
        print(f"figure: {folder / 'speed.png'}   numbers: {folder / 'speed.json'}")
