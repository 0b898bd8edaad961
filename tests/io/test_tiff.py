"""TIFF as ImageJ, OME writers, microscopes and tifffile leave it: axes, voxel size, slices."""

from __future__ import annotations

import re
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.lazy import LazyArray
from napari_scutoid.io.open import inspect, open_labels, open_volume
from napari_scutoid.io.tiff import Tiff
from napari_scutoid.io.units import micrometres
from napari_scutoid.volume import VoxelSize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.io.format import StoredArray


def stack(*shape: int, dtype: str = "uint16") -> NDArray[Any]:
    return np.random.default_rng(3).integers(0, 250, shape).astype(dtype)


def only(file: Path) -> StoredArray:
    (array,) = Tiff().list(file).arrays
    return array


def content(file: Path) -> NDArray[Any]:
    """Return the only array in napari's order."""
    array = only(file)
    return np.asarray(LazyArray(Tiff().read(file, array), array.order, name=array.path))


def in_order(data: NDArray[Any], axes: str, wanted: str) -> NDArray[Any]:
    return data.transpose([axes.index(axis) for axis in wanted])


# Real files


def test_a_hyperstack_of_a_microscope(shared_data: Path) -> None:
    file = shared_data / "tiff" / "Neural_tube_organoid_DAPI_betaCat-small.tif"
    (info,) = inspect(file).datasets
    assert (info.axes, info.shape, info.dtype, info.guess) == ("CZYX", (2, 31, 114, 114), "uint16", "image")
    assert info.axes_are_stated
    assert info.voxel_size_um == pytest.approx((3.340934043219543, 1e6 / 293040, 1e6 / 293040))
    volume = open_volume(file, channel=1)
    assert volume.history == ("channel 1 of 2",)
    np.testing.assert_array_equal(volume.data[...], tifffile.imread(file)[:, 1])
    with pytest.raises(ScutoidError, match="choose the channel with --channel, 0 to 1"):
        open_volume(file)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("Dub-WilliamMohler-Tp33-Half.tif", (33, 256, 384)), ("test_image_8bit.tif", (30, 199, 206))],
)
def test_stacks_that_nobody_calibrated_along_z(shared_data: Path, name: str, shape: tuple[int, ...]) -> None:
    # The second states centimetres, and Fiji shows 1 µm for every edge: nothing in it says so of z.
    file = shared_data / "tiff" / name
    (info,) = inspect(file).datasets
    assert (info.axes, info.shape, info.dtype, info.guess) == ("ZYX", shape, "uint8", "image")
    assert info.voxel_size_um is None
    np.testing.assert_array_equal(open_volume(file).data[...], tifffile.imread(file))


def test_the_picture_shows_the_orientation_of_its_matlab_copy(shared_data: Path) -> None:
    picture = open_volume(shared_data / "tiff" / "test_image_8bit.tif").data
    matlab = open_volume(shared_data / "mat" / "epitools_v5_RegIm_wClahe_uint8.mat", time=0).data
    assert picture.shape[1:] == matlab.shape[1:] == (199, 206)
    projection, registered = picture[...].max(0).astype(float), np.asarray(matlab[0], float)

    def likeness(other: NDArray[Any]) -> float:
        return float(np.corrcoef(projection[:199, :199].ravel(), other.ravel())[0, 1])

    square = registered[:199, :199]
    turned = {
        f"{turn}{'T' * flip}": np.rot90(square.T if flip else square, turn) for turn in range(4) for flip in (0, 1)
    }
    assert max(turned, key=lambda name: likeness(turned[name])) == "0"


# Axes


@pytest.mark.parametrize("axes", ["ZYX", "CZYX", "TZYX", "ZCYX", "TZCYX", "TYX", "CYX", "YX"])
def test_imagej_axes(tmp_path: Path, axes: str) -> None:
    file = tmp_path / "a.tif"
    data = stack(*[dict(T=4, Z=5, C=2, Y=11, X=12)[axis] for axis in axes])
    if axes.find("C") == 0 and "Z" in axes:
        data, axes = np.swapaxes(data, 0, 1), "ZCYX"
    tifffile.imwrite(file, data, imagej=True, metadata={"axes": axes})
    wanted = "".join(axis for axis in "TCZYX" if axis in axes)
    array = only(file)
    assert (array.axes, array.axes_are_stated) == (wanted, True)
    np.testing.assert_array_equal(content(file), in_order(data, axes, wanted))


