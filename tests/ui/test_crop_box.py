from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_scutoid.ui.crop_box import NAME, SLICES_FIRST, CropBox

SHAPE = (6, 20, 30)
BOX = (slice(1, 5), slice(3, 18), slice(0, 12))


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def image(viewer):
    return viewer.add_image(np.zeros(SHAPE, np.uint8), scale=(0.5, 0.2, 0.4), translate=(1, 2, 3), name="gland")


@pytest.fixture
def crop(qtbot, viewer, image):
    made = CropBox(viewer)
    qtbot.addWidget(made)
    made.setImage(image)
    return made


def rectangle(low, high):
    """Return the corners of a rectangle, as napari has them after drawing."""
    return np.array([(low[0], low[1]), (low[0], high[1]), (high[0], high[1]), (high[0], low[1])], float)


def draw(qtbot, crop, *shapes):
    """Do to the layer what drawing with the mouse does."""
    with qtbot.waitSignal(crop.valueChanged):
        crop.overlay.layer.data = [(shape, "rectangle") for shape in shapes]


def test_a_box_comes_back_and_is_shown(qtbot, crop, viewer):
    with qtbot.assertNotEmitted(crop.valueChanged):
        crop.setValue(BOX)
    assert crop.value() == BOX
    assert crop.note.text() == "4 × 15 × 12 of 6 × 20 × 30 voxels."
    layer = viewer.layers[NAME]
    # The rectangle runs around the voxels, over all slices, and lies where the image does.
    np.testing.assert_allclose(layer.data[0].min(axis=0), (2.5, -0.5))
    np.testing.assert_allclose(layer.data[0].max(axis=0), (17.5, 11.5))
    assert layer.ndim == 2
    assert tuple(layer.scale) == (0.2, 0.4) and tuple(layer.translate) == (2, 3)
    crop.setValue(None)
    assert crop.value() is None
    assert NAME not in viewer.layers


def test_typed_numbers_count(qtbot, crop, viewer):
    with qtbot.waitSignal(crop.valueChanged):
        crop.boxes["z", "from"].setValue(2)
    assert crop.value() == (slice(2, 6), slice(0, 20), slice(0, 30))
    assert NAME not in viewer.layers
    crop.boxes["x", "from"].setValue(20)
    crop.boxes["x", "to"].setValue(10)
    assert crop.value() is None
    assert crop.problem() == "Nothing is left along x: “from” lies behind “to”."


def test_the_view_is_kept_with_the_slices_that_were_chosen(qtbot, crop, image):
    crop.boxes["z", "to"].setValue(3)
    image.corner_pixels = np.array([(0, 4, 5), (0, 9, 29)])
    with qtbot.waitSignal(crop.valueChanged):
        crop.view_button.click()
    assert crop.value() == (slice(0, 4), slice(4, 10), slice(5, 30))


@pytest.mark.parametrize("button", ["view_button", "draw_button"])
def test_in_3d_or_on_turned_axes_it_asks_for_slices(crop, viewer, button):
    viewer.dims.ndisplay = 3
    getattr(crop, button).click()
    assert crop.note.text() == SLICES_FIRST
    viewer.dims.ndisplay = 2
    viewer.dims.order = (1, 0, 2)
    getattr(crop, button).click()
    assert crop.note.text() == SLICES_FIRST
    assert crop.value() is None and NAME not in viewer.layers


def test_a_drawn_rectangle_holds_the_voxels_whose_centres_it_does(qtbot, crop, viewer):
    crop.draw_button.click()
    assert viewer.layers[NAME].mode == "add_rectangle"
    draw(qtbot, crop, rectangle((2.6, 4.2), (9.4, 11.0)))
    assert crop.value() == (slice(0, 6), slice(3, 10), slice(5, 12))
    assert viewer.layers[NAME].mode == "select"
    # Dragged out of the image, it ends at the image's border; drawn again, the last one counts.
    draw(qtbot, crop, rectangle((-50, 5), (10, 500)))
    assert crop.value() == (slice(0, 6), slice(0, 11), slice(5, 30))
    draw(qtbot, crop, rectangle((0, 0), (9, 9)), rectangle((10, 10), (15, 15)))
    assert crop.value() == (slice(0, 6), slice(10, 16), slice(10, 16))
    assert len(viewer.layers[NAME].data) == 1


def test_a_rectangle_beside_the_image_keeps_nothing_back(qtbot, crop, viewer):
    crop.draw_button.click()
    draw(qtbot, crop, rectangle((100, 100), (110, 110)))
    assert crop.value() is None
    assert "holds no voxel" in crop.note.text()


def test_removing_the_rectangle_is_taking_the_crop_back(qtbot, crop, viewer):
    crop.setValue(BOX)
    with qtbot.waitSignal(crop.valueChanged):
        viewer.layers.remove(NAME)
    assert crop.value() == (slice(1, 5), slice(0, 20), slice(0, 30))


def test_a_box_outlives_another_channel_but_not_another_stack(crop, viewer):
    crop.setValue(BOX)
    crop.setImage(viewer.add_image(np.zeros(SHAPE, np.uint8), scale=(1, 3, 3)))
    assert crop.value() == BOX
    assert tuple(viewer.layers[NAME].scale) == (3, 3)
    crop.setImage(viewer.add_image(np.zeros((4, 5, 6), np.uint8)))
    assert crop.value() is None and crop.problem() is None
    assert NAME not in viewer.layers
    crop.setImage(None)
    assert not crop.isEnabled()
