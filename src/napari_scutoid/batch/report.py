"""What became of each stack: a table for a spreadsheet, and the same as JSON with all that is known."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import TypeAdapter

from napari_scutoid.command_line import USED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REPORT_CSV, REPORT_JSON = "report.csv", "report.json"
REPORT_VERSION = 1
UNDER_WAY = "under_way"
"""Key in the JSON report: outputs that are being made. After a batch that was not ended from outside there are none."""
LARGEST_REPORT = 64 * 2**20
"""Bytes; that of a thousand stacks has about two million."""

State = Literal["done", "failed", "skipped"]
SCORES = ("ap50", "ap75", "f1_50", "arand", "voi_split", "voi_merge", "n_true", "cell_count_error", "boundary_f1")
"""Scores that get a column; JSON has all of them."""


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one stack.

    Parameters
    ----------
    stack : str
        Its path, as it was given.
    output : str
        Name of the result in the report's folder.
    state : {"done", "failed", "skipped"}
        Skipped: the result was there already.
    cells : int or None
        Number of cells in the result.
    seconds : float or None
        From opening to the report, of the run that made the result.
    peak_memory_mib : float or None
        See `PeakMemory`.
    error : str
        Why there is no result, and what to try.
    warnings : tuple of str
        What should be known about the result.
    scores : dict
        As `metrics.evaluate` returns them; empty where no truth was given.
    recipe_sha256, model, model_sha256 : str
        See `Settled`.
    device, backend, precision : str
        Where and how the network really ran.
    pass_voxels : int or None
        The most that went through it at once.
    """

    stack: str
    output: str
    state: State
    cells: int | None = None
    seconds: float | None = None
    peak_memory_mib: float | None = None
    error: str = ""
    warnings: tuple[str, ...] = ()
    scores: dict[str, Any] = field(default_factory=dict)
    recipe_sha256: str = ""
    model: str = ""
    model_sha256: str = ""
    device: str = ""
    backend: str = ""
    precision: str = ""
    pass_voxels: int | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """What became of a task after which a stack needs others, see `division`.

    Parameters
    ----------
    plan : str
        SHA-256 of the plan that was made, or followed.
    parts : int
        Tasks that follow from it.
    seconds, peak_memory_mib
        As in `Row`.
    """

    plan: str
    parts: int = 0
    seconds: float | None = None
    peak_memory_mib: float | None = None


@dataclass(frozen=True, slots=True)
class BatchReport:
    """Rows of the stacks that had their turn, in the order of the batch, and how many stacks there are in all."""

    rows: tuple[Row, ...] = ()
    total: int = 0

    def count(self, state: State) -> int:
        """Return how many stacks are in a state."""
        return sum(row.state == state for row in self.rows)

    @property
    def in_words(self) -> str:
        """One line, such as ``"3 of 5 stacks: 1 done, 1 failed, 1 skipped"``."""
        counts = ", ".join(f"{self.count(state)} {state}" for state in get_args(State))
        return f"{len(self.rows)} of {self.total} stack{'' if self.total == 1 else 's'}: {counts}"

    def as_dict(self) -> dict[str, Any]:
        """Return all of it in plain JSON types."""
        counts = {state: self.count(state) for state in get_args(State)}
        return {"version": REPORT_VERSION, "total": self.total, **counts, "rows": [asdict(row) for row in self.rows]}


def write_report(folder: Path, report: BatchReport, about: Mapping[str, Any]) -> None:
    """Write both files, each whole or not at all; see `write_json`."""
    from napari_scutoid.io.table import save_table

    write_json(folder, report, about)
    names, rows = table(report)
    save_table(folder / REPORT_CSV, names, rows)


def write_json(folder: Path, report: BatchReport, about: Mapping[str, Any]) -> None:
    """Write the report as JSON, whole or not at all.

    Parameters
    ----------
    folder : Path
        It exists.
    report : BatchReport
    about : mapping
        What else JSON should say, e.g. the recipe.

    Raises
    ------
    ScutoidError
        When it cannot be written.
    """
    from napari_scutoid.io.atomic import replacing
    from napari_scutoid.io.output import as_json

    with replacing(folder / REPORT_JSON) as part:
        content = json.loads(as_json({**report.as_dict(), **about}))
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def table(report: BatchReport) -> tuple[list[str], list[list[Any]]]:
    """Return the names of the columns, and the rows; columns of scores only where there is one."""
    scores = [name for name in SCORES if any(name in row.scores for row in report.rows)]
    names = ["stack", "state", "cells", "seconds", "peak_memory_mib", "error", "warnings", *scores]
    names += ["output", "recipe_sha256", "model", "model_sha256", *USED]
    rows = []
    for row in report.rows:
        values = asdict(row) | row.scores | {"warnings": " ".join(row.warnings)}
        rows.append([values.get(name) for name in names])
    return names, rows


def read_report(folder: Path) -> dict[str, Row]:
    """Return the rows of the report in a folder by the name of their output; none where it cannot be understood."""
    try:
        rows = TypeAdapter(list[Row]).validate_python(_stated(folder).get("rows"))
    except ValueError:
        return {}
    return {row.output: row for row in rows}


def read_under_way(folder: Path) -> frozenset[str]:
    """Return the outputs that a batch was at work on when it was ended from outside; see `read_report`."""
    names = _stated(folder).get(UNDER_WAY)
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()


def _stated(folder: Path) -> dict[str, Any]:
    file = folder / REPORT_JSON
    try:
        if file.stat().st_size > LARGEST_REPORT:
            return {}
        stated = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return stated if isinstance(stated, dict) else {}
