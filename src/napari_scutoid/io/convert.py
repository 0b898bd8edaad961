"""Write what one file holds into another, of any format, block by block and in the smallest types that hold it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid import __version__
from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.guess import last_name, of_kind
from napari_scutoid.io.narrow import label_type, smallest_type, survey
from napari_scutoid.io.open import inspect, open_volume
from napari_scutoid.io.output import Output, as_probabilities
from napari_scutoid.io.save import writer_for

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from napari_scutoid.io.format import DatasetInfo, Kind
    from napari_scutoid.progress import Steps
    from napari_scutoid.volume import Volume

# A name that every format can write, MATLAB with its rules for variables included.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_DEFAULT_NAMES: dict[Kind, str] = {"image": "raw", "labels": "label", "mask": "mask", "other": "data"}


@dataclass(frozen=True, slots=True)
class Choice:
    """What to take from a file, as `open_volume` does; None leaves it to the file or the guess.

    Parameters
    ----------
    dataset : str or None
        Name inside the file; without it, the image, the labels and the mask of which there is one each.
    channel, time : int or None
        Which one, counted from 0.
    voxel_size_um : sequence of three numbers or None
        (z, y, x) edges in micrometres.
    axes : str or None
        One letter for each axis of the data set, for labels and masks beside an image where they have as many.
    kind : {"image", "labels", "mask", "other"} or None
        What the data set is, where the guess is wrong; without `dataset`, which of them to take.
    """

    dataset: str | None = None
    channel: int | None = None
    time: int | None = None
    voxel_size_um: Sequence[float] | None = None
    axes: str | None = None
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class Converted:
    """One array that was written.

    Parameters
    ----------
    dataset, name : str
        What it is called in the source and in the new file.
    kind : {"image", "labels", "mask", "other"}
        As what it was written.
    shape : tuple of int
        Voxels along z, y, x.
    before, after : numpy.dtype
        Type in the source and in the new file.
    notes : tuple of str
        What was chosen and changed on the way.
    """

    dataset: str
    name: str
    kind: Kind
    shape: tuple[int, int, int]
    before: np.dtype[Any]
    after: np.dtype[Any]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was written, and which data sets were not."""

    written: tuple[Converted, ...]
    left_out: tuple[str, ...]


def convert(
    source: str | Path, target: str | Path, choice: Choice | None = None, *, narrow: bool = True, single: bool = False
) -> Steps[Conversion]:
    """Write data sets of a file into a new file, whose name's ending says the format.

    Parameters
    ----------
    source, target : path
        The files.
    choice : Choice, optional
        What to take.
    narrow : bool
        Use the smallest type that holds every number: whole numbers in doubles become integers, doubles that were
        singles once become so again, labels the smallest unsigned type. No number changes.
    single : bool
        Round double precision to single, 7 digits, where no exact way is smaller.

    Returns
    -------
    Conversion
        What was written.

    Raises
    ------
    ScutoidError
        When the source cannot be opened, it does not say which data set is meant, labels are none, or the target
        cannot be written.

    Notes
    -----
    The source is read twice, once for the range of its numbers, in blocks of `output.BLOCK_BYTES`; only a MATLAB 5 file
    is in memory whole. What the source says of how it was made goes along, as ``source_provenance`` in the new file's
    provenance, and probabilities that are stored as whole numbers stay the same ones, with their scale.
    """
    choice = choice or Choice()
    writer = writer_for(target)
    found = inspect(source)
    infos = {info.path: info for info in found.datasets}
    chosen, left_out = _choose(source, infos, choice)
    outputs: dict[str, Output] = {}
    written = []
    for volume, path, kind in chosen:
        name = _free_name(path, kind, outputs)
        full_scale, before = infos[path].full_scale, np.dtype(infos[path].dtype)
        if full_scale is None or kind == "labels":
            output = yield from _output(volume, before, path, kind, narrow=narrow, single=single)
        else:
            # A mask would be logical in MATLAB.
            output = as_probabilities(volume.data, volume, "image" if kind == "image" else "other", full_scale)
        outputs[name] = output
        notes = output.grid.history
        written.append(Converted(path, name, output.kind, output.shape, before, output.dtype, notes))
    made = {"source": str(source), "datasets": {one.name: one.dataset for one in written}}
    provenance: dict[str, Any] = {"convert": made, "napari-scutoid": __version__}
    if found.provenance:
        provenance["source_provenance"] = found.provenance
    yield from writer.write(Path(target), outputs, provenance)
    return Conversion(tuple(written), left_out)


