"""Make the pictures of the documentation: each window, in a real napari window, working on the project's own samples.

Usage: ``python docs/make_screenshots.py [NAME ...]``; without a screen, under
``xvfb-run -a -s "-screen 0 1600x1100x24"``. Each picture is ``docs/images/NAME.png``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGES = Path(__file__).resolve().parent / "images"
WINDOW = (1500, 1000)
DOCK = 440
PLUGIN = "napari-scutoid"
PATIENCE_S = 1800


class Scene:
    """A napari window with one of the docks, and a camera.

    Parameters
    ----------
    title : str
        Of the dock, as the menu has it.
    """

    def __init__(self, title: str) -> None:
        import napari
        from qtpy.QtCore import Qt

        self.viewer = napari.Viewer(show_welcome_screen=False)
        self.viewer.window.resize(*WINDOW)
        dock, self.widget = self.viewer.window.add_plugin_dock_widget(PLUGIN, title)
        # The view of layers takes its usual width; the dock gets what its fields need.
        self.viewer.window._qt_window.resizeDocks([dock], [DOCK], Qt.Orientation.Horizontal)
        self.settle()

    def settle(self, done: Callable[[], bool] = lambda: True) -> None:
        """Let the window work until something is done, and everything has been painted."""
        from qtpy.QtWidgets import QApplication

        end = time.monotonic() + PATIENCE_S
        while not done():
            if time.monotonic() > end:
                sys.exit("the window did not get ready")
            QApplication.processEvents()
            time.sleep(0.01)
        for _ in range(20):
            QApplication.processEvents()
            time.sleep(0.01)

    def rest(self) -> None:
        """Wait until no job runs, also none that begins a moment after another."""
        for _ in range(3):
            self.settle(lambda: not self.widget.is_busy)
            self.wait(0.3)

    def wait(self, seconds: float) -> None:
        """Let the window work for a while."""
        end = time.monotonic() + seconds
        self.settle(lambda: time.monotonic() > end)

    def open_sample(self, name: str) -> None:
        """Open one of the plugin's samples."""
        self.viewer.open_sample(PLUGIN, name)
        self.settle()

    def take(self, name: str) -> None:
        """Save the picture and close the window."""
        self.settle()
        IMAGES.mkdir(exist_ok=True)
        self.viewer.screenshot(str(IMAGES / f"{name}.png"), canvas_only=False, flash=False)
        self.viewer.close()
        self.settle()
        print(IMAGES / f"{name}.png", flush=True)


def open_stack() -> None:
    """Show the sample gland as a file, ready to be opened."""
    with tempfile.TemporaryDirectory(prefix="stacks_") as folder:
        scene = Scene("Open stack")
        scene.widget.choose_file(shutil.copy(_samples() / "gland.mat", folder))
        scene.rest()
        scene.wait(2)  # the small pictures come a moment later
        scene.take("open_stack")


def prepare() -> None:
    """Show the circle over the image, histograms, and what would come out."""
    scene = Scene("Prepare")
    scene.open_sample("gland")
    scene.rest()
    scene.settle(lambda: scene.widget.problem() is None and "A typical cell" in _words(scene.widget))
    scene.take("prepare")


def segment() -> None:
    """Show a finished segmentation."""
    scene = _segmented()
    _show(scene, scene.widget.segment_button)
    scene.take("segment")


def postprocess() -> None:
    """Show the section on post-processing, with a preview."""
    scene = _segmented()
    section = scene.widget.result.postprocess
    section.preview.switch.click()
    section.form.main["partition"].editors["weak_wall"].box.setValue(0.5)
    scene.settle(lambda: "Cells in the box" in _words(section))
    _show(scene, section)
    scene.take("postprocess")


