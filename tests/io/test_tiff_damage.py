"""TIFFs that are damaged, incomplete, lie, or point elsewhere: one message each, and nothing allocated or followed."""

from __future__ import annotations

import logging
import struct
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io import tiff_structure
from napari_scutoid.io.open import inspect, open_volume
from napari_scutoid.io.tiff import Tiff

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

OME = (
    '<?xml version="1.0"?>{doctype}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"{uuid}>'
    '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="12" SizeY="11" SizeC="{c}" '
    'SizeZ="{z}" SizeT="{t}" PhysicalSizeX="0.2" PhysicalSizeY="0.2" PhysicalSizeZ="0.5">{data}</Pixels></Image></OME>'
)


def stack(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 250, shape).astype(np.uint8)


def ome_file(file: Path, n_pages: int, **values: Any) -> NDArray[np.uint8]:
    text = OME.format(**{"doctype": "", "uuid": "", "c": 1, "z": n_pages, "t": 1, "data": "<TiffData/>"} | values)
    data = stack(n_pages, 11, 12)
    tifffile.imwrite(file, data, description=text, metadata=None, photometric="minisblack")
    return data


def problem(file: Path) -> ScutoidError:
    with pytest.raises(ScutoidError) as caught:
        inspect(file)
    return caught.value


@pytest.mark.parametrize("kind", ["plain", "imagej", "ome", "packed", "bigtiff"])
def test_a_file_that_ends_too_early_is_not_a_shorter_stack(tmp_path: Path, kind: str) -> None:
    whole, cut = tmp_path / f"a{'.ome' * (kind == 'ome')}.tif", tmp_path / "cut.tif"
    options: dict[str, Any] = {"packed": {"compression": "zlib"}, "bigtiff": {"bigtiff": True}}.get(kind, {})
    tifffile.imwrite(whole, stack(20, 30, 31), imagej=kind == "imagej", metadata={"axes": "ZYX"}, **options)
    content = whole.read_bytes()
    for length in (5, 30, len(content) // 3, len(content) - 1000, len(content) - 40):
        cut.write_bytes(content[:length])
        said = problem(cut)
        assert said.why.startswith("its content is damaged or incomplete"), length
        assert said.try_this == "copy it again from its source"


def test_a_hyperstack_of_one_directory_that_ends_too_early(tmp_path: Path) -> None:
    # ImageJ keeps more than 4 GB behind a single directory.
    file = tmp_path / "a.tif"
    data = stack(20, 30, 31)
    tifffile.imwrite(file, data, imagej=True, truncate=True, metadata={"axes": "ZYX"})
    np.testing.assert_array_equal(open_volume(file, "series0").data[...], data)
    file.write_bytes(file.read_bytes()[:-1000])
    assert "more planes than the file holds" in problem(file).why


@pytest.mark.parametrize("n_pages", [3, 150])
def test_planes_that_run_in_a_circle(tmp_path: Path, n_pages: int) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, stack(n_pages, 11, 12), metadata=None, photometric="minisblack")
    with tifffile.TiffFile(file) as tif:
        places = [page.offset for page in tif.pages]
        n_tags = len(tif.pages[-1].tags)
    content = bytearray(file.read_bytes())
    struct.pack_into("<I", content, places[-1] + 2 + 12 * n_tags, places[1])
    file.write_bytes(content)
    assert f"runs in a circle after {n_pages} planes" in problem(file).why


def test_more_planes_than_anybody_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, stack(11, 11, 12), metadata=None)
    monkeypatch.setattr(tiff_structure, "MOST_PAGES", 10)
    assert "claims more than 10 planes" in problem(file).why


@pytest.mark.parametrize(
    ("tag", "compression"), [(256, None), (256, "zlib"), (273, None), (273, "zlib"), (279, "zlib")]
)
def test_headers_that_claim_terabytes(tmp_path: Path, tag: int, compression: str | None) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, stack(5, 11, 12), compression=compression, metadata=None)
    with tifffile.TiffFile(file, mode="r+") as tif:
        for page in tif.pages:
            # Width and length together are a million by a million voxels.
            for one in (256, 257) if tag == 256 else (tag,):
                page.tags[one].overwrite(10**6 if tag == 256 else 2**31, dtype="I")
    tracemalloc.start()
    try:
        with pytest.raises(ScutoidError):
            open_volume(file, "series0").data[0]
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()


def test_tags_that_claim_more_values_than_the_file_has_bytes(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, stack(5, 40, 12), rowsperstrip=2, compression="zlib", metadata=None)
    with tifffile.TiffFile(file) as tif:
        place = tif.pages[0].tags[273].offset
    content = bytearray(file.read_bytes())
    struct.pack_into("<I", content, place + 4, 2**31)
    file.write_bytes(content)
    assert "tag 273 claims 2147483648 values" in problem(file).why


