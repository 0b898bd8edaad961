"""Every parameter of the program, stated once: title, meaning, unit, bounds and decimals.

The command line, the pipeline and the provenance written into results all read these models, so that a result's own
settings are what ``scutoid segment --recipe`` takes.
"""

from napari_scutoid.recipe.cells import Cleanup, Partition, Watershed
from napari_scutoid.recipe.image import Normalise, Predict, Rescale
from napari_scutoid.recipe.part import Part, number
from napari_scutoid.recipe.train import TrainRecipe, read_train_recipe
from napari_scutoid.recipe.whole import RECIPE_VERSION, Recipe, read_recipe, recipe_yaml, validation_message

__all__ = [
    "RECIPE_VERSION",
    "Cleanup",
    "Normalise",
    "Part",
    "Partition",
    "Predict",
    "Recipe",
    "Rescale",
    "TrainRecipe",
    "Watershed",
    "number",
    "read_recipe",
    "read_train_recipe",
    "recipe_yaml",
    "validation_message",
]
