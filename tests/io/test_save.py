"""What is written reads back equal, and nothing half-written is left."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io import hdf5_write
from napari_scutoid.io.open import inspect, open_labels, open_volume, save_result
from napari_scutoid.io.save import check_result_path, save_stack
from napari_scutoid.volume import Labels, Origin, Volume, VoxelSize

SIZE, ORIGIN = VoxelSize(0.5, 0.2, 0.2), Origin(1.0, -2.0, 3.0)


def labels(largest: int = 5, *, lumen: bool = False) -> Labels:
    data = np.random.default_rng(6).integers(0, 5, (20, 9, 8)).astype(np.uint32)
    data[0, 0, 0] = largest
    return Labels(data, SIZE, ORIGIN, lumen=data == 2 if lumen else None)


def probability(dtype: str = "float32") -> Volume:
    return Volume(np.linspace(0, 1, 10 * 5 * 4).reshape(10, 5, 4).astype(dtype), VoxelSize(1.0, 0.4, 0.4))


@pytest.mark.parametrize(
    ("largest", "dtype"), [(5, "uint8"), (256, "uint16"), (65_536, "uint32"), (2**32 - 1, "uint32")]
)
def test_labels_round_trip_in_the_smallest_type(tmp_path: Path, largest: int, dtype: str) -> None:
    path, before = tmp_path / "a.h5", labels(largest, lumen=True)
    save_result(path, before, {}, {})
    after = open_labels(path)
    np.testing.assert_array_equal(after.data, before.data)
    assert (after.voxel_size_um, after.origin_um) == (SIZE, ORIGIN)
    assert [(d.path, d.dtype, d.guess) for d in inspect(path).datasets] == [
        ("label", dtype, "labels"),
        ("lumen", "uint8", "mask"),
    ]
    with h5py.File(path) as file:
        stored = file["label"]
        assert (stored.compression, stored.compression_opts, stored.shuffle) == ("gzip", 4, True)
        assert stored.chunks == (16, 9, 8)
        assert [dimension.label for dimension in stored.dims] == ["z", "y", "x"]
        np.testing.assert_array_equal(file["lumen"][()], before.data == 2)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_probabilities_are_bytes_with_a_scale_on_their_own_grid(tmp_path: Path, dtype: str) -> None:
    path, before = tmp_path / "a.h5", probability(dtype)
    save_result(path, labels(), {"foreground": before, "boundary": before}, {})
    with h5py.File(path) as file:
        for name in ("foreground", "boundary"):
            stored = file[name]
            assert stored.dtype == np.uint8
            np.testing.assert_allclose(stored[()] * stored.attrs["scale"], before.data[...], atol=0.5 / 255 + 1e-3)
            np.testing.assert_array_equal(stored.attrs["element_size_um"], [1.0, 0.4, 0.4])
    assert {d.path: d.guess for d in inspect(path).datasets}["boundary"] == "other"


def test_bytes_stay_bytes(tmp_path: Path) -> None:
    before = Volume(np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    save_result(tmp_path / "a.h5", labels(), {"foreground": before}, {})
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["foreground"][()], before.data)
    np.testing.assert_array_equal(open_volume(tmp_path / "a.h5", "foreground").data[...] * 255, before.data)


def test_an_unknown_voxel_size_stays_unknown(tmp_path: Path) -> None:
    save_result(tmp_path / "a.h5", Labels(labels().data), {}, {})
    assert open_labels(tmp_path / "a.h5").voxel_size_um is None
    with h5py.File(tmp_path / "a.h5") as file:
        assert "element_size_um" not in file["label"].attrs


def test_history_tells_which_channel_it_was(tmp_path: Path) -> None:
    save_result(tmp_path / "a.h5", Labels(labels().data, history=("channel 1 of 3", "rescaled")), {}, {})
    with h5py.File(tmp_path / "a.h5") as file:
        assert json.loads(file["label"].attrs["history"]) == ["channel 1 of 3", "rescaled"]


def test_provenance_is_json_however_long(tmp_path: Path) -> None:
    short = {"recipe": {"a": 1}, "number": np.float32(0.5), "shape": np.arange(3), "file": Path("a.h5"), "µ": "µm"}
    save_result(tmp_path / "short.h5", labels(), {}, short)
    with h5py.File(tmp_path / "short.h5") as file:
        assert file.attrs["schema_version"] == 1
        read = json.loads(file.attrs["provenance"])
        assert read == {"recipe": {"a": 1}, "number": 0.5, "shape": [0, 1, 2], "file": "a.h5", "µ": "µm"}
    save_result(tmp_path / "long.h5", labels(), {}, {"history": "x" * 100_000})
    with h5py.File(tmp_path / "long.h5") as file:
        assert json.loads(file["provenance"].asstr()[()]) == {"history": "x" * 100_000}


@pytest.mark.parametrize("name", ["a.png", "a.txt", "a"])
def test_other_extensions_name_those_that_can_be_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ScutoidError, match=r"could not be written: .*one of: \.h5, \.hdf5, \.hdf, \.mat"):
        check_result_path(tmp_path / name)
    with pytest.raises(ScutoidError):
        save_result(tmp_path / name, labels(), {}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.h5", "a.mat"])
def test_a_stack_of_another_program_is_never_replaced(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    image = Volume(np.ones((20, 9, 8), np.uint8))
    save_stack(path, image, labels())
    save_stack(path, image, labels())
    if name.endswith(".h5"):
        with h5py.File(path, "w") as file:
            file["raw"] = np.ones((2, 3, 4))
    else:
        path.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(128) + bytes(512))
    before = path.read_bytes()
    with pytest.raises(ScutoidError, match=r"this program did not make it.*give another name"):
        save_stack(path, image, labels())
    if name.endswith(".h5"):
        with pytest.raises(ScutoidError, match="this program did not make it"):
            save_result(path, labels(), {}, {})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("old", [b"", b"not a stack"])
def test_what_is_no_stack_is_replaced(tmp_path: Path, old: bytes) -> None:
    (tmp_path / "a.h5").write_bytes(old)
    save_result(tmp_path / "a.h5", labels(), {}, {})
    assert open_labels(tmp_path / "a.h5").shape == labels().shape


def test_a_failure_leaves_the_old_result_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.h5"
    save_result(path, labels(), {}, {"run": 1})
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hdf5_write, "_write_dataset", fail)
    with pytest.raises(ScutoidError, match=r"could not be written: No space left"):
        save_result(path, labels(), {}, {"run": 2})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_probabilities_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        save_result(tmp_path / "a.h5", labels(), {"foreground": Volume(np.full((2, 3, 4), np.nan))}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".h5", ".mat"])
def test_a_stack_round_trips_with_its_labels(tmp_path: Path, suffix: str) -> None:
    path, truth = tmp_path / f"a{suffix}", labels(300, lumen=True)
    image = Volume(np.random.default_rng(7).random((20, 9, 8)).astype("float32"), SIZE)
    save_stack(path, image, truth, {"seed": 1})
    names = {
        ".h5": {"raw": "image", "label": "labels", "lumen": "mask"},
        ".mat": {"imageSequenceInterpolated": "image", "labelledImage3D": "labels", "lumenImage": "mask"},
    }
    assert {d.path: d.guess for d in inspect(path).datasets} == names[suffix]
    opened, read = open_volume(path), open_labels(path)
    np.testing.assert_array_equal(opened.data[...], image.data)
    np.testing.assert_array_equal(read.data, truth.data)
    assert opened.voxel_size_um == pytest.approx(SIZE)
    assert read.voxel_size_um == pytest.approx(SIZE)


def test_a_voxel_that_the_laboratorys_scales_cannot_say_is_kept_all_the_same(tmp_path: Path) -> None:
    image = Volume(np.ones((9, 9, 9)), VoxelSize(1.0, 0.2, 0.3))
    save_stack(tmp_path / "a.mat", image, Labels(np.ones((9, 9, 9), int)))
    assert open_volume(tmp_path / "a.mat").voxel_size_um == (1.0, 0.2, 0.3)
    with h5py.File(tmp_path / "a.mat") as file:
        assert "pixelScale" not in file
        np.testing.assert_array_equal(file["voxelSizeUm"][()].T, [[1.0, 0.2, 0.3]])
