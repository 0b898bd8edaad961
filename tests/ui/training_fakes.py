"""A program that trains nothing, so that the window for training is tested without networks, files or waiting."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.pairs import Found, Pair
from napari_scutoid.progress import Progress
from napari_scutoid.training.check import StackReport
from napari_scutoid.training.compare import ChangedCell, Comparison, StackComparison
from napari_scutoid.ui.train_core import TrainCore
from napari_scutoid.volume import Labels, Volume

if TYPE_CHECKING:
    from collections.abc import Generator

SHAPE = (4, 8, 8)


@dataclass(frozen=True)
class FakeMaterial:
    name: str
    image: Volume
    labels: Labels


@dataclass(frozen=True)
class FakeRoles:
    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...] = ()


@dataclass
class FakeLook:
    name: str = "b"
    z: int = 2
    image: Any = field(default_factory=lambda: np.ones((8, 8), np.float16))
    labels: Any = field(default_factory=lambda: np.ones((8, 8), np.uint32))
    maps: Any = field(default_factory=lambda: {"foreground": np.ones((8, 8), np.float32)})


@dataclass
class FakeEpoch:
    number: int
    best: bool
    record: dict[str, float | None]
    look: Any = field(default_factory=FakeLook)


@dataclass
class FakeTrained:
    best_epoch: int
    records: tuple[int, ...]


@dataclass
class FakeModel:
    trained: FakeTrained
    messages: tuple[str, ...] = ("Post-processing tuned on 1 validation stack",)


@dataclass
class FakeTrainer:
    """Doors that answer at once, and remember what they were asked."""

    home: Path
    unusable: dict[str, str] = field(default_factory=dict)
    fail_with: Exception | None = None
    hold: bool = False
    calls: list[tuple[str, Any]] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)

    def core(self) -> TrainCore:
        return TrainCore(
            *(self.find_pairs, self.open_pair, FakeMaterial, self.check, self.split, self.train, self.preview),
            *(self.compare, self.adopt, self.models, lambda: self.home / "models"),
        )

    def called(self, name: str) -> list[Any]:
        return [value for call, value in self.calls if call == name]

    def find_pairs(self, path: Path) -> Found:
        if path.suffix:
            return Found((self.pair(path),), ())
        names = ("a", "b", "c")
        return Found(tuple(self.pair(path / f"{name}.h5") for name in names), ((path / "notes.txt", "no stack"),))

    @staticmethod
    def pair(path: Path) -> Pair:
        return Pair(path.stem, path, "raw", path, "label")

    def open_pair(self, pair: Pair) -> tuple[Volume, Labels]:
        if pair.name in self.unusable:
            raise ScutoidError("It could not be opened", self.unusable[pair.name], "do something")
        cells = np.ones(SHAPE, np.uint32)
        cells.flat[:6] = range(6)
        return Volume(np.zeros(SHAPE)), Labels(cells)

    def check(self, material: FakeMaterial, ignore: int | None) -> Generator[Progress, None, StackReport]:
        self.calls.append(("check", (material.name, ignore)))
        yield Progress("Counting cells")
        return StackReport(20, ("only 20 cells",) if material.name == "b" else ())

    def split(self, names: list[str]) -> FakeRoles:
        return FakeRoles(tuple(names[:1] + names[2:]), tuple(names[1:2]))

    def train(self, stacks: list[FakeMaterial], recipe: Any, folder: Path, **settings: Any) -> Any:
        self.calls.append(("train", (stacks, recipe, folder, settings)))
        (folder / "training" / "run.pt").touch()
        try:
            for number in range(3):
                if number == 2:
                    (folder / "config.json").touch()
                record = {"epoch": number, "train_loss": 0.5 / (1 + number), "ap50": 0.3 * number}
                settings["on_epoch"](FakeEpoch(number, number != 1, record))
                yield Progress("Training", number, 3)
                self.held.set()
                while self.hold:
                    yield Progress("Training", number, 3)
                if self.fail_with is not None:
                    raise self.fail_with
        finally:
            self.closed.set()
        return FakeModel(FakeTrained(2, (0, 1, 2)))

    def preview(self, materials: list[FakeMaterial], recipe: Any, ignore: int | None) -> Any:
        from PIL import Image

        self.calls.append(("preview", ([one.name for one in materials], recipe, ignore)))
        yield Progress("Drawing samples")
        return Image.new("RGB", (40, 30), (1, 2, 3))

    def compare(self, old: str, new: Path, stacks: list[Any], **settings: Any) -> Any:
        self.calls.append(("compare", (old, new, [opened().name for opened in stacks], settings)))
        yield Progress("Comparing")
        cells = (ChangedCell(3, (1.0, 2.0, 3.4)), ChangedCell(5, (2.0, 2.0, 2.0)))
        one = StackComparison("b", 20, 19, 20, 17, cells, cells[:1])
        return Comparison(old, new.name, (one,))

    def adopt(self, folder: Path, target: Path) -> None:
        self.calls.append(("adopt", (folder, target)))
        target.mkdir(parents=True)

    def models(self) -> dict[str, Path]:
        shelf = self.home / "models"
        own = {path.name: path for path in sorted(shelf.iterdir())} if shelf.is_dir() else {}
        return {"builtin": Path("builtin"), **own}
