"""What speaks for walls, sampled on the labels' grid box by box."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_scutoid.volume import ZERO

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.box import Box
    from napari_scutoid.volume import Labels, Origin, Volume, VoxelSize

_PLANES, _STRIDE_TO = 32, 128
_DARK, _BRIGHT = 50.0, 99.5
_FAINTEST = 0.25


@dataclass(frozen=True, eq=False)
class GridEvidence:
    """A network's boundary probability, else the brightness of the image, as evidence for walls.

    A voxel's evidence does not depend on the box it is asked for in: an index that was updated box by box has to equal
    one that was built in one go.

    Parameters
    ----------
    boundary_volume : Volume, optional
        How probable walls are, on any grid: floating point 0 to 1, or integers 0 to 255.
    image_volume : Volume, optional
        The intensities, on any grid; walls are bright.
    shape : tuple of 3 ints
        Of the labels.
    voxel_size_um, origin_um
        Of the labels, as in `Volume`. Where a size is unknown, the two grids are taken to cover the same space.
    """

    boundary_volume: Volume | None
    image_volume: Volume | None
    shape: tuple[int, int, int]
    voxel_size_um: VoxelSize | None = None
    origin_um: Origin = ZERO

    @classmethod
    def of(cls, labels: Labels, boundary: Volume | None = None, image: Volume | None = None) -> GridEvidence:
        """Return what the two say on the grid of some labels."""
        return cls(boundary, image, labels.shape, labels.voxel_size_um, labels.origin_um)

    def boundary(self, box: Box) -> NDArray[np.uint8]:
        """Return how much speaks for walls, 0 to 255, shape of the box; 0 throughout where nothing is known."""
        if self.boundary_volume is not None:
            found = self._sampled(self.boundary_volume, box)
            if found.dtype == np.uint8:
                return found
            if self.boundary_volume.dtype.kind == "f":
                found = found * np.float32(255)
            return _as_bytes(found)
        if self.image_volume is not None:
            return self._bright(self.image_volume, box)
        return np.zeros(box.shape, np.uint8)

    def image(self, box: Box) -> NDArray[Any] | None:
        """Return the intensities, shape of the box; None where there is no image."""
        return None if self.image_volume is None else self._sampled(self.image_volume, box)

    def _bright(self, image: Volume, box: Box) -> NDArray[np.uint8]:
        """Return how far voxels stand out from what is common in their slice: deeper slices are darker."""
        from napari_scutoid.proofread.evidence_compiled import stand_out

        around = box.padded(1, self.shape)
        found = self._sampled(image, around)
        # Conversions that round nothing: a compiled loop for each type would be no faster.
        voxel = np.uint16 if found.dtype in (np.uint8, np.uint16) else np.float32
        places = [
            np.clip(np.arange(inner - 1, inner + n + 1, dtype=np.int64), outer, outer + length - 1) - outer
            for inner, n, outer, length in zip(box.start, box.shape, around.start, around.shape, strict=True)
        ]
        dark, bright = (level[box.slices[0]] for level in self._levels)
        smooth: NDArray[np.uint8] = stand_out(np.ascontiguousarray(found, voxel), *places, dark, bright)
        return smooth

    @cached_property
    def _levels(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Common and bright intensity of each slice of the labels, from some slices of the image."""
        image = self.image_volume
        if image is None:
            raise ValueError("there is no image to measure")
        depth, height, width = image.shape
        planes = np.unique(np.linspace(0, depth - 1, min(depth, _PLANES)).round().astype(int))
        step_y, step_x = max(1, height // _STRIDE_TO), max(1, width // _STRIDE_TO)
        shades = [np.asarray(image.data[int(z)])[::step_y, ::step_x] for z in planes]
        dark, bright = np.array([np.percentile(shade, (_DARK, _BRIGHT)) for shade in shades]).T
        range_ = np.maximum(bright - dark, max(_FAINTEST * float((bright - dark).max()), 1e-6))
        step, offset = self._grid(image)[0]
        z = offset + step * np.arange(self.shape[0])
        low, span = np.interp(z, planes, dark), np.interp(z, planes, range_)
        return low.astype(np.float32), (low + span).astype(np.float32)

    def _grid(self, volume: Volume) -> tuple[_Axis, ...]:
        """Return where the labels' voxels lie on another grid."""
        mine, theirs = self.voxel_size_um, volume.voxel_size_um
        if mine is None or theirs is None:
            steps = [n / m for n, m in zip(volume.shape, self.shape, strict=True)]
            return tuple(_Axis(step, (step - 1) / 2) for step in steps)
        places = zip(mine, theirs, self.origin_um, volume.origin_um, strict=True)
        return tuple(_Axis(a / b, (first - other) / b) for a, b, first, other in places)

    def _sampled(self, volume: Volume, box: Box) -> NDArray[Any]:
        """Return a volume's values by linear interpolation; those of the volume itself where the grids agree."""
        axes = self._grid(volume)
        if volume.shape == self.shape and all(axis.is_same for axis in axes):
            return np.asarray(volume.data[box.slices])
        cut, taps = [], []
        for axis, first, n, length in zip(axes, box.start, box.shape, volume.shape, strict=True):
            place = np.clip(axis.offset + axis.step * np.arange(first, first + n), 0, length - 1)
            low = np.minimum(place.astype(np.intp), max(0, length - 2))
            cut.append(slice(int(low[0]), min(int(low[-1]) + 2, length)))
            taps.append((low - low[0], (place - low).astype(np.float32)))
        found = np.asarray(volume.data[tuple(cut)]).astype(np.float32)
        for axis_number, (low, share) in enumerate(taps):
            if found.shape[axis_number] == 1:
                found = np.repeat(found, len(low), axis_number)
                continue
            wide = [1, 1, 1]
            wide[axis_number] = -1
            near, far = found.take(low, axis_number), found.take(low + 1, axis_number)
            found = near + (far - near) * share.reshape(wide)
        return found


def _as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    rounded: NDArray[np.uint8] = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    return rounded


class _Axis(NamedTuple):
    """The place of voxel i is ``offset + step * i`` on another grid."""

    step: float
    offset: float

    @property
    def is_same(self) -> bool:
        """Whether the two agree to less than a hundredth of a voxel along a thousand of them."""
        return abs(self.step - 1) < 1e-5 and abs(self.offset) < 1e-2
