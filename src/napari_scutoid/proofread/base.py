"""The labels that corrections start from, told apart from all others."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from napari_scutoid.progress import Steps
    from napari_scutoid.volume import Labels

_SLAB_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Base:
    """What is known of labels before the first edit.

    Parameters
    ----------
    shape : tuple of 3 ints
        Voxels along z, y, x.
    labels_sha256, lumen_sha256 : str
        Of the ids as little-endian uint32 and of the lumen as bytes of 0 and 1, in z, y, x order; empty where there is
        no lumen.
    largest : int
        Largest id.
    file, dataset : str
        Where the labels were read from; empty where they were not.
    """

    shape: tuple[int, int, int]
    labels_sha256: str
    lumen_sha256: str = ""
    largest: int = 0
    file: str = ""
    dataset: str = ""

    @classmethod
    def of(cls, labels: Labels) -> Steps[Base]:
        """Read labels through once."""
        ids, lumen, largest = hashlib.sha256(), hashlib.sha256(), 0
        nz, ny, nx = labels.shape
        thickness = max(1, _SLAB_BYTES // (4 * ny * nx))
        for z in range(0, nz, thickness):
            yield Progress("Checking the labels", z, nz)
            slab = labels.data[z : z + thickness]
            largest = max(largest, int(slab.max()))
            ids.update(np.ascontiguousarray(slab, "<u4").data)
            if labels.lumen is not None:
                lumen.update(np.ascontiguousarray(labels.lumen[z : z + thickness], np.uint8).data)
        source = labels.source
        return cls(
            (nz, ny, nx),
            ids.hexdigest(),
            "" if labels.lumen is None else lumen.hexdigest(),
            largest,
            "" if source is None else source.path,
            "" if source is None else source.dataset,
        )

    def is_same(self, other: Base) -> bool:
        """Whether the voxels are the same, wherever they were read from."""
        return (self.shape, self.labels_sha256, self.lumen_sha256) == (
            other.shape,
            other.labels_sha256,
            other.lumen_sha256,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return what provenance says of it."""
        return {
            "path": self.file,
            "dataset": self.dataset,
            "shape": list(self.shape),
            "sha256": self.labels_sha256,
            "lumen_sha256": self.lumen_sha256,
        }
