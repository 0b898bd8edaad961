"""Tables for a spreadsheet, as comma-separated values."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.atomic import check_writable, replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def check_table_path(path: str | Path) -> None:
    """Say before the work, and not after it, that no table can be written there.

    Raises
    ------
    ScutoidError
        When the name does not end in ``.csv``, or the file cannot be written.
    """
    if Path(path).suffix.lower() != ".csv":
        raise ScutoidError(
            f"{path} could not be written", "a table is written as comma-separated values", "let the name end in .csv"
        )
    check_writable(path)


def save_table(path: str | Path, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table; it appears whole or not at all.

    Parameters
    ----------
    path : path
        Ends in ``.csv``.
    names : sequence of str
        Headings of the columns.
    rows : iterable of sequences
        As long as `names` each. None becomes an empty field, True and False become 1 and 0.

    Raises
    ------
    ScutoidError
        As `check_table_path`, and when the disk is full.
    ValueError
        When a row has more or fewer values than there are columns.
    """
    check_table_path(path)
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for row in rows:
            if len(row) != len(names):
                raise ValueError(f"a row has {len(row)} values, there are {len(names)} columns")
            writer.writerow([int(value) if isinstance(value, bool | np.bool_) else value for value in row])