def _choose(
    source: str | Path, infos: Mapping[str, DatasetInfo], choice: Choice
) -> tuple[list[tuple[Volume, str, Kind]], tuple[str, ...]]:
    """Open the data sets to convert, and return them with their names and kinds, and the names of the others."""
    if choice.dataset is not None:
        volume = _open(source, choice.dataset, choice)
        # A name may be a soft link's.
        path = choice.dataset if volume.source is None else volume.source.dataset
        return [(volume, path, choice.kind or infos[path].guess)], ()
    kinds: tuple[Kind, ...] = ("image", "labels") if choice.kind is None else (choice.kind,)
    found = [info for kind in kinds if (info := _only(source, list(infos.values()), kind)) is not None]
    if not found:
        looks = " or ".join(_INDEFINITE[kind] for kind in kinds)
        if not infos:
            # Opening says why nothing in the file is an array.
            open_volume(source)
        held = "; ".join(info.in_words for info in infos.values())
        raise ScutoidError(
            f"{source} could not be converted",
            f"no data set looks like {looks} ({held})",
            "name the data set with --dataset, and say with --as what it is",
        )
    masks = [info for info in infos.values() if info.guess == "mask" and info.shape == found[0].shape]
    if choice.kind is None and len(masks) == 1:
        found += masks
    chosen = []
    for info in found:
        # What chooses from the image need not fit what lies beside it.
        own = choice
        if info is not found[0] and len(info.shape) != len(found[0].shape):
            own = replace(choice, channel=None, time=None, axes=None)
        chosen.append((_open(source, info.path, own), info.path, info.guess))
    return chosen, tuple(path for path in infos if path not in {info.path for info in found})


_INDEFINITE: dict[Kind, str] = {"image": "an image", "labels": "labels", "mask": "a mask", "other": "something else"}


def _only(source: str | Path, infos: Sequence[DatasetInfo], kind: Kind) -> DatasetInfo | None:
    """Return the one data set of a kind, or None; the laboratory's names win."""
    found = of_kind(infos, kind)
    if len(found) > 1:
        listed = "; ".join(f"`{info.path}` {info.shape}" for info in found)
        raise ScutoidError(
            f"{source} could not be converted",
            f"{len(found)} data sets look like {_INDEFINITE[kind]} ({listed})",
            "name one of them with --dataset",
        )
    return found[0] if found else None


def _open(source: str | Path, dataset: str, choice: Choice) -> Volume:
    return open_volume(
        source,
        dataset,
        channel=choice.channel,
        time=choice.time,
        voxel_size_um=choice.voxel_size_um,
        axes=choice.axes,
    )


def _free_name(path: str, kind: Kind, taken: Container[str]) -> str:
    """Return the name in the new file: the old one where all formats can write it."""
    name = last_name(path)
    return name if _NAME.fullmatch(name) and name not in taken else _DEFAULT_NAMES[kind]


def _output(
    volume: Volume, before: np.dtype[Any], path: str, kind: Kind, *, narrow: bool, single: bool
) -> Steps[Output]:
    """Find the type to write an array in; `before` is that in MATLAB, whose files may pack doubles as bytes."""
    numbers = yield from survey(volume.data, f"Looking at {path}")
    if kind == "labels":
        try:
            after = label_type(numbers)
        except ValueError as error:
            raise ScutoidError(
                f"`{path}` holds no labels",
                str(error),
                "name the data set with one whole number per cell, or say --as image",
            ) from error
    elif kind == "mask" and numbers.whole and 0 <= numbers.lowest <= numbers.highest <= 1:
        after = np.dtype(np.uint8)
    else:
        kind = "other" if kind == "mask" else kind
        after = smallest_type(before, numbers) if narrow or before.kind == "b" else before
    if single and after.kind == "f" and after.itemsize > 4:
        after = np.dtype(np.float32)
        volume = volume.with_data(volume.data, f"{before} rounded to {after}")
    elif after not in (before, volume.dtype):
        volume = volume.with_data(volume.data, f"{before} narrowed to {after}, every number the same")
    return Output(volume.data, after, volume, kind)
