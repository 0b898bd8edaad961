"""The tables of docs/formats.md say what the program does: every cell is found out again."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import psutil
import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
FORMATS = (
    "MATLAB 5 to 7", "MATLAB 7.3", "HDF5", "TIFF", "ImageJ TIFF", "OME-TIFF", "OME-Zarr 0.4", "OME-Zarr 0.5",
)  # fmt: skip
RUN = "run scripts/make_formats_page.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("make_formats_page")


@pytest.fixture
def page(script: Any) -> str:
    text: str = script.PAGE.read_text(encoding="utf-8")
    return text


@pytest.mark.skipif(not hasattr(psutil.Process, "io_counters"), reason="the system does not count what is read")
@pytest.mark.parametrize("name", FORMATS)
def test_a_row_is_what_the_program_does(script: Any, page: str, tmp_path: Path, name: str) -> None:
    checks = importlib.import_module("format_checks")
    (subject,) = (one for one in checks.SUBJECTS if one.name == name)
    (row,) = script.table((), [checks.row(subject, tmp_path)]).splitlines()[2:]
    assert row in page.splitlines(), RUN


def test_the_table_has_all_formats(script: Any, page: str) -> None:
    lines = script.part(page, "formats").splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == list(FORMATS)


def test_real_files_are_listed_and_loaded(script: Any, page: str, shared_data: Path) -> None:
    assert script.part(page, "files") == script.real_files_table(shared_data), RUN


def test_real_files_are_opened_as_the_picture_shows_them(script: Any, page: str, shared_data: Path) -> None:
    assert script.part(page, "orientation") == script.orientation_table(shared_data), RUN


def test_a_part_that_is_not_there_is_noticed(script: Any, page: str) -> None:
    assert script.part(script.with_part(page, "files", "| a |"), "files") == "| a |"
    with pytest.raises(LookupError, match="has no part tables"):
        script.part(page, "tables")
