"""The door through which every edit goes: to the session, which writes it down, and to the layer, which shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress
from napari_scutoid.ui.inquiry import Inquiry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_scutoid.progress import Steps
    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.scene import Edit, Scene
    from napari_scutoid.proofread.session import Session


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """A change that was planned before, as an edit."""

    change: Change

    def plan(self, _scene: Scene) -> Change:
        """Return the change."""
        return self.change


class Editing(QObject):
    """Edits of one session after the other.

    An edit that takes long is planned in a thread, and made in the GUI's: what shows the labels never sees them half
    changed. Until it is made no other edit is, as it would not fit any more.

    Parameters
    ----------
    ask : callable
        Takes a question, returns whether the user said yes.

    Signals
    -------
    changed : Change
        Made, undone or done again; the labels hold it.
    settled
        All changes of what was asked for are made, of a jump through the history its many.
    refused : Exception
        What could not be done, and why; the labels are as before.
    planningChanged : bool
        An edit is being planned, or no longer.
    """

    changed = Signal(object)
    settled = Signal()
    refused = Signal(object)
    planningChanged = Signal(bool)

    def __init__(self, ask: Callable[[str], bool], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._ask = ask
        self._session: Session | None = None
        self._held_by = ""
        self._before: Callable[[], None] = _nothing
        self._then: Callable[[Any], None] | None = None
        self._n_heard = self._depth = 0
        self._planning = Inquiry(self)
        self._planning.answered.connect(self._on_planned)
        self._planning.failed.connect(self._on_failed)

    @property
    def session(self) -> Session | None:
        """What is edited; None where nothing is."""
        return self._session

    @property
    def is_planning(self) -> bool:
        """Whether an edit is on its way."""
        return self._then is not None

    def begin(self, session: Session, before: Callable[[], None] | None = None) -> None:
        """Edit a session from now on.

        Parameters
        ----------
        session : Session
        before : callable, optional
            Called before each edit: what napari's own tools have painted must be in the history first.
        """
        self.end()
        self._session, self._before = session, before or _nothing
        session.heard.append(self._on_heard)

    def end(self) -> None:
        """Let the session go; its journal is whole after every edit, so that nothing has to be saved."""
        self._drop_plan()
        self._held_by = ""
        session, self._session, self._before = self._session, None, _nothing
        if session is not None:
            session.heard.remove(self._on_heard)
            session.close()

    def hold(self, reason: str) -> None:
        """Refuse edits for a while, and say why; empty to let them through again."""
        self._held_by = reason

    def do(self, edit: Edit) -> Change | None:
        """Make an edit now; None where it was refused, or the user said no."""
        return self.act(lambda session: self._do(session, edit))

    def act(self, act: Callable[[Session], Any]) -> Any:
        """Do something that changes the session; None where it was refused."""
        session, before = self._session, self._n_heard
        if session is None:
            return None
        self._depth += 1
        try:
            reason = "the edit before it is still being worked out" if self.is_planning else self._held_by
            if reason:
                raise ScutoidError("This was not done", reason, "wait a moment, then do it again")
            self._before()
            return act(session)
        except Exception as error:
            # Also a bug: it has to be told, and the next edit is possible, as a session refuses before it changes.
            self.refused.emit(error)
            return None
        finally:
            self._depth -= 1
            if not self._depth and self._n_heard != before:
                self.settled.emit()

    def do_later(self, *edits: Edit) -> None:
        """Plan an edit in a thread, then make it; then the next one."""
        if edits:
            first, *rest = edits
            self.look(lambda scene: (_warning(first, scene), first.plan(scene)), lambda found: self._make(found, rest))

    def look(self, find: Callable[[Scene], Any], then: Callable[[Any], None]) -> None:
        """Find something out in a thread while nothing is changed.

        Parameters
        ----------
        find : callable
            Takes the scene; called in the thread.
        then : callable
            Takes what it returned, in the GUI's thread.
        """

        def start(session: Session) -> None:
            scene = session.scene()
            self._then = then
            self.planningChanged.emit(True)
            self._planning.ask(lambda: _job(find, scene))

        self.act(start)

    def undo(self) -> Change | None:
        """Take the last edit back."""
        return self.act(lambda session: session.undo())

    def redo(self) -> Change | None:
        """Do again what was taken back last."""
        return self.act(lambda session: session.redo())

    def jump(self, step: int) -> None:
        """Go to a step of the history."""
        self.act(lambda session: session.jump(step))

    def _do(self, session: Session, edit: Edit) -> Change | None:
        question = _warning(edit, session.scene())
        if question is not None and not self._ask(question):
            return None
        return session.do(edit)

    def _make(self, found: tuple[str | None, Change], rest: Sequence[Edit]) -> None:
        question, change = found
        if (question is None or self._ask(question)) and self.do(Planned(change)) is not None:
            self.do_later(*rest)

    def _on_heard(self, change: Change) -> None:
        self._n_heard += 1
        self.changed.emit(change)
        if not self._depth:
            self.settled.emit()

    def _on_planned(self, found: Any) -> None:
        then = self._drop_plan()
        if then is not None:
            then(found)

    def _on_failed(self, error: Exception) -> None:
        if self._drop_plan() is not None:
            self.refused.emit(error)

    def _drop_plan(self) -> Callable[[Any], None] | None:
        then, self._then = self._then, None
        if then is not None:
            self._planning.stop()
            self.planningChanged.emit(False)
        return then


def _job(find: Callable[[Scene], Any], scene: Scene) -> Steps[Any]:
    yield Progress("Working it out")
    return find(scene)


def _warning(edit: Edit, scene: Scene) -> str | None:
    """Return what to ask before an edit; None where nothing is to be asked."""
    warning = getattr(edit, "warning", None)
    return None if warning is None else warning(scene)


def _nothing() -> None:
    """Do nothing before an edit."""
