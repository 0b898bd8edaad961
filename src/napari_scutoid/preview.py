"""Cells in a small box of a segmented stack, made again at each change of a setting before the whole stack is.

What a box cannot tell by itself is taken from the stack: the typical cell's diameter (as measured in the box, times the
stack's over the box's with the settings of the last labels), the stack's extent, and how much the cells' sizes vary.
So the cells in the box are those that the whole stack will have there, but for cells that the box's border cuts, and
some beside them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.pipeline import BOUNDARY, maps_of, voxel_volume
from napari_scutoid.steps.by_label import label_sizes
from napari_scutoid.steps.cell_sizes import size_histograms
from napari_scutoid.steps.shape import SizePrior, size_prior
from napari_scutoid.steps.staged import StagedCells
from napari_scutoid.steps.tissue import Stack
from napari_scutoid.volume import Labels, Origin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.box import Box
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Recipe
    from napari_scutoid.result import Kept
    from napari_scutoid.steps.cell_sizes import SizeHistograms


@dataclass(frozen=True, slots=True, eq=False)
class Previewed:
    """The cells in a box.

    Parameters
    ----------
    labels : Labels
        On the working grid.
    box : Box
        Where they lie in it.
    sizes : SizeHistograms
        Of the box's cells with the settings of the last labels, and with these.
    """

    labels: Labels
    box: Box
    sizes: SizeHistograms


class Preview:
    """The cells that one setting after another gives in a box.

    Parameters
    ----------
    kept : Kept
        What the network said of the stack, and its labels.
    box : Box
        Of the working grid.
    """

    def __init__(self, kept: Kept, box: Box) -> None:
        self._kept, self.box = kept, box
        self._staged: StagedCells | None = None
        self._before: Labels | None = None

    def cells(self, recipe: Recipe) -> Steps[Previewed]:
        """Return the cells that settings give; one job at a time.

        Parameters
        ----------
        recipe : Recipe
            Its parts `watershed`, `partition` and `cleanup`, as for `napari_scutoid.pipeline.relabel`.

        Yields
        ------
        Progress
            One per stage that is run.
        """
        if self._staged is None or self._before is None:
            self._staged, self._before = yield from self._begun()
        found = yield from self._staged.cells(self._kept.with_postprocessing(recipe))
        labels = self._placed(found.labels)
        return Previewed(labels, self.box, size_histograms(self._before, labels))

    def _begun(self) -> Steps[tuple[StagedCells, Labels]]:
        """Make the cells with the settings of the last labels, which tell how the box differs from the stack."""
        kept = self._kept
        foreground, boundary, seeds = maps_of(kept)
        working = kept.probabilities[BOUNDARY]

        def staged(stack: Stack) -> StagedCells:
            cut = self.box.slices
            return StagedCells(
                np.ascontiguousarray(foreground[cut], np.float32),
                np.ascontiguousarray(boundary[cut], np.float32),
                kept.spacing,
                seeds=None if seeds is None else np.ascontiguousarray(seeds[cut], np.float32),
                voxel_volume_um3=voxel_volume(working),
                stack=stack,
            )

        stack = Stack(shape=working.shape, sizes=_sizes(kept))
        if kept.diameter is not None:
            own = yield from staged(stack).diameter(kept.recipe)
            stack = replace(stack, enlarged=kept.diameter / own if own > 0 else 1.0)
        made = staged(stack)
        before = yield from made.cells(kept.recipe)
        return made, self._placed(before.labels)

    def _placed(self, cells: NDArray[np.uint32]) -> Labels:
        working = self._kept.probabilities[BOUNDARY]
        step = working.spacing
        origin = (o + n * edge for o, n, edge in zip(working.origin_um, self.box.start, step, strict=True))
        return Labels(cells, working.voxel_size_um, Origin(*origin), working.source)


def _sizes(kept: Kept) -> SizePrior | None:
    """Return what the stack's labels say of the cells' sizes, in voxels of the working grid."""
    if kept.labels is None:
        return None
    found = size_prior(label_sizes(kept.labels.data)[1:])
    working = kept.probabilities[BOUNDARY]
    return replace(found, volume=found.volume * math.prod(working.shape) / math.prod(kept.shape))
