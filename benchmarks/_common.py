"""What the benchmarks share: arguments, measurements in fresh processes, one table, JSON rows."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Row = dict[str, Any]


def parser(description: str) -> argparse.ArgumentParser:
    """Return the arguments that every benchmark has: ``--quick`` and ``--json FILE``."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--quick", action="store_true", help="a small input and few repetitions")
    arguments.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as JSON")
    arguments.add_argument("--case", metavar="JSON", help=argparse.SUPPRESS)  # set in the fresh processes
    return arguments


def in_fresh_process(script: str, case: Row) -> Row:
    """Run one case of a benchmark in its own process and return the row that it prints with `answer`.

    A process of its own, as the peak of memory is one number per process and caches would favour the second case.
    """
    done = subprocess.run(
        [sys.executable, script, "--case", json.dumps(case)], stdout=subprocess.PIPE, text=True, check=True
    )
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def answer(row: Row) -> None:
    """Print a row for the process that asked for it."""
    print(json.dumps(row))


def measure(job: Callable[[], object], repeats: int) -> Row:
    """Return the median time of a job, and how far memory rises above what the process held before."""
    before = peak_rss()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - start)
    return {"seconds": statistics.median(seconds), "peak_rss": peak_rss(), "rise": peak_rss() - before}


def peak_rss() -> int:
    """Return the most memory this process ever held, in bytes.

    On Linux not `getrusage`: what it reports for a child includes the parent's memory at the time of the fork.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(text for text in status.read_text(encoding="ascii").splitlines() if text.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def show(title: str, rows: Sequence[Row], columns: dict[str, str]) -> None:
    """Print one table.

    Parameters
    ----------
    title : str
        Stands above it, with the machine.
    rows : sequence of dict
        The measurements.
    columns : dict
        Key of a row -> format of its cells, such as ``".2f"``; missing values stay empty.
    """
    cells = [
        [format(row[key], kind) if row.get(key) is not None else "" for key, kind in columns.items()] for row in rows
    ]
    names = [key.replace("_", " ") for key in columns]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    left = [kind in ("", "s") for kind in columns.values()]
    print(f"{title} ({machine()})\n")
    for line in (names, ["-" * width for width in widths], *cells):
        parts = [
            text.ljust(width) if at_left else text.rjust(width)
            for text, width, at_left in zip(line, widths, left, strict=True)
        ]
        print("  ".join(parts).rstrip())


def write_json(file: Path | None, title: str, rows: Sequence[Row]) -> None:
    """Write the rows where a file was asked for."""
    if file is not None:
        file.write_text(json.dumps({"title": title, "machine": machine(), "rows": list(rows)}, indent=2) + "\n")


def machine() -> str:
    """Return the machine in a few words."""
    return f"{os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()}"
