"""The insides of cells against a training target of the laboratory."""

from __future__ import annotations

import numpy as np
import pytest
from label_samples import row_of_cells
from skimage.segmentation import find_boundaries

from napari_scutoid.metrics import evaluate, semantic_iou


def test_semantic_iou_removes_the_laboratorys_boundaries():
    truth = row_of_cells([3, 9, 9])
    target = (truth > 0) & ~find_boundaries(truth, connectivity=3, mode="outer")
    assert evaluate(truth, truth, semantic_target=target)["semantic_iou"] == semantic_iou(truth, target) == 1.0
    shifted = np.roll(target, 1, axis=2)
    both, either = np.count_nonzero(target & shifted), np.count_nonzero(target | shifted)
    scores = evaluate(truth, truth, semantic_target=shifted.astype(np.uint8))
    assert scores["semantic_iou"] == semantic_iou(truth, shifted) == pytest.approx(both / either)
    assert scores["iou_per_class"]["cell"] == scores["semantic_iou"]
    assert scores["dice_per_class"]["cell"] == pytest.approx(2 * both / (both + either))


def test_a_target_lies_on_the_grid_of_the_labels():
    with pytest.raises(ValueError, match=r"target has shape \(2, 4\), truth \(2, 3\)"):
        semantic_iou(np.ones((2, 3), int), np.ones((2, 4), int))
