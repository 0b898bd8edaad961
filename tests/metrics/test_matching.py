"""Matches and panoptic quality, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from label_samples import any_labels, row_of_cells

from napari_scutoid.metrics import count_overlaps, evaluate, matches, panoptic_quality
from napari_scutoid.metrics.matching import iou_of_true_cells


def prediction_for(truth):
    """Five cells for three true ones of 10 voxels' length from voxel 4 on: IoU 0.9, 0.6, and one of 0.5."""
    prediction = np.zeros_like(truth)
    prediction[..., 4:13] = 1  # IoU 0.9
    prediction[..., 14:20] = 2  # IoU 0.6
    prediction[..., 24:29] = 3  # IoU 0.5, which is not above 0.5
    prediction[..., 0:2] = 4  # outside the tissue: a false positive
    return prediction


def test_matching_by_hand():
    truth = row_of_cells([4, 10, 10, 10])
    prediction = prediction_for(truth)
    assert matches(prediction, truth) == {1: 1, 2: 2}
    assert matches(prediction, truth, 0.75) == {1: 1}
    scores = evaluate(prediction, truth)
    assert scores["ap50"] == pytest.approx(2 / 5)
    assert scores["ap75"] == pytest.approx(1 / 6)
    assert scores["f1_50"] == pytest.approx(4 / 7)
    assert scores["cell_count_error"] == 1
    assert scores["foreground_iou"] == pytest.approx(20 / 32)
    assert scores["foreground_dice"] == pytest.approx(40 / 52)


def test_panoptic_quality_by_hand():
    truth = row_of_cells([4, 10, 10, 10])
    quality = panoptic_quality(count_overlaps(prediction_for(truth), truth))
    # Two matches; two predicted cells and one true cell are left over.
    assert quality.segmentation == pytest.approx((0.9 + 0.6) / 2)
    assert quality.recognition == pytest.approx(2 / (2 + 2 / 2 + 1 / 2))
    assert quality.panoptic == pytest.approx((0.9 + 0.6) / (2 + 2 / 2 + 1 / 2))


@given(prediction=any_labels, truth=any_labels)
def test_panoptic_quality_is_the_product_of_its_factors(prediction, truth):
    quality = panoptic_quality(count_overlaps(prediction, truth))
    assert quality.recognition == evaluate(prediction, truth)["f1_50"]
    if quality.segmentation is None:
        assert quality.panoptic == quality.recognition == (0.0 if prediction.any() or truth.any() else 1.0)
    else:
        assert 0.5 < quality.segmentation <= 1.0
        assert quality.panoptic == pytest.approx(quality.segmentation * quality.recognition)


def test_threshold_below_one_half_is_refused():
    with pytest.raises(ValueError, match="threshold"):
        matches(np.ones((2, 2), int), np.ones((2, 2), int), 0.3)


def test_iou_of_true_cells_by_hand():
    truth = np.zeros((1, 2, 10), np.uint32)
    truth[0, 0] = 7
    truth[0, 1, :5] = 3
    prediction = np.zeros_like(truth)
    prediction[0, 0, :8] = 1
    prediction[0, 1, :2] = 2
    np.testing.assert_allclose(iou_of_true_cells(count_overlaps(prediction, truth)), [0.0, 0.8])
    assert iou_of_true_cells(count_overlaps(prediction, np.zeros_like(truth))).size == 0
