"""`vgrad verify`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from vgrad_jax.cli.shared import AsJson
from vgrad_jax.errors import InputError
from vgrad_jax.results.store import verify_results

__all__ = ["verify"]


def verify(
    folder: Annotated[Path, typer.Argument(help="A folder that `vgrad sweep` wrote.")],
    as_json: AsJson = False,
) -> None:
    """Read every stored block, and name those that are lost or damaged.

    Exit code 2 where one is; resuming the sweep trains its runs again.

    Example: vgrad verify runs/article
    """
    blocks, damage = verify_results(folder)
    if as_json:
        print(json.dumps({"blocks": blocks, "damaged": [own._asdict() for own in damage]}, indent=2))
    elif not damage:
        print(f"{folder}: all {blocks} blocks can be read, and agree with their marks")
    if damage and as_json:
        raise typer.Exit(2)
    if damage:
        named = "; ".join(own.reason for own in damage)
        raise InputError(
            f"{len(damage)} of {blocks} blocks in {str(folder)!r} are damaged: {named}. Resuming the sweep trains "
            "these runs again"
        )
