"""A session at work: what follows from each edit, and which edit each button means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_scutoid.ui import layers
from napari_scutoid.ui.again_core import opinion_plan
from napari_scutoid.ui.cell_edits import edits_of, is_quick
from napari_scutoid.ui.differing import Differing
from napari_scutoid.ui.editing import Planned
from napari_scutoid.ui.history_list import START, START_ID, Row
from napari_scutoid.ui.joining import Joining
from napari_scutoid.ui.keyboard import Keyboard
from napari_scutoid.ui.proposal_layer import ProposalLayer
from napari_scutoid.ui.reviewing import Reviewing
from napari_scutoid.ui.segmenting_again import SegmentingAgain
from napari_scutoid.ui.session_card import SessionFacts

if TYPE_CHECKING:
    from pathlib import Path

    import napari

    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.history import Step
    from napari_scutoid.proofread.scene import Edit
    from napari_scutoid.proofread.session import Session
    from napari_scutoid.ui.editing import Editing
    from napari_scutoid.ui.job_panel import JobPanel
    from napari_scutoid.ui.proofread_core import Begun, ProofreadCore
    from napari_scutoid.ui.sights import Sights
    from napari_scutoid.ui.workbench import Workbench

SAVING = "the labels are being written"
SEARCHING = "the lumen is being looked for, which an edit would disturb"


class Correction(QObject):
    """Wires the panels to a session, one session after the other.

    Parameters
    ----------
    viewer : napari.Viewer
    bench : Workbench
    jobs : JobPanel
    core : ProofreadCore
    editing : Editing
    sights : Sights
        What the image and the views from the side show of the session.
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        bench: Workbench,
        jobs: JobPanel,
        core: ProofreadCore,
        editing: Editing,
        sights: Sights,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._bench, self._jobs, self._core = viewer, bench, jobs, core
        self._editing, self._sights = editing, sights
        self._begun: Begun | None = None
        self._name = ""
        self._abouts: dict[int, str] = {}
        self._proposed: list[Change] = []
        self._proposal = ProposalLayer(viewer)
        self.reviewing = Reviewing(bench.suspects, editing, jobs, core.find_suspects, sights.here, self)
        self.differing = Differing(bench.differences, editing, jobs, core.compare, self)
        self.again = SegmentingAgain(viewer, bench.differences, jobs, core.segment_again, self.differing, sights, self)
        self.joining = Joining(bench.colleague, editing, jobs, core, sights.settle, self)
        self._keyboard = Keyboard(viewer, bench, self, sights, self)
        editing.changed.connect(self._on_changed)
        # At once, so that the window is drawn once for an edit; of a jump's many changes after the last.
        editing.settled.connect(self.refresh)
        editing.refused.connect(jobs.complain)
        editing.planningChanged.connect(self._on_planning)
        sights.wished.connect(self._on_wished)
        self.reviewing.shown.connect(self._on_suspect)
        self.differing.shown.connect(self._on_difference)
        self.joining.shown.connect(self._on_collision)
        bench.suspects.opinionAsked.connect(self.ask_network)
        bench.tools.asked.connect(self.do)
        bench.history.undoAsked.connect(self.undo)
        bench.history.redoAsked.connect(self.redo)
        bench.history.jumpAsked.connect(editing.jump)
        bench.history.placeAsked.connect(self._on_place)
        bench.proposals.valueChanged.connect(self._show_proposal)
        bench.proposals.taken.connect(self.take_proposal)
        bench.proposals.dropped.connect(self.drop_proposals)
        bench.saving.saveAsked.connect(self.save)
        bench.saving.truthAsked.connect(self.save_truth)
        bench.saving.refused.connect(jobs.say)
        bench.tabChanged.connect(self.refresh)

    @property
    def session(self) -> Session | None:
        """The one at work, or None."""
        return None if self._begun is None else self._begun.session

    def begin(self, begun: Begun, layer: Any, image: Any = None, walls: Any = None) -> None:
        """Let a session be seen and edited; the layers are as for `Sights.begin`."""
        self.end()
        self._begun, self._name = begun, layer.name
        self._sights.begin(begun.session, layer, image, walls)
        self._keyboard.begin(layer)
        self._editing.begin(begun.session, self._sights.settle)
        self._bench.differences.other.setCorrected(layer)
        self.again.begin(begun)
        self.refresh()
        self.reviewing.begin(begun.kept)

    def end(self) -> None:
        """Let the session go; the layer keeps its cells as they are."""
        if self._begun is None:
            return
        self._jobs.cancel()
        self._sights.settle()
        self.drop_proposals()
        self.reviewing.end()
        self.differing.end()
        self.again.end()
        self.joining.end()
        self._editing.end()
        self._keyboard.end()
        self._sights.end()
        self._begun = None
        self._abouts.clear()
        self._bench.differences.other.setCorrected(None)

    # What a button does, also for scripts.

    def do(self, name: str, cells: list[int]) -> None:
        """Do what a button says to the chosen cells."""
        session = self.session
        if session is None:
            return
        if name == "propose_lumen":
            self._propose_lumen(session)
        elif name == "propose" and cells:
            self._propose(cells[0])
        elif cells:
            self._make(edits_of(name, cells, session.scene(), self._sights.axis()))

    def accept(self) -> None:
        """Accept the present suspect and go on, or the cells that were chosen by hand since it was shown."""
        cells, suspect = self._bench.tools.cells(), self.reviewing.suspect
        if suspect is not None and cells in ([], suspect.cells):
            self.reviewing.accept()
        else:
            self.do("accept", cells)

    def ask_network(self) -> None:
        """Let the network look at the stack once more, mirrored: where it says something else, cells are suspect."""
        offered = self.again.offered()
        if offered is None:
            return
        chosen = opinion_plan(offered)
        if chosen.problem is not None:
            self._jobs.say(chosen.problem)
            return
        find = self._core.find_again
        self.reviewing.look_again(lambda session: find(session, offered, chosen), self.again.keep)

    def undo(self) -> None:
        """Take the last edit back."""
        change = self._editing.undo()
        if change is not None:
            self._jobs.say(f"Undone: {change.title}.")

    def redo(self) -> None:
        """Do again what was taken back last."""
        change = self._editing.redo()
        if change is not None:
            self._jobs.say(f"Done again: {change.title}.")

    def take_proposal(self) -> None:
        """Divide the cell as it is shown."""
        chosen, proposed = self._bench.proposals.value(), self._proposed
        self.drop_proposals()
        if chosen is not None and chosen < len(proposed):
            self._editing.do(Planned(proposed[chosen]))

    def drop_proposals(self) -> None:
        """Show no proposals any more."""
        self._proposed = []
        self._proposal.hide()
        self._bench.proposals.setValue(())

    def save(self, path: Path) -> None:
        """Write the labels as they are."""
        begun, layer = self._begun, self._bench.saving.stack()
        if begun is not None:
            stack = None if layer is None else layers.volume_of(layer)
            self._write("Saving", lambda: self._core.save(begun, path, stack))

    def save_truth(self, path: Path) -> None:
        """Write the image and its accepted cells, to train with."""
        begun, layer = self._begun, self._bench.saving.stack() or self._sights.under("image")
        if begun is None:
            return
        if layer is None:
            self._jobs.say("⚠ Choose the stack's image above: a network learns from it.")
            return
        image = layers.volume_of(layer)
        self._write("Saving", lambda: self._core.save_truth(begun, path, image))

    # What follows.

    def refresh(self) -> None:
        """Show the history, the session's card, and how far the review is."""
        session = self.session
        if session is None:
            return
        self._sights.follow()
        history = session.history
        done = set(history.line())
        rows = [Row(START_ID, START)]
        rows += [Row(step.id, step.title, self._about(step), step.id in done) for step in history]
        self._bench.history.setValue(
            rows,
            history.head,
            can_undo=session.can_undo,
            can_redo=history.redo_step is not None,
        )
        if self._bench.sees_card:
            self._bench.card.setValue(self._facts(session))
        self.again.refresh()
        self.reviewing.refresh()

    def _facts(self, session: Session) -> SessionFacts:
        card = session.history.card()
        authors = tuple(dict.fromkeys((session.author, *card.authors)))
        accepted = sum(state.accepted for state in session.states.values())
        return SessionFacts(
            self._name,
            authors,
            card.worked.total_seconds(),
            card.by_kind,
            len(session.index),
            accepted,
            "" if session.journal is None else str(session.journal),
        )

    def _about(self, step: Step) -> str:
        about = self._abouts.get(step.id)
        if about is None:
            when = f"{step.made_at.astimezone():%d %b %Y, %H:%M}"
            about = self._abouts[step.id] = f"{step.author}, {when}" if step.author else when
        return about

    def _write(self, title: str, job: Any) -> None:
        self._sights.settle()
        # Where another job runs, that one may hold the edits.
        if self._jobs.run(title, job, self._on_saved, otherwise=self._let_edits_through):
            self._editing.hold(SAVING)

    def _on_saved(self, path: Path) -> None:
        self._editing.hold("")
        self._jobs.say(f"Saved {path}.")

    def _let_edits_through(self) -> None:
        self._editing.hold("")

    def _propose(self, cell: int) -> None:
        from napari_scutoid.ui.proposal_bar import MOST

        def find(scene: Any) -> list[Change]:
            from napari_scutoid.proofread.edits.propose import proposals

            return proposals(scene, cell, MOST)

        self.drop_proposals()
        self._editing.look(find, self._on_proposals)

    def _propose_lumen(self, session: Session) -> None:
        self.drop_proposals()
        find = self._core.propose_lumen
        if self._jobs.run(
            "Looking for the lumen", lambda: find(session), self._on_lumen, otherwise=self._let_edits_through
        ):
            self._editing.hold(SEARCHING)

    def _on_lumen(self, change: Change) -> None:
        self._let_edits_through()
        self._on_proposals([change])

    def _on_proposals(self, found: list[Change]) -> None:
        self._proposed = found
        self._bench.proposals.setValue([_in_words(change) for change in found])
        self._show_proposal()
        if found:
            self._jobs.say("Look at the proposal in the image, then take it or not: the buttons are below the tools.")
        else:
            self._jobs.say("This cell has no second part that could be cut off. Draw the cut with Cut or Split.")

    def _show_proposal(self) -> None:
        chosen, layer = self._bench.proposals.value(), self._sights.layer
        if chosen is not None and layer is not None:
            self._proposal.show(layer, self._proposed[chosen])
            self._look_at(self._proposed[chosen].centre)

    def _on_changed(self, change: Change) -> None:
        if self._proposed:
            self.drop_proposals()
        self._sights.refresh(change)
        self._jobs.say(f"{change.title}.")

    def _on_planning(self, planning: bool) -> None:
        self._jobs.say("Working it out…" if planning else "")

    def _on_wished(self, edit: Any) -> None:
        self._make([edit])

    def _make(self, edits: list[Edit]) -> None:
        if len(edits) == 1 and is_quick(edits[0]):
            self._editing.do(edits[0])
        else:
            self._editing.do_later(*edits)

    def _on_suspect(self, suspect: Any) -> None:
        cells = suspect.cells
        self._bench.tools.setCells(cells)
        self._sights.look(suspect.place, cells)
        if not cells:  # nothing is there yet; what was shown before is not meant
            self._sights.unlight()

    def _on_difference(self, proposal: Any) -> None:
        self._sights.look(proposal.place, list(proposal.old))

    def _on_collision(self, collision: Any) -> None:
        place = collision.first[0].change.centre
        if place is not None:
            self._sights.look(place, list(collision.cells))

    def _on_place(self, step: int) -> None:
        session = self.session
        if session is not None and step in session.history and step != START_ID:
            self._look_at(session.history[step].centre)

    def _look_at(self, place: Any) -> None:
        if place is not None:
            self._sights.look(place, [])


def _in_words(change: Change) -> str:
    told = change.parameters
    volumes, evidence = told.get("volumes"), told.get("evidence")
    if not volumes:
        return change.title
    words = f"{' and '.join(f'{int(n)}' for n in volumes)} voxels"
    return words if evidence is None else f"{words}, {evidence:.0%} evidence for a wall between them"
