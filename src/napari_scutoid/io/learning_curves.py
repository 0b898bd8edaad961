"""The learning curves of a training run, as a table with a row an epoch that grows while training goes on."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.atomic import not_written
from napari_scutoid.io.table import save_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BEFORE = ("epoch", "steps", "seconds", "learning_rate", "train_loss", "valid_loss")
_AFTER = (
    *("dice", "boundary_precision", "boundary_recall", "boundary_f1"),
    *("ap50", "panoptic_quality", "arand", "voi_split", "voi_merge", "wrong_cells"),
)
_WHOLE = {"epoch", "steps", "wrong_cells"}
_ALWAYS = {"epoch", "steps", "seconds", "learning_rate"}
_IOU = "iou_"


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What is known about a run after an epoch; None where it was not scored.

    Parameters
    ----------
    epoch : int
        0 is the network that training starts from.
    steps : int
        Changes of the weights since the start.
    seconds : float
        Since the start, without the time between a break and its resumption.
    learning_rate : float
        Of the epoch's last step.
    train_loss, valid_loss : float
        Means over the epoch's patches, and over the validation stacks.
    iou : mapping of str to float
        By output, in the order of the outputs.
    dice : float
        Mean over the outputs.
    boundary_precision, boundary_recall, boundary_f1 : float
        Of the output ``boundary``, voxel on voxel.
    ap50, panoptic_quality, arand, voi_split, voi_merge : float
        Means over the validation stacks, of whole cells; the last two in bits.
    wrong_cells : int
        Sum over the validation stacks of the difference between the numbers of true and of predicted cells.
    """

    epoch: int
    steps: int
    seconds: float
    learning_rate: float
    train_loss: float | None = None
    valid_loss: float | None = None
    iou: Mapping[str, float | None] = field(default_factory=dict)
    dice: float | None = None
    boundary_precision: float | None = None
    boundary_recall: float | None = None
    boundary_f1: float | None = None
    ap50: float | None = None
    panoptic_quality: float | None = None
    arand: float | None = None
    voi_split: float | None = None
    voi_merge: float | None = None
    wrong_cells: int | None = None


def start_curves(path: str | Path, outputs: Sequence[str], *, epoch: int = -1) -> tuple[EpochRecord, ...]:
    """Make the table ready for the epochs after `epoch`, and return what it holds of those before.

    Rows past `epoch` are dropped: a run that was killed between its row and its checkpoint repeats that epoch. Write
    the row first, so that none is missing.

    Parameters
    ----------
    path : path
        Ends in ``.csv``; replaced where `epoch` is negative.
    outputs : sequence of str
        What the network learns: names without a comma, as `recipe.train` has them.
    epoch : int
        The last one that is kept; negative for none.

    Raises
    ------
    ScutoidError
        When the file cannot be written, or is no table of this run.
    """
    kept: tuple[EpochRecord, ...] = ()
    if epoch >= 0 and Path(path).exists():
        kept = tuple(record for record in read_curves(path) if record.epoch <= epoch)
        if any(tuple(record.iou) != tuple(outputs) for record in kept):
            raise _strange(path, f"it has no scores of the outputs {', '.join(outputs)}")
    save_table(path, _names(outputs), [_row(record) for record in kept])
    return kept


def append_epoch(path: str | Path, record: EpochRecord) -> None:
    """Write one more row, to the disk, so that it survives whatever ends the program.

    Raises
    ------
    ScutoidError
        When the file is missing or the disk is full.
    ValueError
        When the record is of other outputs than the table.
    """
    try:
        # `r+` makes no file: a row without its headings would mean nothing.
        with Path(path).open("r+", newline="", encoding="utf-8") as file:
            names = file.readline().rstrip().split(",")
            if names != _names(record.iou):
                raise ValueError(f"the record has the outputs {tuple(record.iou)}, the table the columns {names}")
            file.seek(0, os.SEEK_END)
            file.write(",".join("" if value is None else str(value) for value in _row(record)) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise not_written(path, error) from error


def read_curves(path: str | Path) -> tuple[EpochRecord, ...]:
    """Read the table, also while a run is writing it: a last line without an end is not there yet.

    Raises
    ------
    ScutoidError
        When the file cannot be read, or is no such table.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _strange(path, getattr(error, "strerror", None) or "it is no text") from error
    whole = text[: text.rfind("\n") + 1]
    heading, *lines = whole.splitlines() or [""]
    names = heading.split(",")
    outputs = [name.removeprefix(_IOU) for name in names if name.startswith(_IOU)]
    if names != _names(outputs):
        raise _strange(path, "its columns are others")
    try:
        return tuple(_record(dict(zip(names, line.split(","), strict=True)), outputs) for line in lines)
    except ValueError as error:
        raise _strange(path, "a row holds something that is no number, or has a value too few") from error


def curve_columns(records: Sequence[EpochRecord]) -> dict[str, list[float | None]]:
    """Return the columns of the table by name, as `picture.curves` draws them."""
    outputs = tuple(records[-1].iou) if records else ()
    rows = [_row(record) for record in records]
    return {name: [row[column] for row in rows] for column, name in enumerate(_names(outputs))}


def _names(outputs: Sequence[str] | Mapping[str, Any]) -> list[str]:
    return [*_BEFORE, *(_IOU + name for name in outputs), *_AFTER]


def _row(record: EpochRecord) -> list[Any]:
    before, after = ([getattr(record, name) for name in names] for names in (_BEFORE, _AFTER))
    return [*before, *record.iou.values(), *after]


def _record(fields: dict[str, str], outputs: Sequence[str]) -> EpochRecord:
    values: dict[str, Any] = {}
    for name, text in fields.items():
        if not text and name not in _ALWAYS:
            values[name] = None
        else:
            values[name] = int(text) if name in _WHOLE else float(text)
    return EpochRecord(iou={name: values.pop(_IOU + name) for name in outputs}, **values)


def _strange(path: str | Path, why: str) -> ScutoidError:
    return ScutoidError(
        f"{path} could not be read as learning curves",
        why,
        "give the table that a training run wrote, or move it away to start a new one",
    )
