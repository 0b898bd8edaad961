"""``scutoid segment --cells``: a table of the cells, written with the labels or not at all."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from napari_scutoid import cli
from napari_scutoid.pipeline import ResultOnDisk
from napari_scutoid.progress import Progress
from napari_scutoid.steps.cell_table import cell_table
from napari_scutoid.volume import Origin, Volume, VoxelSize

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack, in which a stand-in for the pipeline finds one whole cell and one that is cut."""

    def run(volume: Volume, *_: Any) -> Iterator[Progress]:
        yield Progress("Predicting", 1, 1)
        data, origin = np.zeros(volume.shape, np.uint8), Origin(10, 0, 0)
        data[1, 1:3, 1:4], data[0, 0, 0] = 3, 8
        prediction = {"device": "cpu", "precision": "bf16", "tiles": 1, "tiles_skipped": 0}
        told = {"warnings": [], "cell_size": None, "working_shape": [3, 4, 5]}
        told |= {"typical_cell": {"diameter_voxels": 15.0, "diameter_um": None}, "cells": {"n": 2, "touch_border": [8]}}
        labels = Volume(data, volume.voxel_size_um, origin)
        cells = cell_table(data, volume.voxel_size_um, origin)
        return ResultOnDisk(labels, {}, told | {"prediction": prediction}, cells)

    monkeypatch.setattr("napari_scutoid.pipeline.run_on_disk", run)
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        file["raw"] = np.random.default_rng(0).integers(0, 200, (3, 4, 5)).astype(np.uint8)
    return tmp_path / "stack.h5"


def scutoid(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(argument) for argument in arguments])
    return int(stopped.value.code or 0)


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


def test_a_row_for_each_cell(stack: Path, tmp_path: Path) -> None:
    table = tmp_path / "cells.csv"
    size = VoxelSize(2.0, 0.5, 0.5)
    assert scutoid("segment", stack, "-o", tmp_path / "o.h5", "--voxel-size", *size, "--cells", table) == 0
    whole, cut = rows(table)
    assert (whole["cell"], whole["voxels"], float(whole["volume_um3"]), whole["touches_border"]) == ("3", "6", 3.0, "0")
    assert [float(whole[name]) for name in ("z_um", "y_um", "x_um")] == [12.0, 0.75, 1.0]
    assert [float(whole[name]) for name in ("z_voxel", "y_voxel", "x_voxel")] == [1.0, 1.5, 2.0]
    assert (cut["cell"], cut["x_first_voxel"], cut["x_last_voxel"], cut["touches_border"]) == ("8", "0", "0", "1")


def test_micrometres_are_left_out_where_the_voxel_size_is_unknown(stack: Path, tmp_path: Path) -> None:
    assert scutoid("segment", stack, "-o", tmp_path / "o.h5", "--cells", tmp_path / "cells.csv") == 0
    assert not [name for name in rows(tmp_path / "cells.csv")[0] if "um" in name]


@pytest.mark.parametrize("table", ["cells.xlsx", "nowhere/cells.csv"])
def test_a_table_that_cannot_be_written_is_told_before_the_work(stack: Path, tmp_path: Path, table: str) -> None:
    assert scutoid("segment", stack, "-o", tmp_path / "o.h5", "--cells", tmp_path / table) == 2
    assert sorted(file.name for file in tmp_path.iterdir()) == ["stack.h5"]
