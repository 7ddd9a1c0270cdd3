"""A single training, shown as it happens."""

import itertools
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from vgrad_jax.data import load_data
from vgrad_jax.diagnosis import Diagnosis
from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment
from vgrad_jax.nets.mlp import Params
from vgrad_jax.numerics import json_value
from vgrad_jax.report.figures.accuracy import accuracy_curves
from vgrad_jax.report.sparkline import sparkline
from vgrad_jax.report.verdict import Courses, run_verdict
from vgrad_jax.training.convergence import Outcome, epochs_to_converge, outcome
from vgrad_jax.training.records import EpochRecord
from vgrad_jax.training.run import Run, advance, initial_params, measure_record, start
from vgrad_jax.wording import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["LiveRun", "as_dict", "ending", "run_live", "verdict", "weights", "write_accuracy_curves"]

COURSE = 36
"""Most characters of a course."""


class LiveRun:
    """A run under observation: every record, and the first layer's weights at the epochs kept."""

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.records: list[EpochRecord] = []
        self.run: Run | None = None
        self.initial: Params | None = None
        self.interrupted = False

    def values(self, name: str) -> list[float]:
        """Return a scalar field of every record."""
        return [float(getattr(record, name)) for record in self.records]

    @property
    def outcome(self) -> str:
        """The ending of the run, in a word."""
        assert self.run is not None
        return Outcome(int(outcome(self.run.convergence))).name.lower()


def run_live(experiment: Experiment, key: jax.Array, console: "Console", title: str) -> LiveRun:
    """Train one run, an epoch at a time, with a table that follows it.

    The functions and their order are those of `vgrad_jax.train`, with the loop over epochs on the host. After Ctrl-C
    the records until then are returned, marked as interrupted.
    """
    from rich.live import Live

    dataset = load_data(experiment.data)
    watched = LiveRun()
    total = experiment.training.epochs
    look_once = jax.jit(partial(measure_record, experiment, dataset))
    one_epoch = jax.jit(
        lambda run, epoch: measure_record(experiment, dataset, advance(experiment, dataset, run, epoch), epoch)
    )
    watched.initial = initial_params(experiment, key, dataset)
    run = start(experiment, watched.initial, key)
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        try:
            for epoch in range(total + 1):
                run, record = (look_once if epoch == 0 else one_epoch)(run, jnp.asarray(epoch))
                record = jax.device_get(record)
                watched.epoch.append(epoch)
                watched.records.append(record)
                watched.run = run
                if epoch % max(total // 200, 1) == 0 or epoch == total:
                    live.update(live_table(watched, total, title))
        except KeyboardInterrupt:
            if not watched.records:
                raise
            watched.interrupted = True
    console.print(live_table(watched, total, title))
    return watched


def live_table(watched: LiveRun, total: int, title: str) -> "Table":
    """Return the table that follows a run: the last value of each quantity, and its course so far."""
    from rich.table import Table

    caption = "gradient: each layer's log10 root mean square, of the full training loss"
    heading = f"{title}: epoch {watched.epoch[-1]} of {total}"
    table = Table(title=heading, title_justify="left", caption=caption, caption_justify="left")
    table.add_column("")
    table.add_column("now", justify="right")
    table.add_column("course since initialisation", no_wrap=True)
    for name in ("train_accuracy", "test_accuracy", "train_loss", "test_loss"):
        values = watched.values(name)
        table.add_row(name.replace("_", " "), f"{values[-1]:.3f}", _course(values))
    gradients = np.stack([record.gradient_log10_rms for record in watched.records])
    for layer, values in enumerate(gradients.T):
        side = " (input side)" if layer == 0 else " (output)" if layer == gradients.shape[1] - 1 else ""
        label = f"gradient {layer}{side}"
        now = "zero" if np.isneginf(values[-1]) else f"{values[-1]:.2f}"
        table.add_row(label, now, _course(values.tolist()))
    return table


def _course(values: list[float]) -> str:
    """Return values over time as blocks between their extremes; a value that is not finite is a blank."""
    chosen = np.asarray(values)[np.unique(np.linspace(0, len(values) - 1, COURSE).astype(int))]
    finite = chosen[np.isfinite(chosen)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    return sparkline(chosen.tolist(), low, high, zero=" ", broken=" ")


def ending(experiment: Experiment, watched: LiveRun) -> str:
    """Write how the run ended."""
    assert watched.run is not None
    lines = []
    if watched.outcome == "converged":
        epochs = counted(int(epochs_to_converge(watched.run.convergence)), "epoch")
        lines.append(f"converged after {epochs} (training accuracy {experiment.training.threshold:.0%} or more)")
    elif watched.outcome == "diverged":
        lines.append("diverged: a loss was not finite")
    else:
        lines.append(f"did not converge within {counted(watched.epoch[-1], 'epoch')}")
    final = watched.records[-1]
    lines.append(f"train accuracy {float(final.train_accuracy):.3f}, test accuracy {float(final.test_accuracy):.3f}")
    return "\n".join(lines)


def weights(experiment: Experiment, watched: LiveRun) -> str:
    """Write the first layer's weights at the epochs kept, as the article prints them."""
    assert watched.run is not None
    lines = []
    kept = [epoch for epoch in experiment.recording.parameters_at if epoch <= watched.epoch[-1]]
    kernels = np.asarray(watched.run.parameters[0].kernel)[: len(kept)]
    for epoch, kernel in zip(kept, kernels, strict=True):
        lines.append(f"first layer's weights after epoch {epoch}:\n{np.array2string(kernel, precision=4)}")
    for (before, after), change in zip(itertools.pairwise(kept), np.abs(np.diff(kernels, axis=0)), strict=True):
        lines.append(f"mean absolute change, epoch {before} to {after}: {change.mean():.4f}")
    return "\n".join(lines)


def verdict(experiment: Experiment, watched: LiveRun) -> Diagnosis:
    """Judge the run, from its records so far, as a sweep judges each of its runs."""
    assert watched.initial is not None
    courses = Courses(
        epoch=np.asarray(watched.epoch),
        log10_rms=np.stack([record.gradient_log10_rms for record in watched.records])[None],
        loss=np.asarray(watched.values("train_loss"))[None],
    )
    converged = watched.outcome == "converged"
    return run_verdict(experiment, load_data(experiment.data), watched.initial, courses, converged=converged)


def as_dict(watched: LiveRun) -> dict[str, Any]:
    """Return the run's numbers for scripts."""
    scalars = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")
    gradients = np.stack([record.gradient_log10_rms for record in watched.records])
    return {
        "outcome": watched.outcome,
        "epoch": watched.epoch,
        **{name: json_value(watched.values(name)) for name in scalars},
        "gradient_log10_rms": json_value(gradients),
    }


def write_accuracy_curves(watched: LiveRun, folder: Path, title: str) -> Path:
    """Write the article's figure as `accuracy.png`.

    Raises:
        InputError: the folder cannot be written.
    """
    figure = accuracy_curves(watched.epoch, watched.values("train_accuracy"), watched.values("test_accuracy"), title)
    path = folder / "accuracy.png"
    try:
        figure.savefig(path)
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r}: {error.strerror or error}") from None
    return path