@pytest.mark.parametrize("order", ["".join(order) for order in permutations("TZC")])
def test_ome_axes_in_any_order(tmp_path: Path, order: str) -> None:
    file = tmp_path / "a.ome.tif"
    axes = order + "YX"
    data = stack(*[dict(T=4, Z=5, C=2, Y=11, X=12)[axis] for axis in axes])
    tifffile.imwrite(file, data, metadata={"axes": axes})
    array = only(file)
    assert (array.axes, array.shape, array.axes_are_stated) == ("TCZYX", (4, 2, 5, 11, 12), True)
    np.testing.assert_array_equal(content(file), in_order(data, axes, "TCZYX"))


def test_time_series_of_pictures_are_no_stack_of_slices(tmp_path: Path) -> None:
    file = tmp_path / "a.ome.tif"
    data = stack(5, 11, 12)
    tifffile.imwrite(file, data, metadata={"axes": "TYX"})
    assert inspect(file).datasets[0].axes == "TYX"
    volume = open_volume(file, "series0", time=2)
    np.testing.assert_array_equal(volume.data[...], data[2:3])
    assert volume.history == ("time point 2 of 5", "one picture, taken as a stack of one slice")
    with pytest.raises(ScutoidError, match="choose the time point with --time, 0 to 4"):
        open_volume(file, "series0")


@pytest.mark.parametrize(
    ("planar", "kind"),
    # ImageJ knows interleaved colours only.
    [("contig", "plain"), ("contig", "ome"), ("contig", "imagej"), ("separate", "plain"), ("separate", "ome")],
)
def test_colours_are_channels(tmp_path: Path, planar: str, kind: str) -> None:
    file = tmp_path / ("a.ome.tif" if kind == "ome" else "a.tif")
    data, axes = (stack(5, 11, 12, 3, dtype="uint8"), "ZYXS")
    if planar == "separate":
        data, axes = np.moveaxis(data, -1, 1), "ZSYX"
    tifffile.imwrite(
        file, data, photometric="rgb", planarconfig=planar, imagej=kind == "imagej", metadata={"axes": axes}
    )
    assert only(file).axes == "CZYX"
    np.testing.assert_array_equal(content(file), in_order(data, axes, "SZYX"))


def test_axes_of_one_are_listed_where_the_file_names_them(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    data = stack(3, 1, 1, 11, 12)
    tifffile.imwrite(file, data, metadata={"axes": "TZCYX"})
    array = only(file)
    assert (array.axes, array.shape) == ("TCZYX", (3, 1, 1, 11, 12))
    np.testing.assert_array_equal(open_volume(file, array.path, time=1, channel=0).data[...], data[1, :, 0])
    one_slice = tmp_path / "b.ome.tif"
    tifffile.imwrite(one_slice, data[0, 0], metadata={"axes": "ZYX", "PhysicalSizeZ": 2.0})
    assert (only(one_slice).axes, only(one_slice).shape) == ("ZYX", (1, 11, 12))


def test_planes_in_a_row_are_slices_unless_somebody_says_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    data = stack(6, 11, 12)
    tifffile.imwrite(file, data, metadata=None)
    array = only(file)
    assert (array.axes, array.axes_are_stated, array.voxel_size_um) == ("ZYX", False, None)
    np.testing.assert_array_equal(content(file), data)


def test_planes_of_several_sizes_are_several_arrays(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    parts = [stack(5, 11, 12), stack(6, 20, 21)]
    with tifffile.TiffWriter(file) as writer:
        for part in parts:
            writer.write(part, metadata=None)
    assert [(array.path, array.shape) for array in Tiff().list(file).arrays] == [
        ("series0", (5, 11, 12)),
        ("series1", (6, 20, 21)),
    ]
    np.testing.assert_array_equal(open_volume(file, "series1").data[...], parts[1])


def test_of_a_pyramid_the_full_resolution_is_listed(tmp_path: Path) -> None:
    for kind in ("ome", "plain"):
        file = tmp_path / f"{kind}{'.ome' * (kind == 'ome')}.tif"
        data = stack(5, 64, 64)
        with tifffile.TiffWriter(file) as writer:
            options: dict[str, Any] = {"tile": (32, 32), "metadata": {"axes": "ZYX"}}
            writer.write(data, subifds=1, **options)
            writer.write(data[:, ::2, ::2], subfiletype=1, **options)
        assert only(file).shape == (5, 64, 64)
        np.testing.assert_array_equal(content(file), data)


# Voxel size


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("micron", 1.0), ("um", 1.0), (r"\u00B5m", 1.0), ("nm", 1e-3), ("mm", 1e3), ("inch", 25400.0), ("pixel", None)],
)
def test_imagej_units(tmp_path: Path, unit: str, factor: float | None) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(
        file,
        stack(5, 11, 12),
        imagej=True,
        resolution=(1 / 0.25, 1 / 0.5),
        metadata={"axes": "ZYX", "spacing": 2.0, "unit": unit},
    )
    expected = None if factor is None else pytest.approx(np.array([2.0, 0.5, 0.25]) * factor)
    assert only(file).voxel_size_um == expected


