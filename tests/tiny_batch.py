"""A batch without a network: tiny stacks, and a segmentation that takes each bright block for a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from scipy.ndimage import label

from napari_scutoid.network.checkpoint import find_model, read_config
from napari_scutoid.pipeline import Result, settings_for
from napari_scutoid.progress import Progress
from napari_scutoid.volume import Labels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_scutoid.recipe import Recipe
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
