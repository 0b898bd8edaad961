"""What a new model gets right that an old one got wrong, and the other way round, before the new one is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.metrics import count_overlaps, match_cells
from napari_scutoid.metrics.ratio import ratio
from napari_scutoid.pipeline import run
from napari_scutoid.progress import Progress
from napari_scutoid.recipe import Recipe
from napari_scutoid.steps.cell_table import cell_table
from napari_scutoid.training.stacks import unknown_in
from napari_scutoid.volume import as_label_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.training.stacks import Material
    from napari_scutoid.volume import Volume

    Position = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class ChangedCell:
    """A true cell that only one of both models finds.

    Parameters
    ----------
    id : int
        In the true labels.
    centre : (float, float, float)
        Mean position of its voxels, z, y, x, in voxels of the stack.
    """

    id: int
    centre: Position


@dataclass(frozen=True, slots=True)
class StackComparison:
    """Two segmentations of one stack, or of several together, against the true cells.

    A cell is found by a model when a cell it makes overlaps it with an IoU above 0.5.

    Parameters
    ----------
    name : str
    n_true, n_old, n_new : int
        Cells in truth, and that each model makes.
    n_both : int
        True cells that both find.
    fixed, broken : tuple of ChangedCell
        Those that only the new model finds, and those that only the old one finds, by rising ids.
    """

    name: str
    n_true: int
    n_old: int
    n_new: int
    n_both: int
    fixed: tuple[ChangedCell, ...]
    broken: tuple[ChangedCell, ...]

    @property
    def ap50_old(self) -> float | None:
        """TP / (TP + FP + FN) of the old model; None where there is no cell on either side."""
        return _ap50(self.n_both + len(self.broken), self.n_true, self.n_old)

    @property
    def ap50_new(self) -> float | None:
        """The same of the new model."""
        return _ap50(self.n_both + len(self.fixed), self.n_true, self.n_new)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on some stacks."""

    old: str
    new: str
    stacks: tuple[StackComparison, ...]

    @property
    def total(self) -> StackComparison:
        """All stacks together, their cells counted alike; ids are those of each stack."""
        n_true, n_old, n_new, n_both = (
            sum(getattr(one, name) for one in self.stacks) for name in ("n_true", "n_old", "n_new", "n_both")
        )
        fixed, broken = ([cell for one in self.stacks for cell in getattr(one, name)] for name in ("fixed", "broken"))
        return StackComparison("all", n_true, n_old, n_new, n_both, tuple(fixed), tuple(broken))


def compare_labels(name: str, truth: NDArray[Any], old: NDArray[Any], new: NDArray[Any]) -> StackComparison:
    """Compare two segmentations of a stack.

    Parameters
    ----------
    name : str
        Of the stack.
    truth, old, new : ndarray of integers, shape (z, y, x)
        One id per cell, 0 elsewhere.

    Raises
    ------
    ValueError
        When shapes differ.
    """
    overlaps = [count_overlaps(made, truth) for made in (old, new)]
    found_old, found_new = (set(match_cells(one).values()) for one in overlaps)
    fixed, broken = found_new - found_old, found_old - found_new
    centres: dict[int, Position] = {}
    if fixed or broken:
        table = cell_table(as_label_array(truth))
        places = zip(table.cell.tolist(), table.centroid.tolist(), strict=True)
        centres = {cell: (z, y, x) for cell, (z, y, x) in places}
    n_old, n_new = (_count(one.prediction) for one in overlaps)
    both = len(found_old & found_new)
    changed = ([ChangedCell(cell, centres[cell]) for cell in sorted(some)] for some in (fixed, broken))
    fixed_cells, broken_cells = map(tuple, changed)
    return StackComparison(name, _count(overlaps[0].truth), n_old, n_new, both, fixed_cells, broken_cells)


def only_changed(truth: NDArray[Any], comparison: StackComparison) -> NDArray[np.uint32]:
    """Return the true labels of the cells that only one model finds, 0 elsewhere.

    Parameters
    ----------
    truth : ndarray of integers, shape (z, y, x)
        What `comparison` was made with.
    comparison : StackComparison
    """
    ids = np.array([cell.id for cell in (*comparison.fixed, *comparison.broken)], np.uint32)
    labels = as_label_array(truth)
    return np.where(np.isin(labels, ids), labels, np.uint32(0))


def compare_models(
    old: str | Path,
    new: str | Path,
    stacks: Iterable[Callable[[], Material]],
    *,
    segmentation: Recipe | None = None,
    ignore: int | None = None,
    names: Sequence[str] = (),
) -> Steps[Comparison]:
    """Segment stacks with two models, each with its own settings as `scutoid segment` would, and compare the cells.

    Parameters
    ----------
    old, new : str or path
        Names of installed models, or model folders.
    stacks : iterable of callable
        Each opens a stack with its true cells; one is held in memory at a time.
    segmentation : Recipe, optional
        Settings that count for both.
    ignore : int, optional
        Label of voxels of which nobody has said what they are; what the models find there does not count.
    names : sequence of str
        What the two models are called, old and new; by default their folders' names.

    Yields
    ------
    Progress
        At least once a tile and stage.

    Raises
    ------
    ScutoidError
        As `pipeline.run` and opening a stack.
    """
    openers = tuple(stacks)
    found = []
    for number, opened in enumerate(openers, 1):
        yield Progress(f"Opening stack {number} of {len(openers)}")
        material = opened()
        truth = material.labels.data
        unknown = unknown_in(truth, ignore)
        made = []
        for which, model in (("old", old), ("new", new)):
            found_cells = yield from _named(
                _segmented(material.image, model, segmentation), f"Stack {number} of {len(openers)}, {which} model"
            )
            made.append(found_cells if unknown is None else np.where(unknown, np.uint32(0), found_cells))
        truth = truth if unknown is None else np.where(unknown, np.uint32(0), truth)
        found.append(compare_labels(material.name, truth, *made))
    called = names or [str(getattr(model, "name", model)) for model in (old, new)]
    return Comparison(called[0], called[1], tuple(found))


def _segmented(volume: Volume, model: str | Path, recipe: Recipe | None) -> Steps[NDArray[np.uint32]]:
    result = yield from run(volume, recipe or Recipe(), model)
    return result.labels.data


def _named(steps: Steps[NDArray[np.uint32]], name: str) -> Steps[NDArray[np.uint32]]:
    """Say which stack and model a step belongs to."""
    try:
        while True:
            try:
                at = next(steps)
            except StopIteration as stop:
                made: NDArray[np.uint32] = stop.value
                return made
            yield Progress(f"{name}: {at.step}", at.done, at.total)
    finally:
        steps.close()


def _count(ids: NDArray[np.uint32]) -> int:
    return int(np.count_nonzero(np.unique(ids)))


def _ap50(matched: int, n_true: int, n_made: int) -> float | None:
    return ratio(matched, n_true + n_made - matched)
