"""What ``scutoid evaluate`` reads, writes and prints around the scores.

Importing this module loads nothing heavy, as `cli` says of itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_scutoid.errors import ScutoidError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_scutoid.metrics import Verdicts
    from napari_scutoid.volume import Labels, Volume

LARGEST_TOLERANCE = 100.0
"""In voxels. Slabs have a margin as wide, and would no longer be small."""


class Background(NamedTuple):
    """The image to be seen under the colours of the picture; what is None is found out."""

    file: Path | None
    dataset: str | None
    axes: str | None
    channel: int | None


def check_wishes(
    *, classes: bool, cells: Path | None, picture: Path | None, background: Background, tolerance: float | None
) -> None:
    """Refuse what cannot be done, before anything is read.

    Raises
    ------
    ScutoidError
        When options exclude each other, the tolerance is no sensible distance, or a file cannot be written.
    """
    from napari_scutoid.io.atomic import check_writable
    from napari_scutoid.io.table import check_table_path

    about_cells = {"--cells": cells, "--picture": picture, "--boundary-tolerance": tolerance}
    given = [option for option, value in about_cells.items() if value is not None]
    if classes and given:
        raise ScutoidError(
            f"--classes cannot be combined with {given[0]}", "that is about cells, not classes", "leave out one of them"
        )
    if picture is None and any(choice is not None for choice in background):
        raise ScutoidError("The image cannot be shown", "no picture was asked for", "add --picture FILE.png")
    if tolerance is not None and not 0 <= tolerance <= LARGEST_TOLERANCE:
        raise ScutoidError(
            "--boundary-tolerance cannot be used",
            f"{tolerance:g} is no distance in voxels between 0 and {LARGEST_TOLERANCE:g}",
            "give a few voxels, e.g. 2",
        )
    if cells is not None:
        check_table_path(cells)
    if picture is not None:
        if picture.suffix.lower() != ".png":
            raise ScutoidError(f"{picture} could not be written", "a picture is a PNG", "let the name end in .png")
        check_writable(picture)


def read_labels(file: Path, dataset: str | None, axes: str | None) -> Labels:
    """Read a data set: the one named, else ``label``, else the only one that looks like labels."""
    from napari_scutoid.io.open import inspect, open_labels

    if dataset is None and "label" in (found.path for found in inspect(file).datasets):
        dataset = "label"
    return open_labels(file, dataset, axes=axes)


def read_target(file: Path, truth: Labels, axes: str | None) -> Any:
    """Return the laboratory's training target that lies beside the true labels, or None."""
    from napari_scutoid.io.open import inspect, open_labels

    group = "" if truth.source is None else truth.source.dataset.rpartition("/")[0]
    name = f"{group}/semantic_target".lstrip("/")
    if name not in (found.path for found in inspect(file).datasets):
        return None
    target = open_labels(file, name, axes=axes)
    return target.data if target.shape == truth.shape else None


def open_background(choice: Background, file: Path, truth: Labels, axes: str | None) -> Volume | None:
    """Open the image to be seen under the colours: the one chosen, else one that lies beside the true labels.

    Parameters
    ----------
    choice : Background
        What the user says about it.
    file, truth, axes
        Where the true labels lie, the labels, and how their axes were named.

    Raises
    ------
    ScutoidError
        When the image that was chosen cannot be opened, or is not on the grid of the labels.
    """
    from napari_scutoid.io.open import open_volume

    if choice.file is None:
        choice = choice._replace(axes=choice.axes or axes)
    try:
        image = open_volume(choice.file or file, choice.dataset, axes=choice.axes, channel=choice.channel)
        if image.shape != truth.shape:
            raise ScutoidError(
                f"{image.source} cannot be shown under the cells",
                f"its shape is {image.shape}, theirs is {truth.shape}",
                "give the image that the labels were made from, on the same grid",
            )
    except ScutoidError:
        if choice.file is not None or choice.dataset is not None:
            raise
        return None
    return image


def check_grids(prediction: Path, predicted: Labels, truth: Path, true: Labels) -> None:
    """Raise ScutoidError when labels of two files differ in shape."""
    if predicted.shape != true.shape:
        raise ScutoidError(
            f"{prediction} cannot be scored against {truth}",
            f"their shapes are {predicted.shape} and {true.shape}",
            "give labels on the same grid",
        )


