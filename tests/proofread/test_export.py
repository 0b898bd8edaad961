from __future__ import annotations

import ctypes.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.open import inspect, open_labels, open_volume
from napari_scutoid.progress import drain
from napari_scutoid.proofread.base import Base
from napari_scutoid.proofread.change import CellState
from napari_scutoid.proofread.export import export_corrected
from napari_scutoid.proofread.history import History
from napari_scutoid.proofread.saving import Corrected
from napari_scutoid.steps.rescale import labels_to_shape
from napari_scutoid.steps.resnap import resnapping
from napari_scutoid.volume import Labels, Origin, Source, Volume, VoxelSize

FORMATS = ["a.h5", "a.tif", "a.zarr", "a.mat"]
SIZE = VoxelSize(1.0, 0.25, 0.25)
CELLS = np.zeros((8, 10, 12), np.uint32)
CELLS[1:7, 2:6, 1:5], CELLS[1:7, 2:6, 5:9], CELLS[1:7, 6:9, 1:9] = 3, 300, 7
LUMEN = np.zeros(CELLS.shape, np.bool_)
LUMEN[:, :, 10:] = True
IO_TESTS = Path(__file__).parent.parent / "io"


def corrected(*, cells=CELLS, lumen=LUMEN, size=SIZE, file="", **states):
    grid = Labels(cells, size, Origin(1.0, 2.0, 3.0), Source("a.h5", "label"))
    said = {int(name[1:]): state for name, state in states.items()}
    return Corrected(grid, cells, lumen, said, Base(CELLS.shape, "", file=file), History())


def exported(path, made, **how):
    drain(export_corrected(path, made, **how))
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_keeps_ids_and_grid(tmp_path, name) -> None:
    read = open_labels(exported(tmp_path / name, corrected()))
    np.testing.assert_array_equal(read.data, CELLS)
    assert read.voxel_size_um == SIZE


@pytest.mark.parametrize("name", FORMATS)
def test_the_stacks_own_grid_has_its_shape_exactly(tmp_path, name) -> None:
    rng = np.random.default_rng(1)
    stack = Volume(rng.random((17, 21, 36)).astype(np.float32), VoxelSize(0.5, 0.1, 0.1), Origin(4.0, 5.0, 6.0))
    read = open_labels(exported(tmp_path / name, corrected(), stack=stack))
    expected = drain(resnapping(Labels(CELLS, lumen=LUMEN), stack))
    np.testing.assert_array_equal(read.data, expected.data)
    assert read.voxel_size_um == stack.voxel_size_um
    assert set(np.unique(read.data)) == set(np.unique(CELLS))
    if name == "a.h5":
        np.testing.assert_array_equal(open_volume(tmp_path / name, "lumen").data[:], expected.lumen)


def test_boundaries_move_where_every_cell_is_accepted(tmp_path) -> None:
    stack = Volume(np.random.default_rng(1).random((16, 20, 24)).astype(np.float32))
    right = CellState(accepted=True)
    read = open_labels(exported(tmp_path / "a.h5", corrected(c3=right, c7=right, c300=right), stack=stack))
    np.testing.assert_array_equal(read.data, drain(resnapping(Labels(CELLS, lumen=LUMEN), stack)).data)
    assert (read.data != labels_to_shape(Labels(CELLS), stack.shape).data).any()
    assert inspect(tmp_path / "a.h5").provenance["resnapped"] == {"from": [8, 10, 12], "to": [16, 20, 24]}


def test_on_a_stack_of_the_same_grid_nothing_moves(tmp_path) -> None:
    path = exported(tmp_path / "a.h5", corrected(), stack=Volume(np.zeros(CELLS.shape, np.float32)))
    np.testing.assert_array_equal(open_labels(path, "label").data, CELLS)
    assert "resnapped" not in inspect(path).provenance


def test_a_stack_coarser_than_the_labels_is_refused(tmp_path) -> None:
    with pytest.raises(ScutoidError, match="finer"):
        exported(tmp_path / "a.h5", corrected(), stack=Volume(np.zeros((4, 10, 12))))
    assert list(tmp_path.iterdir()) == []


def test_the_file_that_corrections_start_from_is_not_written_over(tmp_path) -> None:
    file = tmp_path / "a.h5"
    file.write_bytes(b"")
    other_name = tmp_path / "A.h5"
    other_name.hardlink_to(file)
    for target in (file, other_name):
        with pytest.raises(ScutoidError, match="corrections start from this file"):
            exported(target, corrected(file=str(file)))
    stack = Volume(np.zeros(CELLS.shape), source=Source(str(file), "raw"))
    with pytest.raises(ScutoidError, match="it is the stack itself"):
        exported(file, corrected(), stack=stack)
    assert file.read_bytes() == b""


