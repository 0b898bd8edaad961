"""What the training window draws: curves, pictures, and the comparison of two models."""

from __future__ import annotations

import numpy as np
import pytest

from napari_scutoid.picture.curves import BLUE, ORANGE
from napari_scutoid.training.compare import ChangedCell, Comparison, StackComparison
from napari_scutoid.ui.comparison import ComparisonTable
from napari_scutoid.ui.learning_curves import LearningCurves
from napari_scutoid.ui.slice_preview import PictureWindow, SlicePreview

CELLS = tuple(ChangedCell(number, (number, 2.0, 3.0)) for number in range(1, 61))


def colours(widget) -> set[tuple[int, int, int]]:
    image = widget.grab().toImage()
    return {image.pixelColor(x, y).getRgb()[:3] for x in range(image.width()) for y in range(image.height() // 2)}


def test_curves_are_drawn_where_there_are_numbers(qtbot):
    curves = LearningCurves()
    qtbot.addWidget(curves)
    curves.resize(200, 240)
    curves.setValue([{"epoch": 0, "train_loss": None, "valid_loss": 0.4, "ap50": None}])
    # A curve is broader than the letters of its name, which are drawn with soft edges.
    assert ORANGE in colours(curves)
    curves.add({"epoch": 1, "train_loss": 0.5, "valid_loss": float("nan")}, best=True)
    curves.add({"epoch": 2, "train_loss": 0.3, "valid_loss": 0.2}, best=False)
    assert BLUE in colours(curves) and curves.best == 1
    curves.add({"epoch": 1, "train_loss": 0.45}, best=False)
    assert [row["epoch"] for row in curves.value()] == [0, 1] and curves.value()[1]["train_loss"] == 0.45


def test_a_picture_keeps_its_shape_and_can_be_seen_large(qtbot):
    preview = SlicePreview("Slice")
    qtbot.addWidget(preview)
    assert preview.enlarge() is None
    picture = np.zeros((20, 60, 3), np.uint8)
    picture[:, :20] = (255, 0, 0)
    preview.setValue(picture)
    assert preview.heightForWidth(300) == 100 and preview.value() is picture
    preview.resize(300, 100)
    assert preview.grab().toImage().pixelColor(10, 50).getRgb()[:3] == (255, 0, 0)
    window = preview.enlarge()
    assert isinstance(window, PictureWindow) and window.label.pixmap().width() == 960
    window.close()
    preview.setValue(None)
    assert preview.isHidden() and preview.heightForWidth(300) == 0


@pytest.mark.parametrize(
    ("fixed", "broken", "verdict"), [(3, 1, "better"), (1, 3, "worse"), (2, 2, "neither better nor worse")]
)
def test_the_comparison_says_which_model_is_better(qtbot, fixed, broken, verdict):
    table = ComparisonTable()
    qtbot.addWidget(table)
    one = StackComparison("a", 10, 9, 10, 5, CELLS[:fixed], CELLS[10 : 10 + broken])
    table.setValue(Comparison("old", "new", (one,)), "training")
    assert f"new is {verdict} than old: {fixed} cells fixed, {broken} broken, of 10" in table.summary.text()
    assert "on others it will be less good" in table.summary.text()
    assert table.table.rowCount() == 1 and table.table.item(0, 4).text() == str(fixed)


def test_the_cells_of_a_stack_are_listed(qtbot):
    table = ComparisonTable()
    qtbot.addWidget(table)
    one, other = StackComparison("a", 60, 60, 60, 0, CELLS, ()), StackComparison("b", 0, 0, 0, 0, (), ())
    table.setValue(Comparison("old", "new", (one, other)))
    assert table.table.rowCount() == 3 and table.table.item(1, 2).text() == "–"
    table.table.selectRow(0)
    assert "Fixed: 1 (z 1, y 2, x 3), 2 (" in table.cells.text() and "and 20 more" in table.cells.text()
    assert table.cells.text().endswith("Broken: none")
    table.table.selectRow(2)
    assert table.cells.text() == "Click a stack to see which cells."
    table.setValue(None)
    assert table.isHidden() and table.value() is None and table.cells.text() == ""
