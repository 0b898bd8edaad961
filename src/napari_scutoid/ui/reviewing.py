"""Suspects of a session, found in a job and shown one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_scutoid.ui.suspect_panel import SuspectCard

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_scutoid.progress import Steps
    from napari_scutoid.proofread.reasons import Suspect
    from napari_scutoid.proofread.review import Filter, Review
    from napari_scutoid.proofread.session import Session
    from napari_scutoid.result import Kept
    from napari_scutoid.ui.editing import Editing
    from napari_scutoid.ui.job_panel import JobPanel
    from napari_scutoid.ui.suspect_panel import SuspectPanel

    FindSuspects = Callable[[Session, Kept | None], Steps[Review]]

NOT_LOOKED = "Press Next suspect: the program first looks at every cell, once."
FOUND = "Every cell has been looked at. Press Next suspect when you are ready."
NONE_LEFT = "Nothing is left in this list. Choose another one above, or save the labels."
GONE = "This cell is no more. Go on to the next one."
PAUSE = 400
"""Milliseconds after an edit in which no other one came: from then on the cells that it changed are looked at again."""
BETWEEN = 20
"""Milliseconds between two such looks, for what the user does meanwhile."""
NEAR = 4.0
"""How far "near here" reaches, in diameters of a typical cell."""


class Reviewing(QObject):
    """Wires the suspect panel to the review of a session.

    Parameters
    ----------
    panel : SuspectPanel
    editing : Editing
        Through which decisions go.
    jobs : JobPanel
        Runs the job that finds the suspects.
    find : callable
        Takes a session and what its labels were made from, returns the job.
    here : callable
        Returns the place that is looked at, in voxels.

    Signals
    -------
    shown : Suspect
        Look at this one.
    """

    shown = Signal(object)

    def __init__(
        self,
        panel: SuspectPanel,
        editing: Editing,
        jobs: JobPanel,
        find: FindSuspects,
        here: Callable[[], tuple[float, float, float]],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._panel, self._editing, self._jobs, self._find, self._here = panel, editing, jobs, find, here
        self._review: Review | None = None
        self._kept: Kept | None = None
        self._looked_at: list[Suspect] = []
        self._is_fixing = False
        # Looking at a cell takes some hundredths of a second, which an edit need not wait for.
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.timeout.connect(self._look_again)
        editing.refused.connect(self._on_refused)
        panel.nextAsked.connect(self.next)
        panel.previousAsked.connect(self.previous)
        panel.acceptAsked.connect(self.accept)
        panel.fixAsked.connect(self.fix)
        panel.skipAsked.connect(self.skip)
        panel.flagAsked.connect(self.flag)

    @property
    def review(self) -> Review | None:
        """The review, once the suspects are found."""
        return self._review

    @property
    def suspect(self) -> Suspect | None:
        """The present one."""
        return None if self._review is None else self._review.current

    def is_looking_again(self) -> bool:
        """Return whether cells that edits have changed are still to be looked at again."""
        return self._idle.isActive()

    def begin(self, kept: Kept | None = None) -> None:
        """Find the suspects of the session that is edited now.

        Parameters
        ----------
        kept : Kept, optional
            What its labels were made from.
        """
        self._kept = kept
        self._look()

    def look_again(self, find: Callable[[Session], Steps[tuple[Review, Kept]]], then: Callable[[Kept], None]) -> None:
        """Find the suspects anew, with second opinions; the present list stays until the new one is there.

        Parameters
        ----------
        find : callable
            Takes the session, returns the job; the network runs in it.
        then : callable
            Takes what the network said.
        """
        session = self._editing.session
        if session is None:
            return
        moves = len(session.history.moves)

        def done(found: tuple[Review, Kept]) -> None:
            review, kept = found
            if review.session is self._editing.session:
                then(kept)
            self._on_found(review, moves)

        self._jobs.run("Looking for mistakes once more", lambda: find(session), done, alone=True)

    def _look(self) -> None:
        session, kept = self._editing.session, self._kept
        if session is None or self._jobs.is_busy:
            return
        moves = len(session.history.moves)
        self._jobs.run(
            "Looking for mistakes",
            lambda: self._find(session, kept),
            lambda review: self._on_found(review, moves),
            otherwise=self._on_nothing_found,
        )

    def end(self) -> None:
        """Forget the session."""
        self._idle.stop()
        if self._review is not None:
            self._review.close()
        self._review = self._kept = None
        self._is_fixing = False
        self._looked_at = []
        self._panel.setValue(None)
        self._panel.setProgress("", 0, 0)

    def next(self) -> None:
        """Show the next suspect; the first time, find them."""
        review = self._review
        if review is None:
            self._look()
            return
        which = self._which(review)
        found = self._editing.act(lambda _session: review.next(which))
        if found is not None:
            self._looked_at.append(found)
            self._show(found)
        elif review.current is None:
            self._panel.setValue(None, NONE_LEFT)

    def previous(self) -> None:
        """Show the suspect before, of those whose cells are still there."""
        review = self._review
        if review is None:
            return
        for n in range(len(self._looked_at) - 1, 0, -1):
            before = review.show_again(self._looked_at[n - 1])
            if before is not None:
                self._looked_at = self._looked_at[:n]
                self._show(before)
                return

    def accept(self) -> None:
        """Lock the present one, and go on."""
        self._decide(lambda review: review.accept())

    def skip(self) -> None:
        """Leave the present one, and go on."""
        self._decide(lambda review: review.skip())

    def flag(self, note: str) -> None:
        """Keep the present one for later, and go on."""
        self._decide(lambda review: review.flag(note))

    def fix(self) -> None:
        """Do what is proposed, and stay, so that the user sees what came of it; on, where the cell is no more."""
        if self._review is not None and self._review.is_behind:
            self._follow(self._review)
        suspect = self.suspect
        if suspect is not None and suspect.fix is not None:
            self._is_fixing = True
            self._editing.do_later(suspect.fix)

    def refresh(self) -> None:
        """Show how far the work is, now, and what became of the present suspect, soon."""
        review = self._review
        if review is None:
            return
        accepted = sum(state.accepted for state in review.session.states.values())
        self._panel.setProgress(review.progress(), accepted, len(review.session.index))
        if not review.is_behind:
            self._follow(review)
        self._idle.start(PAUSE)

    def _follow(self, review: Review) -> None:
        """Show what the present suspect is now."""
        is_fixing, self._is_fixing = self._is_fixing, False
        if review.current is None:
            return
        suspect = review.follow()
        if suspect is not None:
            self._panel.setValue(card_of(suspect, review))
        elif is_fixing:
            self.next()
        else:
            self._panel.setValue(None, GONE)

    def _look_again(self) -> None:
        """Show what the present suspect is now; then look at what else edits have changed, a cell at a time."""
        review = self._review
        if review is None:
            return
        if review.is_behind:
            self._follow(review)
        elif not review.look_again():
            return
        self._idle.start(BETWEEN)

    def _decide(self, decide: Callable[[Review], Any]) -> None:
        review = self._review
        if review is not None and self._editing.act(lambda _session: decide(review)) is not None:
            self.next()

    def _which(self, review: Review) -> Filter:
        from napari_scutoid.proofread.edits.guards import typical_diameter
        from napari_scutoid.proofread.review import Filter

        name = self._panel.filter()
        near = self._here() if name == "near" else None
        within = 0.0 if near is None else NEAR * typical_diameter(review.session.scene())
        return Filter(name != "all", name == "flagged", name == "border", near, within)

    def _show(self, suspect: Suspect) -> None:
        if self._review is not None:
            self._panel.setValue(card_of(suspect, self._review))
            self.shown.emit(suspect)

    def _on_found(self, review: Review, moves: int) -> None:
        if review.session is not self._editing.session:
            review.close()
            return
        before = self.suspect
        if self._review is not None:
            self._review.close()
        self._review = review
        self.refresh()
        # Nobody is taken away from what is being edited.
        if len(review.session.history.moves) == moves and not self._editing.is_planning:
            self.next()
        elif before is not None and before.cell in review.session.index:
            self._panel.setValue(card_of(review.show(before.cell), review))
        else:
            self._panel.setValue(None, FOUND)

    def _on_refused(self, _error: Exception) -> None:
        self._is_fixing = False

    def _on_nothing_found(self) -> None:
        self._panel.setValue(None, NOT_LOOKED)


def card_of(suspect: Suspect, review: Review) -> SuspectCard:
    """Return what is shown of a suspect."""
    if not suspect.cell:
        proposed = f"{suspect.fix_title}; Skip if none is missing"
        return SuspectCard("A cell may be missing here", None, suspect.reasons, proposed)
    state = review.session.scene().state(suspect.cell)
    title = f"Cell {suspect.cell}" if suspect.other is None else f"Cells {suspect.cell} and {suspect.other}"
    return SuspectCard(title, suspect.probability, suspect.reasons, suspect.fix_title, state.note)
