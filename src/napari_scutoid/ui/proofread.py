"""The dock widget in which labels are corrected; it only wires."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QCoreApplication
from qtpy.QtWidgets import QHBoxLayout, QMessageBox, QPushButton, QVBoxLayout, QWidget

from napari_scutoid.errors import ScutoidError
from napari_scutoid.ui import layers
from napari_scutoid.ui.correction import Correction
from napari_scutoid.ui.dock import Dock, embolden, heading
from napari_scutoid.ui.editing import Editing
from napari_scutoid.ui.help import HelpButton
from napari_scutoid.ui.inquiry import Inquiry
from napari_scutoid.ui.layer_source import axes_given
from napari_scutoid.ui.note import Note
from napari_scutoid.ui.preferences import preferences
from napari_scutoid.ui.proofread_core import Asked, ProofreadCore
from napari_scutoid.ui.scroll import MARGIN, ScrollColumn
from napari_scutoid.ui.session_start import SessionStart
from napari_scutoid.ui.sights import Sights
from napari_scutoid.ui.workbench import Workbench

if TYPE_CHECKING:
    import napari

    from napari_scutoid.proofread.journal import Found
    from napari_scutoid.ui.joining_core import Joined
    from napari_scutoid.ui.proofread_core import Begun

PAGE = "correct.md"
JOURNAL = "journal"
"""Where a layer remembers the journal of its corrections."""
OWN_FOLDER = "Scutoid corrections"


class ProofreadWidget(Dock):
    """Choose labels, correct them, save them.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Where the layers are. napari passes it by this name.
    core : ProofreadCore, optional
        The program behind the window.
    parent : QWidget, optional
    """

    def __init__(
        self, napari_viewer: napari.Viewer, core: ProofreadCore | None = None, parent: QWidget | None = None
    ) -> None:
        self.begin_button = QPushButton("Begin correcting")
        super().__init__(napari_viewer, self.begin_button, parent)
        self._core = core or ProofreadCore()
        self._found: list[Found] = []
        self._layer: Any = None
        self._told = ""
        embolden(self.begin_button)
        self.anew_button = QPushButton("Begin anew")
        self.anew_button.setToolTip("Leave the journal that is there as it is, and begin another one beside it.")
        self.panel.add_button(self.anew_button)
        self.start = SessionStart(napari_viewer)
        self.summary = Note()
        self.stop_button = QPushButton("Stop correcting")
        self.stop_button.setToolTip("Every edit is in the journal: you, or somebody else, can continue at any time.")
        self.bench = Workbench(napari_viewer)
        self.sights = Sights(napari_viewer, self.bench.tools, self)
        # No parent: it lets the journal go when the window is destroyed around it.
        self.editing = Editing(self._ask)
        self.correction = Correction(napari_viewer, self.bench, self.panel, self._core, self.editing, self.sights, self)
        self._looking = Inquiry(self)
        self._lay_out()

        self.begin_button.clicked.connect(self.begin)
        self.anew_button.clicked.connect(self.begin_anew)
        self.stop_button.clicked.connect(self.stop)
        self.start.valueChanged.connect(self._on_start)
        self.sights.failed.connect(self.panel.complain)
        self.correction.joining.joined.connect(self._on_joined)
        self.panel.busyChanged.connect(self._on_busy)
        self._looking.answered.connect(self._on_found)
        napari_viewer.layers.events.removed.connect(self._on_layer_removed)
        self.destroyed.connect(self.editing.end)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.editing.end)
        self._on_start()

    @property
    def is_busy(self) -> bool:
        """Whether a job runs, or an edit is being worked out."""
        return self.panel.is_busy or self.editing.is_planning

    @property
    def is_correcting(self) -> bool:
        """Whether a session is at work."""
        return self.correction.session is not None

    def problem(self) -> str | None:
        """Return why nothing can be corrected yet, or None."""
        return self.start.problem()

    def begin(self) -> None:
        """Begin to correct, or continue where the journal beside the labels stopped."""
        usable = self._usable()
        self._begin(None if usable is None else usable.path)

    def begin_anew(self) -> None:
        """Begin another journal, whatever lies beside the labels."""
        self._begin(None)

    def stop(self) -> None:
        """Stop correcting; what was done is in the journal."""
        self._stop("")

    # What follows from what was chosen, and what comes of a job.

    def _begin(self, journal: Path | None, joined: Joined | None = None) -> None:
        problem = self.problem()
        if problem is not None or self.is_correcting:
            problem = problem or "The cells of another layer are being corrected."
            self.panel.complain(ScutoidError("Nothing was begun", problem, "change that, then press the button again"))
            return
        labels, image, walls, _ = self.start.value()
        asked = self._asked(journal)
        # The session takes the layer's own array: what is painted while it is read would be in no journal.
        was_editable, labels.editable = labels.editable, False

        def leave() -> None:
            labels.editable = was_editable
            labels.refresh()

        def done(begun: Begun) -> None:
            self._on_begun(begun, labels, image, walls, "" if joined is None else joined.words)
            if joined is not None:
                self.correction.joining.tell(joined.left_out)

        if not self.panel.run("Beginning", lambda: self._core.begin(asked), done, otherwise=leave):
            leave()

    def _asked(self, journal: Path | None) -> Asked:
        labels, image, walls, author = self.start.value()
        file, dataset = _file_of(labels)
        return Asked(
            layers.volume_of(labels),
            labels.name,
            author,
            _folder(labels),
            None if image is None else layers.volume_of(image),
            None if walls is None else layers.volume_of(walls),
            file,
            dataset,
            axes_given(labels),
            journal,
            _about(labels).get(layers.KEPT),
            JOURNAL in _about(labels),
            _about(labels).get("provenance"),
        )

    def _on_begun(self, begun: Begun, layer: Any, image: Any, walls: Any, told: str = "") -> None:
        if layer not in self._viewer.layers:
            begun.session.close()
            self.panel.say("The layer is gone: nothing was begun.")
            return
        session = begun.session
        if layer.data is session.labels:
            layer.refresh()  # the edits of a journal were done again in it
        else:
            layer.data = session.labels
        about = {"kind": "labels", "history": ()} | _about(layer)
        layer.metadata[layers.METADATA] = about | {"source": begun.base.source, JOURNAL: str(session.journal)}
        self._layer = layers.held_weakly(layer)
        if begun.base.source is not None:
            self.bench.saving.setStart(Path(begun.base.source.path))
        layer.events.data.connect(self._on_data)
        layer.events.name.connect(self._show_state)
        self._told = told or begun.told
        self._show_state()
        self.correction.begin(begun, layer, image, walls)

    def _stop(self, why: str) -> None:
        session = self.correction.session
        if session is None:
            return
        layer = self._layer()
        if layer is not None:
            layer.events.data.disconnect(self._on_data)
            layer.events.name.disconnect(self._show_state)
        journal = session.journal
        self._layer = None
        self.correction.end()
        self._show_state()
        self.panel.say(f"{why}Every edit is in {journal}. The cells can be looked at; to change them, continue.")
        self._on_start()

    def _on_joined(self, joined: Joined) -> None:
        """Go on with both people's corrections; one's own journal is closed, and stays as it is."""
        self._stop("")
        self._begin(joined.path, joined)

    def _on_layer_removed(self, _event: object = None) -> None:
        if self._layer is None:
            return
        layer = self._layer()
        if layer is None or layer not in self._viewer.layers:
            self._stop("The layer was removed, so correcting has ended. ")

    def _on_data(self, _event: object = None) -> None:
        session, layer = self.correction.session, None if self._layer is None else self._layer()
        if session is not None and layer is not None and layer.data is not session.labels:
            self._stop("The layer was given other cells, so correcting has ended. ")

    def _on_start(self) -> None:
        """Look what lies beside the labels."""
        if self.is_correcting:
            return
        self._found = []
        self.start.setFound("")
        labels = self.start.labels.value()
        file = None if labels is None else _file_of(labels)[0]
        if file is not None:
            self._looking.ask(lambda: self._core.look_beside(file))
        self._show_state()

    def _on_found(self, found: list[Found]) -> None:
        self._found = found
        usable = self._usable()
        words = [] if usable is None else [_in_words(usable)]
        words += [f"⚠ {one.problem}" for one in found if one.problem is not None]
        self.start.setFound("\n".join(words))
        self._show_state()

    def _usable(self) -> Found | None:
        return next((one for one in self._found if one.problem is None), None)

    def _on_busy(self, busy: bool) -> None:
        self.start.setEnabled(not busy)
        self.anew_button.setEnabled(not busy and self.problem() is None)
        self._show_cancel()

    def _show_state(self, _event: object = None) -> None:
        layer = None if self._layer is None else self._layer()
        correcting = layer is not None
        for widget, shown in (
            (self.inputs, not correcting),
            (self.begin_button, not correcting),
            (self.anew_button, not correcting and self._usable() is not None),
            (self.running, correcting),
            (self.column, correcting),
        ):
            widget.setVisible(shown)
        self._show_cancel()
        self.begin_button.setText("Begin correcting" if self._usable() is None else "Continue correcting")
        self.panel.setProblem(None if correcting else self.problem())
        if layer is not None:
            who = self.start.author.text().strip()
            self.summary.setText(f"{who} corrects “{layer.name}”. {self._told}".strip())

    def _show_cancel(self) -> None:
        # A session is stopped by another button; beside that one, it would be the wrong one.
        self.panel.cancel_button.setVisible(self.panel.is_busy or self._layer is None)

    def _ask(self, question: str) -> bool:
        """Ask before something that is rarely meant."""
        answer = QMessageBox.question(self, "Correct", f"{question}\nDo it all the same?")
        return bool(answer == QMessageBox.StandardButton.Yes)

    def taken_out(self) -> None:
        """End the session: its journal can be continued in another window."""
        self._looking.stop()
        self._stop("")

    def _lay_out(self) -> None:
        self.inputs = QWidget()
        rows = QVBoxLayout(self.inputs)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(heading("1  What to correct"))
        rows.addWidget(self.start)
        self.running = QWidget()
        line = QHBoxLayout(self.running)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.summary, 1)
        line.addWidget(self.stop_button)
        top = QWidget()
        rows = QVBoxLayout(top)
        rows.setContentsMargins(MARGIN, MARGIN, MARGIN, 0)
        for widget in (self.inputs, self.running, self.panel):
            rows.addWidget(widget)
        self.column = ScrollColumn((self.bench,), stretched=self.bench)
        bottom = QHBoxLayout()
        bottom.setContentsMargins(MARGIN, 0, MARGIN, MARGIN)
        bottom.addStretch(1)
        bottom.addWidget(HelpButton(PAGE))
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.rows.addWidget(top)
        self.rows.addWidget(self.column, 1000)
        # While the column is hidden, this keeps the rest at the top.
        self.rows.addStretch(1)
        self.rows.addLayout(bottom)


def _about(layer: Any) -> dict[str, Any]:
    return layer.metadata.get(layers.METADATA) or {}


def _file_of(layer: Any) -> tuple[Path | None, str | None]:
    """Return the file and the data set that hold a layer's labels; None where they are in none."""
    about, source = _about(layer), layers.source_of(layer)
    if source is not None and (JOURNAL in about or not about.get("provenance")):
        return Path(source.path), source.dataset or None
    return (Path(layer.source.path), None) if source is None and layer.source.path else (None, None)


def _folder(layer: Any) -> Path:
    """Return where labels that are in no file are saved."""
    chosen, source = preferences().autosave_folder, layers.source_of(layer)
    if chosen is not None:
        return chosen
    if source is not None and Path(source.path).parent.is_dir():
        return Path(source.path).parent
    from platformdirs import user_documents_path

    return Path(user_documents_path()) / OWN_FOLDER


def _in_words(found: Found) -> str:
    card = found.card
    if card is None or card.ended is None:
        return f"A journal without edits is beside it: {found.path.name}."
    who = f" by {' and '.join(card.authors)}" if card.authors else ""
    edits = f"{card.n_edits} edit{'' if card.n_edits == 1 else 's'}"
    return f"{edits}{who}, the last on {card.ended.astimezone():%d %b %Y at %H:%M}, are in {found.path.name}."
