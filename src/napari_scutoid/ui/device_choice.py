"""Choose what computes, in which precision, and see what that is on this computer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_scutoid.errors import as_problem
from napari_scutoid.recipe import Predict
from napari_scutoid.ui.core import Core, look_at_device
from napari_scutoid.ui.editors import ChoiceBox
from napari_scutoid.ui.inquiry import Inquiry
from napari_scutoid.ui.note import Note

if TYPE_CHECKING:
    from napari_scutoid.network.device import DeviceFacts

DEVICES = {
    "auto": "automatic",
    "cpu": "processor",
    "cuda": "graphics card (CUDA)",
    "mps": "graphics card (Mac)",
    "xpu": "graphics chip (Intel)",
}
PRECISIONS = {"auto": "automatic", "fp32": "32-bit", "bf16": "16-bit (bf16)"}


class DeviceChoice(QWidget):
    """Device and precision, and what is known of them.

    Parameters
    ----------
    core : Core
    device : str
        What is chosen first.

    Signals
    -------
    valueChanged
        By hand; `setValue` is silent.
    factsChanged
        More is known of the device.
    """

    valueChanged = Signal()
    factsChanged = Signal()

    def __init__(self, core: Core, device: str = "auto", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._core = core
        self._facts: DeviceFacts | None = None
        self._problem: str | None = None
        self._inquiry = Inquiry(self)
        schema = Predict.model_json_schema()["properties"]
        self.device = _box(DEVICES, schema["device"]["description"])
        self.precision = _box(PRECISIONS, schema["precision"]["description"])
        self.device.setAccessibleName("Device")
        self.precision.setAccessibleName("Precision")
        self.about = Note()
        row = QHBoxLayout()
        row.addWidget(self.device, 3)
        row.addWidget(self.precision, 2)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addLayout(row)
        rows.addWidget(self.about)
        self._select(self.device, device)
        for box in (self.device, self.precision):
            box.currentIndexChanged.connect(self._on_edited)
        self._inquiry.answered.connect(self._on_facts)
        self._inquiry.failed.connect(self._on_failed)

    def value(self) -> Predict:
        """Return the device, and the precision where one was chosen."""
        chosen = {"device": self.device.currentData()}
        if self.precision.currentData() != "auto":
            chosen["precision"] = self.precision.currentData()
        return Predict.model_validate(chosen)

    def setValue(self, value: Predict) -> None:
        """Show a device and a precision; one that is not set stays as it is."""
        for box, name in ((self.device, "device"), (self.precision, "precision")):
            if name in value.model_fields_set:
                self._select(box, getattr(value, name))
        self._forget()

    def facts(self) -> DeviceFacts | None:
        """Return what is known of the device, or None while nothing is."""
        return self._facts

    def problem(self) -> str | None:
        """Return why the device cannot be used, or None."""
        return self._problem

    def refresh(self) -> None:
        """Look at the device; the first time, this loads PyTorch."""
        if self._facts is None:
            self.about.setText("Looking at it…")
        settings = self.value()
        self._inquiry.ask(lambda: look_at_device(self._core, settings))

    def stop(self) -> None:
        """Ask no more."""
        self._inquiry.stop()

    def _select(self, box: QComboBox, value: str) -> None:
        before = box.blockSignals(True)
        box.setCurrentIndex(max(0, box.findData(value)))
        box.blockSignals(before)

    def _on_edited(self) -> None:
        self._forget()
        self.valueChanged.emit()

    def _forget(self) -> None:
        # What is known of another device does not hold for this one.
        self._facts = self._problem = None
        self.about.clear()
        if self.isVisible():
            self.refresh()

    def _on_facts(self, facts: DeviceFacts) -> None:
        self._facts, self._problem = facts, None
        self.about.setText(str(facts))
        self.factsChanged.emit()

    def _on_failed(self, error: Exception) -> None:
        problem = as_problem(error)
        self._facts, self._problem = None, str(problem or f"The device could not be looked at: {error}")
        self.about.setText(f"⚠ {self._problem}")
        self.factsChanged.emit()


def _box(words: dict[str, str], tip: str) -> ChoiceBox:
    box = ChoiceBox()
    for value, text in words.items():
        box.addItem(text, value)
    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setToolTip(f"<qt>{tip}</qt>")
    return box
