"""MATLAB 7.3 results in other programs' eyes: libmatio, GNU Octave, pymatreader, SciPy's readers, h5py."""

from __future__ import annotations

import ctypes.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pymatreader
import pytest
import scipy.io

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.mat_write import Mat73Writer
from napari_scutoid.io.open import open_volume
from napari_scutoid.io.output import Output
from napari_scutoid.io.save import save_result
from napari_scutoid.progress import drain
from napari_scutoid.volume import Labels, Volume, VoxelSize

CELLS = np.arange(4 * 5 * 6, dtype=np.uint32).reshape(4, 5, 6)
CELLS[3, 4, 5] = 70_000
SIZE = VoxelSize(1.0, 0.2, 0.3)
WRITER = Mat73Writer()

matio = pytest.mark.skipif(ctypes.util.find_library("matio") is None, reason="needs libmatio (Debian: libmatio-dev)")


octave = pytest.mark.skipif(shutil.which("octave-cli") is None, reason="the Debian package octave is missing")


def by_matio(file: Path, name: str) -> tuple[str, np.ndarray[Any, Any]]:
    """Return MATLAB's class and the values as MATLAB shows them."""
    script = Path(__file__).with_name("read_with_matio.py")
    shown = subprocess.run([sys.executable, script, file, name], stdout=subprocess.PIPE, text=True, check=True)
    read = json.loads(shown.stdout)
    return read["class"], np.array(read["values"]).reshape(read["shape"])


def by_octave(file: Path, name: str) -> tuple[str, np.ndarray[Any, Any]]:
    """Return the class and the values as Octave shows them."""
    script = Path(__file__).with_name("octave_probe.m")
    command = ["octave-cli", "--quiet", "--no-init-file", script, file, name]
    # Octave 7 ends with complaints about itself on stderr.
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    kind, shape, values = shown.splitlines()
    return kind, np.array(values.split(), float).reshape([int(n) for n in shape.split()], order="F")


def written(path: Path, volume: Volume, name: str = "raw") -> Path:
    drain(WRITER.write(path, {name: Output(volume.data, volume.dtype, volume)}, {}))
    return path


@pytest.fixture
def result(tmp_path: Path) -> Path:
    maps = {"foreground": Volume(np.linspace(0, 1, 24).reshape(2, 3, 4).astype("f4"), VoxelSize(2.0, 0.4, 0.6))}
    save_result(tmp_path / "a.mat", Labels(CELLS, SIZE, lumen=CELLS == 2), maps, {"recipe": {"a": 1}, "µ": "µm"})
    return tmp_path / "a.mat"


@matio
def test_libmatio_reads_a_result(result: Path) -> None:
    kind, label = by_matio(result, "label")
    assert kind == "uint32"
    np.testing.assert_array_equal(label, np.moveaxis(CELLS, 0, 2))
    kind, lumen = by_matio(result, "lumen")
    assert kind == "logical"
    np.testing.assert_array_equal(lumen, np.moveaxis(CELLS == 2, 0, 2))
    kind, foreground = by_matio(result, "foreground")
    assert (kind, foreground.shape) == ("uint8", (3, 4, 2))
    kind, size = by_matio(result, "voxelSizeUm")
    assert (kind, size.tolist()) == ("double", [list(SIZE)])
    kind, text = by_matio(result, "provenance")
    assert (kind, text.shape[0]) == ("char", 1)
    assert json.loads("".join(map(chr, text.ravel()))) == {"recipe": {"a": 1}, "µ": "µm"}


@matio
@pytest.mark.parametrize(
    ("dtype", "matlab_class"),
    [("float16", "single"), ("float32", "single"), ("float64", "double"), ("int8", "int8"), (">i4", "int32")],
)
def test_libmatio_reads_every_type(tmp_path: Path, dtype: str, matlab_class: str) -> None:
    volume = Volume((CELLS % 100).astype(dtype))
    kind, values = by_matio(written(tmp_path / "a.mat", volume), "raw")
    assert kind == matlab_class
    np.testing.assert_array_equal(values, np.moveaxis(CELLS % 100, 0, 2))


@octave
def test_octave_reads_a_result(result: Path) -> None:
    kind, label = by_octave(result, "label")
    assert kind == "uint32"
    np.testing.assert_array_equal(label, np.moveaxis(CELLS, 0, 2))
    # Of this version of the format, Octave knows no logical arrays, single precision or texts, only their numbers.
    kind, lumen = by_octave(result, "lumen")
    assert kind == "uint8"
    np.testing.assert_array_equal(lumen, np.moveaxis(CELLS == 2, 0, 2))
    kind, foreground = by_octave(result, "foreground")
    assert (kind, foreground.shape, foreground[0, 0, 0], foreground[-1, -1, -1]) == ("uint8", (3, 4, 2), 0, 255)
    kind, size = by_octave(result, "voxelSizeUm")
    assert (kind, size.tolist()) == ("double", [list(SIZE)])
    kind, text = by_octave(result, "provenance")
    assert (kind, text.shape[0]) == ("uint16", 1)
    assert json.loads("".join(map(chr, text.ravel().astype(int)))) == {"recipe": {"a": 1}, "µ": "µm"}


