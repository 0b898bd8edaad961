"""Tools for the mouse: what is clicked, dragged and drawn over the cells becomes edits. None is made here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_scutoid.proofread.scene import Guards
from napari_scutoid.ui.marks import Marks
from napari_scutoid.ui.pointing import Pointer, filled_in
from napari_scutoid.ui.slice_view import STILL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    import napari
    from napari.layers import Labels as LabelsLayer

    from napari_scutoid.proofread.edits.polygon import Axis
    from napari_scutoid.proofread.index import CellIndex
    from napari_scutoid.ui.marks import Drawn
    from napari_scutoid.ui.pointing import Place, Voxel

TOOLS = ("", "merge", "split", "cut", "add", "delete", "lumen", "outside", "paint", "erase", "polygon")
"""Those of `tools.IN_IMAGE`; without one, clicks choose cells."""
OF_NAPARI = frozenset({"paint", "erase"})
DRAGS_ANYWHERE = frozenset({"cut", "add"})
DRAGS_ON_CELLS = frozenset({"merge", "split"})
"""Tools whose drags begin on a cell; others move the view, as ever."""
ONLY_IN_SLICES = {
    "cut": "A cut is drawn in a slice: go back to 2D.",
    "polygon": "An outline is drawn in a slice: go back to 2D.",
}
MOST_POINTS = 400
WALL = "Wall between cells "
LEFT, RIGHT = 1, 2


@dataclass
class _Stroke:
    """A button that is down."""

    first: Place
    where: Any
    draws: bool
    places: list[Place] = field(default_factory=list)
    moved: bool = False

    @property
    def voxels(self) -> list[Voxel]:
        return [self.first.voxel, *(place.voxel for place in self.places)]


class EditTools(QObject):
    """Turns what the mouse does in the viewer and in the views from the side into edits.

    Alt and click chooses a cell with every tool. In 3D, a click means the cell that is seen there; drags turn the view.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layer : napari.layers.Labels
        The labels that are corrected.
    index : CellIndex
        Knows the walls between cells.

    Signals
    -------
    wished : Edit
        Something to do.
    picked : int, bool
        A cell was clicked, and whether it is one more.
    hinted : str
        What was pointed at, or what to do next; empty for nothing.
    marked : sequence of Mark
        What is drawn, for the views from the side.
    """

    wished = Signal(object)
    picked = Signal(int, bool)
    hinted = Signal(str)
    marked = Signal(object)

    def __init__(
        self, viewer: napari.Viewer, layer: LabelsLayer, index: CellIndex, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer, self._index = viewer, index
        self._pointer = Pointer(layer)
        self._marks = Marks(viewer, layer)
        self._owners = (viewer, layer)
        self._keys: list[tuple[Any, str, Any]] = []
        self._tool = ""
        self._cells: tuple[int, ...] = ()
        self._target: Any = 0
        self._guards = Guards()
        self._stroke: _Stroke | None = None
        self._chosen = 0  # the first cell of a merge, the cell of a split
        self._drawn: list[list[Voxel]] = []
        self._slice: tuple[Axis, int] | None = None
        self._hint = ""
        viewer.mouse_drag_callbacks.append(self._on_drag)
        viewer.mouse_move_callbacks.append(self._on_move)
        viewer.mouse_double_click_callbacks.append(self._on_double_click)

    # What the dock says.

    def value(self) -> str:
        """Return the tool that is on."""
        return self._tool

    def setTool(self, name: str) -> None:
        """Switch to a tool of `TOOLS`; what was begun with another is dropped."""
        if name not in TOOLS:
            raise ValueError(f"name must be one of {TOOLS}, not {name!r}")
        if name != self._tool:
            self.cancel()
            self._tool = name

    def setCells(self, cells: Iterable[int]) -> None:
        """State which cells are chosen: a cut that crosses several cells is about a chosen one."""
        self._cells = tuple(cells)

    def setDrawn(self, target: int | str, guards: Guards) -> None:
        """State what a polygon draws, a cell (a new one's id included), 0 or "lumen", and what it may change."""
        self._target, self._guards = target, guards

    def setSeen(self, cells: Collection[int] | None) -> None:
        """State which cells 3D shows; None for all."""
        self._pointer.seen = cells

    def confirm(self) -> None:
        """Do what was drawn: divide the cell, or close the outline."""
        if self._tool == "split" and self._drawn:
            self._split()
        elif self._tool == "polygon" and self._drawn:
            self._close()

    def cancel(self) -> None:
        """Drop what was begun."""
        self._stroke, self._chosen, self._slice = None, 0, None
        self._drawn.clear()
        self._show()

    def stop(self) -> None:
        """Let the viewer go."""
        self.cancel()
        for callbacks, callback in (
            (self._viewer.mouse_drag_callbacks, self._on_drag),
            (self._viewer.mouse_move_callbacks, self._on_move),
            (self._viewer.mouse_double_click_callbacks, self._on_double_click),
        ):
            if callback in callbacks:
                callbacks.remove(callback)
        self._marks.stop()

    def take(self, event: Any) -> bool:
        """Take what the mouse did in a view from the side; return whether a tool had a use for it."""
        if event.type == "mouse_press":
            return self._press(event) and (self._stroke is None or self._stroke.draws)
        if event.type == "mouse_double_click":
            return self._double_click()
        if event.type == "mouse_release":
            self._release(event)
        elif self._stroke is not None:
            self._move(event)
        else:
            self._hover(event)
        return True

    # What napari tells.

    def _on_drag(self, _viewer: Any, event: Any) -> Iterator[None]:
        if not self._press(event):
            return
        if self._stroke is None or self._stroke.draws:
            event.handled = True  # the view stays where it is
        yield
        while event.type == "mouse_move":
            self._move(event)
            if self._stroke is not None and self._stroke.draws:
                event.handled = True
            yield
        self._release(event)

    def _on_move(self, _viewer: Any, event: Any) -> None:
        self._hover(event)

    def _on_double_click(self, _viewer: Any, event: Any) -> None:
        if event.button == LEFT and self._double_click():
            event.handled = True

    # Clicks and drags.

    def _press(self, event: Any) -> bool:
        """Begin; return whether it is the tools' affair."""
        self._stroke = None
        picks = "Alt" in _names(event.modifiers)
        if event.button == RIGHT and self._drawn:
            self.confirm()
            return True
        if event.button != LEFT or (self._tool in OF_NAPARI and not picks):
            return False
        place = self._pointer.place(event)
        if place is None:
            return False
        in_slice = place.axis is not None and not picks
        draws = in_slice and (self._tool in DRAGS_ANYWHERE or (self._tool in DRAGS_ON_CELLS and place.cell != 0))
        self._stroke = _Stroke(place, _where(event), draws)
        return True

    def _move(self, event: Any) -> None:
        stroke = self._stroke
        if stroke is None:
            return
        stroke.moved |= float(np.abs(_where(event) - stroke.where).sum()) > STILL
        if not (stroke.draws and stroke.moved):
            return
        place = self._pointer.place(event)
        if place is not None:
            stroke.places.append(place)
            self._show()

    def _release(self, event: Any) -> None:
        stroke, self._stroke = self._stroke, None
        if stroke is None:
            return
        modifiers = _names(event.modifiers)
        if not stroke.moved and ("Alt" in modifiers or not self._tool):
            if stroke.first.cell:
                self.picked.emit(stroke.first.cell, "Shift" in modifiers)
        elif not stroke.moved:
            self._click(stroke.first)
        elif stroke.draws:
            self._draw(stroke)
        self._show()

    def _click(self, place: Place) -> None:
        from napari_scutoid.proofread.edits.add import Add
        from napari_scutoid.proofread.edits.delete import Delete
        from napari_scutoid.proofread.edits.lumen import SetLumen, SetOutside

        if self._tool in ONLY_IN_SLICES and place.axis is None:
            self._say(ONLY_IN_SLICES[self._tool])
        elif self._tool == "merge" and place.cell:
            self._merge(place)
        elif self._tool == "split":
            self._mark([place.voxel])
        elif self._tool == "delete" and place.cell:
            self._wish(Delete((place.cell,)))
        elif self._tool == "add":
            self._wish(Add((place.voxel,)))
        elif self._tool in ("lumen", "outside"):
            self._wish((SetLumen if self._tool == "lumen" else SetOutside)(place.cell or place.voxel))
        elif self._tool == "polygon":
            self._corner(place)
        elif self._tool == "cut":
            self._say("Draw a line right across the cell.")

    def _draw(self, stroke: _Stroke) -> None:
        from napari_scutoid.proofread.edits.add import Add
        from napari_scutoid.proofread.edits.merge import Merge

        if self._tool == "merge":
            last = stroke.places[-1].cell if stroke.places else 0
            if last and last != stroke.first.cell:
                self._wish(Merge((stroke.first.cell, last)))
        elif self._tool == "split":
            self._mark(stroke.voxels)
        elif self._tool == "add":
            self._wish(Add(_as_points(stroke.voxels)))
        elif self._tool == "cut":
            self._cut(stroke)

    def _merge(self, place: Place) -> None:
        from napari_scutoid.proofread.edits.merge import Merge

        if self._chosen in (0, place.cell):
            self._chosen = place.cell
            self._drawn[:] = [[place.voxel]]
            self._say(f"Cell {place.cell}: click the cell to merge it with; Esc starts over.")
        else:
            self._wish(Merge((self._chosen, place.cell)))

    def _mark(self, voxels: list[Voxel]) -> None:
        cells = self._pointer.cells_at(filled_in(voxels))
        cell = self._chosen if self._chosen and (cells == self._chosen).any() else _most(cells)
        if not cell:
            return
        if self._chosen and cell != self._chosen:
            self._say(f"This is cell {cell}; the marks before are in cell {self._chosen}. Esc starts over.")
            return
        self._chosen = cell
        self._drawn.append(voxels)
        more = "mark its other part" if len(self._drawn) == 1 else "Enter or a right click divides it"
        self._say(f"Cell {cell}, {len(self._drawn)} mark{'s' * (len(self._drawn) > 1)}: {more}.")

    def _split(self) -> None:
        from napari_scutoid.proofread.edits.split import Split

        if len(self._drawn) < 2:
            self._say(f"Cell {self._chosen} has one mark: mark its other part, too.")
            return
        self._wish(Split(self._chosen, tuple(_as_points(mark) for mark in self._drawn)))

    def _cut(self, stroke: _Stroke) -> None:
        from napari_scutoid.proofread.edits.cut import Cut

        crossed = self._pointer.cells_at(filled_in(stroke.voxels))
        cell = next((cell for cell in self._cells if (crossed == cell).any()), 0) or _most(crossed)
        if not cell or stroke.first.section is None:
            self._say("The line crosses no cell.")
            return
        axis, number = stroke.first.section
        self._wish(Cut(cell, axis, number, _in_plane(stroke.voxels, axis)))

    def _corner(self, place: Place) -> None:
        here = place.section
        if self._slice not in (None, here):
            self._say("The outline was begun in another slice; Esc starts over.")
            return
        self._slice = here
        if not self._drawn:
            self._drawn.append([])
        self._drawn[0].append(place.voxel)
        self._say("Click along the outline; a double click, a right click or Enter closes it.")

    def _close(self) -> None:
        from napari_scutoid.proofread.edits.polygon import Polygon

        corners = self._drawn[0]
        if len(corners) < 3 or self._slice is None:
            self._say("An outline needs three corners or more.")
            return
        axis, number = self._slice
        self._wish(Polygon(self._target, axis, number, _in_plane(corners, axis), self._guards))

    def _double_click(self) -> bool:
        if self._tool != "polygon" or not self._drawn:
            return False
        self._close()
        return True

    def _hover(self, event: Any) -> None:
        """Tell of the wall under the mouse."""
        if self._drawn or len(event.dims_displayed) != 2:
            return
        place = self._pointer.place(event)
        wall = None if place is None else self._pointer.wall(place)
        contact = None if wall is None else self._index.contact(*wall)
        if wall is not None and contact is not None:
            a, b = sorted(wall)
            self._say(f"{WALL}{a} and {b}: evidence {contact.evidence:.2f}, {contact.faces} voxel faces")
        elif self._hint.startswith(WALL):  # what to do next stays to be read
            self._say("")

    # What follows.

    def _wish(self, edit: Any) -> None:
        self.cancel()
        self._say("")
        self.wished.emit(edit)

    def _say(self, words: str) -> None:
        if words != self._hint:
            self._hint = words
            self.hinted.emit(words)

    def _show(self) -> None:
        """Show what is drawn, and let Enter and Esc mean it, for as long as there is something."""
        drawn: list[Drawn] = [(mark, len(mark) > 1) for mark in self._drawn]
        if self._stroke is not None and self._stroke.places:
            drawn.append((self._stroke.voxels, True))
        self.marked.emit(self._marks.show(drawn))
        if self._drawn and not self._keys:
            self._take_keys()
        elif not self._drawn:
            self._give_keys_back()

    def _take_keys(self) -> None:
        for key, act in (("Enter", self.confirm), ("Escape", self.cancel)):
            for owner in self._owners:
                before = owner.bind_key(key, None)
                owner.bind_key(key, _called(act), overwrite=True)
                self._keys.append((owner, key, before))

    def _give_keys_back(self) -> None:
        for owner, key, before in self._keys:
            owner.bind_key(key, before, overwrite=True)
        self._keys.clear()


def _called(act: Any) -> Any:
    # napari makes methods of what it binds, so it must be a function of one argument.
    def press(_owner: object) -> None:
        act()

    return press


def _names(modifiers: Iterable[Any]) -> set[str]:
    return {str(getattr(one, "name", one)) for one in modifiers}


def _where(event: Any) -> Any:
    return np.asarray(event.pos, float)[:2]


def _most(cells: Any) -> int:
    """Return the cell that most voxels belong to; 0 where there is none."""
    ids, found = np.unique(cells[cells > 0], return_counts=True)
    return int(ids[np.argmax(found)]) if len(ids) else 0


def _as_points(voxels: list[Voxel]) -> tuple[Voxel, ...]:
    return tuple((float(z), float(y), float(x)) for z, y, x in filled_in(voxels))


def _in_plane(voxels: Sequence[Voxel], axis: int) -> tuple[tuple[float, float], ...]:
    """Return places in a slice along its two axes, no more than an edit needs."""
    places = np.delete(np.asarray(voxels, float), axis, axis=1)
    kept = np.unique(np.linspace(0, len(places) - 1, min(len(places), MOST_POINTS)).astype(int))
    return tuple((float(a), float(b)) for a, b in places[kept])