@pytest.mark.parametrize(
    ("spacing", "resolution", "unit", "resolution_unit"),
    [
        (None, (4, 4), "micron", None),
        (2.0, None, "micron", None),
        (2.0, (4, 4), None, None),
        (float("nan"), (4, 4), "micron", None),
        (0.0, (4, 4), "micron", None),
    ],
    ids=["no z step", "no pixel size", "no unit", "no number", "zero"],
)
def test_what_imagej_does_not_know_stays_unknown(
    tmp_path: Path, spacing: float | None, resolution: Any, unit: str | None, resolution_unit: str | None
) -> None:
    file = tmp_path / "a.tif"
    metadata = {key: value for key, value in {"spacing": spacing, "unit": unit}.items() if value is not None}
    tifffile.imwrite(file, stack(5, 11, 12), imagej=True, resolution=resolution, metadata={"axes": "ZYX", **metadata})
    if resolution is None:
        with tifffile.TiffFile(file, mode="r+") as tif:
            for tag in (282, 283):
                tif.pages[0].tags[tag].overwrite((0, 0))
    assert only(file).voxel_size_um is None


def test_imagej_without_a_unit_takes_that_of_the_resolution(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(
        file,
        stack(5, 11, 12),
        imagej=True,
        resolution=(1e4 / 0.25, 1e4 / 0.5),
        resolutionunit="CENTIMETER",
        # Fiji keeps a sign for stacks that were taken downwards.
        metadata={"axes": "ZYX", "spacing": -2e-4},
    )
    assert only(file).voxel_size_um == pytest.approx((2.0, 0.5, 0.25))


def test_ome_units(tmp_path: Path) -> None:
    file = tmp_path / "a.ome.tif"
    sizes = {"PhysicalSizeZ": 0.001, "PhysicalSizeZUnit": "mm", "PhysicalSizeY": 235.0, "PhysicalSizeYUnit": "nm"}
    tifffile.imwrite(file, stack(5, 11, 12), metadata={"axes": "ZYX", "PhysicalSizeX": 0.15, **sizes})
    assert only(file).voxel_size_um == VoxelSize(1.0, 0.235, 0.15)
    tifffile.imwrite(file, stack(5, 11, 12), metadata={"axes": "ZYX", "PhysicalSizeX": 0.15, "PhysicalSizeY": 0.15})
    assert only(file).voxel_size_um is None


@pytest.mark.parametrize(
    ("length", "unit", "expected"),
    [
        ("0.5", "µm", 0.5),
        (0.5, "μm", 0.5),
        (3, "Å", 3e-4),
        (1, " Micron ", 1.0),
        (1, "micrometer", 1.0),
        (1, "Mm", None),
        (1, "", None),
        (-1, "um", None),
        ("inf", "um", None),
        (None, "um", None),
        ("wide", "um", None),
    ],
)
def test_lengths(length: Any, unit: str, expected: float | None) -> None:
    assert micrometres(length, unit) == expected


# Voxels


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"compression": "zlib", "rowsperstrip": 3},
        {"compression": "lzw", "predictor": 2},
        {"compression": "packbits"},
        {"compression": "zstd"},
        {"tile": (16, 16)},
        {"tile": (16, 32), "compression": "lzw", "byteorder": ">"},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "float32", "float64"])
def test_encodings(tmp_path: Path, options: dict[str, Any], dtype: str) -> None:
    file = tmp_path / "a.tif"
    data = stack(5, 33, 35, dtype=dtype)
    if dtype.startswith("float"):
        data += 0.25
        if "predictor" in options:
            options = options | {"predictor": 3}
    tifffile.imwrite(file, data, **options)
    assert only(file).dtype == np.dtype(dtype)
    np.testing.assert_array_equal(content(file), data)