def test_damaged_voxels_are_named_by_plane(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, stack(5, 40, 40), compression="zlib")
    with tifffile.TiffFile(file) as tif:
        place = tif.pages[3].dataoffsets[0]
    content = bytearray(file.read_bytes())
    content[place : place + 40] = bytes(40)
    file.write_bytes(content)
    volume = open_volume(file, "series0")
    assert volume.data[2].shape == (40, 40)
    with pytest.raises(ScutoidError) as caught:
        volume.data[2:5]
    assert caught.value.why.startswith(f"plane 3 of {file} is damaged or incomplete")


@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_nan_complex_and_tables(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "a.tif"
    if kind == "float32":
        tifffile.imwrite(file, np.full((5, 11, 12), np.nan, np.float32))
        with pytest.raises(ScutoidError, match="NaN or infinite"):
            open_volume(file, "series0").data[...]
        tifffile.imwrite(file, np.ones((5, 11, 12), complex))
        with pytest.raises(ScutoidError, match="complex numbers"):
            open_volume(file, "series0")
    tifffile.imwrite(file, np.ones((1, 12), kind))
    with pytest.raises(ScutoidError, match="no picture"):
        open_volume(file)


def test_a_metamorph_stack_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.stk"
    tifffile.imwrite(file, stack(11, 12), extratags=[(33628, 4, 1, 0, True)], metadata=None)
    assert "MetaMorph" in problem(file).why


# OME-XML


def test_a_well_made_description(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    data = ome_file(file, 6, c=2, z=3)
    (array,) = Tiff().list(file).arrays
    assert (array.axes, array.shape, array.voxel_size_um) == ("CZYX", (2, 3, 11, 12), (0.5, 0.2, 0.2))
    np.testing.assert_array_equal(open_volume(file, "series0", channel=1).data[...], data[1::2])


def test_planes_in_any_order(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    blocks = "".join(f'<TiffData FirstZ="{z}" IFD="{ifd}"/>' for z, ifd in enumerate((4, 2, 0, 1, 3)))
    data = ome_file(file, 5, data=blocks)
    np.testing.assert_array_equal(open_volume(file, "series0").data[...], data[[4, 2, 0, 1, 3]])


@pytest.mark.parametrize("text", ['<!DOCTYPE x [<!ENTITY a "b">]>', "<!DOCTYPE x>"])
def test_entities_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.tif"
    ome_file(file, 5, doctype=text)
    assert "entities" in problem(file).why


def test_other_files_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.tif"
    ome_file(secret, 5)
    file = tmp_path / "a.tif"
    outside = '<TiffData FirstT="{t}" PlaneCount="5"><UUID FileName="{name}">urn:uuid:{id}</UUID></TiffData>'
    here = outside.format(t=0, name="b.tif", id=1)
    there = outside.format(t=1, name="secret.tif", id=2)
    data = ome_file(file, 5, t=2, uuid=' UUID="urn:uuid:1"', data=here + there)
    (array,) = Tiff().list(file).arrays
    assert array.shape == (5, 11, 12)
    np.testing.assert_array_equal(open_volume(file, "series0").data[...], data)
    ome_file(file, 5, uuid=' UUID="urn:uuid:1"', data=there)
    assert Tiff().list(file).arrays == ()
    with pytest.raises(ScutoidError, match="its voxels lie in other files, and those are not followed"):
        open_volume(file, "series0")


def test_a_renamed_file_is_still_itself(tmp_path: Path) -> None:
    file = tmp_path / "renamed.tif"
    block = '<TiffData IFD="0" PlaneCount="5"><UUID FileName="before.tif">urn:uuid:7</UUID></TiffData>'
    data = ome_file(file, 5, data=block)
    np.testing.assert_array_equal(open_volume(file, "series0").data[...], data)


def test_an_acquisition_that_was_stopped(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    data = ome_file(file, 6, z=2, t=10)
    (array,) = Tiff().list(file).arrays
    assert (array.axes, array.shape) == ("TZYX", (3, 2, 11, 12))
    np.testing.assert_array_equal(open_volume(file, "series0", time=2).data[...], data[4:])
    ome_file(file, 5, z=2, t=10)
    with pytest.raises(ScutoidError, match="speaks of 20 planes, and 5 of them are here"):
        open_volume(file, "series0")


@pytest.mark.parametrize(
    "values",
    [
        {"z": 10**30},
        {"z": -1},
        {"z": "x"},
        {"z": 0},
        {"data": '<TiffData PlaneCount="-5"/>'},
        {"data": "<TiffData/>" * 100_000},
        {"data": "<broken"},
    ],
    ids=str,
)
def test_descriptions_that_lie(tmp_path: Path, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_scutoid.io.ome.MOST_PAGES", 1000)
    file = tmp_path / "a.tif"
    ome_file(file, 5, **values)
    assert problem(file).why.startswith("its content is damaged or incomplete")


def test_large_claims_cost_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    ome_file(file, 5, z=5, t=2**31 - 1, c=2**30)
    tracemalloc.start()
    try:
        with pytest.raises(ScutoidError):
            open_volume(file, "series0")
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()


def test_nothing_but_the_message_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, stack(20, 30, 31), imagej=True)
    file.write_bytes(file.read_bytes().replace(b"images=20", b"images=99"))
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        inspect(file)
    finally:
        root.handlers = handlers
    assert capfd.readouterr() == ("", "")
