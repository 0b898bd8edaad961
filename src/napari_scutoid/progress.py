"""Long work is a generator that yields `Progress` and returns its result."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one step of a job is.

    Parameters
    ----------
    step : str
        Name of the step as a person reads it, e.g. ``"Predicting"``.
    done, total : int
        Units finished and units in all (tiles, slices, batches); ``total`` 0 means unknown.
    """

    step: str
    done: int = 0
    total: int = 0

    @property
    def fraction(self) -> float:
        """Share of this step that is done, 0 to 1 (0 while the total is unknown)."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0


Steps: TypeAlias = Generator[Progress, None, T]
"""A job: yields `Progress`, returns a ``T``. Closing the generator cancels the job."""


def drain(steps: Steps[T], report: Callable[[Progress], object] | None = None) -> T:
    """Run a job to its end and return its result.

    Parameters
    ----------
    steps : Generator
        The job.
    report : callable, optional
        Called with every `Progress`.

    Examples
    --------
    >>> def job():
    ...     yield Progress("Counting", 1, 1)
    ...     return 42
    >>> drain(job())
    42
    """
    while True:
        try:
            progress = next(steps)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        if report is not None:
            report(progress)


def within(steps: Steps[T], progress: Progress) -> Steps[T]:
    """Run a job as a part of a larger one, whose progress is shown instead.

    Parameters
    ----------
    steps : Generator
        The job.
    progress : Progress
        How far the larger one is.
    """
    with closing(steps):
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            yield progress


def one_of(steps: Steps[T], number: int, runs: int, *, step: str, words: str) -> Steps[T]:
    """Run a job whose main step comes again in others alike, and count it over all of them.

    Parameters
    ----------
    steps : Generator
        The job.
    number : int
        Which of the runs it is, counted from 0.
    runs : int
        How many there are; each is taken to have as many units as this one.
    step : str
        The main step. All others are shown as they are.
    words : str
        What it is called instead.
    """
    with closing(steps):
        while True:
            try:
                progress = next(steps)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            if progress.step == step:
                progress = Progress(words, number * progress.total + progress.done, runs * progress.total)
            yield progress
