"""A small tissue, a review that needs no learnt weights, and what tests of the correct dock do all the time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.progress import Progress
from napari_scutoid.proofread.edits.states import Accept, Flag, MarkSeen, Note
from napari_scutoid.proofread.reasons import Suspect
from napari_scutoid.ui.proofread import ProofreadWidget

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.ui.proofread_core import ProofreadCore

SHAPE = (6, 20, 32)


def tissue() -> tuple[NDArray[np.uint16], NDArray[np.uint32]]:
    """Return an image with bright walls around four cells, and labels in which the last two are one."""
    true = np.zeros(SHAPE, np.uint32)
    for cell in range(4):
        true[:, 3:17, 2 + 7 * cell : 9 + 7 * cell] = cell + 1
    image = np.full(SHAPE, 100, np.uint16)
    for axis in (1, 2):
        image[true != np.roll(true, 1, axis)] = 2000
    return image, np.where(true == 4, np.uint32(3), true)


@dataclass
class FakeReview:
    """Steps through the cells by id."""

    session: Any
    fixes: dict[int, Any] = field(default_factory=dict)
    current: Suspect | None = None
    asked: list[Any] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    is_closed: bool = False
    is_behind: bool = False
    waiting: int = 0

    @property
    def suspects(self) -> Any:
        return self.session.index

    def next(self, which: Any) -> Suspect | None:
        self.asked.append(which)
        left = [cell for cell in self.session.index.cells.tolist() if cell not in self.seen]
        if not left:
            self.current = None
            return None
        self.seen.add(left[0])
        return self.show(left[0])

    def show(self, cell: int) -> Suspect:
        fix = self.fixes.get(cell)
        place = self.session.index.centroid(cell)
        title = "" if fix is None else "Do it"
        self.current = Suspect(cell, 0.5, (f"reason {cell}",), place, None, fix, title)
        return self.current

    def follow(self) -> Suspect | None:
        self.is_behind = False
        if self.current is None or self.current.cell not in self.session.index:
            self.current = None
            return None
        return self.show(self.current.cell)

    def show_again(self, before: Suspect) -> Suspect | None:
        return self.show(before.cell) if before.cell in self.session.index else None

    def look_again(self) -> bool:
        self.waiting, had = max(0, self.waiting - 1), self.waiting > 0
        return had

    def accept(self) -> Any:
        return self.session.do(Accept((self.current.cell,)))

    def skip(self) -> Any:
        return self.session.do(MarkSeen((self.current.cell,)))

    def flag(self, note: str = "") -> list[Any]:
        cells = (self.current.cell,)
        return [self.session.do(Flag(cells)), self.session.do(Note(cells, note))]

    def progress(self) -> str:
        return "some of all cells accepted"

    def close(self) -> None:
        self.is_closed = True


def no_suspects(session: Any, _kept: Any = None) -> Steps[FakeReview]:
    yield Progress("Looking at cells")
    return FakeReview(session)


def dock(qtbot: Any, viewer: Any, core: ProofreadCore) -> ProofreadWidget:
    """Return the correct dock, once it knows what is open."""
    widget = ProofreadWidget(viewer, core)
    qtbot.addWidget(widget, before_close_func=ProofreadWidget.taken_out)
    qtbot.waitUntil(lambda: not widget._looking.is_busy)
    return widget


def begin(qtbot: Any, widget: Any, button: str = "begin_button") -> None:
    getattr(widget, button).click()
    idle(qtbot, widget)


def idle(qtbot: Any, widget: Any) -> None:
    """Wait until no job runs, also none that another one starts, and the panels follow."""
    qtbot.waitUntil(lambda: not widget.is_busy)
    qtbot.wait(1)
    qtbot.waitUntil(lambda: not widget.is_busy)


def status(widget: Any) -> str:
    return widget.panel.status.text()


def titles(widget: Any) -> list[str]:
    return [row.title for row in widget.bench.history.rows()]


def do(qtbot: Any, widget: Any, name: str, cells: list[int]) -> None:
    widget.correction.do(name, cells)
    idle(qtbot, widget)


def ids(widget: Any) -> set[int]:
    return set(np.unique(widget.correction.session.labels)) - {0}
