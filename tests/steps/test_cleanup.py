"""Small cells, holes and numbering."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import binary_fill_holes

from napari_scutoid.progress import drain
from napari_scutoid.recipe import Cleanup
from napari_scutoid.steps.by_label import label_sizes
from napari_scutoid.steps.cleanup import clean, fill_holes, give_away_small, relabel

label_arrays = arrays(np.uint32, array_shapes(min_dims=3, max_dims=3, max_side=6), elements=st.integers(0, 3))


def flat(labels):
    return np.zeros(labels.shape, np.float32)


@pytest.mark.parametrize("backend", ["compiled", "bioimage-cpp", "scikit-image"])
def test_a_fragment_goes_to_the_side_without_a_wall(backend):
    labels = np.ones((5, 6, 20), np.uint32)
    labels[..., 10:12], labels[..., 12:] = 2, 3
    height = flat(labels)
    height[..., 11:13] = 1.0  # the wall lies between 2 and 3
    found = give_away_small(labels, 100, height, backend)
    assert np.array_equal(found[..., :11], np.ones((5, 6, 11)))
    assert np.array_equal(np.unique(found), [1, 3])
    assert np.array_equal(found[..., 12:], labels[..., 12:])


def test_an_isolated_fragment_is_removed():
    labels = np.zeros((5, 6, 20), np.uint32)
    labels[..., :10] = 1
    labels[2, 2, 15:17] = 7
    found = give_away_small(labels, 3, flat(labels))
    assert np.array_equal(np.unique(found), [0, 1])
    assert np.array_equal(give_away_small(labels, 2, flat(labels)), labels)


def test_fragments_that_touch_only_each_other_are_removed():
    labels = np.zeros((3, 3, 6), np.uint32)
    labels[1, 1, 1:3], labels[1, 1, 3:5] = 1, 2
    assert not give_away_small(labels, 3, flat(labels)).any()


@given(labels=label_arrays, min_size=st.integers(0, 60))
def test_only_large_cells_stay_and_none_shrinks(labels, min_size):
    found = give_away_small(labels, min_size, flat(labels))
    before, after = label_sizes(labels), np.bincount(found.ravel(), minlength=int(labels.max()) + 1)
    stays = before >= min_size
    assert np.all(after[1:][stays[1:]] >= before[1:][stays[1:]])
    assert not after[1:][~stays[1:]].any()
    assert not found[labels == 0].any()


@given(labels=arrays(np.uint32, array_shapes(min_dims=3, max_dims=3, max_side=6), elements=st.integers(0, 1)))
def test_holes_of_one_cell_equal_scipy(labels):
    assert np.array_equal(fill_holes(labels) > 0, binary_fill_holes(labels > 0))


@given(labels=label_arrays)
def test_filling_changes_no_cell(labels):
    found = fill_holes(labels)
    assert np.array_equal(found[labels > 0], labels[labels > 0])
    for cell in np.unique(found[found != labels]):
        assert np.all(binary_fill_holes(labels == cell)[found == cell])


def shell(inside):
    labels = np.ones((7, 7, 7), np.uint32)
    labels[1:6, 1:6, 1:6] = inside
    return labels


def test_a_hole_with_another_cell_stays():
    labels = shell(0)
    labels[3, 3, 3] = 2
    assert fill_holes(labels) is labels or np.array_equal(fill_holes(labels), labels)


def test_a_lumen_between_cells_stays():
    labels = shell(0)
    labels[4:][labels[4:] > 0] = 2
    assert np.array_equal(fill_holes(labels), labels)


def test_a_dent_at_the_border_is_no_hole():
    labels = shell(1)
    labels[:3, 3, 3] = 0
    assert np.array_equal(fill_holes(labels), labels)


def test_a_hole_in_one_cell_is_filled_with_it():
    labels = np.zeros((9, 9, 9), np.uint32)
    labels[1:8, 1:8, 1:8] = 5
    labels[4, 4, 4] = 0
    assert fill_holes(labels)[4, 4, 4] == 5
    assert np.count_nonzero(fill_holes(labels)) == 7**3


@given(labels=label_arrays)
def test_relabel_keeps_the_partition(labels):
    found = relabel(labels * np.uint32(5))
    assert np.array_equal(np.unique(found[found > 0]), np.arange(1, np.unique(labels[labels > 0]).size + 1))
    pairs = np.unique(np.stack([labels.ravel(), found.ravel()]), axis=1)
    assert pairs.shape[1] == np.unique(labels).size
    assert np.all(np.diff(pairs[1].astype(int)) > 0)


def test_settings_switch_each_part_off():
    labels = shell(0) * np.uint32(9)
    labels[0, 0, 0] = 3
    off = Cleanup(min_size=0, fill_holes=False, relabel=False)
    assert np.array_equal(drain(clean(labels, flat(labels), off, 0)), labels)
    assert np.array_equal(np.unique(drain(clean(labels, flat(labels), Cleanup(), 50))), [1])
