"""Adapted Rand error and variation of information: agreement with scikit-image, and known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from label_samples import any_labels, row_of_cells
from skimage import metrics as reference

from napari_scutoid.metrics import adapted_rand_error, count_overlaps, evaluate, variation_of_information


@given(prediction=any_labels, truth=any_labels)
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
