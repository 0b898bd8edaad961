"""Tiles that do not fit together exactly, blended where they overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.network.config import Triple
    from napari_scutoid.network.tiles import Box

BLENDED = (
    "This model normalises by groups of channels within each tile, so its tiles do not fit together exactly; they were "
    "blended where they overlap. Use tiles as large as the memory allows, or a model with batch norm."
)


_PLANES = 16
"""As many as a block of a file holds, see `io.scratch`."""


def sees_the_tile(module: nn.Module) -> bool:
    """Whether a layer takes its statistics from the tile, so that tiles differ from one pass."""
    over_the_tile = (nn.GroupNorm, nn.InstanceNorm3d, nn.LayerNorm, nn.AdaptiveAvgPool3d)
    return any(isinstance(part, over_the_tile) for part in module.modules())


class Blend:
    """Weighted mean of overlapping tiles.

    Parameters
    ----------
    n_outputs : int
    shape : (int, int, int)
        Of the stack.
    overlap : (int, int, int)
        Voxels by which each of two neighbours reaches into the other.
    """

    def __init__(self, n_outputs: int, shape: Triple, overlap: Triple) -> None:
        self.shape = shape
        self.overlap = overlap
        self.total = np.zeros((n_outputs, *shape), dtype=np.float32)
        self.weight = np.zeros(shape, dtype=np.float32)

    def add(self, core: Box, values: NDArray[np.float32]) -> None:
        """Add a tile, with weights that fall linearly towards the faces it shares with other tiles."""
        weight = np.ones(core.shape, dtype=np.float32)
        for axis, overlap in enumerate(self.overlap):
            size = core.shape[axis]
            ramp = np.ones(size, dtype=np.float32)
            rise = (np.arange(size, dtype=np.float32) + 1) / (2 * overlap + 1)
            if core.start[axis] > 0:
                ramp = np.minimum(ramp, rise)
            if core.stop[axis] < self.shape[axis]:
                ramp = np.minimum(ramp, rise[::-1])
            weight *= ramp.reshape([-1 if other == axis else 1 for other in range(3)])
        self.total[(slice(None), *core.slices)] += values * weight
        self.weight[core.slices] += weight

    def write(self, target: Any) -> None:
        """Write the mean where there is one."""
        for z in range(0, self.shape[0], _PLANES):
            weight = self.weight[z : z + _PLANES]
            covered = weight > 0
            for channel, total in enumerate(self.total[:, z : z + _PLANES]):
                planes = np.array(target[channel][z : z + _PLANES])
                planes[covered] = total[covered] / weight[covered]
                target[channel][z : z + _PLANES] = planes
