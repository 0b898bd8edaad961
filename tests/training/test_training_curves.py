"""Learning curves of a run: whole at any moment, and without what a killed run had written too much."""

from __future__ import annotations

from PIL import Image

from napari_scutoid.io.learning_curves import read_curves
from napari_scutoid.network.train import Epoch
from napari_scutoid.training.curves import Curves
from tiny_training import a_network


def epoch(number: int, **scores) -> Epoch:
    record = {"epoch": number, "steps": 3 * number, "seconds": 1.5, "learning_rate": 0.01, "train_loss": None}
    return Epoch(number, record | scores, False, a_network())


def test_each_epoch_is_a_row_and_a_new_picture(tmp_path):
    curves = Curves(tmp_path / "training", ("lumen",))
    curves.add(epoch(0))
    pictures = [(curves.folder / "curves.png").read_bytes()]
    curves.add(epoch(1, train_loss=0.5, iou_lumen=0.75, miou=0.75, wrong_cells=3, ap50=0.25))
    pictures.append((curves.folder / "curves.png").read_bytes())
    start, row = read_curves(curves.folder / "curves.csv")
    assert start.train_loss is None and start.iou == {"lumen": None}
    assert row.iou == {"lumen": 0.75} and row.wrong_cells == 3 and row.ap50 == 0.25
    assert pictures[0] != pictures[1]
    with Image.open(curves.folder / "curves.png") as picture:
        picture.load()
    assert sorted(path.name for path in curves.folder.iterdir()) == ["curves.csv", "curves.png"]


def test_a_resumed_run_goes_on_where_its_file_stopped(tmp_path):
    curves = Curves(tmp_path, ("lumen",))
    for number in range(3):
        curves.add(epoch(number, train_loss=1.0 + number))
    again = Curves(tmp_path, ("lumen",), 1)
    assert [record.epoch for record in again.records] == [0, 1]
    again.add(epoch(2, train_loss=9.0))
    assert [row.train_loss for row in read_curves(tmp_path / "curves.csv")] == [1.0, 2.0, 9.0]
    assert Curves(tmp_path, ("lumen",)).records == []
