"""Progress bar of a sweep, on the terminal's error stream."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vgrad_jax.sweeps.plan import Plan

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(plan: Plan) -> Iterator[Callable[[int, int], None]]:
    """Show the sweep's plan, then the seeds done, the seeds per second and the time left.

    Args:
        plan: the sweep's plan.

    Yields:
        A function of the seeds done and their total, over all arms together; each call updates the bar.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class SeedsPerSecond(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.1f} seeds/s" if speed else "compiling")

    console = Console(stderr=True)
    console.print(str(plan), highlight=False)
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("seeds"),
        SeedsPerSecond(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, speed_estimate_period=600) as progress:
        task = progress.add_task("training", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
