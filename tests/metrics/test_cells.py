"""The table of cells: who is beside whom, how large, and where."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from label_samples import any_labels
from scipy import ndimage

from napari_scutoid.metrics import ComparedCell, compare_cells, count_overlaps, judge, slabs


def test_rows_by_hand():
    truth, prediction = np.zeros((2, 3, 6, 8), np.uint32)
    truth[1, 1:3, 1:3] = 5  # 4 voxels, inside the stack
    prediction[1, 1:3, 1:3] = prediction[1, 1, 3] = 7  # one voxel more
    truth[:, 5, 7] = 9  # a column in a corner, which nobody found
    prediction[0, 4, 0] = 3
    assert compare_cells(prediction, truth) == [
        ComparedCell("truth", 5, 7, 0.8, "matched", 4, 5, False, (1.0, 1.5, 1.5)),
        ComparedCell("truth", 9, None, 0.0, "missed", 3, 0, True, (1.0, 5.0, 7.0)),
        ComparedCell("prediction", None, 3, 0.0, "invented", 0, 1, True, (0.0, 4.0, 0.0)),
        ComparedCell("prediction", 5, 7, 0.8, "matched", 4, 5, False, (1.0, 1.4, 1.8)),
    ]


@given(prediction=any_labels, truth=any_labels)
def test_every_cell_has_one_row_that_says_where_it_is(prediction, truth):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slabs, "SLAB_VOXELS", 1)
        rows = compare_cells(prediction, truth, judge(count_overlaps(prediction, truth)))
    assert [row.true_id for row in rows if row.side == "truth"] == np.unique(truth[truth > 0]).tolist()
    assert [row.pred_id for row in rows if row.side == "prediction"] == np.unique(prediction[prediction > 0]).tolist()
    for row in rows:
        labels, i = (truth, row.true_id) if row.side == "truth" else (prediction, row.pred_id)
        cell = labels == i
        np.testing.assert_allclose(row.centroid, ndimage.center_of_mass(cell))
        assert row.touches_border == bool(cell.sum() - cell[1:-1, 1:-1, 1:-1].sum())
        true, predicted = truth == row.true_id, prediction == row.pred_id
        assert (row.true_voxels, row.pred_voxels) == (true.sum(), predicted.sum())
        assert row.iou == np.count_nonzero(true & predicted) / np.count_nonzero(true | predicted)


def test_large_ids():
    truth = np.full((2, 2, 2), 2**32 - 1, np.uint64)
    assert compare_cells(truth, truth)[0].true_id == 2**32 - 1


def test_shapes_have_to_agree():
    with pytest.raises(ValueError, match=r"prediction has shape \(2,\), truth \(3,\)"):
        compare_cells(np.zeros(2, int), np.zeros(3, int))
