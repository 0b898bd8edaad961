"""Dice, IoU and confusion of classes, by hand and by counting."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from label_samples import any_labels

from napari_scutoid.metrics import (
    compare_classes,
    confusion_matrix,
    count_overlaps,
    dice_per_class,
    evaluate,
    iou_per_class,
    mean_dice,
)

A = np.array([[0, 1, 1], [0, 2, 0], [2, 0, 1]])
B = np.array([[0, 1, 0], [2, 2, 0], [2, 0, 1]])


def test_dice_of_one_class():
    a = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1]])
    b = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]])
    assert dice_per_class(a, b)[1] == 0.75
    assert mean_dice(a, b) == 0.75
    assert evaluate(a, b)["foreground_dice"] == 0.75


def test_mean_dice_leaves_out_the_background():
    assert dice_per_class(A, B) == {0: 0.75, 1: 0.8, 2: 0.8}
    assert mean_dice(A, B) == pytest.approx(0.8)
    assert mean_dice(A, B, background=None) == pytest.approx((0.75 + 0.8 + 0.8) / 3)


def test_a_class_in_one_image_only_has_no_agreement():
    one, other = np.array([0, 1]), np.array([0, 2])
    assert dice_per_class(one, other) == iou_per_class(one, other) == {0: 1.0, 1: 0.0, 2: 0.0}
    assert mean_dice(np.zeros(3, int), np.zeros(3, int)) == 1.0


def test_all_of_classes_by_hand():
    scores = compare_classes(A, B)
    assert scores["classes"] == [0, 1, 2]
    # Rows are true: of the four voxels of class 0, three were found and one became 1.
    assert scores["confusion_matrix"] == [[3, 1, 0], [0, 2, 0], [1, 0, 2]]
    assert scores["dice_per_class"] == {0: 0.75, 1: 0.8, 2: 0.8}
    assert scores["iou_per_class"] == pytest.approx({0: 3 / 5, 1: 2 / 3, 2: 2 / 3})
    assert scores["mean_dice"] == pytest.approx(0.8)
    assert scores["mean_iou"] == pytest.approx(2 / 3)
    assert scores["mean_dice_all"] == pytest.approx((0.75 + 0.8 + 0.8) / 3)
    assert scores["mean_iou_all"] == pytest.approx((3 / 5 + 2 / 3 + 2 / 3) / 3)
    assert scores["accuracy"] == pytest.approx(7 / 9)
    json.dumps(scores, allow_nan=False)


@given(prediction=any_labels, truth=any_labels)
def test_the_matrix_counts_every_voxel_and_gives_the_scores(prediction, truth):
    classes, matrix = confusion_matrix(count_overlaps(prediction, truth))
    dice, iou = dice_per_class(prediction, truth), iou_per_class(prediction, truth)
    for row, t in enumerate(classes):
        for column, p in enumerate(classes):
            assert matrix[row, column] == np.count_nonzero((truth == t) & (prediction == p))
        true, predicted, both = matrix[row].sum(), matrix[:, row].sum(), matrix[row, row]
        assert dice[int(t)] == pytest.approx(2 * both / (true + predicted))
        assert iou[int(t)] == pytest.approx(both / (true + predicted - both))


def test_cells_are_no_classes():
    with pytest.raises(ValueError, match="300 different numbers; classes are 256 at most"):
        compare_classes(np.arange(300), np.arange(300))
