"""Images and their labels, to learn from: in one file, or in two whose names tell that they belong together."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.guess import of_kind
from napari_scutoid.io.open import inspect, open_labels, open_volume
from napari_scutoid.io.zarr_files import is_folder_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from napari_scutoid.io.format import DatasetInfo
    from napari_scutoid.volume import Labels, Volume

IMAGE_OPTION = "--image-dataset"
LABELS_OPTION = "--labels-dataset"

_IMAGES = r"(?:images?|raw|img)"
# Cellpose writes `_cp_masks`.
_LABELS = r"(?:labels?|(?:cp_)?masks?|segmentation|seg|gt|truth|ground_?truth)"
_ENDINGS = re.compile(rf"(?:[_-](?:{_IMAGES}|{_LABELS}))+$", re.IGNORECASE)
_LOOKED_FOR = (
    "an image and labels were looked for in one file, in folders such as images and labels in files of the same name, "
    "and in files such as a.tif and a_label.tif"
)
_MOST_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its labels; of the data sets, None stands for the only one that fits."""

    name: str
    image_file: Path
    image_dataset: str | None
    labels_file: Path
    labels_dataset: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """Pairs by name, and what else was there, with the reason why it belongs to none."""

    pairs: tuple[Pair, ...]
    left_out: tuple[tuple[Path, str], ...]


class _Wanted(NamedTuple):
    """Names of the data sets; what is None is guessed."""

    image: str | None
    labels: str | None

    def images(self, infos: Sequence[DatasetInfo]) -> list[DatasetInfo]:
        if self.image is not None:
            return [info for info in infos if info.path == self.image]
        return of_kind((info for info in infos if info.path != self.labels), "image")

    def label_sets(self, infos: Sequence[DatasetInfo]) -> list[DatasetInfo]:
        if self.labels is not None:
            return [info for info in infos if info.path == self.labels]
        others = [info for info in infos if info.path != self.image]
        # As `scutoid evaluate` chooses.
        return [info for info in others if info.path == "label"] or of_kind(others, "labels")


@dataclass(frozen=True, slots=True)
class _File:
    """What may be the image or the labels of a pair; `role` is what its name says."""

    path: Path
    key: str
    role: str
    images: Sequence[DatasetInfo]
    labels: Sequence[DatasetInfo]
    held: str

    @property
    def is_whole(self) -> bool:
        return bool(self.images and self.labels)

    def alone(self) -> str:
        """Why it is in no pair."""
        if self.images and self.role != "labels":
            return "an image without labels"
        if self.labels and self.role != "image":
            return "labels without an image"
        return f"neither an image nor labels to be taken ({self.held})"


def find_pairs(where: Path, *, image_dataset: str | None = None, labels_dataset: str | None = None) -> Found:
    """Find images with labels in a file or folder, from the headers of the files.

    Parameters
    ----------
    where : Path
        A file (or Zarr folder) that holds an image and labels, or an image whose labels lie in another file; or a
        folder of such files, or of files for images and for labels, of any formats. Those have the same name in
        folders such as ``images`` and ``labels``, or in one folder with an ending such as ``_label`` or ``_cp_masks``
        (and, or not, ``_image``).
    image_dataset, labels_dataset : str, optional
        Names inside the files. Without them, the one that `open_volume` and `open_labels` would take; among several
        labels, ``label``. Where the file's name says what it is, the only data set in it is that, whatever it looks
        like.

    Returns
    -------
    Found
        At least one pair, each with another name.

    Raises
    ------
    ScutoidError
        When there is no pair, several data sets or files would do, or an image and its labels differ in shape.
    """
    wanted = _Wanted(*(None if name is None else name.strip("/") for name in (image_dataset, labels_dataset)))
    if not where.is_dir() or is_folder_store(where):
        file = _look_into(where, wanted, "")
        if not file.is_whole and (beside := _pair_beside(where, image_dataset, labels_dataset)) is not None:
            return Found((beside,), ())
        if not file.is_whole:
            raise ScutoidError(
                f"{where} is nothing to learn from",
                f"an image and labels are needed, and it holds {file.held}",
                f"name the data sets with {IMAGE_OPTION} and {LABELS_OPTION}, or give a folder of images and labels",
            )
        return Found((_pair(file, file),), ())
    files: list[_File] = []
    left_out: list[tuple[Path, str]] = []
    for path, role in _entries(where):
        reason = _no_stack(path)
        if reason is None:
            try:
                files.append(_look_into(path, wanted, role))
            except ScutoidError as error:
                reason = error.why
        if reason is not None:
            left_out.append((path, reason))
    pairs = list(_matched(files))
    taken = {file for pair in pairs for file in (pair.image_file, pair.labels_file)}
    left_out += [(file.path, file.alone()) for file in files if file.path not in taken]
    if not pairs:
        raise _nothing(where, left_out)
    if len({pair.name for pair in pairs}) < len(pairs):
        pairs = [replace(pair, name=pair.image_file.relative_to(where).as_posix()) for pair in pairs]
    return Found(tuple(sorted(pairs, key=lambda pair: pair.name)), tuple(sorted(left_out)))


