from __future__ import annotations

from unittest.mock import MagicMock

import h5py
import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_scutoid.errors import ScutoidError
from napari_scutoid.ui.reader import DOCK, get_reader, read, read_here


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "gland.h5"
    with h5py.File(file, "w") as root:
        root["raw"] = np.arange(6 * 16 * 20, dtype=np.uint16).reshape(6, 16, 20)
        root["raw"].attrs["element_size_um"] = (2.0, 0.5, 0.5)
        root["label"] = np.ones((6, 16, 20), np.uint8)
    return file


@pytest.fixture
def viewer(monkeypatch):
    viewer = MagicMock()
    viewer.window.add_plugin_dock_widget.return_value = MagicMock(), MagicMock()
    monkeypatch.setattr("napari.current_viewer", lambda: viewer)
    return viewer


@pytest.mark.parametrize("name", ["a.h5", "a.HDF5", "b.mat", "c.tif", "c.ome.tiff", "d.lsm", "e.zip"])
def test_names_of_stacks_are_ours(name):
    assert get_reader(f"/stacks/{name}") is read
    assert get_reader([f"/stacks/{name}"]) is read


@pytest.mark.parametrize(
    "path", ["/stacks/a.png", "/stacks/a", "/stacks/a.zarr", [], ["/stacks/a.h5", "/stacks/a.csv"]]
)
def test_other_names_are_not(path):
    assert get_reader(path) is None


def test_a_zarr_is_a_folder(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.h5").mkdir()
    assert get_reader(str(tmp_path / "a.zarr")) is read
    assert get_reader(str(tmp_path / "a.h5")) is None


@pytest.mark.parametrize("given", ["/stacks/a.h5", ["/stacks/a.h5"]])
def test_the_dock_of_the_present_window_gets_the_file(viewer, given):
    assert read(given) == [(None,)]
    viewer.window.add_plugin_dock_widget.assert_called_once_with("napari-scutoid", DOCK)
    _dock, widget = viewer.window.add_plugin_dock_widget.return_value
    widget.receive.assert_called_once_with("/stacks/a.h5")


def test_slices_of_a_stack_are_left_to_napari(viewer):
    with pytest.raises(ScutoidError, match=r"3 files were not opened as one stack.*choose napari builtins"):
        get_reader(["/z1.tif", "/z2.tif", "/z3.tif"])(["/z1.tif", "/z2.tif", "/z3.tif"])
    viewer.window.add_plugin_dock_widget.assert_not_called()


def test_without_a_window_the_image_and_its_labels_are_read(file, monkeypatch):
    monkeypatch.setattr("napari.current_viewer", lambda: None)
    (data, options, kind), (labels, labels_options, labels_kind) = read(str(file))
    assert (kind, labels_kind) == ("image", "labels")
    for layer in (Image(data, **options), Labels(labels, **labels_options)):
        assert tuple(layer.scale) == (2.0, 0.5, 0.5)
        assert [str(unit) for unit in layer.units] == ["micrometer"] * 3
    np.testing.assert_array_equal(data, np.arange(6 * 16 * 20).reshape(6, 16, 20))
    assert labels.all()


def test_nothing_is_guessed_silently(file):
    with h5py.File(file, "a") as root:
        root["image"] = root["raw"][()]
    with pytest.raises(ScutoidError, match="2 data sets look like an image"):
        read_here(file)


def test_labels_alone_are_read(file):
    with h5py.File(file, "a") as root:
        del root["raw"]
    [(_data, _options, kind)] = read_here(file)
    assert kind == "labels"
