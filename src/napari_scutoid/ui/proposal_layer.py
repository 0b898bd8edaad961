"""What an edit would change, shown over the cells before it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.ui import layers

if TYPE_CHECKING:
    import napari
    from napari.layers import Labels as LabelsLayer

    from napari_scutoid.proofread.change import Change

NAME = "Scutoid proposal"
OPACITY = 0.9
SHADES = ((1.0, 0.25, 0.85, 1.0), (0.2, 1.0, 1.0, 1.0), (1.0, 0.9, 0.1, 1.0))
"""Unlike those of cells."""


class ProposalLayer:
    """A labels layer of the voxels that would differ, in strong colours; it holds no more than their box.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self._layer: LabelsLayer | None = None

    @property
    def is_shown(self) -> bool:
        """Whether there is something to be seen."""
        return self._layer is not None and self._layer in self._viewer.layers

    def show(self, cells: LabelsLayer, change: Change) -> None:
        """Show what a change would make of the cells.

        Parameters
        ----------
        cells : napari.layers.Labels
            Whose voxels would change.
        change : Change
        """
        from napari.utils.colormaps import DirectLabelColormap

        self.hide()
        differs = change.labels or change.lumen
        if differs is None:
            return
        box = differs.box
        data = np.zeros(box.shape, np.uint32)
        _, after = differs.values()
        parts, numbers = np.unique(after, return_inverse=True)
        data[differs.where()] = numbers + 1
        shades: dict[int | None, Any] = {None: np.zeros(4, np.float32)}
        shades |= {n: np.array(SHADES[n % len(SHADES)], np.float32) for n in range(1, len(parts) + 1)}
        place = [float(a + b * c) for a, b, c in zip(cells.translate, cells.scale, box.start, strict=True)]
        active = self._viewer.layers.selection.active
        self._layer = self._viewer.add_labels(
            data,
            name=NAME,
            scale=cells.scale,
            translate=place,
            units=cells.units,
            axis_labels=cells.axis_labels,
            opacity=OPACITY,
            colormap=DirectLabelColormap(color_dict=shades),
            metadata={layers.METADATA: {"kind": "proposal"}},
        )
        self._layer.editable = False
        # What the user works on stays what the mouse works on.
        self._viewer.layers.selection.active = active

    def hide(self) -> None:
        """Take it away."""
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)
