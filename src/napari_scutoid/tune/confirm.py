"""Make cells the whole way with the settings that promise most, and keep of them what is more than luck."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.metrics import count_overlaps
from napari_scutoid.metrics.matching import iou_of_true_cells
from napari_scutoid.progress import Progress, within
from napari_scutoid.steps.cells import cells_from_probabilities
from napari_scutoid.tune.case import Tuning, mean_of, ranked, recipe_of, scores_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Recipe
    from napari_scutoid.tune.case import Case, Scores, Trial

CONFIRMED = 3
CONFIRMING, _LEAVING_OUT = "Confirming the best", "Leaving out what is luck"
TUNED = ("watershed", "partition", "cleanup")
"""Parts of a recipe that are tuned."""


def confirmed(cases: Sequence[Case], base: Recipe, trials: Sequence[Trial], standard_errors: float) -> Steps[Tuning]:
    """Make cells the whole way with the base and the best few, and return the best of them."""
    # Settings that make no difference promise the same scores: confirming one of them is enough.
    candidates = list({trial.scores: trial for trial in reversed(ranked(trials))}.values())
    candidates = ranked(candidates)[:CONFIRMED]
    n = 1 + len(candidates)
    base_scores, base_cells = yield from within(_whole_way(cases, base), Progress(CONFIRMING, 0, n))
    best, best_cells = Tuning(base, base_scores, base_scores, None, tuple(trials)), base_cells
    for number, trial in enumerate(candidates, start=1):
        recipe = recipe_of(trial, base)
        scores, cells = yield from within(_whole_way(cases, recipe), Progress(CONFIRMING, number, n))
        luck = standard_errors * float(np.std(cells - base_cells)) / cells.size**0.5
        if scores.objective > max(best.scores.objective, base_scores.objective + luck):
            best, best_cells = Tuning(recipe, scores, base_scores, trial.scores, tuple(trials)), cells
    yield Progress(CONFIRMING, n, n)
    if standard_errors > 0 and best.recipe is not base:
        return (yield from _without_luck(cases, best, best_cells, base, standard_errors))
    return best


def _without_luck(
    cases: Sequence[Case], best: Tuning, cells: NDArray[np.float64], base: Recipe, standard_errors: float
) -> Steps[Tuning]:
    """Put settings back, one by one, whose share in the gain chance explains: the least first.

    Settings are found together, so one that gains much brings along others that happen to cost nothing on these stacks.
    """
    while changed := _changes(best.recipe, base):
        tried = []
        for number, (part, name) in enumerate(changed):
            back = getattr(best.recipe, part).model_copy(update={name: getattr(getattr(base, part), name)})
            recipe = best.recipe.model_copy(update={part: back})
            at = Progress(_LEAVING_OUT, number, len(changed))
            scores, without = yield from within(_whole_way(cases, recipe), at)
            luck = standard_errors * float(np.std(cells - without)) / cells.size**0.5
            tried.append((best.scores.objective - scores.objective - luck, recipe, scores, without))
        loss, recipe, scores, without = min(tried, key=lambda one: one[0])
        if loss > 0:
            break
        best, cells = replace(best, recipe=recipe, scores=scores, predicted=None), without
    return best


def _changes(recipe: Recipe, base: Recipe) -> list[tuple[str, str]]:
    """Return the settings in which two recipes differ, as part and name."""
    parts = ((part, getattr(recipe, part), getattr(base, part)) for part in TUNED)
    return [
        (part, name)
        for part, mine, its in parts
        for name in type(mine).model_fields
        if getattr(mine, name) != getattr(its, name)
    ]


def _whole_way(cases: Sequence[Case], recipe: Recipe) -> Steps[tuple[Scores, NDArray[np.float64]]]:
    """Return the scores, and each true cell's IoU with the one that matches it."""
    found, cells_of_all = [], []
    for case in cases:
        cells = yield from cells_from_probabilities(
            case.foreground,
            case.boundary,
            recipe,
            case.spacing,
            seeds=case.seeds,
            voxel_volume_um3=case.voxel_volume_um3,
        )
        overlaps = count_overlaps(cells.labels, case.truth)
        found.append(scores_of(overlaps))
        cells_of_all.append(iou_of_true_cells(overlaps))
    return mean_of(found), np.concatenate(cells_of_all)
