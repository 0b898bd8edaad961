"""What each key does to the session at work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_scutoid.ui.shortcuts import KeyList, Keys
from napari_scutoid.ui.suspect_panel import KEYS
from napari_scutoid.ui.tools import IN_IMAGE

if TYPE_CHECKING:
    import napari
    from napari.layers import Labels as LabelsLayer

    from napari_scutoid.ui.correction import Correction
    from napari_scutoid.ui.sights import Sights
    from napari_scutoid.ui.workbench import Workbench

TOOLS = frozenset(tool.name for tool in IN_IMAGE)
TOGGLES = {"image": "image", "walls": "walls", "outlines": "outlines", "sides": "crosshair"}


class Keyboard(QObject):
    """Binds the keys while a session lasts.

    Parameters
    ----------
    viewer : napari.Viewer
    bench : Workbench
    correction : Correction
    sights : Sights
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        bench: Workbench,
        correction: Correction,
        sights: Sights,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._bench, self._correction, self._sights = viewer, bench, correction, sights
        self._keys: Keys | None = None

    def begin(self, layer: LabelsLayer) -> None:
        """Let the keys hold in the viewer and in the dock."""
        self._keys = Keys(self._viewer, layer, parent=self)
        self._keys.pressed.connect(self.press)
        self._keys.changed.connect(self._show)
        self._keys.watch(self._bench)
        self._bench.setKeyList(KeyList(self._keys))
        self._show()

    def end(self) -> None:
        """Give the keys back to napari."""
        if self._keys is not None:
            self._bench.setKeyList(None)
            self._keys.stop()
            self._keys.deleteLater()
            self._keys = None

    def press(self, name: str) -> None:
        """Do what a key stands for."""
        tools, reviewing = self._bench.tools, self._correction.reviewing
        acts: dict[str, Any] = {
            "next": reviewing.next,
            "previous": reviewing.previous,
            "accept": self._correction.accept,
            "fix": reviewing.fix,
            "skip": reviewing.skip,
            "flag": self._bench.suspects.ask_for_note,
            "undo": self._correction.undo,
            "redo": self._correction.redo,
            "save": self._bench.saving.save_button.click,
        }
        if name in acts:
            acts[name]()
        elif name in TOOLS:
            tools.choose(name)
        elif name == "no_tool":
            tools.choose("")
        elif name == "new_cell":
            tools.setTarget("new")
            tools.choose("paint")
        elif name in TOGGLES:
            self._sights.toggle(TOGGLES[name])
        elif name == "alone":
            self._sights.show_alone(tools.cells())
        else:
            self._correction.do(name, tools.cells())

    def _show(self) -> None:
        if self._keys is not None:
            shown = self._keys.shown()
            self._bench.tools.setKeys(shown)
            self._bench.suspects.setKeys({name: shown.get(name, "") for name in KEYS})
