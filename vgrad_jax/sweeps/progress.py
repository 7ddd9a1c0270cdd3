"""Progress on the error stream: a bar on a terminal, and a line every half minute elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from vgrad_jax.boundary import called
from vgrad_jax.sweeps.plan import Plan

__all__ = ["SECONDS_BETWEEN_LINES", "Progress", "progress_bar", "reporting", "seldom"]

Progress = Callable[[int, int], None]
"""Function of the seeds done and of their total."""

SECONDS_BETWEEN_LINES = 30.0
"""Time between two lines of progress where there is no terminal, in seconds."""


def seldom(show: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> Callable[[str, bool], None]:
    """Return a function that shows a line if `SECONDS_BETWEEN_LINES` have passed since the last, or if it must.

    Args:
        show: shows a line.
        clock: time in seconds.

    >>> times = iter([0.0, 10.0, 31.0, 32.0])
    >>> line = seldom(print, lambda: next(times))
    >>> line("a", False), line("b", False), line("c", True)
    b
    c
    (None, None, None)
    """
    last = clock()

    def line(text: str, must: bool) -> None:
        nonlocal last
        now = clock()
        if must or now - last >= SECONDS_BETWEEN_LINES:
            last = now
            show(text)

    return line


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
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar
    from rich.text import Text

    class SeedsPerSecond(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.1f} seeds/s" if speed else "compiling")

    console = Console(stderr=True)
    console.print(str(plan), highlight=False)
    if not console.is_terminal:
        line = seldom(lambda text: console.print(text, highlight=False))
        yield lambda done, total: line(f"training: {done}/{total} seeds", done == total)
        return
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
    with Bar(*columns, console=console, speed_estimate_period=600) as progress:
        task = progress.add_task("training", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def reporting(progress: bool | Progress, plan: Plan) -> Iterator[Progress]:
    """Yield the function that reports progress: a progress bar's, the caller's, or a function without effect.

    Args:
        progress: True shows a bar, and False shows nothing.
        plan: the sweep's plan.
    """
    if progress is True:
        with progress_bar(plan) as report:
            yield report
    elif progress is False:
        yield lambda done, total: None
    else:
        yield partial(called, "progress", "True, False, or a function f(done, total)", progress)
