"""The command line: read what is asked, make one call, show what came."""

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vgrad_jax.descriptions import MAX_SEED, whole_number
from vgrad_jax.errors import InputError, unknown_name
from vgrad_jax.experiment import Experiment
from vgrad_jax.nets.mlp import MLP
from vgrad_jax.presets import STUDIES

if TYPE_CHECKING:
    from vgrad_jax.report.findings import Findings

__all__ = ["app", "main"]

DEFAULT_SEEDS = 128
"""About two minutes for the article's study on two cores."""

CACHE_BYTES = 2**30
"""Of compiled programs on disk; those that have not been used for longest go first."""

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

Study = Annotated[str, typer.Option(help=f"Ready-made study: {', '.join(STUDIES)}.")]
Epochs = Annotated[int, typer.Option(help="Passes over the training rows.")]
StudySeed = Annotated[int, typer.Option(help="Seed of the whole study; run k depends on it and on k alone.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON instead of tables.")]


def _command(function: Callable[..., None]) -> Callable[..., None]:
    """Register a command whose failures are one sentence and an exit code."""

    @functools.wraps(function)
    def wrapped(*args: Any, **options: Any) -> None:
        try:
            function(*args, **options)
        except InputError as error:
            print(f"vgrad: {error}", file=sys.stderr)
            raise typer.Exit(2) from None
        except OSError as error:
            print(f"vgrad: {error}", file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt as interruption:
            print(f"vgrad: {str(interruption) or 'interrupted'}", file=sys.stderr)
            raise typer.Exit(130) from None

    return app.command()(wrapped)


@app.callback()
def vgrad() -> None:
    """A microscope for gradient flow in neural networks."""
    _reuse_compiled_programs()


@_command
def sweep(
    study: Study = "article",
    arm: Annotated[list[str] | None, typer.Option(help="Only this arm; may be given several times.")] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each arm.")] = DEFAULT_SEEDS,
    epochs: Epochs = 500,
    study_seed: StudySeed = 0,
    out: Annotated[Path | None, typer.Option(help="New folder for the results; by default one in runs/.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the sweep in --out, perhaps with more --seeds.")
    ] = False,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler whose workers share --out; extra: cluster.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train every arm of a study over many seeds; write a page, figures and the labelled results.

    Example: vgrad sweep --arm tanh_uniform --arm relu_he --seeds 64 --out runs/pair
    """
    from vgrad_jax.report.page import write_report
    from vgrad_jax.sweeps.sweep import SweepInterrupted
    from vgrad_jax.sweeps.sweep import sweep as run_sweep

    arms = _arms(study, arm, epochs)
    whole_number("--seeds", seeds, minimum=1)
    whole_number("--study-seed", study_seed, maximum=MAX_SEED)
    if resume and (out is None or not _resumable(out)):
        raise InputError(f"--resume needs the folder of an interrupted sweep: --out DIR with results.zarr; got {out}")
    folder = out or _free_folder(Path("runs"), study)
    if not resume:
        _claim(folder)
    try:
        results = run_sweep(
            arms, seeds, seed=study_seed, store=folder / "results.zarr", resume=resume, scheduler=scheduler
        )
    except SweepInterrupted as interruption:
        if bool(interruption.results["completed"].any(dim="seed").all()):
            write_report(interruption.results, folder)
        command = f"the same command with --out {folder} --resume goes on"
        raise KeyboardInterrupt(f"{interruption}, in {folder / 'results.zarr'}; {command}") from None
    findings = write_report(results, folder)
    _show(findings, folder, f"{study}: {seeds} seeds, {epochs} epochs", as_json=as_json)


@_command
def report(
    folder: Annotated[Path, typer.Argument(help="A folder that `vgrad sweep` wrote.")],
    as_json: AsJson = False,
) -> None:
    """Make the page, the figures and the table again from stored results.

    Example: vgrad report runs/article
    """
    from vgrad_jax.report.page import write_report
    from vgrad_jax.sweeps.store import open_results

    if (folder / "zarr.json").exists():
        raise InputError(f"{str(folder)!r} is the store itself; give the folder that holds it: {folder.parent}")
    results = open_results(folder)
    try:
        findings = write_report(results, folder)
    except (RuntimeError, ValueError) as error:
        # What Zarr's codecs raise; a checksum that differs is a ValueError.
        if isinstance(error, ValueError) and "checksum" not in str(error):
            raise
        raise InputError(f"the results in {str(folder)!r} are damaged: {error}") from None
    _show(findings, folder, str(folder), as_json=as_json)


@_command
def run(
    arm: Annotated[str, typer.Option(help="The arm to train.")],
    study: Study = "article",
    seed: Annotated[int, typer.Option(help="Which run: seed k here is seed k of the sweep.")] = 0,
    epochs: Epochs = 500,
    study_seed: StudySeed = 0,
    out: Annotated[Path | None, typer.Option(help="New folder for the figure; by default one in runs/.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train one network, live: accuracy, loss, and the gradient of each layer as it changes.

    Example: vgrad run --arm tanh_uniform --seed 0
    """
    from rich.console import Console

    from vgrad_jax.report import live
    from vgrad_jax.sweeps.engine import run_key

    whole_number("--seed", seed, maximum=MAX_SEED)
    whole_number("--study-seed", study_seed, maximum=MAX_SEED)
    experiment = _arms(study, [arm], epochs)[arm]
    folder = out or _free_folder(Path("runs"), f"{arm}-seed{seed}")
    _claim(folder)
    watched = live.run_live(experiment, run_key(study_seed, seed), Console(stderr=as_json), f"{arm}, seed {seed}")
    figure = live.write_accuracy_curves(watched, folder, f"{arm}, seed {seed}")
    if as_json:
        print(json.dumps({"arm": arm, "seed": seed, **live.as_dict(watched), "figure": str(figure)}, indent=2))
    else:
        print(live.ending(experiment, watched))
        print(f"accuracy curves: {figure}")
    if watched.interrupted:
        raise KeyboardInterrupt(f"interrupted after epoch {watched.epoch[-1]}; what was seen is in {folder}")


@_command
def bench(
    study: Study = "article",
    arm: Annotated[str, typer.Option(help="The arm to time.")] = "tanh_he",
    out: Annotated[Path | None, typer.Option(help="New folder for the results; by default one in runs/.")] = None,
    as_json: AsJson = False,
) -> None:
    """How fast is a sweep on this machine? In about a minute, compiling included, with a picture.

    Example: vgrad bench --arm relu_he
    """
    from rich.console import Console

    from vgrad_jax.report import speed as report
    from vgrad_jax.sweeps.speed import measure_speed

    experiment = _arms(study, [arm], epochs=500)[arm]
    folder = out or _free_folder(Path("runs"), f"bench-{arm}")
    _claim(folder)
    console = Console(stderr=True, highlight=False)
    speeds = measure_speed(experiment, lambda name: console.print(f"timing {name} ..."))
    title = f"{arm}, {experiment.training.epochs} epochs, every epoch recorded"
    written = report.write_speed(speeds, folder, title)
    if as_json:
        print(json.dumps({**written, "folder": str(folder)}, indent=2))
    else:
        Console(highlight=False).print(report.speed_table(speeds, title))
        print(f"figure: {folder / 'speed.png'}   numbers: {folder / 'speed.json'}")


@_command
def diagnose(
    file: Annotated[Path, typer.Argument(help="A record that Record.save wrote.")],
    fail_on: Annotated[
        list[str] | None, typer.Option(help="Exit with 1 if this is the verdict; may be given several times.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a recorded gradient is healthy, and if not, what to do.

    Example: vgrad diagnose record.npz --fail-on vanishing --fail-on dead
    """
    from rich.console import Console

    from vgrad_jax.gradients.diagnose import STATUSES
    from vgrad_jax.gradients.diagnose import diagnose as find
    from vgrad_jax.gradients.recording import Record
    from vgrad_jax.report.verdict import layer_table

    for status in fail_on or ():
        if status not in STATUSES:
            raise unknown_name("status", status, STATUSES)
    diagnosis = find(Record.load(file))
    if as_json:
        print(json.dumps(diagnosis.to_dict(), indent=2, allow_nan=False))
    else:
        print(diagnosis)
        Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(layer_table(diagnosis))
    if diagnosis.status in (fail_on or ()):
        raise typer.Exit(1)


@_command
def theory(
    study: Study = "article",
    arm: Annotated[str | None, typer.Option(help="An arm of the study; or describe a network below.")] = None,
    activation: Annotated[str | None, typer.Option(help="Of a network of your own, such as tanh.")] = None,
    kernel_init: Annotated[str, typer.Option(help="With --activation: its weights.")] = "he_normal",
    bias_init: Annotated[str, typer.Option(help="With --activation: its biases.")] = "zeros",
    depth: Annotated[int, typer.Option(help="With --activation: hidden layers.")] = 10,
    width: Annotated[int, typer.Option(help="With --activation: units of each.")] = 64,
    seeds: Annotated[int, typer.Option(help="Networks drawn; none is trained.")] = DEFAULT_SEEDS,
    study_seed: StudySeed = 0,
    out: Annotated[Path | None, typer.Option(help="New folder for the figures; by default one in runs/.")] = None,
    as_json: AsJson = False,
) -> None:
    """What should the gradient be? Predicted and measured profiles at initialisation, and where theory does not apply.

    Example: vgrad theory --activation tanh --kernel-init glorot_normal --depth 20 --width 100
    """
    from rich.console import Console

    from vgrad_jax.report import theory as report
    from vgrad_jax.theory.comparison import compare

    if (arm is None) == (activation is None):
        raise InputError("give either --arm, a network of the study, or --activation, one of your own")
    whole_number("--seeds", seeds, minimum=2)
    whole_number("--depth", depth, maximum=1000)
    if arm is not None:
        name, experiment = arm, _arms(study, [arm], epochs=500)[arm]
    else:
        hidden = (whole_number("--width", width, minimum=1),) * depth
        mlp = MLP(hidden=hidden, activation=str(activation), kernel_init=kernel_init, bias_init=bias_init)
        name, experiment = f"{activation} {kernel_init} {depth} x {width}", Experiment(mlp=mlp)
    folder = out or _free_folder(Path("runs"), f"theory-{arm or activation}")
    found = compare(experiment, seeds, seed=study_seed)
    _claim(folder)
    files = report.write_theory(found, experiment, folder, name)
    if as_json:
        print(json.dumps({"name": name, **report.as_dict(found), "folder": str(folder)}, indent=2))
        return
    console = Console(highlight=False)
    console.print(report.profile_table(found, f"{name}, {seeds} seeds"))
    for line in report.sentences(found):
        console.print(line)
    console.print("written: " + "  ".join(str(path) for path in files))


def main() -> None:
    """`vgrad`: exit 0 when fine, 1 for the verdict asked about, 2 for bad usage or bad input, 130 after Ctrl-C."""
    app()


def _reuse_compiled_programs() -> None:
    """Keep compiled programs on disk for the next start, unless JAX has been told where, or told not to."""
    import jax
    import platformdirs

    config: Any = jax.config  # Its own types do not know its flags.
    if config.jax_compilation_cache_dir is None and config.jax_enable_compilation_cache:
        jax.config.update("jax_compilation_cache_dir", str(platformdirs.user_cache_path("vgrad_jax") / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_compilation_cache_max_size", CACHE_BYTES)


def _arms(study: str, chosen: list[str] | None, epochs: int) -> dict[str, Experiment]:
    if study not in STUDIES:
        raise unknown_name("study", study, STUDIES)
    arms = STUDIES[study](epochs=epochs)
    for name in chosen or ():
        if name not in arms:
            raise unknown_name(f"arm of the study {study!r}", name, arms)
    return {name: arms[name] for name in dict.fromkeys(chosen or arms)}


def _free_folder(parent: Path, name: str) -> Path:
    """`parent/name`, or with a number behind it where that is in use."""
    number = 1
    while (folder := parent / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return folder


def _resumable(folder: Path) -> bool:
    """Whether a sweep began here, be it that it was killed before its store was made."""
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    return "results.zarr" in names or names <= {"results.zarr.incomplete", "results.zarr.lock"}


def _claim(folder: Path) -> None:
    """Make the folder before any work is done, so that it is known to be writable."""
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


def _show(findings: "Findings", folder: Path, title: str, *, as_json: bool) -> None:
    from rich.console import Console

    from vgrad_jax.report import tables

    if as_json:
        print(json.dumps({**tables.as_dict(findings), "folder": str(folder)}, indent=2))
        return
    console = Console(width=max(Console().width, 160) if not sys.stdout.isatty() else None, highlight=False)
    console.print(tables.terminal_table(findings.summaries, title, console.width))
    for line in (findings.answer, *findings.remarks, *findings.placement_sentences):
        console.print(line)
    console.print(
        f"\npage: {folder / 'index.html'}   results: {folder / 'results.zarr'}   figures: {folder / 'figures'}"
    )
