"""`vgrad pack`."""

from pathlib import Path
from typing import Annotated

import typer

from vgrad_jax.errors import InputError
from vgrad_jax.results.archive import is_archive
from vgrad_jax.results.packing import pack_results

__all__ = ["pack"]


def pack(
    folder: Annotated[Path, typer.Argument(help="A folder that `vgrad sweep` wrote.")],
    out: Annotated[Path | None, typer.Option(help="Archive to write; by default FOLDER.zip beside the folder.")] = None,
) -> None:
    """Write stored results into one archive with checksums, to share or to keep.

    `vgrad report`, `vgrad verify`, `vgrad sweep --from` and `open_results` open it as it is.

    Example: vgrad pack runs/article --out article.zip
    """
    if is_archive(folder):
        raise InputError(f"{str(folder)!r} is a file; give a folder that `vgrad sweep` wrote")
    absolute = folder.resolve()
    archive = pack_results(folder, out or absolute.with_name(f"{absolute.name}.zip"))
    print(f"{archive}: {archive.stat().st_size / 2**20:.1f} MiB, with a checksum of every file")
