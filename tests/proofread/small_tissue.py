"""What holds of every edit of whole cells, beside what holds of painting."""

from __future__ import annotations

import cc3d
import numpy as np
import paint_scenes
from paint_scenes import scene_of

from napari_scutoid.box import Box
from napari_scutoid.progress import drain
from napari_scutoid.proofread.index import CellIndex

__all__ = ["applied", "pieces", "scene_of"]


def applied(scene, change):
    """Return the labels after a change, having checked what holds for all of them."""
    after, _ = paint_scenes.applied(scene, change)
    if change.labels is None:
        return after
    box = change.labels.box
    assert Box.of(after != scene.labels) == box
    index = drain(CellIndex.build(scene.labels, scene.evidence))
    index.update(after, box, scene.labels[box.slices], scene.evidence)
    assert index == drain(CellIndex.build(after, scene.evidence))
    return after


def pieces(mask):
    """Return how many pieces there are that faces connect."""
    return cc3d.connected_components(np.ascontiguousarray(mask), connectivity=6, return_N=True)[1]
