"""From a file to saved labels through all docks that lie on the way, with nothing faked."""

from __future__ import annotations

import numpy as np
import pytest

from napari_scutoid.io.open import open_labels
from napari_scutoid.recipe import Recipe
from napari_scutoid.resources import sample_data_dir

KEPT = (24, 56, 56)


@pytest.fixture(params=["sample", "real gland"])
def stack(request):
    if request.param == "sample":
        return sample_data_dir() / "gland.mat"
    return sorted((request.getfixturevalue("shared_data") / "glands").glob("*.h5"))[0]


@pytest.mark.usefixtures("own_settings")
def test_open_prepare_segment_save(stack, make_napari_viewer, qtbot, tmp_path):
    viewer = make_napari_viewer(show=True)

    def dock(title):
        return viewer.window.add_plugin_dock_widget("napari-scutoid", title)[1]

    def wait(widget):
        qtbot.waitUntil(lambda: not widget.is_busy, timeout=300_000)

    opening = dock("Open stack")
    opening.choose_file(stack)
    wait(opening)
    assert opening.problem() is None
    opening.open_button.click()
    wait(opening)
    image, truth = list(viewer.layers)
    assert image.data.ndim == 3 and truth.data.shape == image.data.shape

    preparing = dock("Prepare")
    preparing.image.setValue(image)
    preparing.labels.setValue(truth)
    preparing.setValue(Recipe.model_validate({"rescale": {"mode": "none"}}))
    preparing.crop.setValue(
        tuple(slice((n - k) // 2, (n + k) // 2) for n, k in zip(image.data.shape, KEPT, strict=True))
    )
    preparing.normalise.wanted.setChecked(False)  # what Segment does by itself
    assert preparing.problem() is None
    preparing.prepare_button.click()
    wait(preparing)
    prepared = next(layer for layer in viewer.layers if layer.name == f"{image.name} prepared")
    np.testing.assert_allclose(
        prepared.extent.world.mean(axis=0), image.extent.world.mean(axis=0), atol=max(image.scale)
    )

    segmenting = dock("Segment")
    segmenting.layer.setValue(prepared)
    segmenting.cell_diameter.setValue(16)
    assert segmenting.problem() is None
    segmenting.segment_button.click()
    wait(segmenting)
    cells = segmenting.result.cells()
    assert cells.data.shape == KEPT and tuple(cells.scale) == tuple(prepared.scale)
    n_cells = np.count_nonzero(np.unique(cells.data))
    assert n_cells > 5 and f"Found {n_cells} cells" in segmenting.panel.status.text()

    # Cells have the colours that were chosen for them, and the canvas shows several.
    qtbot.waitUntil(lambda: type(cells.colormap).__name__ == "DirectLabelColormap")
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    coloured = picture[np.ptp(picture, axis=-1) > 20]
    assert len(coloured) > 0.02 * picture[..., 0].size and len(np.unique(coloured // 32, axis=0)) > 3

    # A dock that is closed takes its preview along, which hid the cells.
    preview = segmenting.result.postprocess.preview
    preview.switch.click()
    qtbot.waitUntil(lambda: preview.layer() is not None, timeout=300_000)
    assert not cells.visible
    segmenting.result.stop()
    assert preview.layer() is None and cells.visible

    segmenting.result.save_labels(tmp_path / "cells.h5")
    wait(segmenting)
    np.testing.assert_array_equal(open_labels(tmp_path / "cells.h5", "label").data, cells.data)
