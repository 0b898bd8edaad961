"""All scores at once: their names, the perfect and the empty case, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from label_samples import any_labels, row_of_cells

from napari_scutoid.metrics import evaluate, slabs

KEYS = (
    "arand voi_split voi_merge f1_50 ap50 ap75 panoptic_quality segmentation_quality recognition_quality n_true n_pred "
    "cell_count_error n_matched n_split n_merged n_missed n_invented semantic_iou dice_per_class iou_per_class "
    "foreground_iou foreground_dice boundary_precision boundary_recall boundary_f1"
).split()


def test_perfect():
    truth = row_of_cells([3, 6, 6, 6])
    scores = evaluate(truth * np.uint32(7), truth)
    assert list(scores) == KEYS
    shares = ("f1", "ap", "panoptic", "segmentation", "recognition", "foreground", "boundary")
    assert {score for name, score in scores.items() if name.startswith(shares)} == {1.0}
    assert (scores["n_true"], scores["n_pred"], scores["cell_count_error"]) == (3, 3, 0)
    assert scores["arand"] == scores["voi_split"] == scores["voi_merge"] == 0.0
    assert [scores[f"n_{one}"] for one in ("matched", "split", "merged", "missed", "invented")] == [3, 0, 0, 0, 0]
    assert scores["dice_per_class"] == scores["iou_per_class"] == {"background": 1.0, "cell": 1.0}
    assert scores["semantic_iou"] is None
    json.dumps(scores, allow_nan=False)


@given(prediction=any_labels, truth=any_labels)
def test_slabs_change_nothing(prediction, truth):
    whole = evaluate(prediction, truth, semantic_target=truth > 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slabs, "SLAB_VOXELS", 1)
        assert evaluate(prediction, truth, semantic_target=truth > 2) == whole


def test_large_ids():
    truth = row_of_cells([2, 3, 3]).astype(np.uint64)
    truth[truth > 0] += 2**32 - 3
    assert evaluate(truth, truth)["ap50"] == 1.0


def test_nothing_predicted():
    truth = row_of_cells([3, 6, 6])
    scores = evaluate(np.zeros_like(truth), truth)
    assert (scores["ap50"], scores["f1_50"], scores["foreground_iou"], scores["n_pred"]) == (0.0, 0.0, 0.0, 0)
    assert (scores["panoptic_quality"], scores["segmentation_quality"]) == (0.0, None)
    assert (scores["boundary_precision"], scores["boundary_recall"], scores["boundary_f1"]) == (None, 0.0, 0.0)
    json.dumps(scores, allow_nan=False)


def test_nothing_to_find():
    empty = np.zeros((3, 4, 5), np.uint32)
    scores = evaluate(empty, empty)
    assert scores["arand"] is None
    assert scores["ap50"] == 1.0
    json.dumps(scores, allow_nan=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prediction": np.zeros((2, 3, 5), int)}, r"prediction has shape \(2, 3, 5\), truth \(2, 3, 4\)"),
        ({"semantic_target": np.zeros((2, 4), int)}, r"semantic_target has shape \(2, 4\), truth \(2, 3, 4\)"),
        ({"prediction": np.full((2, 3, 4), 0.5)}, "whole numbers"),
        ({"spacing": (1, 1)}, "spacing must be 3 positive numbers"),
    ],
)
def test_refuses(change, message):
    arguments = {"prediction": np.zeros((2, 3, 4), int), "truth": np.zeros((2, 3, 4), int), **change}
    with pytest.raises(ValueError, match=message):
        evaluate(**arguments)
