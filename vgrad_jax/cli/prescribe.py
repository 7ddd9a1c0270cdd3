"""`vgrad prescribe`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from vgrad_jax.cli.chosen import choose
from vgrad_jax.cli.shared import AsJson, Epochs, Open, OwnData, Quiet, Settings, StudySeed, Target, open_page, terminal
from vgrad_jax.errors import InputError, unknown_name
from vgrad_jax.experiment import Experiment

__all__ = ["prescribe"]


def prescribe(
    own: Annotated[
        str | None,
        typer.Argument(metavar="[STUDY]", help="A TOML file that describes the network.", show_default=False),
    ] = None,
    study: Annotated[str | None, typer.Option(help="Ready-made study; name its network with --arm.")] = None,
    data: OwnData = None,
    target: Target = None,
    settings: Settings = None,
    arm: Annotated[str | None, typer.Option(help="Name of the network, where the study has several.")] = None,
    seeds: Annotated[int, typer.Option(help="Most runs of each change.")] = 32,
    epochs: Epochs = None,
    most: Annotated[int, typer.Option(help="Most single changes that are tried.")] = 12,
    enough: Annotated[float, typer.Option(help="Share of the runs that must converge.")] = 0.75,
    study_seed: StudySeed = 0,
    framework: Annotated[
        str | None, typer.Option(help="Print the mended network for jax, nnx, equinox, keras or torch.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for a page with everything that was tried.")] = None,
    quiet: Quiet = False,
    open_it: Open = False,
    as_json: AsJson = False,
) -> None:
    """Say what mends a network that does not learn: the smallest change that works, and the best one.

    Example: vgrad prescribe study.toml --arm mine --out runs/mended

    Example: vgrad prescribe --data table.csv --set mlp.activation=sigmoid --set "mlp.hidden=[16,16,16,16,16,16]"

    Exit code: 0 where something mends it or nothing was wrong, 1 where nothing helps.
    """
    from vgrad_jax.prescription import PrescriptionInterrupted
    from vgrad_jax.prescription import prescribe as run
    from vgrad_jax.prescription.code import FRAMEWORKS, code_for
    from vgrad_jax.prescription.page import write_prescription
    from vgrad_jax.process import finishing

    if framework is not None and framework not in FRAMEWORKS:
        raise unknown_name("framework", framework, FRAMEWORKS)
    if open_it and out is None:
        raise InputError("--open needs a page: name its folder with --out")
    patient = _patient(own, study, data, target, settings, arm, epochs)
    with finishing("finishing the round that is being trained; press Ctrl-C once more to stop now"):
        try:
            answer = run(
                patient, seeds=seeds, most=most, enough=enough, seed=study_seed, progress=not (quiet or as_json)
            )
        except PrescriptionInterrupted as interruption:
            answer = interruption.prescription
    if out is not None:
        write_prescription(answer, patient, out)
    if as_json:
        print(json.dumps(answer.to_dict(), indent=2, allow_nan=False))
    elif not quiet:
        console = terminal(width=None if sys.stdout.isatty() else 160)
        for sentence in answer.sentences():
            console.print(sentence)
        for row in answer.tried:
            console.print(f"  {row.share.value:4.0%} of {row.share.n:2}  {row.name}: {row.fate}")
        mended = answer.smallest.experiment if answer.smallest is not None else None
        if framework is not None and mended is not None:
            print(code_for(mended, framework))
        if out is not None:
            console.print(f"page: {out / 'index.html'}")
    if open_it and out is not None:
        open_page(out / "index.html")
    if answer.interrupted:
        raise KeyboardInterrupt("interrupted; the changes that were tried so far are above")
    if not answer.helps:
        raise typer.Exit(1)


def _patient(
    own: str | None,
    study: str | None,
    data: str | None,
    target: str | None,
    settings: list[str] | None,
    arm: str | None,
    epochs: int | None,
) -> Experiment:
    """Return the network that the command is about.

    Raises:
        InputError: the study has several arms, or its arm is a function.
    """
    from vgrad_jax.studies import DEFAULT_GRID, parsed_setting

    settings = list(settings or ())
    if own is None and study is None and (data is not None or settings):
        # One network is asked for, where a sweep would fill up the question with a grid.
        named = {parsed_setting(text)[0] for text in settings}
        settings += [f"{path}={values[0]}" for path, values in DEFAULT_GRID.items() if path not in named]
    chosen = choose(
        own,
        study,
        data=data,
        column=target,
        settings=settings or None,
        arms=None if arm is None else [arm],
        epochs=epochs,
    )
    if len(chosen.arms) != 1:
        raise InputError(f"prescribe takes one network; name it with --arm: {', '.join(chosen.arms)}")
    (patient,) = chosen.arms.values()
    if not isinstance(patient, Experiment):
        raise InputError("a function has knobs, which only Python names: vg.prescribe(train, knobs={...})")
    return patient
