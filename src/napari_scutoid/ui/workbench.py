"""What is seen of a session at work: suspects, tools, and below them history, saving and comparing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_scutoid.ui.colleague_panel import ColleaguePanel
from napari_scutoid.ui.difference_panel import DifferencePanel
from napari_scutoid.ui.dock import heading
from napari_scutoid.ui.history_list import HistoryList
from napari_scutoid.ui.proposal_bar import ProposalBar
from napari_scutoid.ui.saving import SavePanel
from napari_scutoid.ui.session_card import SessionCard
from napari_scutoid.ui.suspect_panel import SuspectPanel
from napari_scutoid.ui.tool_panel import ToolPanel

if TYPE_CHECKING:
    import napari


class Workbench(QWidget):
    """The panels of a session; what they ask for is done elsewhere.

    Parameters
    ----------
    viewer : napari.Viewer

    Signals
    -------
    tabChanged
        Another of the lower panels is seen.
    """

    tabChanged = Signal()

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.suspects = SuspectPanel()
        self.tools = ToolPanel()
        self.proposals = ProposalBar()
        self.history = HistoryList()
        self.colleague = ColleaguePanel()
        self.card = SessionCard()
        self.saving = SavePanel(viewer)
        self.differences = DifferencePanel(viewer)
        self.tabs: Any = QTabWidget()
        self._keys: QWidget | None = None
        pages: tuple[tuple[str, tuple[QWidget, ...]], ...] = (
            ("History", (self.history, self.colleague)),
            ("Save", (self.saving,)),
            ("Session", (self.card,)),
            ("Compare", (self.differences,)),
        )
        for title, panels in pages:
            self.tabs.addTab(_framed(*panels), title)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(heading("2  What is probably wrong"))
        rows.addWidget(self.suspects)
        rows.addWidget(heading("3  Tools"))
        rows.addWidget(self.tools)
        rows.addWidget(self.proposals)
        rows.addWidget(self.tabs, 1)
        self.tabs.currentChanged.connect(self._on_tab)

    @property
    def sees_card(self) -> bool:
        """Whether the session's card is in front."""
        return bool(self.card.isVisible())

    def setKeyList(self, keys: QWidget | None) -> None:
        """Show a list of keys in a tab of its own, or none any more."""
        if self._keys is not None:
            self.tabs.removeTab(self.tabs.indexOf(self._keys))
            self._keys.deleteLater()
        self._keys = None if keys is None else _framed(keys)
        if self._keys is not None:
            self.tabs.addTab(self._keys, "Keys")

    def _on_tab(self, _index: int) -> None:
        self.tabChanged.emit()


def _framed(*panels: QWidget) -> QWidget:
    page = QWidget()
    rows = QVBoxLayout(page)
    rows.setContentsMargins(6, 6, 6, 6)
    for panel in panels:
        rows.addWidget(panel)
    return page
