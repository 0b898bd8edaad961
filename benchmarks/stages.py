"""Time and peak memory of each stage from probabilities to cells, on synthetic tissue of 1 to 60 million voxels.

Run by ``postprocessing.py --scaling``. Each size has a process of its own; the smallest one counts as the measure of
what linear growth would be.
"""

from __future__ import annotations

import ctypes
import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _common import Row, answer, in_fresh_process, parser, peak_rss, show, write_json

from napari_scutoid.recipe import Recipe
from napari_scutoid.steps.cells import cells_from_probabilities
from napari_scutoid.steps.tissue import STAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

TITLE = "Stages from probabilities to cells"
MILLIONS = (1, 4, 15, 60)
ERASED = 0.1
LINEAR = 1.1
"""Largest exponent of the number of voxels that still counts as linear: caches and timers differ by as much."""
COLUMNS = {
    "stage": "",
    "million_voxels": ".1f",
    "cells": "d",
    "seconds": ".2f",
    "seconds_per_million": ".3f",
    "peak_bytes_per_voxel": ".0f",
    "exponent_of_time": ".2f",
    "exponent_of_memory": ".2f",
}
SHORT = {
    STAGES[0]: "tissue and distance",
    STAGES[1]: "closing",
    STAGES[2]: "specks",
    STAGES[3]: "seeds",
    STAGES[4]: "flooding",
    "Merging cells without a wall between": "partition: merging",
    "Dividing what is no single cell": "partition: dividing",
}
TOTAL = "all"


def scaling(quick: bool, file: Path | None) -> None:
    """Measure every size and print one table."""
    rows: list[Row] = []
    for million in MILLIONS[: 2 if quick else None]:
        rows += in_fresh_process(__file__, {"million": million})["rows"]
        write_json(file, TITLE, rows)
    _add_exponents(rows)
    order = list(dict.fromkeys(row["stage"] for row in rows))
    rows.sort(key=lambda row: order.index(row["stage"]))
    show(TITLE, rows, COLUMNS)
    write_json(file, TITLE, rows)
    for what in ("time", "memory"):
        steep = [
            f"{row['stage']} ({row[f'exponent_of_{what}']:.2f} at {row['million_voxels']:.0f})"
            for row in rows
            if row.get(f"exponent_of_{what}", 0.0) > LINEAR
        ]
        print(f"\nMore than linear in {what} (exponent of the voxels, at million voxels): {', '.join(steep) or 'none'}")


def run_case(million: float) -> Row:
    """Segment tissue of so many voxels in this process and return a row per stage."""
    from damage import damaged
    from watershed import voronoi

    side = round((million * 1e6 / 2) ** (1 / 3))
    labels = voronoi((2 * side, side, side))
    maps = damaged(labels, ERASED)
    foreground, boundary, n_cells = maps.foreground, maps.boundary, int(labels.max())
    del labels, maps
    # Imports count neither as time nor as memory, nor do the threads that the first run starts.
    small = (slice(0, 32), slice(0, 48), slice(0, 48))
    _stages(foreground[small].copy(), boundary[small].copy())
    held = _resident() - foreground.nbytes - boundary.nbytes
    rows = []
    voxels = foreground.size
    stages = _stages(foreground, boundary)
    total = {"seconds": sum(s["seconds"] for s in stages.values()), "peak": max(s["peak"] for s in stages.values())}
    for stage, found in {**stages, TOTAL: total}.items():
        rows.append(
            {
                "stage": stage,
                "million_voxels": voxels / 1e6,
                "cells": n_cells,
                "seconds": found["seconds"],
                "seconds_per_million": found["seconds"] * 1e6 / voxels,
                "peak_bytes_per_voxel": (found["peak"] - held) / voxels,
            }
        )
    return {"rows": rows}


def _stages(foreground: Any, boundary: Any) -> dict[str, dict[str, float]]:
    """Return seconds and peak memory of each stage, told apart by what the job reports."""
    found: dict[str, dict[str, float]] = {}
    stage, started = SHORT[STAGES[0]], time.perf_counter()
    _forget_peak()

    def note() -> None:
        seen = found.setdefault(stage, {"seconds": 0.0, "peak": 0.0})
        seen["seconds"] += time.perf_counter() - started
        seen["peak"] = max(seen["peak"], peak_rss())

    for progress in cells_from_probabilities(foreground, boundary, Recipe()):
        entered = SHORT.get(progress.step, "cleaning")
        if entered != stage:
            note()
            _forget_peak()
            stage, started = entered, time.perf_counter()
    note()
    return found


def _forget_peak() -> None:
    """Let the peak of memory count anew; only Linux can, elsewhere a stage's peak includes those before it."""
    switch = Path("/proc/self/clear_refs")
    if switch.exists():
        # The C library keeps what arrays of a few megabytes leave: not this stage's need, so it is given back.
        getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)(0)
        switch.write_text("5", encoding="ascii")


def _resident() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


def _add_exponents(rows: Sequence[Row]) -> None:
    """Add to each row how time and memory grew since the size before: 1 where they grew as the voxels did."""
    before: dict[str, Row] = {}
    for row in rows:
        if (last := before.get(row["stage"])) is not None:
            growth = math.log(row["million_voxels"] / last["million_voxels"])
            time_growth = math.log(row["seconds_per_million"] / last["seconds_per_million"])
            memory_growth = math.log(row["peak_bytes_per_voxel"] / last["peak_bytes_per_voxel"])
            row["exponent_of_time"] = 1 + time_growth / growth
            row["exponent_of_memory"] = 1 + memory_growth / growth
        before[row["stage"]] = row


def main() -> None:
    options = parser((__doc__ or "").splitlines()[0]).parse_args()
    if options.case:
        answer(run_case(json.loads(options.case)["million"]))
        return
    scaling(options.quick, options.json)


if __name__ == "__main__":
    main()
