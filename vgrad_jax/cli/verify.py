"""`vgrad verify`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from vgrad_jax.cli.shared import AsJson
from vgrad_jax.errors import InputError
from vgrad_jax.results.opening import verify_results

__all__ = ["verify"]

WITHOUT_CHECKSUMS = "; this store is of an earlier version and holds no checksums, so changed numbers cannot be seen"


def verify(
    folder: Annotated[Path, typer.Argument(help="A folder that `vgrad sweep` wrote, or an archive of `vgrad pack`.")],
    as_json: AsJson = False,
) -> None:
    """Compare every stored file with its checksum, and name the blocks that are lost or damaged.

    Exit code 2 where one is; resuming the sweep trains its runs again.

    Example: vgrad verify runs/article
    """
    answer = verify_results(folder)
    damage = answer.damage
    if as_json:
        shown = {
            "blocks": answer.blocks,
            "checksums": answer.has_checksums,
            "damaged": [block._asdict() for block in damage],
        }
        print(json.dumps(shown, indent=2))
    elif not damage:
        equal = "hold what was written" if answer.has_checksums else "can be read, and agree with their marks"
        print(f"{folder}: all {answer.blocks} blocks {equal}{'' if answer.has_checksums else WITHOUT_CHECKSUMS}")
    if damage and as_json:
        raise typer.Exit(2)
    if damage:
        named = "; ".join(block.reason for block in damage)
        raise InputError(
            f"{len(damage)} of {answer.blocks} blocks in {str(folder)!r} are damaged: {named}. Resuming the sweep "
            "trains these runs again"
        )
