"""Find the settings that turn a network's probabilities into the true cells of a few corrected stacks.

Voxels are slow and graphs are fast. So settings of the watershed, which need all voxels, are tried one by one; from the
regions of each come a graph of their contacts and one table of their overlaps with the true cells, from which every
graph partition and every smallest size is scored by renaming regions. What the partition by shape gives needs voxels
again, and is tried for the most promising watersheds only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_scutoid.metrics import adapted_rand_error, count_overlaps, match_cells, panoptic_quality
from napari_scutoid.metrics.matching import iou_of_true_cells
from napari_scutoid.metrics.overlaps import renamed
from napari_scutoid.metrics.ratio import ratio
from napari_scutoid.progress import Progress, within
from napari_scutoid.recipe import Recipe
from napari_scutoid.steps.cells import cells_from_probabilities
from napari_scutoid.steps.cleanup import label_sizes
from napari_scutoid.steps.graph import partitioned, region_graph
from napari_scutoid.steps.partition import partition
from napari_scutoid.steps.watershed import bounded_regions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.metrics import Overlaps
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Partition, Watershed
    from napari_scutoid.steps.graph import RegionGraph
    from napari_scutoid.steps.watershed import Regions

Values = dict[str, Any]

N_WATERSHEDS = 60
"""How many settings of the watershed are tried, without those of its partitions."""

# The default comes first everywhere: of settings with equal scores, the one tried first wins.
WATERSHED: Mapping[str, tuple[Any, ...]] = {
    "foreground_threshold": (0.5, 0.4, 0.6, 0.3, 0.7),
    "closing": (0.5, 0.3, 0.7, 1.0),
    "boundary_threshold": (0.5, 0.4, 0.6, 0.3, 0.7, 0.2),
    "seeds": ("prominent", "h-maxima", "maxima"),
    "seed_sigma": (0.07, 0.05, 0.1, 0.03, 0.14),
    "seed_distance": (0.14, 0.1, 0.2, 0.05),
    "seed_prominence": (0.1, 0.15, 0.05, 0.2, 0.3),
    "seed_height": (0.05, 0.03, 0.1),
}
BETAS = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8)
SHAPES: Mapping[str, tuple[float, ...]] = {"weak_wall": (0.1, 0.3, 0.4), "split_gain": (0.05, 0.2, 0.4)}
MIN_SIZES = (0.03, 0.01, 0.06, 0.1, 0.2)
"""In typical cells."""

_WITHOUT_SEEDS = ("foreground_threshold", "closing", "boundary_threshold")
_FOR_SEEDS = {"seed_prominence": "prominent", "seed_height": "h-maxima"}
_RANDOM = 0.4
"""Share of the watersheds that is drawn far from the base; the others change one setting of the best so far."""
_PROMISING = 4
_CONFIRMED = 3
_TRYING, _SHAPING, _CONFIRMING = "Trying watersheds", "Trying partitions by shape", "Confirming the best"


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


def tune(
    cases: Sequence[Case],
    base: Recipe | None = None,
    *,
    n_watersheds: int = N_WATERSHEDS,
    seed: int = 0,
    standard_errors: float = 0.0,
    keep_methods: bool = False,
) -> Steps[Tuning]:
    """Search thresholds, seeds, partition and smallest size for the highest mean `Scores.objective`.

    Watersheds are first drawn at random around the base, then made from the best so far by changing one setting. With
    each, no partition, multicut, GASP and mutex watershed are scored for several beta and smallest sizes; partition by
    shape only with the best few. At last the best few and the base make cells the whole way, and the best of these
    wins.

    Parameters
    ----------
    cases : sequence of Case
        Settings found on one stack alone may fit no other: several are better.
    base : Recipe, optional
        Where the search starts; settings that are not tuned stay as they are.
    n_watersheds : int
        Settings of the watershed to try; less where there are no more.
    seed : int
        The same seed, cases and base give the same recipe.
    standard_errors : float
        Leave the base as it is unless the gain is larger than so many of its standard errors, as cells tell it: the
        spread of the differences of their IoU over the root of their number. With few cells, the best of hundreds of
        settings is better than the base by luck alone, and worse on the next stack.
    keep_methods : bool
        Search numbers only, and leave the kind of seeds and the partition's method as the base has them: which method
        is best on one stack says little about the next.

    Yields
    ------
    Progress
        Several for each watershed.

    Returns
    -------
    Tuning
        Never worse than the base.

    Raises
    ------
    ValueError
        When there is no case, no watershed is to be tried, a truth has another shape or no cell, or as
        `cells_from_probabilities` does.
    """
    base = base or Recipe()
    _check(cases, n_watersheds)
    rng = np.random.default_rng(seed)
    trials: list[Trial] = []
    best: dict[tuple[Any, ...], Trial] = {}
    names = _WITHOUT_SEEDS if _has_own_seeds(cases, base) else tuple(WATERSHED)
    if keep_methods:
        names = tuple(name for name in names if name != "seeds")
    for number in range(n_watersheds):
        yield Progress(_TRYING, number, n_watersheds)
        start = base.watershed
        if number >= max(1, _RANDOM * n_watersheds):
            winner = max(best.values(), key=lambda trial: trial.scores.objective)
            start = start.model_copy(update=winner.settings["watershed"])
        drawn = start if number == 0 else _unseen(start, names, rng, best, far=number < _RANDOM * n_watersheds)
        if drawn is None:
            break
        found: list[Trial] = []
        regions = yield from within(_regions(cases, drawn), Progress(_TRYING, number, n_watersheds))
        pieces = [_Pieces.of(one.labels, case, one.cell_volume) for one, case in zip(regions, cases, strict=True)]
        for settings in _graph_partitions(base.partition, keep_methods):
            yield Progress(_TRYING, number, n_watersheds)
            found += _sizes_tried(pieces, _stated(drawn, names), settings)
        best[_key(drawn, names)] = max(found, key=lambda trial: trial.scores.objective)
        trials += found
    if not keep_methods or base.partition.method == "shape":
        trials += yield from _by_shape(cases, base, names, list(best.values()))
    if keep_methods:
        trials = [trial for trial in trials if trial.settings["partition"]["method"] == base.partition.method]
    return (yield from _confirmed(cases, base, trials, standard_errors))


def recipe_of(trial: Trial, base: Recipe) -> Recipe:
    """Return the base with the settings of a trial set."""
    return Recipe.model_validate(trial.settings).over(base.model_dump(exclude_unset=True))


def _check(cases: Sequence[Case], n_watersheds: int) -> None:
    if n_watersheds < 1:
        raise ValueError(f"n_watersheds must be at least 1, not {n_watersheds}")
    if not cases:
        raise ValueError("cases must hold at least one stack")
    for case in cases:
        if case.truth.shape != case.boundary.shape:
            raise ValueError(f"truth has shape {case.truth.shape}, boundary {case.boundary.shape}")
        if not case.truth.any():
            raise ValueError("truth has no cell")


def _has_own_seeds(cases: Sequence[Case], base: Recipe) -> bool:
    return base.watershed.method == "components" or any(case.seeds is not None for case in cases)


def _key(watershed: Watershed, names: Iterable[str]) -> tuple[Any, ...]:
    """Return the settings that make a difference: those of other kinds of seeds make none."""
    kind = watershed.seeds
    return tuple(getattr(watershed, name) if _FOR_SEEDS.get(name, kind) == kind else None for name in names)


def _stated(watershed: Watershed, names: Sequence[str]) -> Values:
    values = zip(names, _key(watershed, names), strict=True)
    return {name: value for name, value in values if value is not None}


def _unseen(
    start: Watershed, names: Sequence[str], rng: np.random.Generator, seen: Mapping[Any, Any], *, far: bool
) -> Watershed | None:
    """Change one setting, or each with a chance of one half, to a combination not seen yet; None where none is found.

    Settings keep the base's value, which may be none of the list, by not being changed.
    """
    for _ in range(200):
        chosen = rng.random(len(names)) < 0.5 if far else np.arange(len(names)) == rng.integers(len(names))
        values = {
            name: WATERSHED[name][rng.integers(len(WATERSHED[name]))]
            for name, change in zip(names, chosen, strict=True)
            if change
        }
        drawn = start.model_copy(update=values)
        if _key(drawn, names) not in seen:
            return drawn
    return None


def _graph_partitions(base: Partition, keep_method: bool) -> Iterator[Partition]:
    # Without a partition watersheds are compared, of which the best few are then partitioned by shape.
    yield base.model_copy(update={"method": "none"})
    for method in ("multicut", "gasp", "mutex"):
        if keep_method and method != base.method:
            continue
        for beta in BETAS:
            yield base.model_copy(update={"method": method, "beta": beta})


def _regions(cases: Sequence[Case], watershed: Watershed) -> Steps[list[Regions]]:
    found = []
    for case in cases:
        found.append((yield from bounded_regions(case.foreground, case.boundary, watershed, case.spacing, case.seeds)))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Pieces:
    """What scores need to know about the regions of a case: no voxels."""

    graph: RegionGraph
    voxels: NDArray[np.int64]
    overlaps: Overlaps
    cell_volume: float

    @classmethod
    def of(cls, labels: NDArray[np.uint32], case: Case, cell_volume: float) -> _Pieces:
        overlaps = count_overlaps(labels, case.truth)
        return cls(region_graph(labels, case.boundary), label_sizes(labels), overlaps, cell_volume)

    def partitioned(self, settings: Partition) -> NDArray[np.uint32]:
        """Return the new id of each region."""
        if settings.method == "none" or settings.method == "shape":  # shape has had its say about voxels
            return np.arange(self.voxels.size, dtype=np.uint32)
        return partitioned(self.graph, settings.method, settings.beta)

    def without_small(self, of: NDArray[np.uint32], smallest: int) -> NDArray[np.uint32]:
        """Return the new ids once too small cells went to the neighbour behind the weakest wall, or to none.

        A flooding of the graph, as cleaning up floods the voxels.
        """
        voxels = np.bincount(of, weights=self.voxels)
        stays = voxels >= smallest
        stays[0] = False
        if stays[1:].all():
            return of
        pairs = of[self.graph.pairs.astype(np.intp)]
        crossed = self.graph.between_cells & (pairs[:, 0] != pairs[:, 1]) & ~stays[pairs].all(axis=1)
        crossed &= (pairs > 0).all(axis=1)
        owner = np.arange(voxels.size, dtype=np.uint32)
        for edge in np.flatnonzero(crossed)[np.argsort(self.graph.wall[crossed], kind="stable")]:
            a, b = owner[pairs[edge]]
            if a == b or (stays[a] and stays[b]):
                continue
            kept, given = (a, b) if stays[a] else (b, a)
            owner[owner == given] = kept
        owner[~stays[owner]] = 0
        return owner[of]


def _sizes_tried(pieces: Sequence[_Pieces], watershed: Values, settings: Partition) -> Iterator[Trial]:
    """Score a partition with each smallest size."""
    tuned = {"none": (), "shape": tuple(SHAPES)}.get(settings.method, ("beta",))
    stated = {name: getattr(settings, name) for name in ("method", *tuned)}
    of = [one.partitioned(settings) for one in pieces]
    for min_size in MIN_SIZES:
        cleaned = (
            renamed(one.overlaps, one.without_small(new, round(min_size * one.cell_volume)))
            for one, new in zip(pieces, of, strict=True)
        )
        cleanup = {"min_size": min_size, "min_size_unit": "cells"}
        yield Trial({"watershed": watershed, "partition": stated, "cleanup": cleanup}, _mean(map(_scores, cleaned)))


def _by_shape(cases: Sequence[Case], base: Recipe, names: Sequence[str], best: Sequence[Trial]) -> Steps[list[Trial]]:
    """Try the partition by shape: the base's on the base and the best watersheds, then others on the best of these."""
    promising = _ranked(best)[:_PROMISING]
    first = best[:1] if not any(trial is best[0] for trial in promising) else []
    watersheds = [base.watershed.model_copy(update=trial.settings["watershed"]) for trial in (*first, *promising)]
    shape = base.partition.model_copy(update={"method": "shape"})
    others = [shape.model_copy(update={name: value}) for name, values in SHAPES.items() for value in values]
    total = len(watersheds) + len(others)
    tried: list[list[Trial]] = []
    for number, watershed in enumerate(watersheds):
        at = Progress(_SHAPING, number, total)
        yield at
        regions = yield from within(_regions(cases, watershed), at)
        tried.append((yield from within(_shaped(cases, regions, base, shape, _stated(watershed, names)), at)))
    winner = max(range(len(tried)), key=lambda i: max(trial.scores.objective for trial in tried[i]))
    regions = yield from within(_regions(cases, watersheds[winner]), Progress(_SHAPING, len(watersheds), total))
    stated = _stated(watersheds[winner], names)
    for number, other in enumerate(others, start=len(watersheds)):
        at = Progress(_SHAPING, number, total)
        yield at
        tried.append((yield from within(_shaped(cases, regions, base, other, stated), at)))
    return [trial for trials in tried for trial in trials]


