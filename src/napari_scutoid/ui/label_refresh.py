"""Show again what changed of a labels layer, and only that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Labels as LabelsLayer

    from napari_scutoid.box import Box


def refresh_box(layer: LabelsLayer, box: Box | None) -> None:
    """Show the labels in a box again, after they were changed in place.

    napari's own refresh of a layer takes the colours of the whole slice anew, in 3D of the whole stack. As while it
    paints, only the piece of the texture is sent to the graphics card here that differs.

    Parameters
    ----------
    layer : napari.layers.Labels
        Of three axes, its data a NumPy array of 32 bits.
    box : Box or None
        In voxels of the layer; nothing is done without one.
    """
    if box is None or not box.size or not layer.visible:
        return  # what is hidden is taken anew once it is shown
    shown = layer._slice_input
    image = layer._slice.image
    if not layer.loaded or image.view is image.raw or image.raw.ndim != len(shown.displayed):
        layer.refresh(extent=False, thumbnail=False, highlight=False)
        return
    place = np.round(layer.world_to_data(shown.world_slice.point)).astype(int)
    if any(not box.start[axis] <= place[axis] < box.stop[axis] for axis in shown.not_displayed):
        return
    is_flat = len(shown.displayed) == 2
    # A contour reaches beyond what changed.
    halo = layer.contour + 1 if layer.contour and is_flat else 0
    around = box.padded(halo, layer.data.shape)
    piece = tuple(around.slices[axis] for axis in shown.displayed)
    if is_flat:
        colours = layer._raw_to_displayed(image.raw, data_slice=piece)
    else:
        colours = layer.colormap._data_to_texture(image.raw[piece])
    image.view[piece] = colours
    layer.events.labels_update(data=np.ascontiguousarray(colours), offset=[run.start for run in piece])
