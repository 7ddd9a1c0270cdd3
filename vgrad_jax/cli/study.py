"""`vgrad study` and `vgrad arms`: examples and lists of studies."""

import json
from typing import Annotated

import typer

from vgrad_jax.cli.chosen import choose
from vgrad_jax.cli.shared import AsJson, terminal
from vgrad_jax.errors import InputError
from vgrad_jax.presets import STUDIES
from vgrad_jax.studies import EXAMPLE

__all__ = ["arms", "study"]


def study(action: Annotated[str, typer.Argument(help="init: print a commented example of a study.")]) -> None:
    """Print a commented study in TOML, to be changed and swept.

    Example: vgrad study init > my_study.toml
    """
    if action != "init":
        raise InputError(f"vgrad study knows the action 'init'; got {action!r}")
    print(EXAMPLE, end="")


def arms(
    file: Annotated[
        str | None, typer.Argument(help="A study in TOML or Python, or module:name; by default the ready-made studies.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the arms of the ready-made studies, or of a study's file.

    Example: vgrad arms my_study.toml
    """
    if file is None:
        studies = {name: list(preset.make(epochs=preset.epochs)) for name, preset in STUDIES.items()}
    else:
        studies = {file: list(choose(file, None).arms)}
    if as_json:
        print(json.dumps(studies, indent=2))
        return
    console = terminal()
    for name, names in studies.items():
        console.print(f"{name}: {len(names)} arms")
        for arm in names:
            console.print(f"  {arm}")
