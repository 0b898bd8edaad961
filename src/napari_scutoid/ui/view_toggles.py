"""What keys show and hide while cells are corrected: the image, the walls' probability, and cells as outlines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_scutoid.ui import layers

if TYPE_CHECKING:
    import napari
    from napari.layers import Labels as LabelsLayer
    from napari.layers import Layer

OUTLINE = 1
"""Pixels of an outline."""
WALLS = "boundary"
"""How the name of the layer ends that shows where walls are probable."""


class ViewToggles:
    """Switches what is seen beside the cells.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layer : napari.layers.Labels
        The cells.
    """

    def __init__(self, viewer: napari.Viewer, layer: LabelsLayer) -> None:
        self._viewer, self._layer = viewer, layers.held_weakly(layer)

    def image(self) -> None:
        """Show the images, or hide them."""
        self._switch([layer for layer in self._viewer.layers if self._is_image(layer)])

    def walls(self) -> None:
        """Show where the network sees walls, or hide it."""
        maps = [layer for layer in self._viewer.layers if layers.kind_of(layer) == "probability"]
        self._switch([layer for layer in maps if layer.name.endswith(WALLS)] or maps)

    def outlines(self) -> None:
        """Show the cells as outlines, or filled."""
        if (layer := self._layer()) is not None:
            layer.contour = 0 if layer.contour else OUTLINE

    def _is_image(self, layer: Layer) -> bool:
        # Also one that another reader opened; maps and masks come from here.
        return layer._type_string == "image" and layers.kind_of(layer) in ("image", "")

    def _switch(self, chosen: list[Layer]) -> None:
        shown = not any(layer.visible for layer in chosen)
        for layer in chosen:
            layer.visible = shown
