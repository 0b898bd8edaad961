"""Open any file by its content, and write results: the one door to files for the rest of the program."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.format import READABLE_KINDS, DatasetInfo, FileInfo, Format, Kind, Listing, StoredArray
from napari_scutoid.io.guess import guess, of_kind
from napari_scutoid.io.hdf5 import HDF5
from napari_scutoid.io.lazy import LazyArray, check_claim, check_memory
from napari_scutoid.io.mat import Mat5, Mat73
from napari_scutoid.io.ome_zarr import OmeZarr
from napari_scutoid.io.output import Key, block_keys
from napari_scutoid.io.probe import check_survivable
from napari_scutoid.io.save import save_result
from napari_scutoid.io.tiff import Tiff
from napari_scutoid.volume import Labels, Source, Volume, VoxelSize, as_label_array

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["find_labels", "inspect", "label_blocks", "open_labels", "open_volume", "save_result"]

# The first that recognises a file reads it: a MATLAB 7.3 file is HDF5 too.
_FORMATS: tuple[Format, ...] = (Mat73(), Mat5(), HDF5(), Tiff(), OmeZarr())

_HEAD_BYTES = 8192

_OPTIONS = {"T": ("time point", "--time"), "C": ("channel", "--channel")}
# What scores labels takes them whole.
_BY_CONVERTING = {axis: (what, f"`scutoid convert {option}`") for axis, (what, option) in _OPTIONS.items()}


def inspect(path: str | Path) -> FileInfo:
    """List the arrays of a file from their headers, and guess what each is.

    Parameters
    ----------
    path : path
        File of any format that the program reads; its content decides, not its name.

    Returns
    -------
    FileInfo
        Every numeric array with two or more axes that are longer than one, those in groups, structs and cell arrays
        included. A few voxels are read where neither name nor type tells what an array is.

    Raises
    ------
    ScutoidError
        When the file is missing, damaged, or of no known format.
    """
    file = Path(path)
    file_format = _format_of(file)
    listing = file_format.list(file)
    infos = tuple(_info(file_format, file, array) for array in listing.arrays)
    return FileInfo(str(path), file_format.name, infos, listing.provenance)


def open_volume(
    path: str | Path,
    dataset: str | None = None,
    *,
    channel: int | None = None,
    time: int | None = None,
    voxel_size_um: Sequence[float] | None = None,
    axes: str | None = None,
) -> Volume:
    """Open one channel of one time point, lazily where the format allows it.

    Parameters
    ----------
    path : path
        The file.
    dataset : str, optional
        Name inside the file; without it, the only one that looks like an image.
    channel, time : int, optional
        Which one, counted from 0. Needed where the array has such an axis with more than one entry.
    voxel_size_um : sequence of three numbers, optional
        (z, y, x) edges in micrometres; wins over what the file says.
    axes : str, optional
        What the axes are where the file does not say it or is wrong: one letter of T, C, Z, Y, X for each, in the order
        in which `inspect` shows them, e.g. ``"ZXY"``.

    Returns
    -------
    Volume
        In napari's order (z, y, x). Its voxel size is None where nobody states one. Probabilities that are stored as
        whole numbers, as this program writes them, are float32 of 0 to 1.

    Raises
    ------
    ScutoidError
        When the file or data set cannot be opened, several would fit, or a choice is missing or outside the axis.
    """
    file = Path(path)
    file_format, array = _choose(file, dataset, "image")
    array, renamed = _with_axes(array, axes)
    data, notes = _open_array(file_format, file, array, channel, time)
    voxel_size = array.voxel_size_um
    if voxel_size_um is not None:
        voxel_size = _given_voxel_size(voxel_size_um)
        notes += (f"voxel size {_numbers(voxel_size)} µm given by hand",)
    return Volume(data, voxel_size, array.origin_um, source=Source(str(path), array.path), history=renamed + notes)


def open_labels(
    path: str | Path, dataset: str | None = None, *, time: int | None = None, axes: str | None = None
) -> Labels:
    """Read labels into memory, as uint32.

    Parameters
    ----------
    path, dataset, time, axes
        As for `open_volume`; without `dataset`, the only one that looks like labels.

    Raises
    ------
    ScutoidError
        As `open_volume`, and when the numbers are no labels: fractions, negative, or above 4294967295.
    """
    found = find_labels(path, dataset, time=time, axes=axes)
    check_memory(math.prod(found.shape) * 4, _dataset(found))
    labels = np.empty(found.shape, np.uint32)
    for key, ids in label_blocks(found):
        labels[key] = ids
    return Labels(labels, found.voxel_size_um, found.origin_um, found.source, found.history)


def find_labels(
    path: str | Path, dataset: str | None = None, *, time: int | None = None, axes: str | None = None
) -> Volume:
    """Open labels without reading them, for `label_blocks`; parameters and errors as for `open_labels`."""
    file = Path(path)
    file_format, array = _choose(file, dataset, "labels")
    array, renamed = _with_axes(array, axes)
    data, notes = _open_array(file_format, file, array, None, time, _BY_CONVERTING)
    if data.dtype.kind == "f":
        notes += (f"{data.dtype} holding whole numbers narrowed to uint32",)
    source = Source(str(path), array.path)
    return Volume(data, array.voxel_size_um, array.origin_um, source=source, history=renamed + notes)


def label_blocks(found: Volume) -> Iterator[tuple[Key, NDArray[np.uint32]]]:
    """Read labels from their file block by block: doubles never lie in memory whole, no chunk is unpacked twice.

    Parameters
    ----------
    found : Volume
        From `find_labels`.

    Yields
    ------
    tuple of 3 slices and ndarray of uint32
        Where a block lies, and its ids.

    Raises
    ------
    ScutoidError
        When the file is damaged, or the numbers are no labels.
    """
    for key in block_keys(found.data):
        try:
            ids = as_label_array(found.data[key])
        except ValueError as error:
            raise ScutoidError(
                f"`{_dataset(found)}` holds no labels", str(error), "name the data set with one whole number per cell"
            ) from error
        yield key, ids


def _dataset(found: Volume) -> str:
    return "" if found.source is None else found.source.dataset


def _format_of(file: Path) -> Format:
    head = b""
    try:
        if not file.exists():
            raise ScutoidError(f"{file} could not be opened", "there is no such file", "check the path")
        if file.is_file():
            with file.open("rb") as stream:
                head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise ScutoidError(
            f"{file} could not be opened", error.strerror or str(error), "check that you may read the file"
        ) from error
    for file_format in _FORMATS:
        if file_format.recognises(file, head):
            if isinstance(file_format, HDF5):
                check_survivable(file)
            return file_format
    if file.is_file():
        why = "its content is of no known format" if head else "it is empty"
    else:
        why = "it is a folder" if file.is_dir() else "it is no ordinary file"
    known = ", ".join(file_format.name for file_format in _FORMATS)
    raise ScutoidError(f"{file} could not be opened", why, f"give a file of one of these formats: {known}")


def _info(file_format: Format, file: Path, array: StoredArray) -> DatasetInfo:
    def opened() -> LazyArray:
        return LazyArray(file_format.read(file, array), array.order, name=array.path)

    try:
        kind, reason = guess(array, opened)
    except ScutoidError as error:
        # One damaged or unusual array must not hide the others.
        kind, reason = "other", error.why
    reason = "; ".join((reason, *_notes(array)))
    return DatasetInfo(
        array.path,
        array.shape,
        array.axes,
        array.dtype.name,
        array.voxel_size_um,
        kind,
        reason,
        array.axes_are_stated,
        array.full_scale,
    )


def _notes(array: StoredArray) -> tuple[str, ...]:
    scale = array.full_scale
    return array.notes if scale is None else (*array.notes, f"0 to {scale} stand for 0 to 1")


def _choose(file: Path, dataset: str | None, kind: Kind) -> tuple[Format, StoredArray]:
    """Return the array that was named, or the only one of a kind."""
    file_format = _format_of(file)
    listing = file_format.list(file)
    if dataset is not None:
        return file_format, _named(file, listing, dataset)
    infos = [_info(file_format, file, array) for array in listing.arrays]
    found = of_kind(infos, kind)
    if len(found) != 1:
        what = {"image": "an image", "labels": "labels"}.get(kind, kind)
        why = f"{len(found)} data sets look like {what}" if found else f"no data set looks like {what}"
        shown = found or infos
        listed = "; ".join(info.in_words for info in shown)
        raise ScutoidError(
            f"{file} could not be opened",
            f"{why} ({listed or _refusals(listing) or 'it holds no arrays'})",
            _how_to_name(kind, found=bool(found)) if infos else "check that it is the right file",
        )
    return file_format, next(array for array in listing.arrays if array.path == found[0].path)


def _with_axes(array: StoredArray, axes: str | None) -> tuple[StoredArray, tuple[str, ...]]:
    """Name the axes as the user says, and note it."""
    if axes is None:
        return array, ()
    try:
        renamed = array.with_axes(axes.upper())
    except ValueError as error:
        raise ScutoidError(
            f"`{array.path}` with {len(array.shape)} axes {array.shape} could not be opened",
            str(error),
            f"name them in this order with --axes, e.g. --axes {array.axes}",
        ) from error
    lost = array.voxel_size_um is not None and renamed.voxel_size_um is None
    return renamed, (f"axes {axes.upper()} given by hand" + (", voxel size of the file dropped" if lost else ""),)


def _how_to_name(kind: Kind, *, found: bool) -> str:
    option = "--pred-dataset or --truth-dataset" if kind == "labels" else "--dataset"
    return f"{'' if found else 'check that it is the right file, or '}name the data set with {option}"


def _named(file: Path, listing: Listing, dataset: str) -> StoredArray:
    name = listing.real_name(dataset.strip("/"))
    for array in listing.arrays:
        if array.path == name:
            return array
    if name in listing.refused:
        raise ScutoidError(f"`{dataset}` in {file} could not be opened", listing.refused[name], _which(listing))
    raise ScutoidError(f"{file} has no data set `{dataset}`", "there is nothing of this name in it", _which(listing))


def _which(listing: Listing) -> str:
    names = ", ".join(f"`{array.path}`" for array in listing.arrays)
    return f"name one of these data sets: {names}" if names else "check that it is the right file: it holds no arrays"


def _refusals(listing: Listing) -> str:
    return "; ".join(f"`{path}`: {why}" for path, why in listing.refused.items())


def _open_array(
    file_format: Format,
    file: Path,
    array: StoredArray,
    channel: int | None,
    time: int | None,
    options: Mapping[str, tuple[str, str]] = _OPTIONS,
) -> tuple[LazyArray | NDArray[Any], tuple[str, ...]]:
    """Return the (z, y, x) view of an array, and notes on what was chosen."""
    if array.dtype.kind not in READABLE_KINDS:
        raise _complex(array)
    fixed, notes = _fixed_axes(array, channel, time, options)
    notes = _notes(array) + notes
    order = [array.order[array.axes.index(axis)] if axis in array.axes else None for axis in "ZYX"]
    check_claim(array.nbytes, file, array.path)
    source = file_format.read(file, array)
    at = {array.order[axis]: index for axis, index in fixed.items()}
    logical = array.dtype.kind == "b"
    lazy = LazyArray(source, order, at, name=array.path, logical=logical, full_scale=array.full_scale)
    if None in order:
        notes += ("one picture, taken as a stack of one slice",)
    if not isinstance(source, np.ndarray):
        return lazy, notes
    if source.dtype.kind not in READABLE_KINDS:
        # In the header of a MATLAB 5 file, complex numbers are doubles like any others.
        raise _complex(array)
    if not logical and source.dtype.newbyteorder("=") != array.dtype:
        notes += (f"{array.dtype} packed as {source.dtype} by MATLAB, every number the same",)
    data: NDArray[Any] = lazy[...]
    return data, notes


def _complex(array: StoredArray) -> ScutoidError:
    return ScutoidError(
        f"`{array.path}` could not be opened",
        "it holds complex numbers",
        "save their magnitude instead (in MATLAB: abs(A))",
    )


def _fixed_axes(
    array: StoredArray, channel: int | None, time: int | None, options: Mapping[str, tuple[str, str]]
) -> tuple[dict[int, int], tuple[str, ...]]:
    """Return the index for each axis that is none of z, y, x, by position in napari's order."""
    extra = {axis: position for position, axis in enumerate(array.axes) if axis not in "ZYX"}
    if "Q" in extra:
        raise ScutoidError(
            f"`{array.path}` has {len(array.shape)} axes {array.shape}",
            "no more than time, channel, z, y and x can be told apart",
            "save one channel of one time point",
        )
    choices: dict[str, int | None] = {"C": channel, "T": time}
    if len(extra) == 1 and not array.axes_are_stated:
        # Whether the fourth axis is time or channel was only guessed: either option may choose from it.
        (axis,) = extra
        given = [choice for choice in choices.values() if choice is not None]
        choices = dict.fromkeys("CT")
        choices[axis] = given[0] if given else None
    fixed: dict[int, int] = {}
    notes: list[str] = []
    for axis, (what, option) in options.items():
        choice = choices[axis]
        if axis not in extra:
            if choice:
                raise ScutoidError(
                    f"`{array.path}` has no {what} {choice}",
                    f"its axes are {array.axes} {array.shape}",
                    f"leave out {option}",
                )
            continue
        length = array.shape[extra[axis]]
        if choice is None and length > 1:
            raise ScutoidError(
                f"`{array.path}` has {len(array.shape)} axes {array.shape}",
                f"one of them, {axis} in {array.axes}, has {length} entries",
                f"choose the {what} with {option}, 0 to {length - 1}",
            )
        index = choice or 0
        if not 0 <= index < length:
            raise ScutoidError(
                f"`{array.path}` has no {what} {index}",
                f"it has {length}, counted from 0",
                f"give {option} 0 to {length - 1}",
            )
        fixed[extra[axis]] = index
        notes.append(f"{what} {index} of {length}")
    return fixed, tuple(notes)


def _given_voxel_size(values: Sequence[float]) -> VoxelSize:
    try:
        z, y, x = values
        return VoxelSize.checked(z, y, x)
    except (TypeError, ValueError) as error:
        raise ScutoidError(
            "The voxel size cannot be used", str(error), "give three lengths in micrometres: z, y, x"
        ) from error


def _numbers(values: Sequence[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)
