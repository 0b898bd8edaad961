"""The training window: from stacks to a model that Segment offers, with pauses, failures and another day between."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QWidget
from training_fakes import FakeTrainer

from napari_scutoid.recipe import TrainRecipe, read_train_recipe
from napari_scutoid.ui import train as train_module
from napari_scutoid.ui.comparison_layers import BROKEN, FIXED
from napari_scutoid.ui.preferences import Preferences
from napari_scutoid.ui.train import TrainWidget
from napari_scutoid.ui.train_settings import TrainSettings


@pytest.fixture
def trainer(tmp_path):
    fake = FakeTrainer(tmp_path)
    yield fake
    fake.hold = False


@pytest.fixture
def make(qtbot, trainer, monkeypatch):
    monkeypatch.setattr(train_module, "preferences", lambda: Preferences(device="cpu"))

    def made():
        widget = TrainWidget(ViewerModel(), trainer.core())
        qtbot.addWidget(widget)
        return widget

    return made


@pytest.fixture
def widget(make, qtbot, tmp_path):
    widget = make()
    widget.stacks.add([tmp_path])
    idle(qtbot, widget)
    return widget


def idle(qtbot, widget):
    qtbot.waitUntil(lambda: not widget.is_busy)


def halted(qtbot, trainer, widget, how):
    trainer.hold = True
    widget.start()
    qtbot.waitUntil(trainer.held.is_set)
    how(widget)
    idle(qtbot, widget)
    trainer.hold = False
    trainer.held.clear()


def cancel(widget):
    widget.panel.cancel_button.click()


def test_opening_it_loads_nothing_heavy():
    code = """
import sys
from qtpy.QtWidgets import QApplication
application = QApplication([])
from napari.components import ViewerModel
from qtpy.QtWidgets import QWidget
before = set(sys.modules)
from napari_scutoid.ui.train import TrainWidget
widget = TrainWidget(ViewerModel())
print("loaded:", *[name for name in ("torch", "skimage", "h5py") if name in set(sys.modules) - before])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1].split() == ["loaded:"]


def test_nothing_to_train_on_is_said_beside_the_button(make):
    widget = make()
    assert widget.panel.reason.text() == "Add stacks with their cells first."
    assert not widget.train_button.isEnabled() and not widget.pause_button.isEnabled()
    assert not widget.recipe_bar.copy_button.isEnabled()


def test_from_stacks_to_a_model_that_can_be_chosen(qtbot, trainer, widget, tmp_path):
    assert widget.problem() is None and widget.train_button.isEnabled()
    widget.settings.budget.setValue({"minutes": 7})
    widget.start()
    assert not widget.stacks.isEnabled() and not widget.train_button.isEnabled()
    idle(qtbot, widget)

    ((stacks, recipe, folder, settings),) = trainer.called("train")
    assert [one.name for one in stacks] == ["a", "c"] and [one.name for one in settings["valid_on"]] == ["b"]
    assert folder == tmp_path / "training runs" / "my_model"
    assert recipe.optimise.minutes == 7 and recipe.split.valid_share == 0
    assert settings["device"] == "cpu" and settings["resume"] is False and settings["test_on"] == []
    assert [row["epoch"] for row in widget.curves.value()] == [0, 1, 2] and widget.curves.best == 2
    assert widget.look.value().shape == (8, 32, 3) and "b, slice 2" in widget.look_caption.text()
    assert "best epoch is 2 of 2" in widget.outcome.text() and "Post-processing tuned" in widget.outcome.text()

    ((old, new, compared, options),) = trainer.called("compare")
    assert (old, new, compared) == ("builtin", folder, ["b"])
    assert options == {"device": "cpu", "ignore": None, "names": ("builtin", "my_model")}
    assert widget.comparison.value().stacks[0].fixed[0].id == 3
    assert "my_model is better than builtin: 2 cells fixed, 1 broken, of 20" in widget.comparison.summary.text()
    assert "Adopt or discard" in widget.problem() and widget.adopt_button.isEnabled()

    with qtbot.waitSignal(widget.adopted) as signal:
        widget.adopt_button.click()
    assert signal.args == ["my_model"]
    idle(qtbot, widget)
    assert trainer.called("adopt") == [(folder, tmp_path / "models" / "my_model")]
    assert widget.settings.start.findText("my_model") > 0
    assert widget.name.text() == "my_model_2" and widget.problem() is None


def test_cells_that_only_one_model_finds_are_shown_over_their_stack(qtbot, widget):
    widget.start()
    idle(qtbot, widget)
    comparison, viewer = widget.comparison, widget._viewer
    assert not comparison.view_button.isEnabled()
    comparison.table.selectRow(0)
    comparison.view_button.click()
    idle(qtbot, widget)
    assert [layer.name for layer in viewer.layers] == ["b", "b fixed (green) and broken (red)"]
    cells = viewer.layers[1]
    assert set(np.unique(cells.data)) == {0, 3, 5}
    np.testing.assert_allclose(cells.get_color(5), FIXED, atol=0.01)
    np.testing.assert_allclose(cells.get_color(3), BROKEN, atol=0.01)
    assert viewer.dims.point[0] == pytest.approx(1.0)
    comparison.view_button.click()
    idle(qtbot, widget)
    assert len(viewer.layers) == 3


