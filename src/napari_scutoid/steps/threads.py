"""Compiled work on a volume shared between the processor's cores."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_MOST = 8
"""More threads than that wait for memory."""


def cores() -> int:
    """Return the number of the processor's cores that this program may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parts(work: Callable[[int, int], T], n: int, *, at_least: int = 1) -> list[T]:
    """Call `work(first, last)` for consecutive parts of n rows at once; it must release the interpreter's lock.

    Returns what each part returned.

    Parameters
    ----------
    work : callable
        What it does to a row must not depend on where its part begins or ends.
    n : int
        Rows in all.
    at_least : int
        Rows that are worth a thread.
    """
    parts = max(1, min(cores(), _MOST, n // max(1, at_least)))
    if parts == 1:
        return [work(0, n)]
    borders = [n * i // parts for i in range(parts + 1)]
    with ThreadPoolExecutor(parts) as threads:
        return list(threads.map(work, borders[:-1], borders[1:]))
