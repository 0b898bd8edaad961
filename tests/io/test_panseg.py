"""What is written here can be read by PanSeg and PlantSeg, and what they write is read here.

Neither is a package of PyPI (`panseg` there is another program), so they were not run. The readers below follow the
rules of `panseg/io/h5.py`, `tiff.py`, `zarr.py` and `io.py` of kreshuklab/panseg, about version 2.1 (commit 9f59140),
and of `plantseg/io/` of kreshuklab/plant-seg (commits 8414b76 and cbd838f; `voxelsize.py` is from there), which differ
in the names of keys only:

- The ending decides, in lower case: .h5, .hdf, .hd5; .tif, .tiff; .zarr. (".hdf5" is misspelt there, and not known.)
- HDF5 and Zarr: the key that the person chose from the list of all arrays; without one the only array, else the first
  of raw, prediction (PlantSeg: predictions), segmentation, and for HDF5 labels, else an error. The voxel size is the
  array's attribute `element_size_um`, else for Zarr `resolution`. A newer PanSeg reads and writes `axis_order`, too.
- TIFF: all voxels, axes of length one dropped. The voxel size is that of ImageJ's description (`spacing`, 1 without it;
  the fractions in XResolution and YResolution, whose second number over the first is the edge; `unit`), else that of
  OME-XML (`PhysicalSizeX` and so on, of the first image; all three must be there), else unknown.
- A unit has to begin as um, µm or micrometre does; an empty one or "-" is taken for it.
- In the window a key with "label" in its name is taken for a segmentation, one with "raw" for an image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from napari_scutoid.io.convert import Choice, convert
from napari_scutoid.io.open import inspect, open_labels, open_volume
from napari_scutoid.io.save import save_result, save_stack
from napari_scutoid.progress import drain
from napari_scutoid.volume import Labels, Volume, VoxelSize

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIZE = VoxelSize(0.6, 0.25, 0.2)
CELLS = (np.indices((9, 20, 22)).sum(axis=0) // 8 * 1000).astype(np.uint32)
IMAGE = np.random.default_rng(3).integers(0, 4000, CELLS.shape).astype(np.uint16)
KEYS = {"PanSeg": ("raw", "prediction", "segmentation", "labels"), "PlantSeg": ("raw", "predictions", "segmentation")}

Size = tuple[float, ...] | None


def arrays_in(group: Any, kind: type) -> dict[str, Any]:
    """Return all arrays by their names."""
    found: dict[str, Any] = {}
    members = group.members() if isinstance(group, zarr.Group) else group.items()
    for name, node in members:
        found |= (
            {name: node} if isinstance(node, kind) else {f"{name}/{k}": v for k, v in arrays_in(node, kind).items()}
        )
    return found


def chosen(arrays: dict[str, Any], key: str | None, program: str) -> Any:
    if key is None:
        key = next(iter(arrays)) if len(arrays) == 1 else next(one for one in KEYS[program] if one in arrays)
    return arrays[key]


def as_panseg(path: Path, key: str | None = None, program: str = "PanSeg") -> tuple[NDArray[Any], Size]:
    """Read voxels and voxel size by the rules above; StopIteration is their error of an ambiguous file."""
    ending = path.suffix.lower()
    assert ending in (".h5", ".hdf", ".hd5", ".tif", ".tiff", ".zarr")
    if ending in (".tif", ".tiff"):
        return tifffile.imread(path).squeeze(), tiff_size(path)
    if ending == ".zarr":
        array = chosen(arrays_in(zarr.open_group(path, mode="r"), zarr.Array), key, program)
        size = array.attrs.get("element_size_um", array.attrs.get("resolution"))
        return array[...], None if size is None else tuple(size)
    with h5py.File(path, "r") as file:
        array = chosen(arrays_in(file, h5py.Dataset), key, program)
        size = array.attrs.get("element_size_um")
        return array[...], None if size is None else tuple(size.tolist())


def tiff_size(path: Path) -> Size:
    with tifffile.TiffFile(path) as tif:
        if tif.imagej_metadata is not None:
            tags = tif.pages[0].tags
            if not {"XResolution", "YResolution"} <= {tag.name for tag in tags}:
                return None
            (x, per_x), (y, per_y) = tags["XResolution"].value, tags["YResolution"].value
            check_unit(tif.imagej_metadata.get("unit", "um"))
            return tif.imagej_metadata.get("spacing", 1.0), per_y / y, per_x / x
        assert tif.ome_metadata is not None
        image = next(node for node in ElementTree.fromstring(tif.ome_metadata) if "Image" in node.tag)
        pixels = next(node for node in image if "Pixels" in node.tag)
        # A series of several files is refused by the newer ones.
        assert not [node for block in pixels if "TiffData" in block.tag for node in block]
        edges = [pixels.get(f"PhysicalSize{axis}") for axis in "ZYX"]
        if None in edges:
            return None
        check_unit(pixels.get("PhysicalSizeXUnit", "um"))
        return tuple(float(edge or 0) for edge in edges)


def check_unit(unit: str) -> None:
    assert unit.lower() in ("", "-") or unit.lower().startswith(("u", "μ", "µ", "micro"))


@pytest.mark.parametrize("program", KEYS)
@pytest.mark.parametrize("suffix", [".h5", ".hdf", ".tif", ".ome.tif", ".zarr"])
@pytest.mark.parametrize("size", [SIZE, None])
def test_labels_and_images_need_no_key(tmp_path: Path, suffix: str, size: VoxelSize | None, program: str) -> None:
    cells, image = tmp_path / f"cells{suffix}", tmp_path / f"image{suffix}"
    save_result(cells, Labels(CELLS, size), {}, {"recipe": {"a": 1}})
    save_stack(tmp_path / "both.h5", Volume(IMAGE, size), Labels(CELLS, size))
    drain(convert(tmp_path / "both.h5", image, Choice("raw")))
    for path, voxels in ((cells, CELLS), (image, IMAGE)):
        read, edges = as_panseg(path, program=program)
        np.testing.assert_array_equal(read, voxels)
        assert edges == (None if size is None else pytest.approx(size))


@pytest.mark.parametrize("program", KEYS)
def test_of_an_image_with_its_labels_the_image_is_found_and_the_labels_can_be_chosen(
    tmp_path: Path, program: str
) -> None:
    save_stack(tmp_path / "a.h5", Volume(IMAGE, SIZE), Labels(CELLS, SIZE))
    np.testing.assert_array_equal(as_panseg(tmp_path / "a.h5", program=program)[0], IMAGE)
    np.testing.assert_array_equal(as_panseg(tmp_path / "a.h5", "label")[0], CELLS)
    save_stack(tmp_path / "a.zarr", Volume(IMAGE, SIZE), Labels(CELLS, SIZE))
    np.testing.assert_array_equal(as_panseg(tmp_path / "a.zarr", "0")[0], IMAGE)
    np.testing.assert_array_equal(as_panseg(tmp_path / "a.zarr", "labels/label/0")[0], CELLS)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("a.h5", {"label", "foreground", "boundary"}),
        ("a.zarr", {"labels/label/0", "foreground/0", "boundary/0"}),
    ],
)
def test_of_a_result_with_probabilities_each_can_be_chosen(tmp_path: Path, name: str, keys: set[str]) -> None:
    coarse = Volume(np.linspace(0, 1, 110).reshape(5, 2, 11), VoxelSize(1.2, 0.5, 0.4))
    save_result(tmp_path / name, Labels(CELLS, SIZE), {"foreground": coarse, "boundary": coarse}, {})
    with pytest.raises(StopIteration):
        as_panseg(tmp_path / name)
    if name.endswith(".h5"):
        with h5py.File(tmp_path / name) as file:
            assert set(arrays_in(file, h5py.Dataset)) == keys
    else:
        assert set(arrays_in(zarr.open_group(tmp_path / name, mode="r"), zarr.Array)) == keys
    read, size = as_panseg(tmp_path / name, next(key for key in keys if key.startswith("foreground")))
    np.testing.assert_allclose(read / 255, coarse.data[...], atol=0.5 / 255)
    assert size == pytest.approx(coarse.voxel_size_um)


def written_by_panseg(path: Path, array: NDArray[Any], axis_order: str | None) -> Path:
    """Write a file as PanSeg's `create_h5` and `create_zarr` do."""
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            stored = file.create_dataset("segmentation", data=array, compression="gzip")
            stored.attrs["element_size_um"] = SIZE
            if axis_order:
                stored.attrs["axis_order"] = axis_order
    else:
        group = zarr.open_group(path, mode="w")
        stored = group.create_array("segmentation", data=array)
        stored.attrs["element_size_um"] = list(SIZE)
        if axis_order:
            stored.attrs["axis_order"] = axis_order
    return path


@pytest.mark.parametrize("axis_order", [None, "ZYX"])
@pytest.mark.parametrize("name", ["a.h5", "a.zarr"])
def test_what_panseg_writes_is_read(tmp_path: Path, name: str, axis_order: str | None) -> None:
    labels = open_labels(written_by_panseg(tmp_path / name, CELLS, axis_order))
    np.testing.assert_array_equal(labels.data, CELLS)
    assert labels.voxel_size_um == SIZE


@pytest.mark.parametrize("name", ["a.h5", "a.zarr"])
def test_axes_that_panseg_names_are_believed(tmp_path: Path, name: str) -> None:
    path = written_by_panseg(tmp_path / name, np.stack([CELLS, CELLS + 1]), "TZYX")
    (info,) = inspect(path).datasets
    assert (info.axes, info.axes_are_stated, info.voxel_size_um) == ("TZYX", True, SIZE)
    np.testing.assert_array_equal(open_volume(path, "segmentation", time=1).data[...], CELLS + 1)