def test_no_model_is_replaced(qtbot, trainer, widget, told, tmp_path):
    widget.start()
    idle(qtbot, widget)
    (tmp_path / "models" / "my_model").mkdir(parents=True)
    widget.adopt_button.click()
    assert "there is a model of this name by now" in told[-1] and trainer.called("adopt") == []


def test_a_new_model_may_be_discarded_and_its_run_stays(qtbot, trainer, widget, tmp_path):
    widget.start()
    idle(qtbot, widget)
    widget.discard_button.click()
    assert trainer.called("adopt") == [] and widget.comparison.value() is None
    assert str(tmp_path / "training runs" / "my_model") in widget.outcome.text()
    assert (tmp_path / "training runs" / "my_model").is_dir() and widget.name.text() == "my_model_2"


@pytest.mark.parametrize("how", [TrainWidget.pause, cancel], ids=["pause", "cancel"])
def test_a_run_that_is_stopped_goes_on(qtbot, trainer, widget, how):
    halted(qtbot, trainer, widget, how)
    assert trainer.closed.is_set()
    assert widget.train_button.text() == "Resume" and widget.train_button.isEnabled()
    assert not widget.stacks.isEnabled() and not widget.settings.isEnabled()
    assert "No epoch was better than the start" in widget.outcome.text() and widget.keep_button.isHidden()
    widget.train_button.click()
    idle(qtbot, widget)
    first, second = trainer.called("train")
    assert second[3]["resume"] is True and second[2] == first[2] and second[1] == first[1]
    assert [row["epoch"] for row in widget.curves.value()] == [0, 1, 2]
    assert widget.comparison.value() is not None


def test_the_best_so_far_may_be_kept(qtbot, trainer, widget):
    halted(qtbot, trainer, widget, cancel)
    (widget._run.folder / "config.json").touch()
    widget._on_stopped()
    assert "The best so far is epoch 0" in widget.outcome.text()
    widget.keep_button.click()
    idle(qtbot, widget)
    assert len(trainer.called("compare")) == 1 and not widget.adopt_button.isHidden()


def test_a_failure_is_told_and_the_run_can_go_on(qtbot, trainer, widget, told):
    trainer.fail_with = RuntimeError("CUDA out of memory")
    widget.start()
    idle(qtbot, widget)
    assert any("CUDA out of memory" in text for text in told)
    assert widget.train_button.text() == "Resume" and widget.train_button.isEnabled()


def test_a_start_that_fails_leaves_the_window_ready(qtbot, trainer, widget, told):
    trainer.unusable["c"] = "the disk is gone"
    widget.start()
    idle(qtbot, widget)
    assert "the disk is gone" in told[-1]
    assert widget.train_button.text() == "Train" and widget.problem() is None


def test_another_day_the_run_goes_on(qtbot, trainer, widget, make, tmp_path):
    widget.stacks.setIgnored(9)
    widget.stacks.table.setRole("c", "test")
    widget.settings.budget.setValue({"epochs": 5})
    halted(qtbot, trainer, widget, TrainWidget.pause)
    folder = tmp_path / "training runs" / "my_model"
    other = make()
    assert other.name.text() == "my_model_2"
    other.open_run(folder)
    idle(qtbot, other)
    assert other.train_button.text() == "Resume" and other.name.text() == "my_model"
    other.start()
    idle(qtbot, other)
    first, second = trainer.called("train")
    assert second[1] == first[1] and second[2] == folder and second[3]["resume"] is True
    for name in ("valid_on", "test_on"):
        assert [one.name for one in second[3][name]] == [one.name for one in first[3][name]]
    assert second[3]["ignore"] == 9


@pytest.mark.parametrize("content", ["", "[]", '{"recipe": {}, "stacks": {"train": []}}'])
def test_what_is_no_run_is_not_opened(qtbot, widget, told, tmp_path, content):
    folder = tmp_path / "other"
    (folder / "training").mkdir(parents=True)
    (folder / "training" / "window.json").write_text(content)
    widget.open_run(folder)
    idle(qtbot, widget)
    assert "could not be opened" in told[-1] and widget.problem() is None


def test_a_run_on_layers_cannot_be_opened_another_day(qtbot, trainer, widget, told, tmp_path):
    halted(qtbot, trainer, widget, TrainWidget.pause)
    file = tmp_path / "training runs" / "my_model" / "training" / "window.json"
    asked = json.loads(file.read_text())
    asked["stacks"]["train"][0][1] = None
    file.write_text(json.dumps(asked))
    widget.discard()
    widget.open_run(file.parent.parent)
    idle(qtbot, widget)
    assert "a were layers" in told[-1]


