"""Show in the viewer which true cells a new model finds, and which it no longer finds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.progress import Progress
from napari_scutoid.ui import layers

if TYPE_CHECKING:
    import napari
    from napari.layers import Labels as LabelsLayer

    from napari_scutoid.progress import Steps
    from napari_scutoid.training.compare import StackComparison
    from napari_scutoid.ui.layers import Shown
    from napari_scutoid.ui.train_core import Stack
    from napari_scutoid.volume import Labels

FIXED, BROKEN = (0.2, 0.8, 0.3, 1.0), (0.9, 0.2, 0.2, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class ChangedCells:
    """A stack, and those of its true cells that only one of two models finds.

    Parameters
    ----------
    image : Shown or None
        None for stacks that are layers already.
    cells : Labels
    comparison : StackComparison
    """

    image: Shown | None
    cells: Labels
    comparison: StackComparison


def find_changed(stack: Stack, comparison: StackComparison) -> Steps[ChangedCells]:
    """Open a stack that two models were compared on; in a job."""
    from napari_scutoid.training.compare import only_changed

    yield Progress("Opening the stack")
    material = stack.open()
    cells = replace(material.labels, data=only_changed(material.labels.data, comparison), lumen=None)
    image = None if stack.path is None else (yield from layers.load(material.image))
    return ChangedCells(image, cells, comparison)


def show_changed(viewer: napari.Viewer, found: ChangedCells) -> LabelsLayer:
    """Show the cells over their stack: green those that only the new model finds, red those that only the old one does.

    Returns
    -------
    napari.layers.Labels
    """
    from napari.utils.colormaps import DirectLabelColormap

    name = found.comparison.name
    if found.image is not None and name not in viewer.layers:
        layers.add_image(viewer, found.image, name)
    layer = layers.add_labels(viewer, found.cells, f"{name} fixed (green) and broken (red)", {})
    table: dict[int | None, Any] = {None: np.zeros(4, np.float32), 0: np.zeros(4, np.float32)}
    for colour, cells in ((FIXED, found.comparison.fixed), (BROKEN, found.comparison.broken)):
        table |= {cell.id: np.array(colour, np.float32) for cell in cells}
    layer.colormap = DirectLabelColormap(color_dict=table)
    if changed := (*found.comparison.broken, *found.comparison.fixed):
        place = layer.data_to_world(changed[0].centre)
        axis = viewer.dims.ndim - layer.ndim
        viewer.dims.set_point(axis, place[-3])
    return layer
