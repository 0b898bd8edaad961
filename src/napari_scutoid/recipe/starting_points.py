"""Sets of post-processing settings with a name, to start from when the model's own do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_scutoid.recipe.whole import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

_SETTINGS: Mapping[str, dict[str, Any]] = {
    "Model's own": {},
    "Connected components (as the seed project did)": {
        "watershed": {"method": "components", "boundary_threshold": 0.5, "closing": 1.0},
        "partition": {"method": "none"},
    },
    "PlantSeg-like (all maxima, merged by GASP)": {
        "watershed": {"seeds": "maxima", "closing": 1.0},
        "partition": {"method": "gasp", "beta": 0.5},
    },
}


def starting_points() -> dict[str, Recipe]:
    """Return named settings; what one of them does not set is left to the model.

    Returns
    -------
    dict of str to Recipe
        Only parts that say how probabilities become labels are set. The first sets nothing.
    """
    return {name: Recipe.model_validate(settings) for name, settings in _SETTINGS.items()}
