"""Evidence for walls is sampled where the labels are, and is the same in every box."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_scutoid.box import Box
from napari_scutoid.proofread.evidence import GridEvidence
from napari_scutoid.volume import Labels, Origin, Volume, VoxelSize


def test_a_probability_on_the_same_grid_is_taken_as_it_is():
    boundary = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 4)
    labels = Labels(np.zeros((2, 3, 4), np.uint32), VoxelSize(2, 1, 1))
    evidence = GridEvidence.of(labels, Volume(boundary, VoxelSize(2, 1, 1)))
    np.testing.assert_array_equal(evidence.boundary(Box.whole((2, 3, 4))), np.rint(boundary * 255))
    assert evidence.image(Box.whole((2, 3, 4))) is None


def test_bytes_are_taken_as_they_are():
    boundary = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    evidence = GridEvidence(Volume(boundary), None, (2, 3, 4))
    np.testing.assert_array_equal(evidence.boundary(Box((1, 1, 1), (1, 2, 2))), boundary[1:, 1:, 1:3])


@pytest.mark.parametrize("known", [True, False])
def test_a_coarser_grid_is_sampled_between_its_voxels(known):
    """A ramp stays a ramp, in micrometres as by extent."""
    coarse = np.broadcast_to(np.arange(8, dtype=np.float32) / 8, (2, 4, 8)).copy()
    size, fine = (VoxelSize(4, 2, 2), VoxelSize(1, 1, 1)) if known else (None, None)
    origin = Origin(1.5, 0.5, 0.5) if known else Origin()
    evidence = GridEvidence(Volume(coarse, size, origin), None, (8, 8, 16), fine)
    found = evidence.boundary(Box((0, 2, 4), (8, 3, 6)))
    expected = np.rint(((np.arange(4, 10) - 0.5) / 2) / 8 * 255)
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1)


def test_without_anything_there_is_no_evidence():
    evidence = GridEvidence(None, None, (2, 2, 2))
    assert not evidence.boundary(Box.whole((2, 2, 2))).any()


def test_bright_planes_are_walls_at_any_depth():
    image = np.full((6, 8, 17), 100, np.uint16)
    image[:, :, 8] = 500
    image[3:] //= 2  # light is lost on the way
    evidence = GridEvidence(None, Volume(image), image.shape)
    found = evidence.boundary(Box.whole(image.shape))
    assert found[:, :, 8].min() > 100
    assert found[:, :, :6].max() < 20
    np.testing.assert_array_equal(evidence.image(Box((1, 0, 0), (1, 2, 3))), image[1:2, :2, :3])


@pytest.mark.parametrize("dtype", ["u1", "u2", ">u2", "i4", "f4", "f8"])
def test_the_compiled_loop_does_what_filters_do(dtype):
    from scipy.ndimage import convolve1d

    image = np.random.default_rng(1).integers(0, 250, (4, 9, 11)).astype(dtype)
    evidence = GridEvidence(None, Volume(image), image.shape)
    smooth = image.astype(np.float64)
    for axis in range(3):
        smooth = convolve1d(smooth, [0.25, 0.5, 0.25], axis, mode="nearest")
    dark, bright = (level[:, None, None].astype(np.float64) for level in evidence._levels)
    expected = np.clip((smooth - dark) / (bright - dark), 0, 1) * 255
    np.testing.assert_allclose(evidence.boundary(Box.whole(image.shape)), expected, atol=0.501)


def test_faint_slices_are_not_full_of_walls():
    image = np.full((6, 8, 17), 100, np.uint16)
    image[:3, :, 8] = 500
    image[3:, :, 8] = 102
    found = GridEvidence(None, Volume(image), image.shape).boundary(Box.whole(image.shape))
    assert found[:2, :, 8].min() > 100
    assert found[4:].max() < 10


SHAPE = (5, 6, 7)
RNG = np.random.default_rng(0)
SAME = Volume(RNG.integers(0, 4000, SHAPE).astype(np.uint16))
COARSE = Volume(RNG.random((2, 3, 3)).astype(np.float32))


@given(st.data(), st.sampled_from([(None, SAME), (COARSE, None), (None, COARSE), (None, None)]))
def test_a_voxel_is_the_same_in_every_box(data, volumes):
    evidence = GridEvidence(*volumes, SHAPE)
    start = [data.draw(st.integers(0, n - 1)) for n in SHAPE]
    stop = [data.draw(st.integers(first + 1, n)) for first, n in zip(start, SHAPE, strict=True)]
    box = Box.between(start, stop)
    np.testing.assert_array_equal(evidence.boundary(box), evidence.boundary(Box.whole(SHAPE))[box.slices])
