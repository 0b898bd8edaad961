"""The labels that corrections start from, told apart from all others."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from napari_scutoid.progress import Progress
from napari_scutoid.volume import Labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.volume import ArrayLike, Volume

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


def read_labels(stored: Volume, shown: ArrayLike | None = None) -> Steps[Labels | None]:
    """Read labels from their file, once, unless they are in memory already.

    Parameters
    ----------
    stored : Volume
        From `find_labels`.
    shown : array-like, optional
        What they are expected to be. Where it may be changed in place and every voxel is the same, it is what is
        returned: a second array of a large stack would take a gigabyte.

    Returns
    -------
    Labels or None
        None where the file holds other labels than expected.

    Raises
    ------
    ScutoidError
        When the file is damaged or holds no labels, or they do not fit into memory.
    """
    from napari_scutoid.io.lazy import check_memory
    from napari_scutoid.io.open import label_blocks

    if shown is not None and tuple(shown.shape) != stored.shape:
        return None
    read, voxels = 0, math.prod(stored.shape)
    if _is_free(shown):
        data = shown
    else:
        check_memory(4 * voxels, str(stored.source))
        data = np.empty(stored.shape, np.uint32)
    for key, ids in label_blocks(stored):
        yield Progress("Reading the labels", 100 * read // voxels, 100)
        if shown is not None and not np.array_equal(ids, shown[key]):
            return None
        if data is not shown:
            data[key] = ids
        read += ids.size
    return Labels(data, stored.voxel_size_um, stored.origin_um, stored.source, stored.history)


def _is_free(array: ArrayLike | None) -> TypeGuard[NDArray[np.uint32]]:
    """Whether an array can be corrected in place: no file and no other array changes with it."""
    if not isinstance(array, np.ndarray) or array.dtype != np.uint32:
        return False
    flags = array.flags
    return bool(flags.owndata and flags.writeable and flags.c_contiguous)