def open_pair(
    pair: Pair,
    *,
    channel: int | None = None,
    time: int | None = None,
    axes: str | None = None,
    voxel_size: Sequence[float] | None = None,
) -> tuple[Volume, Labels]:
    """Open the image lazily, and read its labels.

    Parameters
    ----------
    pair : Pair
        As `find_pairs` returns it.
    channel, time, axes, voxel_size
        Of the image, as for `open_volume`. The labels' axes are named likewise, without channel and time where they
        have none.

    Returns
    -------
    image : Volume
    labels : Labels
        Of the same shape and voxel size: that of the image, else that which the labels' file states.

    Raises
    ------
    ScutoidError
        As `open_volume` and `open_labels`, and when the shapes differ.
    """
    image = open_volume(
        pair.image_file, pair.image_dataset, channel=channel, time=time, axes=axes, voxel_size_um=voxel_size
    )
    if axes is not None or time is not None:
        axes, time = _for_labels(pair, axes, time)
    labels = open_labels(pair.labels_file, pair.labels_dataset, time=time, axes=axes)
    if image.shape != labels.shape:
        raise _other_shape(pair, image.shape, labels.shape)
    if image.voxel_size_um is None and labels.voxel_size_um is not None:
        history = (*image.history, "voxel size of the labels")
        image = replace(image, voxel_size_um=labels.voxel_size_um, history=history)
    return image, replace(labels, voxel_size_um=image.voxel_size_um)


def _pair_beside(image: Path, image_dataset: str | None, labels_dataset: str | None) -> Pair | None:
    """Return the pair that an image makes with labels in another file, or None."""
    folder = image.parent.parent if _role_of_folder(image.parent) else image.parent
    try:
        found = find_pairs(folder, image_dataset=image_dataset, labels_dataset=labels_dataset)
    except (ScutoidError, OSError):
        return None
    return next((pair for pair in found.pairs if pair.image_file == image), None)


def _entries(where: Path) -> Iterator[tuple[Path, str]]:
    """Yield what lies in a folder and in its folders for images and labels, and what the folder's name says it is."""
    for path in sorted(where.iterdir()):
        role = _role_of_folder(path)
        if role:
            yield from ((inner, role) for inner in sorted(path.iterdir()))
        else:
            yield path, ""


def _role_of_folder(path: Path) -> str:
    if not path.is_dir() or is_folder_store(path):
        return ""
    for words, role in ((_IMAGES, "image"), (_LABELS, "labels")):
        if re.fullmatch(words, path.name, re.IGNORECASE):
            return role
    return ""


def _no_stack(path: Path) -> str | None:
    """Return why something need not be opened, or None."""
    if path.name.startswith("."):
        return "hidden"
    if path.suffix == ".part":
        return "only a part of a file"
    if path.is_dir() and not is_folder_store(path):
        return "a folder that is not named images or labels"
    return None


def _look_into(path: Path, wanted: _Wanted, role: str) -> _File:
    """Read the headers of a file; without a role, its name's ending gives it one."""
    infos = inspect(path).datasets
    stem = re.sub(r"(\.ome)?(\.zarr)?$", "", path.stem, flags=re.IGNORECASE)
    ending = _ENDINGS.search(stem)
    key = stem[: ending.start()] if ending and ending.start() else stem
    if not role and ending:
        last = re.split("[_-]", ending[0])[-1]
        role = "image" if re.fullmatch(_IMAGES, last, re.IGNORECASE) else "labels"
    images, labels = wanted.images(infos), wanted.label_sets(infos)
    if len(infos) == 1 and role == "image" and wanted.image is None:
        images, labels = list(infos), []
    elif len(infos) == 1 and role == "labels" and wanted.labels is None:
        images, labels = [], list(infos)
    held = "; ".join(info.in_words for info in infos) or "no arrays"
    return _File(path, key, role, images, labels, held)


