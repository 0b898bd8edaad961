"""What settings are tuned on, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_scutoid.metrics import adapted_rand_error, match_cells, panoptic_quality
from napari_scutoid.metrics.ratio import ratio
from napari_scutoid.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.metrics import Overlaps

Values = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Probabilities of a stack, and its true cells.

    Parameters
    ----------
    foreground, boundary : ndarray of float, shape (z, y, x)
        As for `cells_from_probabilities`.
    truth : ndarray of integers, same shape
        One id per cell, 0 elsewhere.
    spacing : sequence of 3 floats
        Voxel edges along z, y, x; only their ratio matters.
    seeds : ndarray of float, same shape, optional
        Probability of being a cell's core, where a model predicts that.
    voxel_volume_um3 : float, optional
        For a base recipe whose smallest size is in cubic micrometres.
    """

    foreground: NDArray[Any]
    boundary: NDArray[Any]
    truth: NDArray[Any]
    spacing: Sequence[float] = (1.0, 1.0, 1.0)
    seeds: NDArray[Any] | None = None
    voxel_volume_um3: float | None = None


class Scores(NamedTuple):
    """How good settings are, as `metrics.evaluate` defines it; of several stacks, the mean."""

    ap50: float
    arand: float
    panoptic_quality: float

    @property
    def objective(self) -> float:
        """What settings are ranked by: the panoptic quality, cells found times how well they are outlined.

        In a small stack one cell moves ap50 by a percent or more, and many settings find the same number; outlines tell
        these apart. The adapted Rand error would, too, but rewards tissue that spills over its outer face, where the
        truth has no cell and nothing is counted.
        """
        return self.panoptic_quality


@dataclass(frozen=True, slots=True)
class Trial:
    """Settings by part of the recipe and name, and the scores that they promise."""

    settings: Mapping[str, Values]
    scores: Scores


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a search found.

    Parameters
    ----------
    recipe : Recipe
        The base with the best settings set, or the base itself where none was better.
    scores, base_scores : Scores
        Of `recipe` and of the base, from cells made the whole way.
    predicted : Scores or None
        What the search promised for `recipe`; they differ from `scores` by what cleaning up does to voxels. None where
        the base won.
    trials : tuple of Trial
        All that was tried, in order.
    """

    recipe: Recipe
    scores: Scores
    base_scores: Scores
    predicted: Scores | None
    trials: tuple[Trial, ...]


def recipe_of(trial: Trial, base: Recipe) -> Recipe:
    """Return the base with the settings of a trial set."""
    return Recipe.model_validate(trial.settings).over(base.model_dump(exclude_unset=True))


def ranked(trials: Iterable[Trial]) -> list[Trial]:
    """Sort from the best; equal ones stay in the order in which they were tried."""
    return sorted(trials, key=lambda trial: -trial.scores.objective)


def scores_of(overlaps: Overlaps) -> Scores:
    """Return how good cells are that overlap the true ones so."""
    n_true, n_found = (int(np.count_nonzero(np.unique(ids))) for ids in (overlaps.truth, overlaps.prediction))
    n_matched = len(match_cells(overlaps))
    error = adapted_rand_error(overlaps)
    return Scores(
        ratio(n_matched, n_true + n_found - n_matched, empty=1.0),
        1.0 if error is None else error,
        panoptic_quality(overlaps).panoptic,
    )


def mean_of(scores: Iterable[Scores]) -> Scores:
    """Return the mean over stacks."""
    return Scores(*map(float, np.mean(list(scores), axis=0)))
