"""Probabilities and true cells in; the recipe that fits them best out."""

from napari_scutoid.tune.case import Case, Scores, Trial, Tuning, recipe_of
from napari_scutoid.tune.confirm import TUNED
from napari_scutoid.tune.search import N_WATERSHEDS, SHAPES, WATERSHED, tune

__all__ = ["N_WATERSHEDS", "SHAPES", "TUNED", "WATERSHED", "Case", "Scores", "Trial", "Tuning", "recipe_of", "tune"]
