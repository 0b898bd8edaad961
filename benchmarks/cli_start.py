"""How long a command of the program takes to start, and with a tiny stack, beside a Python that does nothing.

Run it with the Python of the program's environment:
``.venv/bin/python benchmarks/cli_start.py [--quick] [--json FILE]``.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from _common import Row, parser, show, write_json

TITLE = "Start of the command line"
TINY = (32, 64, 64)
COLUMNS = {"command": "s", "runs": "d", "median_s": ".3f", "slowest_s": ".3f", "ratio": ".1f", "peak_mib": ".0f"}
# Linux counts ru_maxrss in KiB, macOS in bytes.
RSS_PER_MIB = 2**20 if sys.platform == "darwin" else 2**10


def measure(name: str, command: list[str], repeats: int) -> Row:
    """Run `command` once to warm the disk cache, then `repeats` times in fresh processes."""
    seconds, peaks = [], []
    for repeat in range(repeats + 1):
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Not Popen.wait: only wait4 tells the memory of this one process.
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed with status {process.returncode}")
        if repeat:
            seconds.append(elapsed)
            peaks.append(usage.ru_maxrss / RSS_PER_MIB)
    return {
        "command": name,
        "runs": repeats,
        "median_s": statistics.median(seconds),
        "slowest_s": max(seconds),
        "peak_mib": max(peaks),
    }


def main() -> None:
    """Measure, print, write."""
    options = parser(TITLE).parse_args()
    scutoid = str(Path(sysconfig.get_path("scripts")) / "scutoid")
    with tempfile.TemporaryDirectory() as folder:
        stack, labels = Path(folder) / "stack.h5", Path(folder) / "labels.h5"
        make = [scutoid, "synth", str(stack), "--shape", *map(str, TINY), "--cell-diameter", "12"]
        subprocess.run(make, check=True, stderr=subprocess.DEVNULL)
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "python -c 'import typer'": [sys.executable, "-c", "import typer"],
            "scutoid --help": [scutoid, "--help"],
            f"scutoid segment, {'x'.join(map(str, TINY))}": [scutoid, "segment", str(stack), "-o", str(labels)],
        }
        rows = [measure(name, command, 3 if options.quick else 10) for name, command in commands.items()]
    for row in rows:
        row["ratio"] = row["median_s"] / rows[0]["median_s"]
    show(TITLE, rows, COLUMNS)
    write_json(options.json, TITLE, rows)


if __name__ == "__main__":
    main()
