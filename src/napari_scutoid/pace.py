"""How long a job will still take."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from napari_scutoid.progress import Progress


class Stopwatch:
    """Estimates how long the current step still takes, from the pace of that step so far."""

    whole = False
    """Whether what remains is that of the whole job."""

    def __init__(self) -> None:
        self._step = ""
        self._began = 0.0
        self._done_then = 0

    def remaining(self, progress: Progress, now: float) -> float | None:
        """Seconds until the step ends, or None while its pace is unknown.

        Parameters
        ----------
        progress : Progress
            The newest report.
        now : float
            Seconds on a clock that never runs backwards.
        """
        if progress.step != self._step or progress.done < self._done_then:
            # Counting starts at the first report, so that loading a library does not slow the pace.
            self._step, self._began, self._done_then = progress.step, now, progress.done
            return None
        done, elapsed = progress.done - self._done_then, now - self._began
        if done <= 0 or elapsed <= 0 or progress.total <= 0:
            return None
        return max(0.0, (progress.total - progress.done) * elapsed / done)


class Parts(NamedTuple):
    """Seconds that a job is expected to take before, in and after the step that takes longest."""

    before: float
    main: float
    after: float


class Outlook(Stopwatch):
    """Estimates how long a whole job still takes: its main step by its pace, the rest by what was expected.

    Parameters
    ----------
    parts : Parts
        What was expected.
    main_step : str
        Its name.
    """

    whole = True

    def __init__(self, parts: Parts, main_step: str) -> None:
        super().__init__()
        self._parts, self._main_step = parts, main_step
        self._phase = 0
        self._phase_began: float | None = None

    def remaining(self, progress: Progress, now: float) -> float | None:
        """Seconds until the job ends. Parameters are those of `Stopwatch.remaining`."""
        of_step = super().remaining(progress, now)
        phase = 1 if progress.step == self._main_step else 2 * (self._phase > 0)
        if self._phase_began is None or phase != self._phase:
            self._phase, self._phase_began = phase, now
        if phase == 1 and of_step is not None:
            return of_step + self._parts.after
        # A part that takes longer than expected still takes as long as its present step does.
        left = max(self._parts[phase] - (now - self._phase_began), of_step or 0.0, 0.0)
        return left + sum(self._parts[phase + 1 :])


def describe(seconds: float) -> str:
    """Return a duration as one reads it: ``"about 2 min left"``."""
    if seconds < 5:
        return "a few seconds left"
    if seconds < 55:
        return f"about {5 * round(seconds / 5)} s left"
    if seconds < 90 * 60:
        return f"about {max(1, round(seconds / 60))} min left"
    return f"about {seconds / 3600:.1f} h left"
