"""Write results and stacks: labels never lose an id, a file appears whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.atomic import check_writable
from napari_scutoid.io.format import READABLE_KINDS
from napari_scutoid.io.hdf5_write import HDF5Writer
from napari_scutoid.io.mat_write import Mat73Writer
from napari_scutoid.io.narrow import label_type, survey
from napari_scutoid.io.ome_zarr_write import OmeZarrWriter
from napari_scutoid.io.output import Output, as_probabilities
from napari_scutoid.io.tiff_write import TiffWriter
from napari_scutoid.progress import drain
from napari_scutoid.volume import Volume

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_scutoid.io.output import Writer
    from napari_scutoid.progress import Steps
    from napari_scutoid.volume import Labels

# The name's ending decides.
_WRITERS: tuple[Writer, ...] = (HDF5Writer(), Mat73Writer(), TiffWriter(), OmeZarrWriter())


def save_result(
    path: str | Path, labels: Labels | Volume, probabilities: Mapping[str, Volume], provenance: Mapping[str, Any]
) -> None:
    """Write a segmentation in the format that the file's name asks for.

    Parameters
    ----------
    path : path
        Ends as `result_suffixes` lists; written beside and moved into place, so a failure leaves nothing behind.
    labels : Labels or Volume
        Array ``label``, in the smallest unsigned type that holds every id; its lumen becomes ``lumen``. A volume of
        ids, as ``pipeline.ResultOnDisk`` has it, is read block by block and keeps its type.
    probabilities : mapping of str to Volume
        One array each (``foreground``, ``boundary``), on their own grid, as bytes: probability = byte * ``scale``,
        an attribute of 1/255.
    provenance : mapping
        How the result was made; written as JSON.

    Raises
    ------
    ScutoidError
        When the name ends otherwise, the file cannot be written, or a stack that another program wrote is there.
    """
    writer = writer_for(path)
    outputs = {name: _probability(volume) for name, volume in probabilities.items()}
    drain(writer.write(Path(path), _label_outputs(labels) | outputs, provenance))


def save_stack(path: str | Path, image: Volume, labels: Labels, provenance: Mapping[str, Any] | None = None) -> None:
    """Write a stack with its labels, e.g. a synthetic one.

    Parameters
    ----------
    path : path
        As for `save_result`. The arrays are ``raw``, ``label`` and ``lumen``; in a ``.mat`` they have the laboratory's
        names (``imageSequenceInterpolated``, ``labelledImage3D``, ``lumenImage``).
    image : Volume
        The intensities.
    labels : Labels
        On the same grid.
    provenance : mapping, optional
        As for `save_result`.

    Raises
    ------
    ScutoidError
        As `save_result`.
    """
    writer = writer_for(path)
    outputs = {"raw": Output(image.data, image.dtype, image)} | _label_outputs(labels)
    if isinstance(writer, Mat73Writer):
        names = {"raw": "imageSequenceInterpolated", "label": "labelledImage3D", "lumen": "lumenImage"}
        outputs = {names[name]: output for name, output in outputs.items()}
    drain(writer.write(Path(path), outputs, provenance or {}))


def write_image(path: str | Path, image: Volume, provenance: Mapping[str, Any] | None = None) -> Steps[None]:
    """Write one stack as ``raw``, block by block.

    Parameters
    ----------
    path, provenance
        As for `save_result`.
    image : Volume
        The intensities, lazy or in memory.

    Raises
    ------
    ScutoidError
        As `save_result`, and when the format has no such numbers.
    """
    writer = writer_for(path)
    if image.dtype.kind not in READABLE_KINDS:
        raise ScutoidError(f"{path} could not be written", f"it would hold {image.dtype}", "save real or whole numbers")
    is_mask = image.dtype.kind == "b"
    output = Output(image.data, np.dtype(np.uint8) if is_mask else image.dtype, image, "mask" if is_mask else "image")
    yield from writer.write(Path(path), {"raw": output}, provenance or {})


def write_labels(path: str | Path, labels: Volume, provenance: Mapping[str, Any] | None = None) -> Steps[None]:
    """Write one id per voxel as ``label``, block by block, in the smallest unsigned type that holds every id.

    Parameters
    ----------
    path, provenance
        As for `save_result`.
    labels : Volume
        Whole numbers, lazy or in memory.

    Raises
    ------
    ScutoidError
        As `save_result`, and when the numbers are no ids.
    """
    writer = writer_for(path)
    numbers = yield from survey(labels.data, "Looking at the labels")
    try:
        dtype = label_type(numbers)
    except ValueError as error:
        raise ScutoidError(
            f"{path} could not be written", str(error), "save labels: one whole number per cell"
        ) from error
    yield from writer.write(Path(path), {"label": Output(labels.data, dtype, labels, "labels")}, provenance or {})


def check_result_path(path: str | Path) -> None:
    """Say before the work, and not after it, that nothing can be written there.

    Raises
    ------
    ScutoidError
        As `save_result`.
    """
    writer_for(path)


def result_suffixes() -> tuple[str, ...]:
    """Return the endings of names that can be written, e.g. ``".h5"``."""
    return tuple(suffix for writer in _WRITERS for suffix in writer.suffixes)


def writer_for(path: str | Path) -> Writer:
    """Return the writer for a file's name, after making sure that the file can be written.

    Raises
    ------
    ScutoidError
        As `save_result`.
    """
    suffix = Path(path).suffix
    writer = next((one for one in _WRITERS if suffix.lower() in one.suffixes), None)
    if writer is None:
        raise ScutoidError(
            f"{path} could not be written",
            f"files that end in {suffix} cannot be written here" if suffix else "its name has no ending such as .h5",
            f"let the name end in one of: {', '.join(result_suffixes())}",
        )
    if Path(path).exists() and not all(one.may_replace(Path(path)) for one in _WRITERS):
        raise ScutoidError(
            f"{path} could not be written",
            "a file of this name is there already, and this program did not make it",
            "give another name, or move that file away first",
        )
    check_writable(path, folder=writer.is_folder)
    return writer


def _label_outputs(labels: Labels | Volume) -> dict[str, Output]:
    if isinstance(labels, Volume):
        return {"label": Output(labels.data, labels.dtype, labels, "labels")}
    dtype = np.min_scalar_type(int(labels.data.max()))
    outputs = {"label": Output(labels.data, dtype, labels, "labels")}
    if labels.lumen is not None:
        outputs["lumen"] = Output(labels.lumen, np.dtype(np.uint8), labels, "mask")
    return outputs


def _probability(volume: Volume) -> Output:
    if volume.dtype == np.uint8:
        return Output(volume.data, volume.dtype, volume, "other", {"scale": 1 / 255})
    return as_probabilities(volume.data, volume)