def _matched(files: Iterable[_File]) -> Iterator[Pair]:
    """Yield the files that are pairs by themselves, and those of two files that share a name."""
    groups: dict[str, list[_File]] = defaultdict(list)
    for file in files:
        groups[file.key].append(file)
    for group in groups.values():
        whole = [file for file in group if file.is_whole]
        images = [file for file in group if file.role != "labels" and file.images and not file.labels]
        labels = [file for file in group if file.role == "labels" and file.labels and not file.images]
        if not labels or not (whole or images):
            yield from (_pair(file, file) for file in whole)
        elif whole or len(images) > 1 or len(labels) > 1:
            listed = ", ".join(str(file.path) for file in (*whole, *images, *labels))
            raise ScutoidError(
                f"`{group[0].key}` could not be taken to learn from",
                f"several files hold its image or its labels ({listed})",
                "leave one image and one set of labels of this name in the folder",
            )
        else:
            yield _pair(images[0], labels[0])


def _pair(image: _File, labels: _File) -> Pair:
    one = _only(image.path, image.images, "an image", IMAGE_OPTION)
    other = _only(labels.path, labels.labels, "labels", LABELS_OPTION)
    pair = Pair(image.key, image.path, one.path, labels.path, other.path)
    if not _may_fit(one, other):
        raise _other_shape(pair, one.shape, other.shape)
    return pair


def _only(file: Path, found: Sequence[DatasetInfo], what: str, option: str) -> DatasetInfo:
    if len(found) != 1:
        listed = "; ".join(info.in_words for info in found)
        raise ScutoidError(
            f"{file} could not be taken to learn from",
            f"{len(found)} data sets look like {what} ({listed})",
            f"name the data set with {option}",
        )
    return found[0]


def _may_fit(image: DatasetInfo, labels: DatasetInfo) -> bool:
    """Whether the headers allow one grid; where they name the axes differently, the user may still name them anew."""
    if image.axes == labels.axes:
        sides = (labels.axes.index(axis) for axis in "ZYX" if axis in labels.axes)
        return all(image.shape[side] == labels.shape[side] for side in sides)
    return Counter(side for side in labels.shape if side > 1) <= Counter(image.shape)


def _other_shape(pair: Pair, image: tuple[int, ...], labels: tuple[int, ...]) -> ScutoidError:
    return ScutoidError(
        f"`{pair.labels_dataset}` in {pair.labels_file} are not the labels of `{pair.image_dataset}` in "
        f"{pair.image_file}",
        f"the image has shape {image}, the labels {labels}",
        f"give labels on the grid of the image, or name the data sets with {IMAGE_OPTION} and {LABELS_OPTION}",
    )


def _for_labels(pair: Pair, axes: str | None, time: int | None) -> tuple[str | None, int | None]:
    """Return the names of the labels' axes, from those of the image, and their time point where they have several."""
    found = _Wanted(None, pair.labels_dataset).label_sets(inspect(pair.labels_file).datasets)
    if len(found) != 1:
        return axes, time  # opening tells what is wrong
    (info,) = found
    for letter in "CT":
        if axes is not None and len(axes) > len(info.axes):
            axes = axes.upper().replace(letter, "")
    extra = set(axes or info.axes) - set("ZYX")
    # Whether an axis is time or channel may only be guessed.
    timed = "T" in extra or (extra and not info.axes_are_stated)
    return axes, time if timed else None


def _nothing(where: Path, left_out: Sequence[tuple[Path, str]]) -> ScutoidError:
    there = [f"{path.relative_to(where)}: {reason}" for path, reason in sorted(left_out)]
    listed = "; ".join(there[:_MOST_SHOWN]) + (f"; and {len(there) - _MOST_SHOWN} more" * (len(there) > _MOST_SHOWN))
    return ScutoidError(
        f"{where} holds nothing to learn from",
        f"{_LOOKED_FOR}; it holds {listed or 'nothing at all'}",
        f"rename the files, or name the data sets with {IMAGE_OPTION} and {LABELS_OPTION}",
    )
