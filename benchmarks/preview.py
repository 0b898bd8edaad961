"""How long a preview takes to follow each setting: cells in a box of probabilities, made again after one change.

On the noisy, blurred boundaries of Voronoi cells that ``watershed.py`` makes. Each row is one change of a setting from
the defaults: seconds of the processor and of the clock when a setting changes for the first time, when it goes back,
and which share of making everything anew that is.
"""

from __future__ import annotations

import time
from typing import Any

from _common import Row, parser, show, write_json
from watershed import probabilities, voronoi

from napari_scutoid.progress import drain
from napari_scutoid.recipe import Recipe
from napari_scutoid.steps.staged import StagedCells

BOXES = ((32, 128, 128), (48, 192, 192), (64, 256, 256))
CHANGES: tuple[tuple[str, Any], ...] = (
    ("watershed.foreground_threshold", 0.4),
    ("watershed.boundary_threshold", 0.4),
    ("watershed.seed_sigma", 0.1),
    ("watershed.seed_distance", 0.1),
    ("watershed.seed_prominence", 0.2),
    ("partition.method", "multicut"),
    ("partition.weak_wall", 0.4),
    ("partition.split_gain", 0.2),
    ("cleanup.min_size", 0.1),
)
COLUMNS = {
    "box": "s",
    "change": "s",
    "cells": "d",
    "cpu_first": ".2f",
    "seconds_first": ".2f",
    "cpu_back": ".2f",
    "seconds_back": ".2f",
    "share_of_all": ".0%",
}


def measured(shape: tuple[int, int, int]) -> list[Row]:
    """Return the rows of one box."""
    maps = probabilities(voronoi(shape))
    staged = StagedCells(*maps)
    rows = []
    defaults = Recipe()
    everything = _timed(staged, defaults)
    rows.append({"change": "everything", "cpu_first": everything["cpu"], "seconds_first": everything["seconds"]})
    rows[0]["cells"] = everything["cells"]
    for change, value in CHANGES:
        part, name = change.split(".")
        other = defaults.model_copy(update={part: getattr(defaults, part).model_copy(update={name: value})})
        first, back = _timed(staged, other), _timed(staged, defaults)
        rows.append(
            {
                "change": f"{change} = {value}",
                "cells": first["cells"],
                "cpu_first": first["cpu"],
                "seconds_first": first["seconds"],
                "cpu_back": back["cpu"],
                "seconds_back": back["seconds"],
                "share_of_all": first["cpu"] / everything["cpu"],
            }
        )
    return [{"box": " x ".join(map(str, shape)), **row} for row in rows]


def _timed(staged: StagedCells, recipe: Recipe) -> Row:
    cpu, clock = time.process_time(), time.perf_counter()
    cells = drain(staged.cells(recipe)).labels
    return {"cpu": time.process_time() - cpu, "seconds": time.perf_counter() - clock, "cells": int(cells.max())}


def main() -> None:
    arguments = parser((__doc__ or "").splitlines()[0]).parse_args()
    measured((16, 48, 48))  # imports count as no time
    rows = [row for shape in BOXES[: 1 if arguments.quick else None] for row in measured(shape)]
    title = "A preview after one change"
    show(title, rows, COLUMNS)
    write_json(arguments.json, title, rows)


if __name__ == "__main__":
    main()
