"""What lies between cells is the same in whatever box it is asked for."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from paint_scenes import scene_of

from napari_scutoid.box import Box
from napari_scutoid.proofread.edits.guards import gaps


@settings(max_examples=40)
@given(st.data(), st.integers(0, 99), st.sampled_from([0.01, 0.1, 0.4]), st.sampled_from([1.0, 2.0, 3.5]))
def test_a_gap_is_one_in_every_box(data, seed, share, width):
    shape = (5, 14, 22)
    rng = np.random.default_rng(seed)
    labels = (rng.random(shape) < share).astype(np.uint32)
    scene = scene_of(labels, lumen=(rng.random(shape) < share) & (labels == 0), spacing=(2, 1, 1))
    start = [data.draw(st.integers(0, n - 1)) for n in shape]
    stop = [data.draw(st.integers(first + 1, n)) for first, n in zip(start, shape, strict=True)]
    box = Box.between(start, stop)
    everywhere = gaps(scene, Box.whole(shape), width)
    np.testing.assert_array_equal(gaps(scene, box, width), everywhere[box.slices])
    assert not everywhere[(labels > 0) | scene.lumen].any()


def test_gaps_are_as_wide_as_the_ball_that_closes_them():
    labels = np.ones((1, 1, 12), np.uint32)
    labels[..., 3:7] = 0
    scene = scene_of(labels, spacing=(1, 1, 0.5))
    assert [int(gaps(scene, Box.whole(labels.shape), width).sum()) for width in (0.9, 1.0, 9.0)] == [0, 4, 4]
