"""What is corrected finds its image and its walls by itself, and says what is missing."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_scutoid.ui import layers
from napari_scutoid.ui.session_start import SessionStart
from napari_scutoid.volume import Labels, Source, Volume, VoxelSize

SIZE = VoxelSize(0.5, 0.25, 0.25)
SHAPE = (4, 8, 10)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def start(qtbot, viewer):
    made = SessionStart(viewer)
    qtbot.addWidget(made)
    return made


def add_image(viewer, name="gland", shape=SHAPE):
    volume = Volume(np.ones(shape, np.uint8), SIZE, source=Source(f"/stacks/{name}.h5", "raw"))
    return layers.add_image(viewer, layers.Shown(volume, (0.0, 1.0)), name), volume


def add_cells(viewer, name="gland"):
    labels = Labels(np.ones(SHAPE, np.uint32), SIZE, source=Source(f"/stacks/{name}.h5", "raw"))
    return layers.add_labels(viewer, labels, f"{name} cells", {})


def add_walls(viewer, image, volume):
    half = Volume(np.ones((2, 4, 5), np.float32), VoxelSize(1.0, 0.5, 0.5))
    layers.add_probability(viewer, half, volume, f"{image.name} foreground")
    return layers.add_probability(viewer, half, volume, f"{image.name} boundary")


def test_an_empty_viewer_says_what_to_open(start):
    assert start.value()[:3] == (None, None, None)
    assert start.problem().startswith("Open labels first")


def test_what_segment_left_is_chosen_by_itself(start, viewer):
    other, _ = add_image(viewer, "other")
    image, volume = add_image(viewer)
    walls = add_walls(viewer, image, volume)
    cells = add_cells(viewer)
    assert start.value()[:3] == (cells, image, walls)
    assert start.problem() is None
    start.image.setValue(other)
    assert start.value()[1] is other


def test_what_comes_later_is_taken_too_unless_somebody_chose(start, viewer):
    cells = add_cells(viewer)
    assert start.value()[:3] == (cells, None, None)
    image, volume = add_image(viewer)
    walls = add_walls(viewer, image, volume)
    assert start.value()[1:3] == (image, walls)
    start.setValue(cells, None, None, "Ana")
    add_image(viewer, "other")
    assert start.value() == (cells, None, None, "Ana")


def test_only_walls_of_this_stack_are_chosen_among_several(start, viewer):
    for name in ("a", "gland"):
        image, volume = add_image(viewer, name)
        walls = add_walls(viewer, image, volume)
    cells = add_cells(viewer)
    assert start.labels.value() is cells and start.walls.value() is walls
    add_cells(viewer, "somebody")
    start.labels.setValue(viewer.layers[-1])
    assert start.walls.value() is None


def test_what_cannot_be_corrected_is_refused_beside_the_field(start, viewer):
    viewer.add_labels(np.ones((4, 4), int))
    assert "three axes" in start.problem() and "three axes" in start.labels_note.text()
    viewer.layers.clear()
    add_cells(viewer)
    assert start.labels_note.isHidden()
    start.author.setText(" ")
    assert "Enter your name" in start.problem()


def test_what_was_found_is_said(start):
    assert start.found_note.isHidden()
    start.setFound("41 edits by Ana are beside it.")
    assert not start.found_note.isHidden()
