"""What a person says of cells: right, to be left out, to be looked at again. No voxel changes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.change import Change, StateChange, focus_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_scutoid.proofread.scene import Scene

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Accept:
    """Find cells right: no edit changes their voxels from now on."""

    cells: tuple[int, ...]

    def plan(self, scene: Scene) -> Change:
        """Return the change; empty where all are accepted already."""
        return _change(scene, self, "accept", "Accept {}", accepted=True, seen=True)


@dataclass(frozen=True, slots=True)
class Unlock:
    """Allow edits of accepted cells again."""

    cells: tuple[int, ...]

    def plan(self, scene: Scene) -> Change:
        """Return the change; empty where none is accepted."""
        return _change(scene, self, "unlock", "Unlock {}", accepted=False)


@dataclass(frozen=True, slots=True)
class Flag:
    """Keep cells for later, or say that they need not be kept."""

    cells: tuple[int, ...]
    flagged: bool = True

    def plan(self, scene: Scene) -> Change:
        """Return the change; empty where all are as wanted."""
        title = "Flag {}" if self.flagged else "Take the flag from {}"
        return _change(scene, self, "flag", title, flagged=self.flagged)


@dataclass(frozen=True, slots=True)
class Note:
    """Write a note on cells; an empty one takes the old one away."""

    cells: tuple[int, ...]
    text: str

    def plan(self, scene: Scene) -> Change:
        """Return the change; empty where they have this note."""
        title = "Note on {}" if self.text else "No note on {}"
        return _change(scene, self, "note", title, note=self.text)


@dataclass(frozen=True, slots=True)
class SetValid:
    """Count cells in measurements, or leave them out, as those that the stack's border cuts."""

    cells: tuple[int, ...]
    valid: bool

    def plan(self, scene: Scene) -> Change:
        """Return the change; empty where all are as wanted."""
        title = "Measure {}" if self.valid else "Do not measure {}"
        return _change(scene, self, "valid", title, valid=self.valid)


@dataclass(frozen=True, slots=True)
class MarkSeen:
    """Remember that suspects were looked at and left as they are."""

    cells: tuple[int, ...]

    def plan(self, scene: Scene) -> Change:
        """Return the change; empty where all were seen."""
        return _change(scene, self, "seen", "Leave {} as seen", seen=True)


def _change(
    scene: Scene, edit: Accept | Unlock | Flag | Note | SetValid | MarkSeen, kind: str, title: str, **values: Any
) -> Change:
    cells = tuple(dict.fromkeys(map(int, edit.cells)))
    named = _named(cells)
    missing = [cell for cell in cells if cell not in scene.index]
    if missing or not cells:
        raise ScutoidError(
            f"{title.format(named)} is not possible",
            f"there is no {_named(missing)}" if missing else "no cell is chosen",
            "choose a cell of the stack",
        )
    changes = []
    for cell in cells:
        before = scene.state(cell)
        after = replace(before, **values)
        if after != before:
            changes.append(StateChange(cell, before, after))
    parameters = asdict(edit) | {"cells": list(cells)}
    focus = focus_of(scene.index.centroid(changes[0].cell)) if changes else None
    return Change(kind, title.format(named), parameters, states=tuple(changes), focus=focus)


def _named(cells: Sequence[int]) -> str:
    """Return cells in words, for the history: the first ones, and how many more."""
    if len(cells) == 1:
        return f"cell {cells[0]}"
    first = ", ".join(map(str, cells[:_MOST_NAMED]))
    more = len(cells) - _MOST_NAMED
    return f"cells {first} and {more} more" if more > 0 else f"cells {first}"