def test_names_that_cannot_be(widget, tmp_path):
    for name, why in (("", "letters"), ("../x", "letters"), ("builtin", "There is a model named builtin already")):
        widget.name.setText(name)
        assert why in widget.problem() and not widget.train_button.isEnabled()
    (tmp_path / "training runs" / "old" / "training").mkdir(parents=True)
    (tmp_path / "training runs" / "old" / "training" / "run.pt").touch()
    widget.name.setText("old")
    assert "Open a run" in widget.problem()


def test_the_command_says_the_same(widget, tmp_path):
    widget.settings.setValue(TrainRecipe.model_validate({"augment": {"blur": 0.7}, "optimise": {"epochs": 3}}))
    words = shlex.split(widget.command())
    file = tmp_path / "training runs" / "my_model.yaml"
    a, b, c = (str(tmp_path / f"{name}.h5") for name in "abc")
    assert words[:2] == ["scutoid", "train"]
    assert words[2:] == [
        *("--train", a, c, "--valid", b, "--recipe", str(file), "--device", "cpu", "-o", "my_model"),
    ]
    recipe = read_train_recipe(file)
    assert (recipe.augment.blur, recipe.optimise.epochs, recipe.optimise.minutes) == (0.7, 3, None)
    assert recipe.split.valid_share == recipe.split.test_share == 0


def test_settings_travel_through_a_file(widget, tmp_path, told):
    recipe = TrainRecipe.model_validate({"sampling": {"batch": 3}, "transfer": {"strategy": "freeze"}})
    widget.setValue(recipe)
    widget.save_recipe(tmp_path / "train.yaml")
    widget.setValue(TrainRecipe())
    assert widget.value().sampling.batch == 2
    widget.load_recipe(tmp_path / "train.yaml")
    assert widget.value().sampling.batch == 3 and widget.value().transfer.strategy == "freeze"
    widget.load_recipe(tmp_path / "missing.yaml")
    assert "missing.yaml could not be read" in told[-1]


def test_augmented_samples_are_shown(qtbot, trainer, widget):
    from napari_scutoid.ui.slice_preview import PictureWindow

    widget.preview()
    idle(qtbot, widget)
    assert trainer.called("preview")[0][0] == ["a", "c"]
    (window,) = widget.window().findChildren(PictureWindow)
    assert window.label.pixmap().width() >= 40
    window.close()


def test_selected_layers_can_be_added(qtbot, trainer, make, told):
    widget = make()
    viewer = widget._viewer
    image = viewer.add_image(np.zeros((4, 8, 8)), name="gland")
    labels = viewer.add_labels(np.ones((4, 8, 8), int), name="cells")
    flat = viewer.add_labels(np.ones((8, 8), int), name="flat")
    for chosen, why in (([image], "1 image layers and 0 labels"), ([image, flat], "a stack has three axes")):
        viewer.layers.selection = set(chosen)
        widget.stacks.add_layers()
        assert why in told[-1]
    viewer.layers.selection = {image, labels}
    widget.stacks.add_layers()
    idle(qtbot, widget)
    (stack,) = widget.stacks.value()["train"]
    assert stack.name == "gland" and stack.path is None
    material = stack.open()
    labels.data[0, 0, 0] = 7
    assert material.labels.data.dtype == np.uint32 and material.labels.data[0, 0, 0] == 1
    widget._on_copied()
    assert "It lacks gland" in widget.panel.status.text()


def test_closing_the_window_ends_the_run(qtbot, trainer, widget):
    dock = QWidget()
    qtbot.addWidget(dock)
    widget.setParent(dock)
    trainer.hold = True
    widget.start()
    qtbot.waitUntil(trainer.held.is_set)
    widget.setParent(None)
    qtbot.waitUntil(trainer.closed.is_set)
    idle(qtbot, widget)
    assert widget.train_button.text() == "Resume"


def test_settings_round_trip(qtbot):
    settings = TrainSettings(["builtin"])
    qtbot.addWidget(settings)
    assert settings.value().optimise.minutes == 20
    given = TrainRecipe.model_validate(
        {
            "augment": {"noise": 0.1},
            "loss": {"name": "falk"},
            "optimise": {"minutes": 2.5, "epochs": 100_000, "seed": 4},
            "split": {"seed": 3},
            "transfer": {"start": "/models/mine", "strategy": "freeze", "rate": 0.5},
            "outputs": ["boundary"],
        }
    )
    for _ in range(2):
        settings.setValue(given)
        assert settings.value() == given
        settings.augment.unfold()
        settings.more.unfold()
    with qtbot.waitSignal(settings.valueChanged):
        settings.strategy.setCurrentIndex(2)
    assert settings.value().transfer.strategy == "scratch" and not settings.start.isEnabled()
    settings.more.forms[""].editors["outputs"].setValue(["cells"])
    settings.more.forms[""].editors["outputs"].valueChanged.emit()
    assert "outputs must be of" in settings.problem()


def test_an_error_names_what_to_do(widget, told):
    widget.name.setText("")
    widget.start()
    assert "Nothing was trained" in told[-1]
