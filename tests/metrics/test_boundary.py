"""Boundary scores: how far is too far, which of both is precision, and that slabs change nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from label_samples import row_of_cells

from napari_scutoid.metrics import boundary_scores, evaluate, slabs


def test_slabs_change_no_boundary_score(monkeypatch):
    rng = np.random.default_rng(0)
    truth, prediction = (np.kron(rng.integers(0, 3, (40, 2, 2)), np.ones((1, 3, 3), int)) for _ in range(2))
    whole = boundary_scores(prediction, truth)
    monkeypatch.setattr(slabs, "SLAB_VOXELS", 1)
    assert boundary_scores(prediction, truth) == whole


@pytest.mark.parametrize(("shift", "score"), [(2, 1.0), (3, 0.0)])
def test_boundaries_within_two_voxels_agree(shift, score):
    truth, prediction = np.zeros((2, 5, 5, 40), int)
    truth[..., 20:] = prediction[..., 20 + shift :] = 1
    assert boundary_scores(prediction, truth) == (score, score, score)


def test_the_tolerance_is_passed_on():
    truth, prediction = np.zeros((2, 5, 5, 40), int)
    truth[..., 20:] = prediction[..., 23:] = 1
    found = {tolerance: evaluate(prediction, truth, boundary_tolerance=tolerance) for tolerance in (0, 2.9, 3)}
    assert [scores["boundary_f1"] for scores in found.values()] == [0.0, 0.0, 1.0]
    assert evaluate(truth, truth, boundary_tolerance=0)["boundary_f1"] == 1.0


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


@pytest.mark.parametrize("tolerance", [-1, math.nan, math.inf])
def test_a_tolerance_is_a_distance(tolerance):
    with pytest.raises(ValueError, match="tolerance must be a number of voxels"):
        boundary_scores(np.ones((2, 2), int), np.ones((2, 2), int), tolerance=tolerance)
