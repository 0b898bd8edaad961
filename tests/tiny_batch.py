"""A batch without a network: tiny stacks, and a segmentation that takes each bright block for a cell."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from scipy.ndimage import label

from napari_scutoid.batch import REPORT_CSV, REPORT_JSON, BatchJob, find_stacks, plan, run_batch
from napari_scutoid.network.checkpoint import find_model, read_config
from napari_scutoid.pipeline import Result, settings_for
from napari_scutoid.progress import Progress, drain
from napari_scutoid.recipe import Recipe
from napari_scutoid.volume import Labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_scutoid.batch import BatchReport
    from napari_scutoid.volume import Volume

SHAPE = (4, 12, 30)


def image(cells: int) -> np.ndarray:
    """Return a stack in which `cells` blocks are bright."""
    data = np.random.default_rng(cells).integers(1, 50, SHAPE).astype(np.uint8)
    for cell in range(cells):
        data[:, 2:10, 1 + 4 * cell : 4 + 4 * cell] = 200
    return data


def stack(path: Path, cells: int = 2, **more: np.ndarray) -> Path:
    """Write a stack, and what else is to be in its file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["raw"] = image(cells)
        for name, array in more.items():
            file[name] = array
    return path


def study(folder: Path) -> Path:
    """Write three stacks, of one, two and three cells."""
    for cells in (1, 2, 3):
        stack(folder / "study" / f"stack{cells}.h5", cells)
    return folder / "study"


def segment(volume: Volume, recipe: Recipe, model: str) -> Iterator[Progress]:
    """Stand for `pipeline.run`."""
    yield Progress("Predicting", 1, 2)
    config = read_config(find_model(model))
    data = np.asarray(volume.data[...])
    labels, n = label(data > 100)
    yield Progress("Predicting", 2, 2)
    provenance: dict[str, Any] = {
        "recipe": settings_for(recipe, config).model_dump(mode="json"),
        "model": {"name": config.name, "weights_sha256": config.weights_sha256},
        "cells": {"n": n, "touch_border": []},
        "warnings": [] if n else ["No cell was found."],
    }
    return Result(Labels(labels.astype(np.uint32), volume.voxel_size_um, source=volume.source), {}, provenance)


RECIPE = Recipe.model_validate({"watershed": {"seed_sigma": 0.7}})
JOB = BatchJob(RECIPE, voxel_size_um=(1.0, 0.5, 0.5))


class Counting:
    """The tiny segmentation, and what it was asked to segment."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, volume: Any, recipe: Any, model: str) -> Any:
        self.seen.append(Path(volume.source.path).name)
        return (yield from segment(volume, recipe, model))


def run(place: Path, out: Path, job: BatchJob = JOB, segment: Any = segment, **options: Any) -> BatchReport:
    items = plan(find_stacks([place], leave_out=out), out, options.pop("suffix", ".h5"))
    return drain(run_batch(items, job, out, segment=segment, **options))


def states(report: BatchReport) -> list[str]:
    return [row.state for row in report.rows]


def written(out: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Return both reports, after a check that they say the same."""
    report = json.loads((out / REPORT_JSON).read_text(encoding="utf-8"))
    with (out / REPORT_CSV).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["stack"], row["state"]) for row in rows] == [(row["stack"], row["state"]) for row in report["rows"]]
    return report, rows