def _shaped(
    cases: Sequence[Case], regions: Sequence[Regions], base: Recipe, settings: Partition, watershed: Values
) -> Steps[list[Trial]]:
    pieces = []
    for case, one in zip(cases, regions, strict=True):
        labels = yield from partition(one, case.boundary, settings, base.watershed.backend)
        pieces.append(_Pieces.of(labels, case, one.cell_volume))
    return list(_sizes_tried(pieces, watershed, settings))


def _confirmed(cases: Sequence[Case], base: Recipe, trials: Sequence[Trial], standard_errors: float) -> Steps[Tuning]:
    """Make cells the whole way with the base and the best few, and return the best of them."""
    # Settings that make no difference promise the same scores: confirming one of them is enough.
    candidates = list({trial.scores: trial for trial in reversed(_ranked(trials))}.values())
    candidates = _ranked(candidates)[:_CONFIRMED]
    n = 1 + len(candidates)
    base_scores, base_cells = yield from within(_whole_way(cases, base), Progress(_CONFIRMING, 0, n))
    best = Tuning(base, base_scores, base_scores, None, tuple(trials))
    for number, trial in enumerate(candidates, start=1):
        recipe = recipe_of(trial, base)
        scores, cells = yield from within(_whole_way(cases, recipe), Progress(_CONFIRMING, number, n))
        luck = standard_errors * float(np.std(cells - base_cells)) / cells.size**0.5
        if scores.objective > max(best.scores.objective, base_scores.objective + luck):
            best = Tuning(recipe, scores, base_scores, trial.scores, tuple(trials))
    yield Progress(_CONFIRMING, n, n)
    return best


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
        found.append(_scores(overlaps))
        cells_of_all.append(iou_of_true_cells(overlaps))
    return _mean(found), np.concatenate(cells_of_all)


def _ranked(trials: Iterable[Trial]) -> list[Trial]:
    """Sort from the best; equal ones stay in the order in which they were tried."""
    return sorted(trials, key=lambda trial: -trial.scores.objective)


def _scores(overlaps: Overlaps) -> Scores:
    n_true, n_found = (int(np.count_nonzero(np.unique(ids))) for ids in (overlaps.truth, overlaps.prediction))
    n_matched = len(match_cells(overlaps))
    error = adapted_rand_error(overlaps)
    return Scores(
        ratio(n_matched, n_true + n_found - n_matched, empty=1.0),
        1.0 if error is None else error,
        panoptic_quality(overlaps).panoptic,
    )


def _mean(scores: Iterable[Scores]) -> Scores:
    return Scores(*map(float, np.mean(list(scores), axis=0)))