def correct() -> None:
    """Show a suspect of the sample cyst, some of whose cells were put together before."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(_samples() / "cyst.h5", folder)
        scene = Scene("Correct")
        _open_with_mistakes(scene, Path(folder) / "cyst.h5")
        scene.rest()
        scene.widget.start.author.setText("Ana")
        scene.widget.begin()
        scene.rest()
        scene.widget.bench.suspects.next_button.click()
        scene.rest()
        scene.take("correct")


def train() -> None:
    """Show a short training on both samples, with its curves."""
    with tempfile.TemporaryDirectory() as folder:
        for file in ("gland.mat", "cyst.h5"):
            shutil.copy(_samples() / file, folder)
        scene = Scene("Train")
        widget = scene.widget
        widget.stacks.add([Path(folder)])
        scene.rest()
        widget.setValue(_short_training())
        widget.name.setText("my_gland")
        scene.settle(lambda: widget.problem() is None)
        widget.start()
        scene.settle(lambda: not widget.is_busy or len(widget.curves.value()) >= 4)
        _show(scene, widget.curves)
        widget.panel.cancel()
        scene.rest()
        scene.take("train")


def batch() -> None:
    """Segment both samples, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene("Batch")
        widget = scene.widget
        widget.add([_samples() / "gland.mat", _samples() / "cyst.h5"])
        widget.folder.setText(folder)
        widget.folder.editingFinished.emit()
        scene.settle(lambda: widget.problem() is None)
        widget.start()
        scene.rest()
        scene.take("batch")


SCENES: dict[str, Callable[[], None]] = {
    scene.__name__: scene for scene in (open_stack, prepare, segment, postprocess, correct, train, batch)
}


def _segmented() -> Scene:
    scene = Scene("Segment")
    scene.open_sample("gland")
    scene.settle(lambda: scene.widget.problem() is None and scene.widget.estimate.value() is not None)
    scene.widget.start()
    scene.rest()
    return scene


def _open_with_mistakes(scene: Scene, file: Path) -> None:
    """Show a stack and its cells, each seventh of which is merged with a neighbour."""
    import numpy as np

    from napari_scutoid.io.open import open_labels, open_volume, save_result
    from napari_scutoid.progress import drain
    from napari_scutoid.proofread.index import CellIndex
    from napari_scutoid.ui import layers

    labels = open_labels(file)
    index = drain(CellIndex.build(labels.data))
    for cell in index.cells.tolist()[::7]:
        contacts = index.neighbours(cell)
        labels.data[labels.data == cell] = max(contacts, key=lambda other: contacts[other].faces)
    layers.add_image(scene.viewer, drain(layers.load(open_volume(file))), "cyst")
    cells = file.with_name("cyst_cells.h5")
    save_result(cells, labels, {}, {})
    layers.add_labels(scene.viewer, open_labels(cells), "cyst cells", {})
    scene.viewer.dims.set_point(0, float(np.mean(scene.viewer.dims.range[0][:2])))


def _short_training() -> Any:
    from napari_scutoid.recipe.train import TrainRecipe

    settings = {"optimise": {"minutes": 4, "steps_per_epoch": 10}, "split": {"valid_share": 0.5}}
    return TrainRecipe.model_validate(settings)


def _show(scene: Scene, child: Any) -> None:
    """Scroll a dock to one of its parts."""
    from qtpy.QtWidgets import QScrollArea

    for area in scene.widget.findChildren(QScrollArea):
        if area.isAncestorOf(child):
            area.ensureWidgetVisible(child)
    scene.settle()


def _words(widget: Any) -> str:
    from qtpy.QtWidgets import QLabel

    return " ".join(label.text() for label in widget.findChildren(QLabel))


def _samples() -> Path:
    from napari_scutoid.resources import sample_data_dir

    return sample_data_dir()


def main() -> None:
    """Take the pictures that were asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*SCENES, []], help="pictures to make; all by default")
    names = parser.parse_args().names or list(SCENES)
    with tempfile.TemporaryDirectory() as folder:  # nobody's own settings are in the pictures, or changed
        os.environ |= {"NAPARI_CONFIG": str(Path(folder) / "settings.yaml"), "XDG_CONFIG_HOME": folder}
        for name in names:
            SCENES[name]()


if __name__ == "__main__":
    main()
