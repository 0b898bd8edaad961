"""napari's *File > Save Selected Layers*: one image or one labels layer, in every format that the program writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_scutoid.errors import ScutoidError
from napari_scutoid.ui import layers
from napari_scutoid.ui.waiting import run_and_wait

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari.layers import Layer

    from napari_scutoid.progress import Steps


def write_image(path: str, data: Any, options: Mapping[str, Any]) -> list[str]:
    """Write an image layer with its voxel size; see `write_labels`."""
    from napari.layers import Image

    layer = _layer(Image, path, data, options)
    volume = layers.volume_of(layer)

    def job() -> Steps[None]:
        from napari_scutoid.io.save import write_image as write

        return write(path, volume, _provenance(layer))

    run_and_wait(f"Saving {Path(path).name}", job)
    return [path]


def write_labels(path: str, data: Any, options: Mapping[str, Any]) -> list[str]:
    """Write a labels layer with its voxel size and how it was made.

    Parameters
    ----------
    path : str
        Its ending is the format.
    data : array of shape (z, y, x)
        Of the layer.
    options : mapping
        What else the layer is, as napari hands it over.

    Returns
    -------
    list of str
        The path.

    Raises
    ------
    ScutoidError
        When the layer is no stack, is turned or moved by hand, or cannot be written there.
    """
    from napari.layers import Labels as LabelsLayer

    layer = _layer(LabelsLayer, path, data, options)
    # Corrections go on while it is written.
    grid = layers.volume_of(layer)

    def job() -> Steps[None]:
        from napari_scutoid.io.save import write_labels as write

        return write(path, grid, _provenance(layer))

    run_and_wait(f"Saving {Path(path).name}", job)
    return [path]


def _layer(kind: Callable[..., Layer], path: str, data: Any, options: Mapping[str, Any]) -> Any:
    """Return a layer again from what napari took out of it."""
    # Which plugin made a layer does not matter, and cannot be given.
    layer = kind(data, **{name: value for name, value in options.items() if name != "source"})
    problem = layers.problem_of(layer)
    if problem is not None:
        raise ScutoidError(f"{path} was not written", problem, "choose a layer that is one stack")
    return layer


def _provenance(layer: Layer) -> dict[str, Any]:
    made = (layer.metadata.get(layers.METADATA) or {}).get("provenance")
    return dict(made) if isinstance(made, dict) else {}