def score_classes(predicted: Labels, true: Labels) -> dict[str, Any]:
    """Compare classes.

    Raises
    ------
    ScutoidError
        When the numbers are too many to be classes.
    """
    from napari_scutoid.metrics import compare_classes

    try:
        return compare_classes(predicted.data, true.data)
    except ValueError as error:
        raise ScutoidError(
            f"{predicted.source} cannot be compared with {true.source} as classes",
            str(error),
            "leave out --classes where the numbers are cells",
        ) from error


def score_cells(
    predicted: Labels,
    true: Labels,
    target: NDArray[Any] | None = None,
    tolerance: float | None = None,
    cells: Path | None = None,
    picture: Path | None = None,
    image: Volume | None = None,
) -> dict[str, Any]:
    """Score cells, and write the table and the picture that were asked for.

    Parameters
    ----------
    predicted, true : Labels
        Of one shape.
    target : ndarray, same shape, optional
        As for `metrics.evaluate`.
    tolerance : float, optional
        Between boundaries, in voxels.
    cells, picture : Path, optional
        Files to write.
    image : Volume, same shape, optional
        To be seen under the colours of the picture.

    Raises
    ------
    ScutoidError
        When a file cannot be written.
    """
    from napari_scutoid.metrics import BOUNDARY_TOLERANCE, count_overlaps, evaluate, judge

    overlaps = count_overlaps(predicted.data, true.data)
    scores = evaluate(
        predicted.data,
        true.data,
        semantic_target=target,
        spacing=true.voxel_size_um or predicted.voxel_size_um,
        boundary_tolerance=BOUNDARY_TOLERANCE if tolerance is None else tolerance,
        overlaps=overlaps,
    )
    if cells is not None or picture is not None:
        verdicts = judge(overlaps)
        if cells is not None:
            _save_cells(cells, predicted, true, verdicts)
        if picture is not None:
            _save_picture(picture, predicted, true, verdicts, image)
    return scores


def score_lines(scores: Mapping[str, Any]) -> str:
    """Return one line a number; a mapping of numbers gives one for each of them."""
    lines = []
    for name, value in scores.items():
        parts = {f"{name}_{part}": one for part, one in value.items()} if isinstance(value, dict) else {name: value}
        for key, one in parts.items():
            shown = "-" if one is None else f"{one:.4f}" if isinstance(one, float) else str(one)
            lines.append(f"{key:<28}{shown:>10}")
    return "\n".join(lines)


def class_lines(scores: Mapping[str, Any]) -> str:
    """Return the scores of classes line by line, then their confusion matrix."""
    classes, matrix = scores["classes"], scores["confusion_matrix"]
    rows = [["true class", *map(str, classes)]]
    rows += [[str(one), *map(str, counts)] for one, counts in zip(classes, matrix, strict=True)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        [
            score_lines({name: one for name, one in scores.items() if name not in ("classes", "confusion_matrix")}),
            "confusion_matrix: voxels, a column for each predicted class",
            *("  ".join(map(str.rjust, row, widths)) for row in rows),
        ]
    )


def _save_cells(file: Path, predicted: Labels, true: Labels, verdicts: Verdicts) -> None:
    from napari_scutoid.io.table import save_table
    from napari_scutoid.metrics import ComparedCell, compare_cells

    names = [*ComparedCell._fields[:-1], "z_voxel", "y_voxel", "x_voxel"]
    rows = compare_cells(predicted.data, true.data, verdicts)
    save_table(
        file,
        names,
        ([*row._replace(iou=round(row.iou, 4))[:-1], *(round(at, 2) for at in row.centroid)] for row in rows),
    )


def _save_picture(file: Path, predicted: Labels, true: Labels, verdicts: Verdicts, image: Volume | None) -> None:
    from napari_scutoid.io.atomic import replacing
    from napari_scutoid.picture import Judged, draw_verdicts

    sizes = (one.voxel_size_um for one in (true, predicted, image) if one is not None)
    drawn = draw_verdicts(
        Judged(true.data, verdicts.truth.by_id()),
        Judged(predicted.data, verdicts.prediction.by_id()),
        spacing=next((size for size in sizes if size is not None), None),
        image=None if image is None else image.data,
        title=f"{_name(predicted)} compared with {_name(true)}",
    )
    with replacing(file) as part:
        drawn.save(part, format="PNG")


def _name(labels: Labels) -> str:
    return "labels" if labels.source is None else Path(labels.source.path).name
