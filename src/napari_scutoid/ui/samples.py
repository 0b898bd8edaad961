"""The project's own stacks in napari's *File > Open Sample*."""

from __future__ import annotations

from typing import Any

LayerData = tuple[Any, dict[str, Any], str]

GLAND = "gland.mat"
CYST = "cyst.h5"


def gland() -> list[LayerData]:
    """Return a small synthetic gland, and its true cells as a hidden layer.

    Raises
    ------
    ScutoidError
        When the sample is not installed.
    """
    return _sample(GLAND, "gland")


def cyst() -> list[LayerData]:
    """Return a small synthetic cyst, a hollow ball of cells; else as `gland`."""
    return _sample(CYST, "cyst")


def _sample(file_name: str, name: str) -> list[LayerData]:
    from napari_scutoid.io.open import open_labels, open_volume
    from napari_scutoid.progress import drain
    from napari_scutoid.resources import sample_data_dir
    from napari_scutoid.ui import layers

    file = sample_data_dir() / file_name
    shown = drain(layers.load(open_volume(file)))
    truth = open_labels(file)
    return [
        (shown.volume.data, layers.image_options(shown, name), "image"),
        (truth.data, layers.labels_options(truth, f"{name} true cells") | {"visible": False}, "labels"),
    ]
