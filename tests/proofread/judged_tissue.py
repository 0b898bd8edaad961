"""A small tissue of cubes with two known errors, and a judge whose curves are plain to see."""

from __future__ import annotations

import numpy as np

from napari_scutoid.progress import drain
from napari_scutoid.proofread.additive import AdditiveModel, Curve
from napari_scutoid.proofread.index import CellIndex
from napari_scutoid.proofread.judge import Judge, features_of
from napari_scutoid.proofread.scene import Scene
from napari_scutoid.proofread.session import Session
from napari_scutoid.proofread.suspects import Suspects
from napari_scutoid.volume import Labels, VoxelSize

EDGE = 8
MERGED, PIECE, REST = 14, 100, 27
"""Cells 14 and 15 are one in the labels; the last cube is cut in two, without a wall."""


class Walls:
    """Evidence from an array."""

    def __init__(self, walls, image=None):
        self.walls, self._image = walls, image

    def boundary(self, box):
        return self.walls[box.slices]

    def image(self, box):
        return None if self._image is None else self._image[box.slices]


def truth():
    """Return 27 cubes with a margin of background."""
    cubes = np.arange(1, 28, dtype=np.uint32).reshape(3, 3, 3)
    return np.pad(np.kron(cubes, np.ones((EDGE,) * 3, np.uint32)), 2)


def labels():
    """Return the cubes with both errors."""
    made = truth()
    made[made == MERGED + 1] = MERGED
    last = np.argwhere(made == REST)
    half = last[last[:, 0] >= last[:, 0].mean()]
    made[tuple(half.T)] = PIECE
    return made


def evidence(with_image=False):
    """Return walls between the true cubes."""
    from skimage.segmentation import find_boundaries

    walls = (230 * find_boundaries(truth(), mode="inner", connectivity=1)).astype(np.uint8)
    return Walls(walls, walls.astype(np.float32) + 20 if with_image else None)


def scene(made=None, lumen=None, with_image=False):
    made = labels() if made is None else made
    own = evidence(with_image)
    return Scene(made, drain(CellIndex.build(made, own)), VoxelSize(1.0, 1.0, 1.0), own, lumen)


def judge(opinions=False):
    """Return a judge that goes by weak walls and by inner cuts."""

    def model(names, intercept, **curves):
        flat = ((0.0, 1.0), (0.0, 0.0))
        return AdditiveModel(intercept, tuple(Curve(name, *curves.get(name, flat)) for name in names))

    face, cell = features_of(opinions=opinions)
    cut = ((0.3, 0.6), (-1.0, 4.0))
    return Judge(
        model(face, -3.0, evidence=((0.5, 0.8), (6.0, -1.0))),
        model(cell, -2.0, weak_face=((-3.0, 3.0), (0.0, 3.0)), cut=cut),
        model(cell, -3.0, cut=cut),
        model(cell, -6.0, size=((-3.0, 0.0), (5.0, 0.0))),
    )


def suspects(of, opinions=(), by=None):
    return drain(Suspects.build(of, opinions, judge(bool(opinions)) if by is None else by))


def session():
    return drain(Session.begin(Labels(labels(), VoxelSize(1.0, 1.0, 1.0)), evidence()))
