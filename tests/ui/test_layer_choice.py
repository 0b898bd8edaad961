from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_scutoid.ui import layers
from napari_scutoid.ui.layer_choice import NOTHING, LayerChoice

STACK = np.zeros((4, 6, 8), np.uint8)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def choice(qtbot, viewer):
    made = LayerChoice(viewer)
    qtbot.addWidget(made)
    return made


def entries(choice):
    return [choice.box.itemText(i) for i in range(choice.box.count())]


def test_an_empty_viewer_offers_nothing_and_says_what_to_do(choice):
    assert choice.value() is None
    assert choice.problem() == "Open an image first."
    assert not choice.box.isEnabled()


def test_the_list_follows_the_viewer_and_the_choice_its_layer(qtbot, choice, viewer):
    first = viewer.add_image(STACK, name="a")
    assert choice.value() is first
    with qtbot.assertNotEmitted(choice.valueChanged):
        second = viewer.add_image(STACK, name="b")
        first.name = "renamed"
        viewer.layers.reverse()
    assert entries(choice) == ["b", "renamed"]
    assert choice.value() is first
    assert choice.box.currentText() == "renamed"
    with qtbot.waitSignal(choice.valueChanged):
        viewer.layers.remove(first)
    assert choice.value() is second
    with qtbot.waitSignal(choice.valueChanged):
        viewer.layers.clear()
    assert choice.value() is None


def test_a_value_that_was_set_is_the_value(qtbot, choice, viewer):
    _, second = viewer.add_image(STACK), viewer.add_image(STACK)
    with qtbot.waitSignal(choice.valueChanged):
        choice.setValue(second)
    assert choice.value() is second
    choice.setValue(viewer.add_labels(STACK))
    assert choice.value() is second


def test_only_layers_of_the_kind_are_listed(qtbot, choice, viewer):
    viewer.add_image(STACK, name="image")
    viewer.add_labels(STACK, name="cells")
    viewer.add_points(ndim=3)
    viewer.add_image(STACK, name="boundary", metadata={layers.METADATA: {"kind": "probability"}})
    labels = LayerChoice(viewer, "labels")
    qtbot.addWidget(labels)
    assert entries(choice) == ["image"]
    assert entries(labels) == ["cells"]


def test_optional_labels_are_chosen_only_by_hand(qtbot, viewer):
    cells = viewer.add_labels(STACK, name="cells")
    choice = LayerChoice(viewer, "labels", optional=True)
    qtbot.addWidget(choice)
    assert entries(choice) == [NOTHING, "cells"]
    assert choice.value() is None
    assert choice.problem() is None
    choice.setValue(cells)
    viewer.layers.remove(cells)
    assert choice.value() is None


@pytest.mark.parametrize(
    ("data", "more", "reason"),
    [
        (np.zeros((6, 8), np.uint8), {}, "three axes"),
        (np.zeros((4, 6, 8, 3), np.uint8), {"rgb": True}, "colour picture"),
        (STACK, {"shear": [0.5, 0, 0]}, "sheared"),
    ],
)
def test_what_is_no_stack_is_refused_by_name_and_passed_over(choice, viewer, data, more, reason):
    viewer.add_image(data, name="odd", **more)
    assert "“odd” cannot be used" in choice.problem()
    assert reason in choice.problem()
    viewer.layers.clear()
    viewer.add_image(data, name="odd", **more)
    good = viewer.add_image(STACK)
    choice.setValue(good)
    assert choice.problem() is None


def test_a_change_of_the_chosen_layer_is_told_and_of_others_not(qtbot, choice, viewer):
    chosen, other = viewer.add_image(STACK), viewer.add_image(STACK)
    for change in ({"data": STACK[1:]}, {"scale": (2, 1, 1)}, {"units": "um"}, {"translate": (1, 1, 1)}):
        ((name, value),) = change.items()
        with qtbot.waitSignal(choice.contentChanged):
            setattr(chosen, name, value)
        if name != "units":
            with qtbot.assertNotEmitted(choice.contentChanged):
                setattr(other, name, value)
    choice.setValue(other)
    with qtbot.assertNotEmitted(choice.contentChanged):
        chosen.scale = (3, 1, 1)


def test_two_viewers_have_two_lists(qtbot, choice, viewer):
    other = ViewerModel()
    second = LayerChoice(other)
    qtbot.addWidget(second)
    viewer.add_image(STACK, name="here")
    other.add_image(STACK, name="there")
    assert (entries(choice), entries(second)) == (["here"], ["there"])


def test_the_viewer_does_not_keep_a_closed_list_alive(viewer):
    choice = LayerChoice(viewer)
    # Without a name napari would look for one in this frame, and keep what it finds there.
    viewer.add_image(STACK, name="a")
    gone = weakref.ref(choice)
    del choice
    gc.collect()
    assert gone() is None
    viewer.add_image(STACK)
