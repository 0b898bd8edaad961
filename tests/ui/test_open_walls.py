"""The map of walls that was saved with labels is opened over them, from real files."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from napari.components import ViewerModel

from napari_scutoid.io.format import DatasetInfo, FileInfo
from napari_scutoid.io.save import save_result
from napari_scutoid.steps.rescale import rescale_to_shape
from napari_scutoid.ui import layers
from napari_scutoid.ui.dataset_choice import guess, tissue_of
from napari_scutoid.ui.open_stack import OpenStackWidget
from napari_scutoid.ui.remembered import Opened, Remembered
from napari_scutoid.ui.session_start import SessionStart
from napari_scutoid.volume import Labels, Origin, Volume, VoxelSize

SIZE = VoxelSize(0.5, 0.25, 0.25)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def widget(qtbot, viewer, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_scutoid.io.local_copy.copies_dir", lambda: tmp_path / "copies")
    widget = OpenStackWidget(viewer, remembered=Remembered(tmp_path / "layouts.json"))
    qtbot.addWidget(widget)
    return widget


def settle(qtbot, widget):
    qtbot.waitUntil(lambda: not widget.is_busy and not widget._errands.is_busy)


def choose(qtbot, widget, file):
    widget.choose_file(file)
    settle(qtbot, widget)


def edges(layer):
    """Where the first voxel begins and the last one ends."""
    first, last = layer.extent.world
    return first - layer.scale / 2, last + layer.scale / 2


def segmented(folder, ending, size):
    """Save a result: labels on the stack's grid, maps on the network's."""
    stack = Volume(np.zeros((9, 40, 50), np.float32), size, Origin(3.0, 0.0, 1.0))
    maps = rescale_to_shape(stack, (5, 13, 17))
    labels = Labels(np.repeat(np.arange(9, dtype=np.uint32), 2000).reshape(stack.shape), size, stack.origin_um)
    file = folder / f"gland_labels{ending}"
    save_result(file, labels, {"foreground": maps, "boundary": maps.with_data(maps.data + 1, "walls")}, {})
    return file, labels, maps


@pytest.mark.parametrize(
    ("ending", "size", "in_memory"),
    [(".h5", SIZE, True), (".h5", None, False), (".zarr", SIZE, False), (".mat", None, True)],
)
def test_walls_that_were_saved_with_labels_lie_over_them(widget, viewer, qtbot, tmp_path, ending, size, in_memory):
    file, labels, maps = segmented(tmp_path, ending, size)
    start = SessionStart(viewer)
    qtbot.addWidget(start)
    choose(qtbot, widget, file)
    chosen = widget.value()
    assert (chosen.image, chosen.labels.split("/")[-1], chosen.walls) == (None, "label", "boundary")
    assert widget.problem() is None
    assert "labels + " in widget.memory.note.text() and " maps of memory" in widget.memory.note.text()
    widget.setValue(chosen.model_copy(update={"in_memory": in_memory}))
    for _ in range(2):
        widget.start()
        settle(qtbot, widget)
    walls, tissue, cells, _again = viewer.layers
    assert [layer.name for layer in (walls, tissue, cells)] == [
        f"gland_labels {what}" for what in ("boundary", "foreground", "labels")
    ]
    assert (walls.visible, tissue.visible) == (True, False)
    # As the window Segment lays them.
    reference = layers.grid(maps, within=labels)
    for layer in (walls, tissue):
        assert layers.kind_of(layer) == "probability"
        np.testing.assert_allclose(layer.scale, reference["scale"])
        np.testing.assert_allclose(layer.translate, reference["translate"])
        np.testing.assert_allclose(edges(layer), edges(cells))
    assert (np.asarray(walls.data[0]) == 1).all() and (np.asarray(tissue.data[0]) == 0).all()
    start.labels.setValue(cells)
    assert start.value()[:3] == (cells, None, walls)
    opened = "gland_labels labels [1], gland_labels boundary, gland_labels foreground"
    assert widget.panel.status.text() == f"Opened {opened}. Next: Plugins > Scutoid > Correct."


def test_a_corrected_voxel_size_scales_the_walls_too(widget, viewer, qtbot, tmp_path):
    file = tmp_path / "gland.h5"
    with h5py.File(file, "w") as root:
        for name, shape in (("raw", (8, 20, 30)), ("label", (8, 20, 30)), ("boundary", (4, 10, 10))):
            root[name] = np.ones(shape, np.uint8)
            root[name].attrs["element_size_um"] = [e * n / m for e, n, m in zip(SIZE, (8, 20, 30), shape, strict=True)]
        root["boundary"].attrs["scale"] = 1 / 255
    choose(qtbot, widget, file)
    widget.details.voxel_size.setValue(VoxelSize(3.0, 0.5, 0.25), "")
    assert widget.value().walls == "boundary"
    widget.start()
    settle(qtbot, widget)
    image, walls, cells = viewer.layers
    assert not walls.visible
    assert tuple(walls.scale) == (6.0, 1.0, 0.75)
    for layer in (image, walls):
        np.testing.assert_allclose(edges(layer), edges(cells))
    # The walls alone say nothing of where they lie.
    widget.setValue(Opened(walls="boundary"))
    assert "Tick the labels of these walls" in widget.problem()


def result(folder, shape):
    """What a file lists of a result in one of its folders: labels, and maps on a coarser grid."""
    maps = [
        DatasetInfo(f"{folder}{name}", (5, 8, 8), "ZYX", "uint8", None, "other", "", full_scale=255)
        for name in ("boundary", "foreground")
    ]
    return [DatasetInfo(f"{folder}label", shape, "ZYX", "uint16", None, "labels", ""), *maps]


@pytest.mark.parametrize("folders", [("", "b/"), ("a/", "b/")])
def test_maps_of_another_stack_in_the_file_are_left_alone(folders):
    first, second = (result(folder, (10, 16, 16)) for folder in folders)
    chosen = guess(FileInfo("two.h5", "HDF5", (*first[1:], *second)))
    assert (chosen.labels, chosen.walls) == (second[0].path, second[1].path)
    assert tissue_of(second[1], [*first, *second]) is second[2]
    third = result("c/", (10, 16, 16))[0]
    assert guess(FileInfo("one.h5", "HDF5", (*first[1:], third, second[0]))).walls is None


def test_labels_of_ome_zarr_are_in_a_folder_of_their_own():
    _, *maps = result("", (10, 16, 16))
    labels = DatasetInfo("labels/label", (10, 16, 16), "ZYX", "uint16", None, "labels", "")
    assert guess(FileInfo("one.zarr", "OME-Zarr", (*maps, labels))).walls == "boundary"
