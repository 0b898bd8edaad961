"""The doors from the window to the program, as jobs; a test or another window may put its own in their place.

What a door needs is imported when its job starts, in the worker's thread: opening a widget loads no torch and no h5py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_scutoid.io.format import FileInfo
    from napari_scutoid.pipeline import Result
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Recipe
    from napari_scutoid.volume import Labels, Volume, VoxelSize


def _inspect(path: Path) -> FileInfo:
    from napari_scutoid.io.open import inspect

    return inspect(path)


def _open_volume(path: Path, dataset: str, **choice: Any) -> Volume:
    from napari_scutoid.io.open import open_volume

    return open_volume(path, dataset, **choice)


def _run(volume: Volume, recipe: Recipe) -> Steps[Result]:
    from napari_scutoid.pipeline import run

    return run(volume, recipe)


def _save_result(path: Path, labels: Labels, probabilities: dict[str, Volume], provenance: dict[str, Any]) -> None:
    from napari_scutoid.io.open import save_result

    save_result(path, labels, probabilities, provenance)


@dataclass(frozen=True, slots=True)
class Core:
    """The four things the window asks of the program."""

    inspect: Callable[[Path], FileInfo] = field(default=_inspect)
    open_volume: Callable[..., Volume] = field(default=_open_volume)
    run: Callable[[Volume, Recipe], Steps[Result]] = field(default=_run)
    save_result: Callable[[Path, Labels, dict[str, Volume], dict[str, Any]], None] = field(default=_save_result)


@dataclass(frozen=True, slots=True, eq=False)
class Segmented:
    """What a segmentation hands to the window."""

    volume: Volume
    result: Result
    n_cells: int


def look_into(core: Core, path: Path) -> Steps[FileInfo]:
    """List a file's data sets."""
    yield Progress("Looking into the file")
    return core.inspect(path)


def segment(core: Core, volume: Volume, recipe: Recipe) -> Steps[Segmented]:
    """Segment a stack and count its cells."""
    yield Progress("Preparing")
    result = yield from core.run(volume, recipe)
    ids: set[int] = set()
    for z, plane in enumerate(result.labels.data):
        yield Progress("Counting the cells", z, result.labels.shape[0])
        ids.update(np.unique(plane).tolist())
    return Segmented(volume, result, len(ids - {0}))


def save(
    core: Core, path: Path, labels: Labels, probabilities: dict[str, Volume], provenance: dict[str, Any]
) -> Steps[Path]:
    """Write labels, and what the network said, to a file."""
    yield Progress("Writing the labels")
    core.save_result(path, labels, probabilities, provenance)
    return path


def open_stack(
    core: Core, path: Path, dataset: str, voxel_size_um: VoxelSize | None, channel: int | None, time: int | None
) -> Steps[Volume]:
    """Open one data set of a file."""
    yield Progress("Opening the stack")
    return core.open_volume(path, dataset, channel=channel, time=time, voxel_size_um=voxel_size_um)
