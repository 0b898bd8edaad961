"""Numbers that may not be defined."""

from __future__ import annotations

from typing import TypeAlias, overload

Score: TypeAlias = float | None
"""None where a score is not defined, as the agreement of boundaries that do not exist."""


@overload
def ratio(part: float, whole: float) -> Score: ...
@overload
def ratio(part: float, whole: float, *, empty: float) -> float: ...
def ratio(part: float, whole: float, *, empty: Score = None) -> Score:
    """Return part / whole, or `empty` where there is no whole."""
    return float(part / whole) if whole > 0 else empty
