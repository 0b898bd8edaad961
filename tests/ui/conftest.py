"""A program made of fakes, so that the widget is tested without files, models or waiting."""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_scutoid.errors import ScutoidError
from napari_scutoid.estimate import Estimate, Forecast
from napari_scutoid.io.format import DatasetInfo, FileInfo
from napari_scutoid.network.card import ModelCard
from napari_scutoid.network.config import ModelConfig
from napari_scutoid.pace import Parts
from napari_scutoid.progress import Progress
from napari_scutoid.recipe import Normalise
from napari_scutoid.steps.cell_size import CellSize
from napari_scutoid.ui.core import Core
from napari_scutoid.volume import Labels, Origin, Source, Volume, VoxelSize

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Predict, Recipe

SIZE = VoxelSize(0.5, 0.25, 0.25)
SHAPE = (6, 16, 20)


@pytest.fixture
def qtbot(qtbot: Any) -> Any:
    """Wait as long as a busy machine may need, and no longer than it takes."""
    for name in ("waitUntil", "waitSignal"):
        setattr(qtbot, name, functools.partial(getattr(qtbot, name), timeout=60_000))
    _release_keys()
    return qtbot


def _release_keys() -> None:
    """Let go of Shift and Ctrl: Qt takes the keys of the last click, of another test's too, for those that are held."""
    from qtpy.QtCore import Qt
    from qtpy.QtGui import QGuiApplication
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QWidget

    QTest.keyRelease(QWidget(), Qt.Key.Key_Shift)
    assert QGuiApplication.keyboardModifiers() == Qt.KeyboardModifier.NoModifier


@pytest.fixture
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember nobody's choices, not even those of another test."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@dataclass
class FakeResult:
    labels: Labels
    probabilities: dict[str, Volume]
    provenance: dict[str, Any]
    kept: Any = None
    facts: tuple[str, ...] = ("Estimated cell diameter: 16.0 voxels.",)

    @property
    def warnings(self) -> list[str]:
        return list(self.provenance["warnings"])


@dataclass(frozen=True)
class FakeDevice:
    """A processor that is not there."""

    device: str = "cpu"
    precision: str = "fp32"

    def __str__(self) -> str:
        return "Processor, 7 threads. 32-bit: bf16 is no faster here."


@dataclass
class FakeProgram:
    """Doors that answer at once, and remember what they were asked."""

    voxel_size: VoxelSize | None = SIZE
    fail_with: Exception | None = None
    hold: bool = False
    calls: list[tuple[str, Any]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    closed: threading.Event = field(default_factory=threading.Event)
    running: threading.Event = field(default_factory=threading.Event)

    def core(self) -> Core:
        return Core(
            self.inspect,
            self.open_volume,
            self.run,
            self.save_result,
            models=self.models,
            describe_device=self.describe_device,
            forecast=self.forecast,
        )

    def _note(self, name: str, value: Any) -> None:
        self.calls.append((name, value))
        self.threads.add(threading.get_ident())

    def called(self, name: str) -> list[Any]:
        return [value for call, value in self.calls if call == name]

    def inspect(self, path: Path) -> FileInfo:
        self._note("inspect", path)
        if self.fail_with is not None:
            raise self.fail_with
        return FileInfo(
            str(path),
            "fake",
            (
                DatasetInfo("label", SHAPE, "ZYX", "uint16", self.voxel_size, "labels", "few whole numbers"),
                DatasetInfo("raw", SHAPE, "ZYX", "uint8", self.voxel_size, "image", "many grey values"),
                DatasetInfo("flat", SHAPE[1:], "YX", "uint8", self.voxel_size, "other", "two axes"),
                DatasetInfo("two", (2, *SHAPE), "CZYX", "uint8", self.voxel_size, "image", "two channels"),
            ),
        )

    def open_volume(self, path: Path, dataset: str, **choice: Any) -> Volume:
        self._note("open", (path, dataset, choice))
        data = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
        return Volume(data, choice["voxel_size_um"] or self.voxel_size, source=Source(str(path), dataset))

    def models(self, more: Sequence[str]) -> list[ModelCard]:
        self._note("models", list(more))
        own = Normalise(stabilise="log")
        usable = ModelConfig(name="builtin", description="Walls of fake cells.", normalise=own)
        return [
            ModelCard("builtin", usable, None),
            *(ModelCard(one, None, f"{one} is damaged.") for one in more if one != "builtin"),
        ]

    def describe_device(self, settings: Predict) -> Any:
        self._note("device", settings)
        if settings.device == "cuda":
            raise ScutoidError("Device cuda cannot be used", "there is none", "choose auto")
        return FakeDevice()

    def forecast(self, volume: Volume, recipe: Recipe, config: Any, cell_size: Any) -> Steps[Forecast]:
        self._note("forecast", (volume, recipe, cell_size))
        yield Progress("Timing the network")
        estimate = Estimate(Parts(10.0, 60.0, 20.0), 150.0, 2 * 10**9, (3, 8, 10), ("The cells are small.",))
        return Forecast(estimate, FakeDevice(), CellSize(16.0, 1.0, 0.1), 10**9)  # type: ignore[arg-type]

    def run(self, volume: Volume, recipe: Any, model: str) -> Generator[Progress, None, FakeResult]:
        self._note("run", (volume, recipe, model))
        try:
            for tile in range(3):
                yield Progress("Predicting", tile, 3)
            self.running.set()
            while self.hold:
                yield Progress("Predicting", 3, 3)
            if self.fail_with is not None:
                raise self.fail_with
        finally:
            self.closed.set()
        data = np.zeros(volume.shape, np.uint32)
        data[:, 2:8, 2:8] = 1
        data[:, 2:8, 10:16] = 2
        half = tuple(n // 2 for n in volume.shape)
        size = volume.voxel_size_um
        coarse = Volume(
            np.ones(half, np.float32),
            None if size is None else VoxelSize(*(2 * edge for edge in size)),
            Origin(*(0.5 * edge for edge in size)) if size else Origin(0.25, 0.25, 0.25),
            source=volume.source,
        )
        labels = Labels(data, size, volume.origin_um, volume.source)
        told = {
            "warnings": ["The voxel size is odd."],
            "cells": {"n": 2},
            "prediction": {"device": "cpu", "precision": "fp32", "pass_voxels": 4096, "tile": [16, 16, 16]},
        }
        return FakeResult(labels, {"foreground": coarse, "boundary": coarse}, told)

    def save_result(self, path: Path, labels: Labels, probabilities: dict[str, Volume], provenance: Any) -> None:
        self._note("save", (path, labels, probabilities, provenance))


@pytest.fixture
def program() -> Iterator[FakeProgram]:
    fake = FakeProgram()
    yield fake
    fake.hold = False


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    """Every job must have ended soon after its test."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("scutoid"):
            thread.join(20)
            assert not thread.is_alive(), f"{thread.name} still runs"


@pytest.fixture
def told() -> Iterator[list[str]]:
    """Return the texts of the napari notifications so far."""
    from napari.utils.notifications import notification_manager

    texts: list[str] = []

    def listen(event: Any) -> None:
        texts.append(str(event.message))

    notification_manager.notification_ready.connect(listen)
    yield texts
    notification_manager.notification_ready.disconnect(listen)