def test_what_is_not_valid_is_told(tmp_path) -> None:
    path = exported(tmp_path / "a.h5", corrected(c7=CellState(valid=False)))
    provenance = inspect(path).provenance
    assert (provenance["not_valid"], provenance["cells"]) == ([7], 3)


def test_the_laboratorys_names_and_classes(tmp_path) -> None:
    path = exported(tmp_path / "a.mat", corrected(c7=CellState(valid=False), c3=CellState(accepted=True)))
    with h5py.File(path) as file:
        classes = {name: bytes(file[name].attrs["MATLAB_class"]) for name in file}
        assert (
            classes.items()
            >= {
                "labelledImage": b"uint16",
                "lumenImage": b"logical",
                "validCells": b"double",
                "noValidCells": b"double",
                "pixelScale": b"double",
                "zScale": b"double",
            }.items()
        )
        # h5py shows MATLAB's arrays with their axes reversed: (y, x, z) as (z, x, y), a row as a column.
        np.testing.assert_array_equal(file["labelledImage"][()], CELLS.swapaxes(1, 2))
        np.testing.assert_array_equal(file["lumenImage"][()], LUMEN.swapaxes(1, 2))
        assert file["validCells"][()].tolist() == [[3.0], [300.0]]
        assert file["noValidCells"][()].tolist() == [[7.0]]
        assert (file["pixelScale"][()], file["zScale"][()]) == (0.25, 4.0)


def test_a_new_id_fits_where_there_are_255_cells(tmp_path) -> None:
    cells = np.arange(256, dtype=np.uint32).reshape(4, 8, 8)
    path = exported(tmp_path / "a.mat", corrected(cells=cells, lumen=None))
    with h5py.File(path) as file:
        assert file["labelledImage"].dtype == np.uint16
        assert not file["lumenImage"][()].any()
    cells[-1] = 2**16 - 1
    with h5py.File(exported(path, corrected(cells=cells, lumen=None))) as file:
        assert file["labelledImage"].dtype == np.uint32


def test_an_unknown_voxel_size_is_not_made_up(tmp_path) -> None:
    with h5py.File(exported(tmp_path / "a.mat", corrected(size=None))) as file:
        assert not {"pixelScale", "zScale", "voxelSizeUm"} & set(file)


@pytest.mark.skipif(ctypes.util.find_library("matio") is None, reason="needs libmatio (Debian: libmatio-dev)")
def test_libmatio_reads_rows_and_empty_ones(tmp_path) -> None:
    path = exported(tmp_path / "a.mat", corrected())

    def read(name):
        command = [sys.executable, IO_TESTS / "read_with_matio.py", path, name]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)

    assert read("validCells") == {"class": "double", "shape": [1, 3], "values": [3, 7, 300]}
    empty = read("noValidCells")
    assert (empty["class"], empty["values"]) == ("double", [])
    assert read("lumenImage")["class"] == "logical"


@pytest.mark.skipif(shutil.which("octave-cli") is None, reason="the Debian package octave is missing")
def test_a_script_of_the_laboratorys_kind_runs(tmp_path) -> None:
    path = exported(tmp_path / "a.mat", corrected(c7=CellState(valid=False)))
    script = tmp_path / "measure.m"
    # As its scripts do: cells by id, the lumen taken out, z made as long as x and y, valid cells only.
    script.write_text(
        f"""
        load('{path}', 'labelledImage', 'lumenImage', 'validCells', 'noValidCells', 'pixelScale', 'zScale');
        labelledImage(lumenImage == 1) = 0;
        [h, w, c] = size(labelledImage);
        z = ceil((1:round(c * zScale)) ./ zScale);
        resized = labelledImage(:, :, z);
        volumes = accumarray(double(resized(resized > 0)), 1);
        printf('%d ', h, w, c, size(resized, 3), setdiff(unique(labelledImage)', [0 noValidCells]), size(validCells));
        printf('%.6f ', volumes(validCells) .* pixelScale .^ 3);
        newId = max(labelledImage(:)) + 1; printf('%d', newId);
        """
    )
    command = ["octave-cli", "--quiet", "--no-init-file", script]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert shown[:8] == ["10", "12", "8", "32", "3", "300", "1", "2"]
    assert [float(volume) for volume in shown[8:10]] == [96.0 * 4 / 64] * 2
    assert shown[10] == "301"
