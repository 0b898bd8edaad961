"""Forms show what recipes state, and give back what was given and nothing else."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_scutoid.recipe import Cleanup, Normalise, Partition, Predict, Rescale, Watershed
from napari_scutoid.recipe.train import Augment, Loss, Optimise, Sampling, Scoring, Split, TrainRecipe, Transfer
from napari_scutoid.ui.editors import editor_for
from napari_scutoid.ui.form import Form

KINDS = (
    *(Normalise, Rescale, Predict, Watershed, Partition, Cleanup),
    *(Sampling, Augment, Loss, Optimise, Split, Transfer, Scoring, TrainRecipe),
)
GIVEN = (
    Normalise(low_percentile=12.25, method="zscore"),
    Rescale(mode="factors", factors=(0.25, 0.125, 0.16235)),
    Rescale(cell_diameter=None),
    Predict(tile=(16, 32, 2048), gate="off"),
    Cleanup(min_size=99_999_999.0, fill_holes=False),
    Optimise(learning_rate=2.5e-5, minutes=0.1, patience=None, seed=2**31 - 1),
    Optimise(minutes=None, epochs=100_000),
    TrainRecipe(outputs=("foreground", "seeds"), activation="softmax"),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_untouched_form_sets_nothing_and_shows_the_defaults(qtbot, kind):
    form = Form(kind)
    qtbot.addWidget(form)
    assert form.value() == kind() and form.value().model_fields_set == set()
    assert {name: editor.value() for name, editor in form.editors.items()} == {
        name: getattr(kind(), name) for name in form.editors
    }
    assert form.problem() is None


@pytest.mark.parametrize("part", GIVEN, ids=repr)
def test_round_trip_keeps_every_digit_and_what_was_set(qtbot, part):
    form = Form(type(part))
    qtbot.addWidget(form)
    form.setValue(part)
    assert form.value() == part and form.value().model_fields_set == part.model_fields_set
    assert {name: form.editors[name].value() for name in part.model_fields_set} == part.model_dump(
        include=part.model_fields_set
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_editors_keep_to_the_bounds_of_the_recipe(qtbot, kind):
    form = Form(kind)
    qtbot.addWidget(form)
    for editor in form.editors.values():
        for box in [getattr(editor, "box", None), *getattr(editor, "boxes", ())]:
            if hasattr(box, "setMaximum"):
                for extreme in (box.minimum(), box.maximum()):
                    box.setValue(extreme)
    problem = form.problem()
    # Each field by itself is within its bounds; all extremes together may contradict each other, as words do.
    assert problem is None or ("less than" not in problem and "greater than" not in problem)


def test_editing_by_hand_marks_a_setting_as_given_and_the_arrow_takes_it_back(qtbot):
    form = Form(Watershed, ["boundary_threshold", "seed_sigma"])
    qtbot.addWidget(form)
    form.setBase(Watershed(boundary_threshold=0.25))
    assert form.editors["boundary_threshold"].value() == 0.25
    form.show()
    with qtbot.waitSignal(form.valueChanged):
        form.editors["boundary_threshold"].box.setValue(0.75)
    assert form.value().model_dump(exclude_unset=True) == {"boundary_threshold": 0.75}
    assert form.effective().boundary_threshold == 0.75
    assert form.labels["boundary_threshold"].font().bold() and not form.labels["seed_sigma"].font().bold()
    arrow = form._back["boundary_threshold"]
    assert arrow.isVisible() and not form._back["seed_sigma"].isVisible()
    with qtbot.waitSignal(form.valueChanged):
        qtbot.mouseClick(arrow, Qt.MouseButton.LeftButton)
    assert form.given() == frozenset() and form.editors["boundary_threshold"].value() == 0.25
    assert form.effective().boundary_threshold == 0.25


def test_setting_values_is_silent(qtbot):
    form = Form(Rescale)
    qtbot.addWidget(form)
    with qtbot.assertNotEmitted(form.valueChanged):
        form.setValue(Rescale(mode="factors", factors=(0.5, 0.5, 0.5), cell_diameter=20.0))
        form.setBase(Rescale(order=3))
    assert form.effective().order == 3


def test_settings_that_contradict_each_other_are_a_problem_in_words(qtbot):
    form = Form(Rescale)
    qtbot.addWidget(form)
    form.editors["mode"].box.setCurrentText("factors")
    assert "needs factors" in (form.problem() or "")
    with pytest.raises(ValidationError):
        form.value()
    form.editors["factors"].given.setChecked(True)
    assert form.problem() is None


def test_optional_number_says_automatic_below_its_smallest_value(qtbot):
    form = Form(Rescale, ["cell_diameter"])
    qtbot.addWidget(form)
    box = form.editors["cell_diameter"].box
    assert box.text() == "automatic" and form.value().cell_diameter is None
    box.setValue(2.0)
    assert form.value().cell_diameter == 2.0 and box.text() == "2 voxels"


def test_tooltips_and_titles_are_those_of_the_recipe(qtbot):
    form = Form(Partition)
    qtbot.addWidget(form)
    assert form.labels["weak_wall"].text() == "Weak wall"
    assert Partition.model_fields["weak_wall"].description in form.editors["weak_wall"].toolTip()


def test_only_some_rows_are_shown(qtbot):
    form = Form(Partition)
    qtbot.addWidget(form)
    form.show()
    form.show_only(["method", "beta"])
    assert [name for name, label in form.labels.items() if label.isVisible()] == ["method", "beta"]
    assert form.editors["beta"].isVisible() and not form.editors["weak_wall"].isVisible()


def test_the_wheel_changes_a_number_only_after_a_click(qtbot, monkeypatch):
    from qtpy.QtCore import QPoint, QPointF
    from qtpy.QtGui import QWheelEvent
    from qtpy.QtWidgets import QApplication

    form = Form(Watershed, ["seed_sigma"])
    qtbot.addWidget(form)
    form.show()
    box = form.editors["seed_sigma"].box
    monkeypatch.setattr(type(box), "hasFocus", lambda _: False)

    def turn():
        event = QWheelEvent(
            QPointF(2, 2),
            QPointF(2, 2),
            QPoint(0, 0),
            QPoint(0, 120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(box, event)

    before = box.value()
    turn()
    assert box.value() == before
    # Without a window manager no window is active, and so no widget has the keyboard.
    monkeypatch.setattr(type(box), "hasFocus", lambda _: True)
    turn()
    assert box.value() > before


def test_there_is_no_editor_for_what_no_recipe_holds():
    with pytest.raises(TypeError, match="no editor"):
        editor_for({"type": "object"})


def test_labels_are_buddies_of_their_editors(qtbot):
    form = Form(Cleanup)
    qtbot.addWidget(form)
    buddies = [label.buddy() for label in form.findChildren(QLabel) if label in form.labels.values()]
    assert buddies == list(form.editors.values())
