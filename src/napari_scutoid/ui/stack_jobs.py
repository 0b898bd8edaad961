"""What the Open stack dock has done in a job: pictures of data sets, and reading the chosen ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.progress import Progress
from napari_scutoid.ui import layers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_scutoid.io.format import DatasetInfo
    from napari_scutoid.io.preview import Sections
    from napari_scutoid.progress import Steps
    from napari_scutoid.ui.core import Core
    from napari_scutoid.ui.layers import Shown
    from napari_scutoid.ui.remembered import Opened
    from napari_scutoid.volume import Labels, Volume, VoxelSize


@dataclass(frozen=True, slots=True, eq=False)
class StackAndLabels:
    """What was opened: a stack, its labels, or both; and maps of probabilities that lie over them."""

    stack: Shown | None
    labels: Labels | None
    maps: tuple[Shown, ...] = ()

    @property
    def grid(self) -> Volume | Labels | None:
        """Whose extent the maps cover."""
        return self.labels if self.stack is None else self.stack.volume


def thumbnail(core: Core, file: Path, file_format: str, dataset: DatasetInfo, side: int) -> Steps[NDArray | None]:
    """Make a picture of a data set's middle slice; None where it would cost too much."""
    yield Progress("Making a picture")
    from napari_scutoid.io.preview import middle_slice

    if _is_read_whole(file_format, dataset):
        return None
    volume = core.open_volume(file, dataset.path, channel=0, time=0)
    return middle_slice(volume.data, side, labels=dataset.guess == "labels")


def make_sections(
    core: Core, file: Path, file_format: str, dataset: DatasetInfo, opened: Opened, side: int
) -> Steps[tuple[Sections, tuple[int, int, int]] | None]:
    """Make pictures of three planes, and tell the stack's shape; None where it would cost too much."""
    yield Progress("Making pictures")
    from napari_scutoid.io.preview import sections

    if _is_read_whole(file_format, dataset):
        return None
    axes = opened.axes or dataset.axes
    volume = core.open_volume(file, dataset.path, axes=opened.axes, **_part_of(axes, opened))
    return sections(volume.data, side, labels=dataset.guess == "labels"), volume.shape


def open_both(
    core: Core,
    file: Path,
    opened: Opened,
    image: DatasetInfo | None,
    labels: DatasetInfo | None,
    voxel_size_um: VoxelSize | None,
    maps: Sequence[DatasetInfo] = (),
) -> Steps[StackAndLabels]:
    """Open an image, labels, or both, and maps of probabilities with them.

    Parameters
    ----------
    core : Core
        The program.
    file : Path
        The file.
    opened : Opened
        What the user chose; `voxel_size_um` in it is not looked at.
    image, labels : DatasetInfo or None
        The chosen data sets; labels beside an image lie on its grid.
    voxel_size_um : VoxelSize or None
        What the user left in the boxes; None is unknown.
    maps : sequence of DatasetInfo
        Put over the image, else over the labels: a map covers all of it, with voxels of its own.
    """
    from napari_scutoid.steps.rescale import grid_after

    shown: Shown | None = None
    yield Progress("Opening the stack")
    _load_napari()
    if image is not None:
        axes = opened.axes or image.axes
        part = _part_of(axes, opened)
        # The file's own size is left to the file, so that the history says "given by hand" only of what was.
        by_hand = None if voxel_size_um == image.voxel_size_with(axes) else voxel_size_um
        volume = core.open_volume(file, image.path, voxel_size_um=by_hand, axes=opened.axes, **part)
        volume = layers.with_voxel_size(volume, voxel_size_um)
        shown = yield from _read(volume, part, opened)
    found: Labels | None = None
    if labels is not None:
        yield Progress("Reading the labels")
        same_rank = image is None or len(image.shape) == len(labels.shape)
        given = opened.axes if same_rank else None
        time = _part_of(given or labels.axes, opened)["time"]
        found = core.open_labels(file, labels.path, time=time, axes=given)
        grid: Volume | Labels = found if shown is None else shown.volume
        found = replace(found, voxel_size_um=voxel_size_um, origin_um=grid.origin_um)
    result = StackAndLabels(shown, found)
    over = image or labels
    for one in maps:
        if result.grid is None or over is None:
            raise ValueError("maps need an image or labels to lie over")
        given = opened.axes if len(one.shape) == len(over.shape) else None
        part = _part_of(given or one.axes, opened)
        volume = core.open_volume(file, one.path, voxel_size_um=None, axes=given, **part)
        size, origin = grid_after(result.grid, volume.shape)
        made = yield from _read(replace(volume, voxel_size_um=size, origin_um=origin), part, opened)
        result = replace(result, maps=(*result.maps, made))
    return result


def _read(volume: Volume, part: dict[str, int | None], opened: Opened) -> Steps[Shown]:
    """Read a volume into memory, or make sure that it can be read slice by slice."""
    if not opened.in_memory:
        from napari_scutoid.io.local_copy import local_copy

        volume = yield from local_copy(volume)
    return (yield from layers.load(volume, (part["channel"], part["time"]), in_memory=opened.in_memory))


def _load_napari() -> None:
    """Let napari load here, in the worker's thread, what the first layer of a session needs: seconds for its window."""
    from napari.layers import Image

    Image(np.zeros((1, 2, 2), np.uint8), contrast_limits=(0, 1), units="um")


def _part_of(axes: str, opened: Opened) -> dict[str, int | None]:
    return {"channel": opened.channel if "C" in axes else None, "time": opened.time if "T" in axes else None}


def _is_read_whole(file_format: str, dataset: DatasetInfo) -> bool:
    """Whether all of a large array would be read for a picture of it."""
    from napari_scutoid.io.mat import Mat5
    from napari_scutoid.io.preview import MOST_BYTES

    return file_format == Mat5.name and math.prod(dataset.shape) * np.dtype(dataset.dtype).itemsize > MOST_BYTES
