"""Find the settings that turn a network's probabilities into the true cells of a few corrected stacks.

Voxels are slow and graphs are fast. So settings of the watershed, which need all voxels, are tried one by one; from the
regions of each come a graph of their contacts and one table of their overlaps with the true cells, from which every
graph partition and every smallest size is scored by renaming regions. What the partition by shape gives needs voxels
again, and is tried for the most promising watersheds only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.metrics.overlaps import renamed
from napari_scutoid.progress import Progress, within
from napari_scutoid.recipe import Recipe
from napari_scutoid.steps.partition import partition
from napari_scutoid.steps.watershed import bounded_regions
from napari_scutoid.tune.case import Trial, mean_of, ranked, scores_of
from napari_scutoid.tune.confirm import confirmed
from napari_scutoid.tune.pieces import Pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Partition, Watershed
    from napari_scutoid.steps.watershed import Regions
    from napari_scutoid.tune.case import Case, Tuning, Values

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
_TRYING, _SHAPING = "Trying watersheds", "Trying partitions by shape"


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
        settings is better than the base by luck alone, and worse on the next stack. Of what remains, each setting is
        put back whose own share in the gain is no larger than that.
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
        pieces = [Pieces.of(one.labels, case, one.cell_volume) for one, case in zip(regions, cases, strict=True)]
        for settings in _graph_partitions(base.partition, keep_methods):
            yield Progress(_TRYING, number, n_watersheds)
            found += _sizes_tried(pieces, _stated(drawn, names), settings)
        best[_key(drawn, names)] = max(found, key=lambda trial: trial.scores.objective)
        trials += found
    if not keep_methods or base.partition.method == "shape":
        trials += yield from _by_shape(cases, base, names, list(best.values()))
    if keep_methods:
        trials = [trial for trial in trials if trial.settings["partition"]["method"] == base.partition.method]
    return (yield from confirmed(cases, base, trials, standard_errors))


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


def _sizes_tried(pieces: Sequence[Pieces], watershed: Values, settings: Partition) -> Iterator[Trial]:
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
        yield Trial({"watershed": watershed, "partition": stated, "cleanup": cleanup}, mean_of(map(scores_of, cleaned)))


def _by_shape(cases: Sequence[Case], base: Recipe, names: Sequence[str], best: Sequence[Trial]) -> Steps[list[Trial]]:
    """Try the partition by shape: the base's on the base and the best watersheds, then others on the best of these."""
    promising = ranked(best)[:_PROMISING]
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
        pieces.append(Pieces.of(labels, case, one.cell_volume))
    return list(_sizes_tried(pieces, watershed, settings))
