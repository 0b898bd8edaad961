"""The table of overlaps: every voxel is in it once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from label_samples import any_labels

from napari_scutoid.metrics import count_overlaps
from napari_scutoid.metrics.overlaps import renamed, sizes


@given(prediction=any_labels, truth=any_labels)
def test_overlaps_hold_every_voxel_once(prediction, truth):
    overlaps = count_overlaps(prediction, truth)
    for t, p, n in zip(overlaps.truth, overlaps.prediction, overlaps.voxels, strict=True):
        assert n == np.count_nonzero((truth == t) & (prediction == p))
    assert overlaps.voxels.sum() == truth.size


@given(prediction=any_labels, truth=any_labels)
def test_sizes_are_those_of_the_arrays(prediction, truth):
    overlaps = count_overlaps(prediction, truth)
    of_pairs = (overlaps.truth, overlaps.prediction)
    for side, labels, ids in zip(sizes(overlaps), (truth, prediction), of_pairs, strict=True):
        expected = np.unique(labels, return_counts=True)
        np.testing.assert_array_equal((side.ids, side.voxels), expected)
        np.testing.assert_array_equal(side.ids[side.place], ids)


@given(prediction=any_labels, truth=any_labels)
def test_renaming_the_table_is_renaming_the_voxels(prediction, truth):
    new = np.arange(int(prediction.max(initial=0)) + 1, dtype=np.uint32) // 2
    by_table, by_voxel = renamed(count_overlaps(prediction, truth), new), count_overlaps(new[prediction], truth)
    for name in ("truth", "prediction", "voxels"):
        np.testing.assert_array_equal(getattr(by_table, name), getattr(by_voxel, name))


def test_nothing_to_count():
    overlaps = count_overlaps(np.zeros((0, 3), np.uint32), np.zeros((0, 3), np.uint32))
    assert overlaps.voxels.size == 0


def test_shapes_have_to_agree():
    with pytest.raises(ValueError, match=r"prediction has shape \(2,\), truth \(3,\)"):
        count_overlaps(np.zeros(2, int), np.zeros(3, int))
