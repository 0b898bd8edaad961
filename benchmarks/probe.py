"""What trying an HDF5 file in a process of its own costs: ``scutoid info`` of a small file, with the probe and without.

Run it with the Python of the program's environment: ``.venv/bin/python benchmarks/probe.py [--quick] [--json FILE]``.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
from _common import Row, parser, show, write_json

TITLE = "Opening a small HDF5 file"
COLUMNS = {"command": "s", "runs": "d", "median_s": ".3f", "slowest_s": ".3f", "more_s": ".3f"}


def measure(name: str, file: Path, variables: dict[str, str], repeats: int) -> Row:
    """Run ``scutoid info`` once to warm the disk cache, then `repeats` times."""
    command = [sys.executable, "-m", "napari_scutoid.cli", "info", str(file)]
    seconds = []
    for repeat in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=os.environ | variables)
        if repeat:
            seconds.append(time.perf_counter() - start)
    return {"command": name, "runs": repeats, "median_s": statistics.median(seconds), "slowest_s": max(seconds)}


def main() -> None:
    """Measure, print, write."""
    options = parser(TITLE).parse_args()
    repeats = 3 if options.quick else 15
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stack.h5"
        with h5py.File(file, "w") as root:
            root["raw"] = np.random.default_rng(0).integers(0, 255, (16, 64, 64)).astype(np.uint8)
        rows = [
            measure("info, SCUTOID_PROBE=off", file, {"SCUTOID_PROBE": "off"}, repeats),
            measure("info", file, {"SCUTOID_PROBE": "on"}, repeats),
        ]
    for row in rows:
        row["more_s"] = row["median_s"] - rows[0]["median_s"]
    show(TITLE, rows, COLUMNS)
    write_json(options.json, TITLE, rows)


if __name__ == "__main__":
    main()
