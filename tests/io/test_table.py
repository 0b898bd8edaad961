"""Tables: what a spreadsheet finds in them, and what is refused before the work."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.table import check_table_path, save_table

if TYPE_CHECKING:
    from pathlib import Path


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "cells.csv"
    save_table(file, ["id", "note", "cut"], [(1, "a, b", True), (None, 'a "b"\nµ', np.False_)])
    with file.open(newline="", encoding="utf-8") as stream:
        assert list(csv.reader(stream)) == [["id", "note", "cut"], ["1", "a, b", "1"], ["", 'a "b"\nµ', "0"]]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cells.xlsx", r"cells\.xlsx could not be written: .*let the name end in \.csv"),
        ("cells", r"let the name end in \.csv"),
        ("nowhere/cells.csv", "there is no folder"),
    ],
)
def test_what_cannot_be_written_is_told_first(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(ScutoidError, match=words):
        check_table_path(tmp_path / name)


def test_a_failure_leaves_the_old_table(tmp_path: Path) -> None:
    file = tmp_path / "cells.csv"
    file.write_text("old")
    with pytest.raises(ValueError, match="a row has 1 values, there are 2 columns"):
        save_table(file, ["id", "note"], [(1, "a"), (2,)])
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
