"""Parts that several commands share: options, the chosen arms, and folders for results."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vgrad_jax import presets
from vgrad_jax.errors import InputError, unknown_name
from vgrad_jax.experiment import Experiment
from vgrad_jax.presets import STUDIES
from vgrad_jax.wording import visible

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "AsJson",
    "Epochs",
    "Open",
    "OwnData",
    "Quiet",
    "Settings",
    "StudyName",
    "StudySeed",
    "Target",
    "arms_of_study",
    "claim",
    "free_folder",
    "open_page",
    "study_of",
    "terminal",
]

StudyName = Annotated[str, typer.Option(help=f"Ready-made study: {', '.join(STUDIES)}.")]
Epochs = Annotated[
    int | None,
    typer.Option(
        help="Passes over the training rows; by default "
        + ", ".join(f"{study.epochs} for {name}" for name, study in STUDIES.items())
        + "."
    ),
]
StudySeed = Annotated[int, typer.Option(help="Seed of the whole study; run k depends on it and on k alone.")]
OwnData = Annotated[
    str | None, typer.Option("--data", help="Your own table (CSV, Parquet, NPZ), or a source such as wine.")
]
Target = Annotated[
    str | None, typer.Option(help="Name or index of the target's column in --data; by default the last one.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A field and its value, such as mlp.activation=sigmoid, or tanh,relu for an arm each; may be given "
        "several times.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors alone, and with --json the numbers.")]
Open = Annotated[bool, typer.Option("--open", help="Open the page in the browser.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON instead of tables.")]


def study_of(name: str) -> presets.StudyPreset:
    """Return the ready-made study of a name.

    Raises:
        InputError: no study has this name.
    """
    if name not in STUDIES:
        raise unknown_name("study", name, STUDIES)
    return STUDIES[name]


def arms_of_study(study: str, chosen: list[str] | None, epochs: int | None) -> dict[str, Experiment]:
    """Return the chosen arms of a ready-made study: arm name to `Experiment`.

    Args:
        study: name of the study.
        chosen: names of arms; None or an empty list chooses all arms.
        epochs: passes over the training rows; None is the study's own number.

    Raises:
        InputError: no study, or no arm of the study, has this name.
    """
    ready_made = study_of(study)
    arms = ready_made.make(epochs=ready_made.epochs if epochs is None else epochs)
    for name in chosen or ():
        if name not in arms:
            raise unknown_name(f"arm of the study {study!r}", name, arms)
    return {name: arms[name] for name in dict.fromkeys(chosen or arms)}


def open_page(page: Path) -> None:
    """Open a page in the browser; where there is none, a sentence says so.

    Args:
        page: the file.
    """
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        print(f"vgrad: warning: no browser opens {page}", file=sys.stderr)


def terminal(*, width: int | None = None, stderr: bool = False, quiet: bool = False) -> "Console":
    """Return a console that prints texts unchanged: a name such as "relu[he]" or ":he:" is no markup.

    Args:
        width: number of columns; None is the terminal's.
        stderr: True prints on the error stream.
        quiet: True prints nothing.
    """
    from rich.console import Console
    from rich.text import Text

    class Terminal(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(visible(text), **options)

        def on_broken_pipe(self) -> None:
            """Leave a closed pipe to the boundary of the commands, which alone knows the exit codes."""
            raise BrokenPipeError

    return Terminal(width=width, stderr=stderr, quiet=quiet, highlight=False, markup=False, emoji=False)


def free_folder(parent: Path, name: str) -> Path:
    """Return `parent/name`, with a number appended where the folder exists."""
    number = 1
    while (folder := parent / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return folder


def claim(folder: Path) -> None:
    """Make a folder for results before any work is done, so that an unusable folder costs no training.

    Raises:
        InputError: the folder cannot be written, or holds files.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = any(folder.iterdir())
    except OSError as error:
        raise InputError(f"cannot write into {str(folder)!r}: {error.strerror or error}") from None
    if used:
        raise InputError(
            f"{str(folder)!r} is already in use; choose a new folder with --out, or go on with an interrupted sweep "
            "there with --resume"
        )