@octave
@pytest.mark.parametrize(("dtype", "matlab_class"), [("float32", "double"), ("float64", "double"), ("int16", "int16")])
def test_octave_reads_every_type(tmp_path: Path, dtype: str, matlab_class: str) -> None:
    data = (CELLS % 100 / (4 if dtype.startswith("f") else 1)).astype(dtype)
    kind, values = by_octave(written(tmp_path / "a.mat", Volume(data)), "raw")
    assert kind == matlab_class
    np.testing.assert_array_equal(values, np.moveaxis(data, 0, 2))


def test_pymatreader_reads_a_result(result: Path) -> None:
    read = pymatreader.read_mat(result)
    np.testing.assert_array_equal(read["label"], np.moveaxis(CELLS, 0, 2))
    np.testing.assert_array_equal(read["lumen"], np.moveaxis(CELLS == 2, 0, 2))
    assert read["label"].dtype == np.uint32
    np.testing.assert_array_equal(read["voxelSizeUm"], SIZE)
    assert json.loads(read["provenance"]) == {"recipe": {"a": 1}, "µ": "µm"}


def test_scipy_takes_it_for_what_it_is(result: Path) -> None:
    assert scipy.io.matlab.matfile_version(result) == (2, 0)


def test_what_matlab_saves_again_as_version_5_keeps_the_voxel_size(tmp_path: Path, result: Path) -> None:
    read = pymatreader.read_mat(result)
    scipy.io.savemat(tmp_path / "old.mat", {name: read[name] for name in ("label", "voxelSizeUm")})
    assert open_volume(tmp_path / "old.mat", "label").voxel_size_um == SIZE


def test_each_array_keeps_its_own_voxel_size(result: Path) -> None:
    assert open_volume(result, "foreground").voxel_size_um == (2.0, 0.4, 0.6)
    assert open_volume(result, "label").voxel_size_um == SIZE


def test_the_laboratorys_scales_where_they_can_say_it(tmp_path: Path) -> None:
    volume = Volume(CELLS, VoxelSize(1.0, 0.25, 0.25))
    path = written(tmp_path / "a.mat", volume)
    with h5py.File(path, "a") as file:
        assert (file["pixelScale"][()], file["zScale"][()]) == (0.25, 4.0)
        for name in list(file["raw"].attrs):
            if name != "MATLAB_class":
                del file["raw"].attrs[name]
    assert open_volume(path, "raw").voxel_size_um == (1.0, 0.25, 0.25)


def test_an_unknown_voxel_size_writes_none(tmp_path: Path) -> None:
    volume = Volume(CELLS)
    path = written(tmp_path / "a.mat", volume)
    with h5py.File(path) as file:
        assert set(file) == {"raw"}
        assert file["raw"].chunks == (4, 6, 5)
        assert (file["raw"].compression, file["raw"].compression_opts, file["raw"].shuffle) == ("gzip", 4, True)


def test_a_name_that_matlab_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'2nd' is no name that a MATLAB variable can have"):
        written(tmp_path / "a.mat", Volume(CELLS), "2nd")
    assert list(tmp_path.iterdir()) == []


def test_a_type_that_matlab_has_not_is_told(tmp_path: Path) -> None:
    with pytest.raises(ScutoidError, match=r"`raw` could not be written: .*MATLAB has no numbers of type .*--single"):
        written(tmp_path / "a.mat", Volume(CELLS.astype(np.longdouble)))
    assert list(tmp_path.iterdir()) == []


def test_rows_of_doubles_and_empty_ones(tmp_path: Path) -> None:
    outputs = {"raw": Output(CELLS, CELLS.dtype, Volume(CELLS))}
    drain(Mat73Writer({"validCells": [2, 5], "noValidCells": []}).write(tmp_path / "a.mat", outputs, {}))
    read = pymatreader.read_mat(tmp_path / "a.mat", variable_names=["validCells"])
    np.testing.assert_array_equal(read["validCells"], [2, 5])
    with h5py.File(tmp_path / "a.mat") as file:
        assert file["validCells"].shape == (2, 1)  # MATLAB reverses the axes: a row
        empty = file["noValidCells"]
        assert (empty[()].tolist(), empty.dtype, empty.attrs["MATLAB_empty"]) == ([1, 0], np.uint64, 1)
