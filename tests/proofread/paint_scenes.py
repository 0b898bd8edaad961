"""Scenes for the tests of painting, and what must hold of every edit."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_scutoid.progress import drain
from napari_scutoid.proofread.change import CellState
from napari_scutoid.proofread.index import CellIndex
from napari_scutoid.proofread.scene import Guards, Scene
from napari_scutoid.volume import VoxelSize

CUBE = VoxelSize(1.0, 1.0, 1.0)


def scene_of(labels, *, lumen=None, walls=None, image=None, accepted=(), spacing=CUBE):
    labels = np.ascontiguousarray(labels, np.uint32)
    lumen = None if lumen is None else np.array(lumen, np.bool_)
    walls = np.zeros(labels.shape, np.uint8) if walls is None else walls
    for array in (labels, lumen):
        if array is not None:
            array.flags.writeable = False
    evidence = SimpleNamespace(
        boundary=lambda box: walls[box.slices], image=lambda box: None if image is None else image[box.slices]
    )
    states = {cell: CellState(accepted=True) for cell in accepted}
    index = drain(CellIndex.build(labels, evidence))
    return Scene(labels, index, VoxelSize(*spacing), evidence, lumen, states, int(labels.max(initial=0)) + 1)


def applied(scene, change):
    """Return labels and lumen after a change, having checked what must hold of any."""
    labels = scene.labels.copy()
    had_lumen = np.zeros(scene.shape, np.bool_) if scene.lumen is None else scene.lumen
    lumen = had_lumen.copy()
    for array, difference in ((labels, change.labels), (lumen, change.lumen)):
        if difference is not None:
            difference.apply(array)
    differs = (labels != scene.labels) | (lumen != had_lumen)
    locked = scene.is_locked(scene.labels)
    assert not differs[locked].any()
    assert not np.isin(labels, list(scene.locked))[~locked].any()
    assert not (differs & (labels > 0) & lumen).any()
    assert change.is_empty == (not differs.any())
    if change.box is not None:
        outside = np.ones(scene.shape, np.bool_)
        outside[change.box.slices] = False
        assert not differs[outside].any()
    back = labels.copy(), lumen.copy()
    undone = change.inverse()
    for array, difference in zip(back, (undone.labels, undone.lumen), strict=True):
        if difference is not None:
            difference.apply(array)
    np.testing.assert_array_equal(back[0], scene.labels)
    np.testing.assert_array_equal(back[1], had_lumen)
    return labels, lumen


guards = st.builds(Guards, st.booleans(), st.booleans(), st.booleans())
targets = st.sampled_from([0, 1, 2, 3, 9, "lumen"])


@st.composite
def scenes(draw, shape=(4, 5, 6)):
    labels = draw(arrays.arrays(np.uint32, shape, elements=st.sampled_from([0, 0, 1, 2, 3])))
    lumen = draw(st.none() | arrays.arrays(np.bool_, shape))
    if lumen is not None:
        lumen &= labels == 0
    spacing = draw(st.sampled_from([CUBE, VoxelSize(2.0, 1.0, 0.5)]))
    accepted = [cell for cell in draw(st.sets(st.sampled_from([1, 2, 3]))) if (labels == cell).any()]
    return scene_of(labels, lumen=lumen, accepted=accepted, spacing=spacing)