def test_pictures_of_one_bit_are_masks(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    data = stack(5, 33, 35) > 100
    tifffile.imwrite(file, data)
    (info,) = inspect(file).datasets
    assert (info.dtype, info.guess) == ("bool", "mask")
    np.testing.assert_array_equal(content(file), data)


def test_labels_of_another_program_are_known_by_their_content(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    labels = np.kron(np.arange(1, 25).reshape(2, 3, 4), np.ones((4, 10, 10))).astype(np.uint32) * 100_000
    tifffile.imwrite(file, labels, compression="lzw")
    assert inspect(file).datasets[0].guess == "labels"
    np.testing.assert_array_equal(open_labels(file).data, labels)


@pytest.fixture(scope="module")
def two_layouts(tmp_path_factory: pytest.TempPathFactory) -> tuple[NDArray[Any], list[Any]]:
    folder = tmp_path_factory.mktemp("tiff")
    data = stack(3, 2, 5, 9, 8)
    arrays = []
    for name, options in (("contiguous", {}), ("packed", {"compression": "zlib"})):
        file = folder / f"{name}.tif"
        tifffile.imwrite(file, data, metadata={"axes": "TCZYX"}, **options)
        arrays.append(Tiff().read(file, only(file)))
    return data, arrays


@given(data=st.data())
def test_slices_are_those_of_numpy(two_layouts: tuple[NDArray[Any], list[Any]], data: st.DataObject) -> None:
    whole, arrays = two_layouts
    key = tuple(
        data.draw(
            st.integers(0, length - 1)
            | st.tuples(st.integers(0, length), st.integers(0, length), st.integers(1, 3)).map(lambda one: slice(*one))
        )
        for length in whole.shape
    )
    for array in arrays:
        np.testing.assert_array_equal(array[key], whole[key])


def test_headers_only_and_a_slice_reads_a_slice(tmp_path: Path) -> None:
    if not hasattr(psutil.Process, "io_counters"):
        pytest.skip("this system does not count what a process reads")
    file = tmp_path / "a.tif"
    # Not a block of it is on the disk.
    with tifffile.TiffWriter(file, bigtiff=True) as writer:
        writer.write(shape=(2048, 1024, 512), dtype="uint16", metadata={"axes": "ZYX"})
    assert file.stat().st_size > 2**31

    def read_so_far() -> int:
        return int(psutil.Process().io_counters().read_chars)

    before = read_so_far()
    assert only(file).shape == (2048, 1024, 512)
    assert read_so_far() - before < 2**21
    volume = open_volume(file, "series0")
    assert volume.data[1000:1002, 10:20, :].shape == (2, 10, 512)
    assert read_so_far() - before < 2**22


def test_the_file_is_closed_with_the_last_array(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, stack(5, 11, 12))
    array = Tiff().read(file, only(file))
    process = psutil.Process()
    assert any(Path(one.path) == file for one in process.open_files())
    del array
    assert not any(Path(one.path) == file for one in process.open_files())


def test_a_zeiss_lsm_states_its_voxel_size(tmp_path: Path) -> None:
    """Header as Zeiss documents it; LSM keeps a small copy behind each plane."""
    file = tmp_path / "a.lsm"
    fields = np.zeros(1, np.dtype(tifffile.TIFF.CZ_LSMINFO))
    fields["MagicNumber"], fields["StructureSize"] = 0x00400494C, fields.itemsize
    for axis, length in {"X": 12, "Y": 11, "Z": 5, "Channels": 1, "Time": 1}.items():
        fields[f"Dimension{axis}"] = length
    for axis, edge in {"X": 0.15e-6, "Y": 0.2e-6, "Z": 0.5e-6}.items():
        fields[f"VoxelSize{axis}"] = edge
    data = stack(5, 11, 12, dtype="uint8")
    with tifffile.TiffWriter(file, byteorder="<") as writer:
        for plane in data:
            tags = [(34412, 1, fields.nbytes, fields.tobytes(), True)]
            writer.write(plane, extratags=tags, metadata=None, contiguous=False)
            writer.write(plane[::4, ::4], subfiletype=1, metadata=None, contiguous=False)
    array = only(file)
    assert (array.axes, array.shape, array.axes_are_stated) == ("ZYX", (5, 11, 12), True)
    assert array.voxel_size_um == pytest.approx((0.5, 0.2, 0.15))
    np.testing.assert_array_equal(content(file), data)


def test_a_message_names_what_cannot_be_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, stack(5, 11, 12), compression="zlib")
    with tifffile.TiffFile(file, mode="r+") as tif:
        for page in tif.pages:
            page.tags[259].overwrite(48124)
    assert inspect(file).datasets[0].shape == (5, 11, 12)
    with pytest.raises(ScutoidError) as caught:
        open_volume(file, "series0").data[0]
    assert caught.value.why == "its voxels are compressed with JETRAW, which cannot be read here"
    assert re.search("Fiji", caught.value.try_this)
