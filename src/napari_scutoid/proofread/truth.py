"""Accepted cells as truth to train with; what nobody has accepted is not learnt from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid import __version__
from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.mat_write import Mat73Writer
from napari_scutoid.io.output import Output
from napari_scutoid.io.save import writer_for
from napari_scutoid.proofread.saving import refuse_base, refuse_stack
from napari_scutoid.steps.resampling import nearest_indices
from napari_scutoid.volume import UNKNOWN, Volume

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.proofread.base import Base
    from napari_scutoid.proofread.scene import Scene

_LABORATORY: Mapping[str, str] = {"raw": "imageSequenceInterpolated", "label": "labelledImage3D"}


class Truth:
    """Labels to train with, computed where they are read; an `ArrayLike`.

    Accepted cells keep their ids and the lumen is 0, which trains as background. All else is `UNKNOWN`: also what lies
    outside the tissue, for a cell may be missing there. Where every cell is accepted, or the outside is said to be
    right, the outside is 0 as well.

    Parameters
    ----------
    scene : Scene
        The labels under correction; they must not change while this is read.
    shape : tuple of 3 ints
        Of the image, whose grid may be finer or coarser; each of its voxels takes what the nearest one is.
    outside : bool, optional
        Whether what lies outside the cells is right; by default, whether every cell is accepted.
    """

    dtype = np.dtype(np.uint32)

    def __init__(self, scene: Scene, shape: tuple[int, int, int], outside: bool | None = None) -> None:
        self.shape: tuple[int, ...] = shape
        accepted = sorted(scene.locked & set(scene.index.cells.tolist()))
        self.n_accepted = len(accepted)
        self.outside = len(accepted) == len(scene.index) if outside is None else outside
        self._scene = scene
        self._known = np.array([0, *accepted] if self.outside else accepted, np.uint32)
        self._nearest = [nearest_indices(n, m) for n, m in zip(scene.shape, shape, strict=True)]

    def __getitem__(self, key: Any, /) -> NDArray[np.uint32]:
        z, y, x = (nearest[span] for nearest, span in zip(self._nearest, key, strict=True))
        at = np.ix_(z, y, x)
        labels: NDArray[np.uint32] = self._scene.labels[at]
        made = np.where(np.isin(labels, self._known), labels, np.uint32(UNKNOWN))
        if self._scene.lumen is not None:
            made[self._scene.lumen[at] & (labels == 0)] = 0
        return made


def write_truth(
    path: str | Path, image: Volume, scene: Scene, base: Base, *, outside: bool | None = None
) -> Steps[None]:
    """Write an image with its accepted cells as a file for ``scutoid train --ignore 4294967295``.

    Parameters
    ----------
    path : path
        Of any format that holds an image and labels: ``.h5``, ``.mat`` or ``.zarr``. The arrays are ``raw`` and
        ``label``, and in a ``.mat`` have the laboratory's names.
    image : Volume
        The stack, lazy or in memory.
    scene : Scene
        The labels under correction, of the same extent; they must not change before this ends.
    base : Base
        The labels before the first edit, whose file is not to be written over.
    outside : bool, optional
        As for `Truth`.

    Raises
    ------
    ScutoidError
        When no cell is accepted, or the file cannot be written, or is that of the labels or the image.
    """
    target = Path(path)
    refuse_base(target, base)
    refuse_stack(target, image)
    truth = Truth(scene, image.shape, outside)
    if not truth.n_accepted:
        raise ScutoidError(
            "There is nothing to learn from yet",
            "no cell is accepted",
            "accept the cells that are right, and try again",
        )
    writer = writer_for(path)
    grid = Volume(truth, image.voxel_size_um, image.origin_um)
    outputs = {
        "raw": Output(image.data, image.dtype, image),
        "label": Output(truth, np.dtype(np.uint32), grid, "labels"),
    }
    if isinstance(writer, Mat73Writer):
        outputs = {_LABORATORY[name]: output for name, output in outputs.items()}
    made = {
        "ignore": UNKNOWN,
        "accepted": truth.n_accepted,
        "cells": len(scene.index),
        "outside_is_known": truth.outside,
        "image": None if image.source is None else str(image.source),
    }
    yield from writer.write(target, outputs, {"truth": made, "napari-scutoid": __version__})
