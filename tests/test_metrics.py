"""Scores: known answers, and agreement with scikit-image."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage import metrics as reference
from skimage.segmentation import find_boundaries

from napari_scutoid import metrics
from napari_scutoid.metrics import (
    adapted_rand_error,
    boundary_scores,
    count_overlaps,
    dice_per_class,
    evaluate,
    matches,
    mean_dice,
    variation_of_information,
)

KEYS = (
    "arand voi_split voi_merge f1_50 ap50 ap75 n_true n_pred cell_count_error semantic_iou dice_per_class "
    "foreground_iou foreground_dice boundary_precision boundary_recall boundary_f1"
).split()

labels = arrays(np.uint32, (3, 4, 5), elements=st.integers(0, 4))


def row_of_cells(sizes, length=None):
    cells = np.repeat(np.arange(len(sizes)), sizes).astype(np.uint32)
    return np.broadcast_to(cells, (4, 4, cells.size)).copy()


@given(prediction=labels, truth=labels)
def test_arand_and_voi_agree_with_scikit_image(prediction, truth):
    overlaps = count_overlaps(prediction, truth)
    if not truth.any():
        assert adapted_rand_error(overlaps) is None
        assert variation_of_information(overlaps) == (None, None)
        return
    expected = reference.variation_of_information(truth, prediction, ignore_labels=[0])
    np.testing.assert_allclose(variation_of_information(overlaps), expected, atol=1e-9)
    if np.count_nonzero(truth) > 20:  # scikit-image divides by zero when no two voxels share a cell
        expected = reference.adapted_rand_error(truth, prediction, ignore_labels=[0])[0]
        assert adapted_rand_error(overlaps) == pytest.approx(expected, abs=1e-9)


def test_a_split_cell_raises_voi_split_only():
    truth = row_of_cells([2, 8, 8])
    prediction = truth.copy()
    prediction[..., 6:10] = 9  # half of cell 1
    scores = evaluate(prediction, truth)
    assert scores["voi_merge"] == 0.0
    assert scores["voi_split"] == pytest.approx(0.5)  # one bit in one of two equal cells


def test_merged_cells_raise_voi_merge_only():
    truth = row_of_cells([2, 8, 8])
    scores = evaluate(np.minimum(truth, 1), truth)
    assert scores["voi_split"] == 0.0
    assert scores["voi_merge"] == pytest.approx(1.0)


def test_perfect():
    truth = row_of_cells([3, 6, 6, 6])
    scores = evaluate(truth * np.uint32(7), truth)
    assert list(scores) == KEYS
    perfect = {k: v for k, v in scores.items() if k.startswith(("f1", "ap", "foreground", "boundary"))}
    assert set(perfect.values()) == {1.0}
    assert (scores["n_true"], scores["n_pred"], scores["cell_count_error"]) == (3, 3, 0)
    assert scores["arand"] == scores["voi_split"] == scores["voi_merge"] == 0.0
    assert scores["dice_per_class"] == {"background": 1.0, "cell": 1.0}
    assert scores["semantic_iou"] is None
    json.dumps(scores, allow_nan=False)


def test_matching_by_hand():
    truth = row_of_cells([4, 10, 10, 10])
    prediction = np.zeros_like(truth)
    prediction[..., 4:13] = 1  # IoU 0.9
    prediction[..., 14:20] = 2  # IoU 0.6
    prediction[..., 24:29] = 3  # IoU 0.5, which is not above 0.5
    prediction[..., 0:2] = 4  # outside the tissue: a false positive
    assert matches(prediction, truth) == {1: 1, 2: 2}
    assert matches(prediction, truth, 0.75) == {1: 1}
    scores = evaluate(prediction, truth)
    assert scores["ap50"] == pytest.approx(2 / 5)
    assert scores["ap75"] == pytest.approx(1 / 6)
    assert scores["f1_50"] == pytest.approx(4 / 7)
    assert scores["cell_count_error"] == 1
    assert scores["foreground_iou"] == pytest.approx(20 / 32)
    assert scores["foreground_dice"] == pytest.approx(40 / 52)


@given(prediction=labels, truth=labels)
def test_overlaps_hold_every_voxel_once(prediction, truth):
    overlaps = count_overlaps(prediction, truth)
    for t, p, n in zip(overlaps.truth, overlaps.prediction, overlaps.voxels, strict=True):
        assert n == np.count_nonzero((truth == t) & (prediction == p))
    assert overlaps.voxels.sum() == truth.size


@given(prediction=labels, truth=labels)
def test_slabs_change_nothing(prediction, truth):
    whole = evaluate(prediction, truth, semantic_target=truth > 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "_SLAB_VOXELS", 1)
        assert evaluate(prediction, truth, semantic_target=truth > 2) == whole


def test_slabs_change_no_boundary_score(monkeypatch):
    rng = np.random.default_rng(0)
    truth, prediction = (np.kron(rng.integers(0, 3, (40, 2, 2)), np.ones((1, 3, 3), int)) for _ in range(2))
    whole = boundary_scores(prediction, truth)
    monkeypatch.setattr(metrics, "_SLAB_VOXELS", 1)
    assert boundary_scores(prediction, truth) == whole


def test_large_ids():
    truth = row_of_cells([2, 3, 3]).astype(np.uint64)
    truth[truth > 0] += 2**32 - 3
    assert evaluate(truth, truth)["ap50"] == 1.0


def test_semantic_iou_removes_the_laboratorys_boundaries():
    truth = row_of_cells([3, 9, 9])
    target = (truth > 0) & ~find_boundaries(truth, connectivity=3, mode="outer")
    assert evaluate(truth, truth, semantic_target=target)["semantic_iou"] == 1.0
    shifted = np.roll(target, 1, axis=2)
    both, either = np.count_nonzero(target & shifted), np.count_nonzero(target | shifted)
    scores = evaluate(truth, truth, semantic_target=shifted.astype(np.uint8))
    assert scores["semantic_iou"] == pytest.approx(both / either)
    assert scores["dice_per_class"]["cell"] == pytest.approx(2 * both / (both + either))


def test_dice_of_one_class():
    a = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1]])
    b = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]])
    assert dice_per_class(a, b)[1] == 0.75
    assert mean_dice(a, b) == 0.75
    assert evaluate(a, b)["foreground_dice"] == 0.75


def test_mean_dice_leaves_out_the_background():
    a = np.array([[0, 1, 1], [0, 2, 0], [2, 0, 1]])
    b = np.array([[0, 1, 0], [2, 2, 0], [2, 0, 1]])
    assert dice_per_class(a, b) == {0: 0.75, 1: 0.8, 2: 0.8}
    assert mean_dice(a, b) == pytest.approx(0.8)
    assert mean_dice(a, b, background=None) == pytest.approx((0.75 + 0.8 + 0.8) / 3)


def test_a_class_in_one_image_only_has_dice_zero():
    assert dice_per_class(np.array([0, 1]), np.array([0, 2])) == {0: 1.0, 1: 0.0, 2: 0.0}
    assert mean_dice(np.zeros(3, int), np.zeros(3, int)) == 1.0


@pytest.mark.parametrize(("shift", "score"), [(2, 1.0), (3, 0.0)])
def test_boundaries_within_two_voxels_agree(shift, score):
    truth, prediction = np.zeros((2, 5, 5, 40), int)
    truth[..., 20:] = prediction[..., 20 + shift :] = 1
    assert boundary_scores(prediction, truth) == (score, score, score)


def test_boundary_tolerance_honours_spacing():
    truth, prediction = np.zeros((2, 40, 5, 5), int)
    truth[20:] = prediction[21:] = 1
    assert boundary_scores(prediction, truth, spacing=(8, 1, 1)) == (0.0, 0.0, 0.0)
    assert boundary_scores(prediction, truth, spacing=(8, 1, 1), tolerance=4.0) == (1.0, 1.0, 1.0)


def test_precision_and_recall_are_not_swapped():
    truth = row_of_cells([3, 20, 20])
    scores = evaluate(np.minimum(truth, 1), truth)  # the wall between the cells is missed, nothing is invented
    assert scores["boundary_precision"] == 1.0
    assert scores["boundary_recall"] < 1.0


def test_nothing_predicted():
    truth = row_of_cells([3, 6, 6])
    scores = evaluate(np.zeros_like(truth), truth)
    assert (scores["ap50"], scores["f1_50"], scores["foreground_iou"], scores["n_pred"]) == (0.0, 0.0, 0.0, 0)
    assert scores["boundary_precision"] is None
    assert scores["boundary_recall"] == 0.0
    assert scores["boundary_f1"] == 0.0
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


def test_threshold_below_one_half_is_refused():
    with pytest.raises(ValueError, match="threshold"):
        matches(np.ones((2, 2), int), np.ones((2, 2), int), 0.3)
