from __future__ import annotations

import numpy as np
import pytest

from napari_scutoid.progress import drain
from napari_scutoid.proofread.opinion import Opinion


def under(opinion, inside):
    places = tuple(np.arange(n) for n in inside.shape)
    return opinion.under(inside, places, 1.0)


def test_overlaps_with_another_segmentation():
    other = np.zeros((2, 2, 8), np.uint8)
    other[..., :3], other[..., 3:6] = 1, 2
    inside = np.zeros(other.shape, np.bool_)
    inside[..., :7] = True
    found = under(drain(Opinion.read(other, other.shape)), inside)
    assert found.ids.tolist() == [1, 2]
    assert found.voxels.tolist() == found.sizes.tolist() == [12, 12]
    assert found.best(28) == (1, 12 / 28)
    assert found.shared(2) == 12
    assert found.shared(9) == 0
    assert found.beside_main(28) == 12 / 28


def test_a_coarser_grid_of_the_same_extent_is_the_same_opinion():
    coarse = np.array([[[1, 1, 2, 2]]], np.uint16)
    inside = np.zeros((2, 2, 8), np.bool_)
    inside[..., :4] = True
    found = under(drain(Opinion.read(coarse, inside.shape)), inside)
    assert (found.ids.tolist(), found.voxels.tolist(), found.sizes.tolist()) == ([1], [16], [16])
    assert found.best(16) == (1, 1.0)


def test_nothing_there_fits_nothing():
    nothing = np.zeros((2, 2, 2), np.uint8)
    found = under(drain(Opinion.read(nothing, nothing.shape)), np.ones((2, 2, 2), np.bool_))
    assert found.best(8) == (0, 0.0)
    assert found.beside_main(8) == 0.0


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros((2, 2, 2), np.float32), "must be labels"),
        (np.zeros((2, 2), np.uint8), "must be labels"),
        (np.full((2, 2, 2), 2**31, np.uint32), "numbered"),
    ],
)
def test_what_is_no_opinion_is_refused(labels, words):
    with pytest.raises(ValueError, match=words):
        drain(Opinion.read(labels, (2, 2, 2)))
