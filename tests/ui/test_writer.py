from __future__ import annotations

import threading

import numpy as np
import pytest
from dask.array import from_array, stack
from napari.layers import Image, Labels
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QProgressDialog

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io import save
from napari_scutoid.io.open import inspect, open_labels, open_volume
from napari_scutoid.io.suffixes import WRITTEN
from napari_scutoid.progress import Progress, drain
from napari_scutoid.ui.waiting import run_and_wait
from napari_scutoid.ui.writer import write_image, write_labels
from napari_scutoid.volume import Volume

SUFFIXES = [suffix for suffixes in WRITTEN.values() for suffix in suffixes]
GRID = {"scale": (2.0, 0.5, 0.25), "units": "um", "axis_labels": ("z", "y", "x")}
DATA = np.arange(6 * 16 * 20, dtype=np.uint16).reshape(6, 16, 20)


def taken_out_of(layer):
    data, options, _kind = layer.as_layer_data_tuple()
    return data, options


@pytest.fixture(autouse=True)
def _application(qapp):
    return qapp


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_image_comes_back_from_every_format(tmp_path, suffix):
    path = str(tmp_path / f"stack{suffix}")
    assert write_image(path, *taken_out_of(Image(DATA, **GRID))) == [path]
    volume = open_volume(path)
    np.testing.assert_array_equal(volume.data[...], DATA)
    assert volume.voxel_size_um == pytest.approx((2.0, 0.5, 0.25))
    assert [one.name for one in tmp_path.iterdir()] == [f"stack{suffix}"]


@pytest.mark.parametrize("suffix", [suffixes[0] for suffixes in WRITTEN.values()])
def test_labels_come_back_from_every_format(tmp_path, suffix):
    path = str(tmp_path / f"cells{suffix}")
    cells = np.where(DATA % 3, 0, 70_000).astype(np.int64)
    layer = Labels(cells, **GRID, metadata={"scutoid": {"kind": "labels", "provenance": {"recipe": 7}}})
    assert write_labels(path, *taken_out_of(layer)) == [path]
    labels = open_labels(path)
    np.testing.assert_array_equal(labels.data, cells)
    assert labels.voxel_size_um == pytest.approx((2.0, 0.5, 0.25))
    assert inspect(path).provenance.get("recipe", 7) == 7


@pytest.mark.parametrize("suffix", [suffixes[0] for suffixes in WRITTEN.values()])
def test_slices_that_napari_put_on_each_other_become_one_file(tmp_path, suffix):
    data = stack([from_array(plane, chunks=plane.shape) for plane in DATA])
    write_image(str(tmp_path / f"stack{suffix}"), *taken_out_of(Image(data)))
    np.testing.assert_array_equal(open_volume(tmp_path / f"stack{suffix}").data[...], DATA)


def test_an_unknown_voxel_size_stays_unknown(tmp_path):
    path = str(tmp_path / "stack.h5")
    write_image(path, *taken_out_of(Image(DATA)))
    assert open_volume(path).voxel_size_um is None


def test_nanometres_become_micrometres(tmp_path):
    path = str(tmp_path / "stack.h5")
    write_image(path, *taken_out_of(Image(DATA, scale=(2000, 500, 250), units="nm")))
    assert open_volume(path).voxel_size_um == pytest.approx((2.0, 0.5, 0.25))


def test_a_mask_is_written_as_one(tmp_path):
    path = str(tmp_path / "mask.h5")
    write_image(path, *taken_out_of(Image(DATA > 9, **GRID)))
    np.testing.assert_array_equal(open_volume(path, "raw").data[...], DATA > 9)


@pytest.mark.parametrize(
    ("layer", "word"),
    [
        (Image(np.zeros((16, 20))), "three axes"),
        (Image(np.zeros((6, 16, 20, 3), np.uint8), rgb=True), "colour"),
        (Image(np.zeros((6, 16, 20)), rotate=(0, 0, 30)), "rotated"),
    ],
)
def test_what_cannot_be_written_says_why_and_leaves_nothing(tmp_path, layer, word):
    with pytest.raises(ScutoidError, match=word):
        write_image(str(tmp_path / "stack.h5"), *taken_out_of(layer))
    assert list(tmp_path.iterdir()) == []


def test_complex_numbers_are_refused(tmp_path):
    with pytest.raises(ScutoidError, match="complex64"):
        drain(save.write_image(tmp_path / "stack.h5", Volume(DATA.astype(np.complex64))))
    assert list(tmp_path.iterdir()) == []


def test_another_programs_stack_is_not_replaced(tmp_path):
    import h5py

    path = tmp_path / "only_copy.h5"
    with h5py.File(path, "w") as root:
        root["raw"] = DATA
    before = path.read_bytes()
    for write, layer in ((write_image, Image(DATA)), (write_labels, Labels(DATA))):
        with pytest.raises(ScutoidError, match="did not make it"):
            write(str(path), *taken_out_of(layer))
    assert path.read_bytes() == before


def test_negative_numbers_are_no_labels(tmp_path):
    with pytest.raises(ScutoidError, match="labels must lie in"):
        write_labels(str(tmp_path / "cells.h5"), *taken_out_of(Labels(-DATA.astype(np.int32))))
    assert list(tmp_path.iterdir()) == []


def test_waiting_runs_beside_the_window_and_cancel_stops_it(tmp_path):
    threads, closed = set(), threading.Event()

    def endless():
        threads.add(threading.get_ident())
        try:
            while not closed.wait(0.01):
                yield Progress("Working", 1, 3)
        finally:
            closed.set()

    def press_cancel():
        # Those of earlier tests may only wait for their deletion.
        for one in QApplication.topLevelWidgets():
            if isinstance(one, QProgressDialog):
                one.canceled.emit()

    QTimer.singleShot(0, press_cancel)
    with pytest.raises(ScutoidError, match="was cancelled"):
        run_and_wait("Saving", endless)
    assert closed.is_set()
    assert threads.isdisjoint({threading.get_ident()})


def test_a_bug_in_the_job_is_raised_as_it_is():
    def wrong():
        yield Progress("Working")
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        run_and_wait("Saving", wrong)
