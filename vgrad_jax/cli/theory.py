"""`vgrad theory`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from vgrad_jax.cli.shared import AsJson, Quiet, StudyName, StudySeed, arms_of_study, claim, free_folder, terminal
from vgrad_jax.descriptions import whole_number
from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment
from vgrad_jax.nets.mlp import MLP

__all__ = ["theory"]


def theory(
    study: StudyName = "article",
    arm: Annotated[str | None, typer.Option(help="An arm of the study; or describe a network below.")] = None,
    activation: Annotated[str | None, typer.Option(help="Of a network of your own, such as tanh.")] = None,
    kernel_init: Annotated[str, typer.Option(help="With --activation: its weights.")] = "he_normal",
    bias_init: Annotated[str, typer.Option(help="With --activation: its biases.")] = "zeros",
    depth: Annotated[int, typer.Option(help="With --activation: hidden layers.")] = 10,
    width: Annotated[int, typer.Option(help="With --activation: units of each.")] = 64,
    seeds: Annotated[int, typer.Option(help="Networks drawn; none is trained.")] = 128,
    study_seed: StudySeed = 0,
    out: Annotated[Path | None, typer.Option(help="New folder for the figures; by default one in runs/.")] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Predict the gradient at initialisation, beside a measurement. Where theory does not apply, a sentence says so.

    Example: vgrad theory --activation tanh --kernel-init glorot_normal --depth 20 --width 100
    """
    from vgrad_jax.report import theory as report
    from vgrad_jax.theory.comparison import compare

    if (arm is None) == (activation is None):
        raise InputError("give either --arm, a network of the study, or --activation, one of your own")
    whole_number("--seeds", seeds, minimum=2)
    whole_number("--depth", depth, maximum=1000)
    if arm is not None:
        name, experiment = arm, arms_of_study(study, [arm], epochs=None)[arm]
    else:
        hidden = (whole_number("--width", width, minimum=1),) * depth
        mlp = MLP(hidden=hidden, activation=str(activation), kernel_init=kernel_init, bias_init=bias_init)
        name, experiment = f"{activation} {kernel_init} {depth} x {width}", Experiment(mlp=mlp)
    folder = out or free_folder(Path("runs"), f"theory-{arm or activation}")
    comparison = compare(experiment, seeds, seed=study_seed)
    claim(folder)
    files = report.write_theory(comparison, experiment, folder, name)
    if as_json:
        print(json.dumps({"name": name, **report.as_dict(comparison), "folder": str(folder)}, indent=2))
        return
    console = terminal(quiet=quiet)
    console.print(report.profile_table(comparison, f"{name}, {seeds} seeds"))
    for line in report.sentences(comparison):
        console.print(line)
    console.print("written: " + "  ".join(str(path) for path in files))
