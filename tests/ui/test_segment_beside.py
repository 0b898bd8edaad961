"""Segment and Correct side by side in a real napari window: what is set in the one is what the other segments with."""

from __future__ import annotations

import numpy as np
import pytest
from proofread_fakes import begin, idle, no_suspects

from napari_scutoid.io.open import open_volume
from napari_scutoid.io.save import save_stack
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Recipe
from napari_scutoid.synth.tissue import synthesise
from napari_scutoid.ui import layers
from napari_scutoid.ui.proofread import ProofreadWidget
from napari_scutoid.ui.proofread_core import ProofreadCore

COMPARE = 3


@pytest.mark.usefixtures("own_settings")
def test_accepted_cells_stay_while_all_others_are_found_with_other_settings(make_napari_viewer, qtbot, tmp_path):
    """Only the list of suspects is faked: the model, its maps, the walls and the differences are the program's own."""
    tissue = synthesise("packed", (16, 48, 48), 5, cell_diameter=16)
    save_stack(tmp_path / "tissue.h5", tissue.image, tissue.labels)
    viewer = make_napari_viewer(show=True)
    layers.add_image(viewer, drain(layers.load(open_volume(tmp_path / "tissue.h5"))), "tissue")
    _dock, segment = viewer.window.add_plugin_dock_widget("napari-scutoid", "Segment")
    segment.cell_diameter.setValue(16)
    qtbot.waitUntil(lambda: segment.model.config() is not None)
    segment.segment_button.click()
    qtbot.waitUntil(lambda: not segment.is_busy, timeout=300_000)
    cells = viewer.layers["tissue cells"]

    widget = ProofreadWidget(viewer, ProofreadCore(find_suspects=no_suspects))
    viewer.window.add_dock_widget(widget, name="Correct", area="right")
    qtbot.waitUntil(lambda: not widget._looking.is_busy)
    begin(qtbot, widget)
    cell = int(np.unique(cells.data)[1])
    widget.correction.do("accept", [cell])
    before = cells.data == cell
    panel = widget.bench.differences
    widget.bench.tabs.setCurrentIndex(COMPARE)
    segment.setValue(Recipe.model_validate({"rescale": {"cell_diameter": 16.0}, "watershed": {"seeds": "maxima"}}))
    panel.approached.emit()
    words = panel.again_note.text()
    assert words.startswith("As set in the window Segment: model builtin,") and "maxima" in words
    assert "The network need not run again. 1 accepted cell is a wall." in words

    panel.again_button.click()
    idle(qtbot, widget)
    again = viewer.layers["tissue cells again"]
    np.testing.assert_array_equal(again.data == cell, before)
    assert viewer.layers.selection.active is cells
    while panel.take_button.isEnabled():
        panel.take_button.click()
        idle(qtbot, widget)
    np.testing.assert_array_equal(cells.data == cell, before)

    segment.setValue(Recipe.model_validate({"rescale": {"cell_diameter": 20.0}}))
    panel.approached.emit()
    assert "The network runs over “tissue”" in panel.again_note.text()
    viewer.window.remove_dock_widget(segment)
    panel.approached.emit()
    assert panel.again_note.text().startswith("As these cells were found: model builtin, Typical cell diameter 16")
    widget.stop()
    qtbot.waitUntil(lambda: not widget._looking.is_busy)
