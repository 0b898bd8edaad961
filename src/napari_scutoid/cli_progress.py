"""How far a job is, for the person in front of the screen: all on standard error."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, TypeVar

from napari_scutoid.progress import drain

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_scutoid.progress import Progress, Steps

T = TypeVar("T")


def follow(steps: Steps[T]) -> T:
    """Run a job to its end, showing how far it is: a bar on a terminal, else one line a step.

    Parameters
    ----------
    steps : Generator of Progress
        The job; closed, and thereby cancelled, on Ctrl-C.
    """
    with contextlib.closing(steps):
        if not sys.stderr.isatty():
            return drain(steps, _line_per_step())
        return _with_bar(steps)


def _line_per_step() -> Callable[[Progress], None]:
    last = ""

    def report(progress: Progress) -> None:
        nonlocal last
        if progress.step != last:
            tell(progress.step)
            last = progress.step

    return report


def _with_bar(steps: Steps[T]) -> T:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:<42}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        step = ""
        task = bars.add_task("")

        def report(progress: Progress) -> None:
            nonlocal step, task
            if progress.step != step:
                if step:
                    bars.update(task, total=1, completed=1)
                    task = bars.add_task("")
                step = progress.step
            bars.update(task, description=step, completed=progress.done, total=progress.total or None)

        result = drain(steps, report)
        bars.update(task, total=1, completed=1)
    return result


def tell(message: str) -> None:
    """Print a line for the person in front of the screen."""
    print(message, file=sys.stderr, flush=True)
