"""Compiled work on a volume shared between the processor's cores."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

T = TypeVar("T")
R = TypeVar("R")

_MOST = 8
"""More threads than that wait for memory."""


def cores() -> int:
    """Return the number of the processor's cores that this program may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(work: Callable[[T], R], items: Sequence[T], at_once: int | None = None) -> Generator[R]:
    """Call `work(item)` for some items at a time, and yield what it returns in their order.

    Leaving it waits for what is at work.

    Parameters
    ----------
    work : callable
        Runs in a thread of its own.
    items : sequence
    at_once : int, optional
        Items that are worked on at a time, or wait for being yielded; by default as many as there are cores.
    """
    at_once = at_once or min(cores(), _MOST)
    threads = ThreadPoolExecutor(at_once)
    try:
        waiting = deque(threads.submit(work, item) for item in items[:at_once])
        for number in range(len(items)):
            result = waiting.popleft().result()
            waiting.extend(threads.submit(work, item) for item in items[number + at_once : number + at_once + 1])
            yield result
    finally:
        threads.shutdown(wait=True, cancel_futures=True)


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
