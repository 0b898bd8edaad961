"""Corrected labels into a new file, with what is known of their cells and how they came about."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid import __version__
from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.output import Output
from napari_scutoid.io.save import writer_for
from napari_scutoid.io.table import save_table
from napari_scutoid.progress import Progress
from napari_scutoid.proofread.change import UNTOUCHED, CellState
from napari_scutoid.proofread.index import CellIndex

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.proofread.base import Base
    from napari_scutoid.proofread.history import History
    from napari_scutoid.volume import Labels, Volume

TABLE_ENDING = ".cells.csv"
COLUMNS = (
    "cell",
    "voxels",
    "z_voxel",
    "y_voxel",
    "x_voxel",
    "accepted",
    "valid",
    "flagged",
    "seen",
    "touches_border",
    "note",
)


@dataclass(frozen=True, slots=True, eq=False)
class Corrected:
    """Labels after corrections.

    Parameters
    ----------
    grid : Labels
        Where voxel size, position and source are taken from.
    labels : ndarray of uint32
        The ids.
    lumen : ndarray of bool, optional
        The lumen.
    states : mapping of int to CellState
        What was said of cells.
    base : Base
        The labels before the first edit.
    history : History
        What was done.
    journals : tuple of Path
        Where it is written.
    """

    grid: Labels
    labels: NDArray[np.uint32]
    lumen: NDArray[np.bool_] | None
    states: Mapping[int, CellState]
    base: Base
    history: History
    journals: tuple[Path, ...] = ()

    def provenance(self) -> dict[str, Any]:
        """Return how the labels came about, in plain JSON types."""
        made = {
            "journals": [str(path) for path in self.journals],
            "step": self.history.head,
            "base": self.base.as_dict(),
            **self.history.card().as_dict(),
        }
        told: dict[str, Any] = {"corrections": made, "napari-scutoid": __version__}
        if before := _provenance_of(self.base.file):
            told["source_provenance"] = before
        return told


def save_corrected(path: str | Path, made: Corrected, index: CellIndex | None = None) -> Steps[None]:
    """Write corrected labels, their lumen and a table of their cells; each file appears whole or not at all.

    Parameters
    ----------
    path : path
        As for `napari_scutoid.io.save.save_result`; the table is beside it, ``STEM.cells.csv``.
    made : Corrected
        What to write.
    index : CellIndex, optional
        Of these labels; made where it is not given.

    Raises
    ------
    ScutoidError
        When it cannot be written, or is the file that the labels were read from.
    """
    target = Path(path)
    refuse_base(target, made.base)
    writer = writer_for(target)
    if index is None:
        index = yield from CellIndex.build(made.labels)
    largest = int(index.cells[-1]) if len(index) else 0
    outputs = {"label": Output(made.labels, np.min_scalar_type(largest), made.grid, "labels")}
    if made.lumen is not None:
        outputs["lumen"] = Output(made.lumen, np.dtype(np.uint8), made.grid, "mask")
    yield from writer.write(target, outputs, made.provenance())
    yield Progress("Writing the table of cells")
    save_table(table_path(target), COLUMNS, _rows(index, made.states))


def table_path(path: Path) -> Path:
    """Return where the table of cells lies beside labels."""
    return path.with_name(path.stem + TABLE_ENDING)


def refuse_base(target: Path, base: Base) -> None:
    """Refuse to write over the file that corrections start from."""
    if base.file and _is_same_file(target, base.file):
        raise ScutoidError(
            f"{target} could not be written",
            "the corrections start from this file, which is never changed: the journal needs it as it is",
            "give another name",
        )


def refuse_stack(target: Path, stack: Volume) -> None:
    """Refuse to write over the file of a stack."""
    if stack.source is not None and _is_same_file(target, stack.source.path):
        raise ScutoidError(
            f"{target} could not be written", "it is the stack itself, which is never overwritten", "give another name"
        )


def _is_same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two names are those of one file, on drives too that take a name in capitals for the same."""
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _rows(index: CellIndex, states: Mapping[int, CellState]) -> list[list[Any]]:
    rows = []
    for cell in index.cells.tolist():
        state = states.get(cell, UNTOUCHED)
        place = [round(at, 2) for at in index.centroid(cell)]
        said = [state.accepted, state.valid, state.flagged, state.seen, index.touches_border(cell), state.note]
        rows.append([cell, index.voxels(cell), *place, *said])
    return rows


def _provenance_of(file: str) -> Mapping[str, Any]:
    """Return what the base's file says of itself; nothing where it is gone."""
    from napari_scutoid.io.open import inspect

    try:
        return inspect(file).provenance if file else {}
    except ScutoidError:
        return {}
