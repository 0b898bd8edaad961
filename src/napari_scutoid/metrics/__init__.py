"""Scores of a segmentation against a reference.

All scores of cells come from one sparse table of overlaps, counted slab by slab, so a stack is never copied whole.
Voxels where the reference is 0 (lumen, outside) are ignored by the adapted Rand error and the variation of information;
matching counts all voxels, so a cell predicted outside the tissue is a false positive.
"""

from napari_scutoid.metrics.boundary import BOUNDARY_TOLERANCE, boundary_scores
from napari_scutoid.metrics.cells import ComparedCell, compare_cells
from napari_scutoid.metrics.classes import compare_classes, confusion_matrix, dice_per_class, iou_per_class, mean_dice
from napari_scutoid.metrics.clustering import adapted_rand_error, variation_of_information
from napari_scutoid.metrics.insides import semantic_iou
from napari_scutoid.metrics.matching import PanopticQuality, match_cells, matches, panoptic_quality
from napari_scutoid.metrics.overlaps import Overlaps, count_overlaps
from napari_scutoid.metrics.ratio import Score
from napari_scutoid.metrics.scores import evaluate
from napari_scutoid.metrics.verdicts import Side, Verdict, Verdicts, judge

__all__ = [
    "BOUNDARY_TOLERANCE",
    "ComparedCell",
    "Overlaps",
    "PanopticQuality",
    "Score",
    "Side",
    "Verdict",
    "Verdicts",
    "adapted_rand_error",
    "boundary_scores",
    "compare_cells",
    "compare_classes",
    "confusion_matrix",
    "count_overlaps",
    "dice_per_class",
    "evaluate",
    "iou_per_class",
    "judge",
    "match_cells",
    "matches",
    "mean_dice",
    "panoptic_quality",
    "semantic_iou",
    "variation_of_information",
]
