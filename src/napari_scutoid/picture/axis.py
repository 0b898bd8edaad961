"""Axes of a plot: where they begin and end, and which numbers stand at them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROUND = (1, 2, 5, 10)
_LOG_FROM, _LOG_TO = 10.0, 1e10


@dataclass(frozen=True, slots=True)
class Axis:
    """The range of an axis and the numbers that are written at it, from low to high.

    Parameters
    ----------
    low, high : float
        `low` is smaller; above 0 where the axis is logarithmic.
    ticks : tuple of float
        Round numbers of the range.
    log : bool
        Equal distances are equal ratios.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def share(self, value: float) -> float:
        """Return where a value lies between the ends, 0 and 1; what lies outside is put at the nearer end."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear_axis(low: float, high: float, *, most: int = 6, whole: bool = False) -> Axis:
    """Return an axis from `low` to `high` with about `most` round numbers; `whole` ones only where asked."""
    if not high > low:
        high = low + 1
    step = _round_up((high - low) / most)
    if whole:
        step = max(1.0, step)
    return Axis(low, high, _multiples(step, math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)))


def round_axis(high: float, low: float = 0.0, *, most: int = 6) -> Axis:
    """Return an axis that holds both values and ends at round numbers."""
    step = _round_up(max(high - low, 1e-9) / most)
    first = math.floor(low / step + 1e-9)
    ticks = _multiples(step, first, max(first + 1, math.ceil(high / step - 1e-9)))
    return Axis(ticks[0], ticks[-1], ticks)


def fitted_axis(values: Sequence[float]) -> Axis:
    """Return an axis for finite values: from 0, or logarithmic where positive ones span more than tenfold.

    It holds all of them, but for those ten thousand million times smaller than the largest.
    """
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low > 0 and high / low > _LOG_FROM:
        return _log_axis(max(low, high / _LOG_TO), high)
    return round_axis(max(high, 0.0), min(low, 0.0))


def _log_axis(low: float, high: float) -> Axis:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    marks = (1,) if last - first > 3 else (1, 2, 5)
    ticks = [mark * 10.0**power for power in range(first, last + 1) for mark in marks]
    low = max(tick for tick in ticks if tick <= low * (1 + 1e-9))
    high = min(tick for tick in ticks if tick >= high * (1 - 1e-9))
    return Axis(low, high, tuple(tick for tick in ticks if low <= tick <= high), log=True)


def _multiples(step: float, first: int, last: int) -> tuple[float, ...]:
    return tuple(index * step for index in range(first, last + 1))


def _round_up(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return power * next(mark for mark in _ROUND if mark * power >= step * (1 - 1e-9))
