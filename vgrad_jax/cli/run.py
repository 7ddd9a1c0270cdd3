"""`vgrad run`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from vgrad_jax.cli.shared import (
    AsJson,
    Epochs,
    Open,
    Quiet,
    StudyName,
    StudySeed,
    arms_of_study,
    claim,
    free_folder,
    open_page,
    terminal,
)
from vgrad_jax.descriptions import MAX_SEED, whole_number
from vgrad_jax.wording import visible

__all__ = ["run"]


def run(
    arm: Annotated[str, typer.Option(help="The arm to train.")],
    study: StudyName = "article",
    seed: Annotated[int, typer.Option(help="Which run: seed k here is seed k of the sweep.")] = 0,
    epochs: Epochs = None,
    study_seed: StudySeed = 0,
    out: Annotated[Path | None, typer.Option(help="New folder for the figure; by default one in runs/.")] = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="Print the first layer's weights at the epochs kept.")
    ] = False,
    quiet: Quiet = False,
    open_it: Open = False,
    as_json: AsJson = False,
) -> None:
    """Train one network, live: accuracy, loss, the gradient of each layer as it changes, and a verdict on the run.

    Example: vgrad run --arm tanh_uniform --seed 0
    """
    from vgrad_jax.keys import run_key
    from vgrad_jax.process import finishing
    from vgrad_jax.report import live

    whole_number("--seed", seed, maximum=MAX_SEED)
    whole_number("--study-seed", study_seed, maximum=MAX_SEED)
    experiment = arms_of_study(study, [arm], epochs)[arm]
    folder = out or free_folder(Path("runs"), f"{arm}-seed{seed}")
    claim(folder)
    with finishing("ending after this epoch; press Ctrl-C once more to stop now"):
        watched = live.run_live(
            experiment, run_key(study_seed, seed), terminal(stderr=as_json, quiet=quiet), f"{arm}, seed {seed}"
        )
    figure = live.write_accuracy_curves(watched, folder, f"{arm}, seed {seed}")
    verdict = live.verdict(experiment, watched)
    if as_json:
        numbers = {"arm": arm, "seed": seed, **live.as_dict(watched), "verdict": verdict.to_dict()}
        print(json.dumps({**numbers, "figure": str(figure)}, indent=2))
    elif not quiet:
        print(live.ending(experiment, watched))
        if weights:
            print(live.weights(experiment, watched))
        print(f"verdict: {visible(str(verdict))}")
        print(f"accuracy curves: {figure}")
    if open_it:
        open_page(figure)
    if watched.interrupted:
        raise KeyboardInterrupt(f"interrupted after epoch {watched.epoch[-1]}; what was seen is in {folder}")
