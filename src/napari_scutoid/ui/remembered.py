"""How stacks of one layout were opened last, so that the next one takes a single click.

A layout is a format with the names and numbers of axes of a file's data sets: what a laboratory's own programs write
looks alike from stack to stack. What the file of layouts says is never trusted: a choice that does not fit is ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from napari_scutoid.ui.user_file import UserFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MOST_LAYOUTS = 64
MOST_DATASETS = 256
MOST_BYTES = 4 * 2**20

Name = Annotated[str, Field(max_length=1024)]
Edge = Annotated[FiniteFloat, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Layout(_Part):
    """What files of one kind have in common.

    Parameters
    ----------
    format : str
        Of the file.
    datasets : tuple of (str, int)
        Name and number of axes of each data set, sorted.
    """

    format: Name
    datasets: Annotated[tuple[tuple[Name, int], ...], Field(max_length=MOST_DATASETS)]

    @classmethod
    def of(cls, file_format: str, datasets: Iterable[tuple[str, int]]) -> Layout | None:
        """Return the layout of a file, or None where it has so much in it that none is remembered."""
        try:
            return cls(format=file_format, datasets=tuple(sorted(datasets)))
        except ValidationError:
            return None


class Opened(_Part):
    """How a stack was opened; names that are None were not chosen.

    Parameters
    ----------
    image, labels, walls : str or None
        Names of data sets.
    axes : str or None
        Where they were given by hand.
    channel, time : int
        Counted from 0.
    in_memory : bool
        Whether it was read.
    voxel_size_um : tuple of float or None
        (z, y, x), where it was given by hand because the file states none.
    """

    image: Name | None = None
    labels: Name | None = None
    walls: Name | None = None
    axes: Annotated[str, Field(max_length=5, pattern="^[TCZYX]*$")] | None = None
    channel: Annotated[int, Field(ge=0)] = 0
    time: Annotated[int, Field(ge=0)] = 0
    in_memory: bool = True
    voxel_size_um: tuple[Edge, Edge, Edge] | None = None


class _Entry(_Part):
    layout: Layout
    opened: Opened


class _File(_Part):
    version: int = Field(default=1, ge=1, le=1)
    entries: Annotated[tuple[_Entry, ...], Field(max_length=MOST_LAYOUTS)] = ()


class Remembered:
    """The file of layouts.

    Parameters
    ----------
    file : path, optional
        By default in the user's folder of settings.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = UserFile("layouts.json", _File, MOST_BYTES, file)

    @property
    def file(self) -> Path:
        """Where it is."""
        return self._file.path

    def find(self, layout: Layout | None) -> Opened | None:
        """Return how a stack of this layout was opened last, or None."""
        return next((entry.opened for entry in self._file.read().entries if entry.layout == layout), None)

    def keep(self, layout: Layout | None, opened: Opened) -> None:
        """Remember how a stack was opened; where that cannot be written, nothing is lost but a few clicks."""
        if layout is None:
            return
        others = (entry for entry in self._file.read().entries if entry.layout != layout)
        self._file.write(_File(entries=(_Entry(layout=layout, opened=opened), *others)[:MOST_LAYOUTS]))
