"""Whole cells made from a network's outputs: how good they are, and which settings make them best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.metrics import (
    adapted_rand_error,
    count_overlaps,
    match_cells,
    panoptic_quality,
    variation_of_information,
)
from napari_scutoid.metrics.ratio import ratio
from napari_scutoid.pipeline import NEEDED, SEEDS
from napari_scutoid.steps.cells import cells_from_probabilities
from napari_scutoid.tune import TUNED, Case, tune

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_scutoid.metrics import Overlaps
    from napari_scutoid.network.config import ModelConfig
    from napari_scutoid.network.dataset import TrainingStack
    from napari_scutoid.network.learner import Record
    from napari_scutoid.network.train import Module
    from napari_scutoid.network.validate import CellScorer, Validator
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Recipe
    from napari_scutoid.recipe.train import TrainRecipe

STANDARD_ERRORS = 2.0
"""Of the gain on the validation stacks, which tuned settings must exceed: that is often one stack, of few cells."""


def cell_scorer(recipe: Recipe) -> CellScorer:
    """Return what makes cells by a recipe and scores them against a stack's own."""

    def score(stack: TrainingStack, maps: Mapping[str, NDArray[np.float32]]) -> Steps[Record]:
        foreground, boundary = (maps[name] for name in NEEDED)
        found = yield from cells_from_probabilities(foreground, boundary, recipe, stack.spacing, seeds=maps.get(SEEDS))
        labels = found.labels if stack.known is None else np.where(stack.known, found.labels, np.uint32(0))
        return _scores(count_overlaps(labels, stack.labels))

    return score


def _scores(overlaps: Overlaps) -> Record:
    n_true, n_found = (int(np.count_nonzero(np.unique(ids))) for ids in (overlaps.truth, overlaps.prediction))
    n_matched = len(match_cells(overlaps))
    split, merge = variation_of_information(overlaps) or (None, None)
    return {
        "ap50": ratio(n_matched, n_true + n_found - n_matched, empty=1.0),
        "panoptic_quality": panoptic_quality(overlaps).panoptic,
        "arand": adapted_rand_error(overlaps),
        "voi_split": split,
        "voi_merge": merge,
        "wrong_cells": abs(n_true - n_found),
    }


def tuned(
    module: Module, config: ModelConfig, validator: Validator, recipe: TrainRecipe, settings: Recipe
) -> Steps[tuple[ModelConfig, str]]:
    """Search the post-processing on the validation stacks.

    Parameters
    ----------
    module : torch.nn.Module
    config : ModelConfig
        Of the network.
    validator : Validator
        Holds the stacks.
    recipe : TrainRecipe
        How long to search.
    settings : Recipe
        Where the search starts.

    Returns
    -------
    config : ModelConfig
        With the best settings, those to start from included.
    told : str
        What a person should know.
    """
    cases = []
    for stack in validator.stacks:
        probabilities = yield from validator.probabilities(module, stack)
        maps = {output.name: channel for output, channel in zip(config.outputs, probabilities, strict=True)}
        foreground, boundary = (maps[name] for name in NEEDED)
        if stack.known is not None:
            foreground = foreground * stack.known  # where the truth is unknown, no cell is wrong
        cases.append(Case(foreground, boundary, stack.labels, stack.spacing, maps.get(SEEDS)))
    found = yield from tune(
        cases,
        settings,
        n_watersheds=recipe.scoring.n_watersheds,
        seed=recipe.optimise.seed,
        standard_errors=STANDARD_ERRORS,
        keep_methods=True,
    )
    before, after = found.base_scores, found.scores
    kept = {name: part for name, part in config.recipe.items() if name not in TUNED}
    better = found.recipe.model_dump(mode="json", include=set(TUNED), exclude_defaults=True)
    told = (
        f"Post-processing tuned on {len(cases)} validation stack{'s' if len(cases) > 1 else ''}: "
        f"panoptic quality {before.panoptic_quality:.3f} -> {after.panoptic_quality:.3f}, "
        f"ap50 {before.ap50:.3f} -> {after.ap50:.3f}"
    )
    return config.model_copy(update={"recipe": kept | better}), told
