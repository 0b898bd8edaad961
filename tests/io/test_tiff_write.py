"""What is written as TIFF: read back equal, by tifffile and, where it is installed, by ImageJ itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io import tiff_write
from napari_scutoid.io.open import inspect, open_labels, open_volume
from napari_scutoid.io.output import Output
from napari_scutoid.io.save import save_result, save_stack
from napari_scutoid.io.tiff_write import TiffWriter
from napari_scutoid.progress import Progress, drain
from napari_scutoid.volume import Labels, Origin, Volume, VoxelSize

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE, ORIGIN = VoxelSize(0.35, 0.1623547, 1 / 3), Origin(1.0, -2.0, 3.5)
IMAGEJ = Path("/usr/share/java/ij.jar")
BIO_FORMATS = os.environ.get("BIO_FORMATS", "")


def labels(largest: int = 5, size: VoxelSize | None = SIZE, *, lumen: bool = False) -> Labels:
    data = np.random.default_rng(6).integers(0, 5, (6, 19, 18)).astype(np.uint32)
    data[0, 0, 0] = largest
    return Labels(data, size, ORIGIN, history=("made here",), lumen=data == 2 if lumen else None)


def write(file: Path, data: NDArray[Any], size: VoxelSize | None = SIZE) -> Volume:
    volume = Volume(data, size, ORIGIN)
    drain(TiffWriter().write(file, {"raw": Output(data, data.dtype, volume)}, {}))
    return volume


@pytest.mark.parametrize("name", ["a.tif", "a.TIFF", "a.ome.tif"])
@pytest.mark.parametrize(
    ("largest", "dtype"), [(5, "uint8"), (256, "uint16"), (65_536, "uint32"), (2**32 - 1, "uint32")]
)
def test_labels_come_back_whole(tmp_path: Path, name: str, largest: int, dtype: str) -> None:
    file, before = tmp_path / name, labels(largest)
    save_result(file, before, {}, {})
    after = open_labels(file)
    np.testing.assert_array_equal(after.data, before.data)
    assert (after.voxel_size_um, after.origin_um) == (SIZE, ORIGIN)
    (info,) = inspect(file).datasets
    assert (info.path, info.axes, info.shape, info.dtype, info.guess) == ("label", "ZYX", (6, 19, 18), dtype, "labels")
    np.testing.assert_array_equal(tifffile.imread(file), before.data)
    with tifffile.TiffFile(file) as tif:
        assert tif.is_imagej == (dtype != "uint32" and name != "a.ome.tif")
        assert tif.is_ome != tif.is_imagej
    assert list(tmp_path.iterdir()) == [file]


ARRAYS = hnp.arrays(
    st.sampled_from(["uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"]),
    hnp.array_shapes(min_dims=3, max_dims=3, min_side=2, max_side=9),
    elements={"allow_nan": False, "allow_infinity": False},
)
EDGES = st.floats(1e-4, 1e4, allow_subnormal=False)


@given(data=ARRAYS, size=st.none() | st.builds(VoxelSize, EDGES, EDGES, EDGES), name=st.sampled_from(["a", "a.ome"]))
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, data: NDArray[Any], size: VoxelSize | None, name: str
) -> None:
    file = tmp_path_factory.mktemp("round_trip") / f"{name}.tif"
    write(file, data, size)
    (info,) = inspect(file).datasets
    volume = open_volume(file, "raw")
    np.testing.assert_array_equal(volume.data[...], data)
    # ImageJ and OME know no half precision; single holds it exactly.
    assert volume.dtype == (np.float32 if data.dtype == np.float16 else data.dtype)
    assert (info.axes, info.shape, volume.origin_um) == ("ZYX", data.shape, ORIGIN)
    assert volume.voxel_size_um == (None if size is None else pytest.approx(size, rel=1e-9))


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_a_stack_of_one_slice_stays_one(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, np.ones((1, 11, 12), np.uint8))
    (info,) = inspect(tmp_path / name).datasets
    assert (info.axes, info.shape, info.voxel_size_um) == ("ZYX", (1, 11, 12), SIZE)


def test_imagej_finds_what_it_writes_itself(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    save_result(file, labels(300), {}, {"recipe": {"sigma": np.float32(2)}, "µ": "…"})
    with tifffile.TiffFile(file) as tif:
        said = dict(tif.imagej_metadata)
        tags = tif.pages[0].tags
        assert [tags[code].value for code in (282, 283, 296)] == [(3, 1), (10_000_000, 1_623_547), 1]
        assert tif.series[0].axes == "ZYX"
        assert tags["Software"].value == "napari-scutoid"
        assert len({page.compression for page in tif.pages}) == 1
    info = json.loads(said.pop("Info"))
    assert said == {
        "ImageJ": "1.53t", "images": 6, "slices": 6, "unit": "micron", "spacing": 0.35, "loop": False,
        "min": 0.0, "max": 300.0,
    }  # fmt: skip
    assert info == {
        "dataset": "label", "kind": "labels", "origin_um": [1.0, -2.0, 3.5], "history": ["made here"], "attributes": {},
        "schema_version": 1, "provenance": {"recipe": {"sigma": 2.0}, "µ": "…"},
    }  # fmt: skip


def test_ome_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    save_result(file, labels(70_000), {}, {"note": "< & \u0001"})
    with tifffile.TiffFile(file) as tif:
        text = tif.ome_metadata
        assert tif.series[0].axes == "ZYX"
        assert [tif.pages[0].tags[code].value for code in (282, 283, 296)][2] == 3
    assert text is not None
    space = {"ome": "http://www.openmicroscopy.org/Schemas/OME/2016-06"}
    image = ElementTree.fromstring(text).find("ome:Image", space)
    assert image is not None
    pixels = image.find("ome:Pixels", space)
    assert image.get("Name") == "label" and pixels is not None
    assert {f"PhysicalSize{axis}": repr(edge) for axis, edge in zip("ZYX", SIZE, strict=True)}.items() <= (
        pixels.attrib.items()
    )
    assert pixels.get("Type") == "uint32" and pixels.get("PhysicalSizeZUnit") == "µm"
    assert json.loads(image.findtext("ome:Description", "", space))["provenance"] == {"note": "< & \u0001"}


def test_unknown_voxel_size_is_not_written(tmp_path: Path) -> None:
    for largest in (5, 70_000):
        file = tmp_path / f"{largest}.tif"
        save_result(file, labels(largest, None), {}, {})
        assert open_labels(file).voxel_size_um is None
        with tifffile.TiffFile(file) as tif:
            assert "XResolution" not in tif.pages[0].tags
            assert "PhysicalSize" not in (tif.ome_metadata or "")
            assert not {"unit", "spacing"} & set(tif.imagej_metadata or {})


def test_several_arrays_are_files_beside_each_other(tmp_path: Path) -> None:
    for name, others in (
        ("a.tif", {"a_lumen.tif", "a_foreground.tif"}),
        ("b.ome.tif", {"b_lumen.ome.tif", "b_foreground.ome.tif"}),
    ):
        file = tmp_path / name
        foreground = Volume(np.linspace(0, 1, 60, dtype=np.float32).reshape(3, 4, 5), VoxelSize(1.0, 0.4, 0.4))
        for _ in range(2):
            save_result(file, labels(lumen=True), {"foreground": foreground}, {})
        assert {one.name for one in tmp_path.glob(f"{name[0]}*")} == {name, *others}
        lumen, probability = (tmp_path / one for one in sorted(others, reverse=True))
        assert inspect(lumen).datasets[0].guess == "mask"
        again = open_volume(probability, "foreground")
        np.testing.assert_allclose(again.data[...], foreground.data, atol=0.5 / 255 + 1e-6)
        assert again.voxel_size_um == foreground.voxel_size_um
        file.unlink()


def test_a_stack_with_its_labels(tmp_path: Path) -> None:
    image = Volume(np.ones((6, 19, 18), np.float32), SIZE, ORIGIN)
    save_stack(tmp_path / "a.tif", image, labels())
    assert inspect(tmp_path / "a.tif").datasets[0].path == "raw"
    np.testing.assert_array_equal(open_labels(tmp_path / "a_label.tif").data, labels().data)


def test_all_files_or_none(tmp_path: Path) -> None:
    bad = Volume(np.full((3, 4, 5), np.nan, np.float32))
    with pytest.raises(ValueError, match="NaN"):
        save_result(tmp_path / "a.tif", labels(), {"foreground": bad}, {})
    assert list(tmp_path.iterdir()) == []
    good = Volume(np.zeros((3, 4, 5), np.float32))
    steps = TiffWriter().write(
        tmp_path / "a.tif", {"a": Output(good.data, good.dtype, good), "b": Output(good.data, good.dtype, good)}, {}
    )
    assert next(steps) == Progress("Writing a", 1, 1)
    steps.close()
    assert list(tmp_path.iterdir()) == []


def test_files_of_others_are_not_replaced(tmp_path: Path) -> None:
    file, beside = tmp_path / "a.tif", tmp_path / "a_foreground.tif"
    tifffile.imwrite(beside, labels().data)
    content = beside.read_bytes()
    with pytest.raises(ScutoidError, match="this program did not make it"):
        save_result(file, labels(), {"foreground": Volume(np.zeros((3, 4, 5), np.float32))}, {})
    assert (list(tmp_path.iterdir()), beside.read_bytes()) == ([beside], content)
    with pytest.raises(ScutoidError, match="this program did not make it"):
        save_result(beside, labels(), {}, {})


def test_what_another_program_saved_again_is_its_own(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    save_result(file, labels(), {}, {})
    assert TiffWriter().may_replace(file)
    with tifffile.TiffFile(file) as tif:
        said, data = dict(tif.imagej_metadata), tif.asarray()
    # As Fiji does: the notes are kept, the name of the program is not.
    tifffile.imwrite(file, data[2:, 4:], imagej=True, software="", metadata={"axes": "ZYX", "Info": said["Info"]})
    assert not TiffWriter().may_replace(file)
    after = open_labels(file, "series0")
    assert after.origin_um == Origin()


def test_above_4_gib_it_is_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_write, "_CLASSIC_BYTES", 1000)
    file = tmp_path / "a.tif"
    save_result(file, labels(lumen=True), {}, {})
    with tifffile.TiffFile(file) as tif:
        assert tif.is_bigtiff and tif.is_ome and not tif.is_imagej
        np.testing.assert_array_equal(tif.asarray(), labels().data)
    after = open_labels(file)
    np.testing.assert_array_equal(after.data, labels().data)
    assert (after.voxel_size_um, after.origin_um) == (SIZE, ORIGIN)


def test_planes_are_cut_into_strips_and_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_write, "_STRIP_BYTES", 100)
    monkeypatch.setattr("napari_scutoid.io.output.BLOCK_BYTES", 2 * 19 * 18 * 2)
    data = np.random.default_rng(5).integers(0, 60_000, (7, 19, 18)).astype(np.uint16)
    file = tmp_path / "a.tif"
    steps = TiffWriter().write(file, {"raw": Output(data, data.dtype, Volume(data))}, {})
    assert [progress.done for progress in steps] == [1, 2, 3, 4]
    np.testing.assert_array_equal(tifffile.imread(file), data)
    np.testing.assert_array_equal(open_volume(file).data[...], data)


def test_what_tiff_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(ScutoidError, match="`raw` holds int64, which OME-TIFF and ImageJ do not know"):
        write(tmp_path / "a.tif", np.ones((2, 3, 4), np.int64))
    assert list(tmp_path.iterdir()) == []


def by_java(jar: Path, probe: str, files: list[Path]) -> list[list[str]]:
    """Run a Java program beside this file, and return the words of each line that it prints."""
    command = [
        "java",
        "-Djava.awt.headless=true",
        "-cp",
        str(jar),
        str(Path(__file__).with_name(probe)),
        *map(str, files),
    ]
    ended = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    return [line.split("\t") for line in ended.stdout.splitlines()]


def every_type(folder: Path, size: VoxelSize | None, suffix: str) -> dict[str, Path]:
    """Write labels of 8, 16 and 32 bits and an image of fractions."""
    files = {name: folder / f"{name}{suffix}" for name in ("uint8", "uint16", "uint32", "float")}
    save_result(files["uint8"], labels(5, size), {}, {"note": "µ"})
    save_result(files["uint16"], labels(60_000, size), {}, {})
    save_result(files["uint32"], labels(2**31 - 1, size), {}, {})
    write(files["float"], np.random.default_rng(5).random((6, 19, 18), np.float32), size)
    return files


def test_imagej_itself_reads_it(tmp_path: Path) -> None:
    if not IMAGEJ.exists() or shutil.which("javac") is None:
        pytest.skip("ImageJ or a Java compiler is missing (Debian packages libij-java and default-jdk-headless)")
    files = every_type(tmp_path, VoxelSize(0.35, 0.2, 0.15), ".tif")
    lines = by_java(IMAGEJ, "ImageJProbe.java", list(files.values()))
    for (name, file), (slices, unit, *numbers) in zip(files.items(), lines, strict=True):
        assert (slices, unit) == ("6", "µm" if name == "uint32" else "micron")
        depth, height, width, *values = map(float, numbers)
        # ImageJ reads no OME-XML, and so no z step; Fiji's Bio-Formats does.
        assert (depth, height, width) == pytest.approx((1.0 if name == "uint32" else 0.35, 0.2, 0.15))
        data = tifffile.imread(file).astype(np.float32)
        np.testing.assert_array_equal(np.array(values, np.float32), data[:, ::7, ::5].ravel())


@pytest.mark.skipif(
    not BIO_FORMATS or shutil.which("javac") is None,
    reason="a Java compiler is missing, or BIO_FORMATS does not name its .jar as `make test` does",
)
@pytest.mark.parametrize("size", [VoxelSize(0.35, 0.2, 0.15), None])
@pytest.mark.parametrize("suffix", [".tif", ".ome.tif"])
def test_bio_formats_reads_it(tmp_path: Path, suffix: str, size: VoxelSize | None) -> None:
    files = every_type(tmp_path, size, suffix)
    lines = by_java(Path(BIO_FORMATS), "BioFormatsProbe.java", list(files.values()))
    for (name, file), (z, channels, times, dtype, *numbers) in zip(files.items(), lines, strict=True):
        assert (z, channels, times, dtype) == ("6", "1", "1", name)
        assert (
            numbers[:3] == ["unknown"] * 3 if size is None else [float(n) for n in numbers[:3]] == pytest.approx(size)
        )
        values = np.array([float(number) for number in numbers[3:]])
        np.testing.assert_array_equal(values, tifffile.imread(file)[:, ::7, ::5].ravel())
