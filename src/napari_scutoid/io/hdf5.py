"""HDF5 files, read lazily and without ever leaving the file."""

from __future__ import annotations

import json
import math
import posixpath
from typing import TYPE_CHECKING, Any, TypeAlias

import h5py
import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.format import (
    READABLE_KINDS,
    Listing,
    StoredArray,
    checked_voxel_size,
    full_scale_of,
    is_picture,
    laboratory_voxel_size,
    name_axes,
)
from napari_scutoid.io.lazy import check_memory
from napari_scutoid.io.provenance import LONGEST, checked_provenance
from napari_scutoid.volume import ZERO, Origin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_scutoid.volume import VoxelSize

SIGNATURE = b"\x89HDF\r\n\x1a\n"

H5_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError)
"""What h5py raises for damaged files, depending on which structure is damaged."""

_Node: TypeAlias = "h5py.Group | h5py.Dataset"

_DEEPEST = 32
_MOST_CELLS = 1000
_SAMPLE_BYTES = 64 * 2**20
_MATLAB_PRIVATE = ("#refs#", "#subsystem#")


class HDF5:
    """Plain HDF5, in the order in which h5py shows it; a ``.mat`` without MATLAB's header is one too."""

    name = "HDF5"
    axes_are_reversed = False
    """Whether the writer counts axes the other way round, as MATLAB does."""

    def recognises(self, file: Path, head: bytes) -> bool:
        """Whether HDF5's signature is at the start, or after a user block."""
        return has_signature(head)

    def list(self, file: Path, alive: Callable[[], None] = lambda: None) -> Listing:
        """Return every numeric array of the file, nested groups included. Links out of the file are not followed.

        `alive` is called before each node.
        """
        with _open(file) as root:
            try:
                walk = _Walk(root, alive, matlab=self.axes_are_reversed)
                walk.group(root, "", 0)
                provenance = checked_provenance(_provenance(root))
            except H5_ERRORS as error:
                raise damaged(file, error) from error
            return Listing(tuple(walk.arrays), walk.refused, walk.aliases, provenance)

    def read(self, file: Path, array: StoredArray) -> h5py.Dataset:
        """Return the data set, unread. It keeps the file open as long as it lives."""
        root = _open(file)
        try:
            dataset = _find(root, array.path)
            if dataset.shape != array.stored_shape:
                raise ValueError(f"`{array.path}` has changed while it was read")
            # One chunk is the least that HDF5 reads, and a header may claim any size for it.
            check_memory(math.prod(dataset.chunks or (1,)) * dataset.dtype.itemsize, array.path)
        except H5_ERRORS as error:
            root.close()
            raise damaged(file, error) from error
        except ScutoidError:
            root.close()
            raise
        return dataset


def has_signature(head: bytes) -> bool:
    """Whether HDF5 begins in `head`: at byte 0, 512, 1024, 2048, ..."""
    places = [0]
    while (place := max(512, 2 * places[-1])) < len(head):
        places.append(place)
    return any(head.startswith(SIGNATURE, place) for place in places)


def napari_order(n_axes: int, *, matlab: bool) -> tuple[int, ...]:
    """Return the stored axis behind each of napari's axes, as h5py counts them.

    MATLAB keeps (y, x, z) and writes the axes reversed, (z, x, y): only the last two have to be swapped.
    """
    order = tuple(range(n_axes))
    return (*order[:-2], order[-1], order[-2]) if matlab and n_axes >= 2 else order


def _open(file: Path) -> h5py.File:
    try:
        # Laboratories keep stacks on network drives, some of which know no locks.
        return h5py.File(file, "r", locking="best-effort")
    except H5_ERRORS as error:
        raise damaged(file, error) from error


def damaged(file: Path, error: BaseException) -> ScutoidError:
    """Return the message for a file that its own format's library cannot read."""
    return ScutoidError(
        f"{file} could not be opened",
        f"its content is damaged or incomplete ({str(error).strip(chr(39))})",
        "copy it again from its source",
    )


def _find(root: h5py.Group, path: str) -> h5py.Dataset:
    """Go where `_Walk` found an array: by hard links and MATLAB's references only."""
    node: _Node = root
    for part in path.split("/"):
        name, _, element = part.partition("{")
        if not isinstance(node, h5py.Group) or not isinstance(node.get(name, getlink=True), h5py.HardLink):
            raise KeyError(path)
        node = node[name]
        if element:
            node = root.file[node[()].ravel()[int(element.rstrip("}")) - 1]]
    if not isinstance(node, h5py.Dataset) or _outside(node):
        raise KeyError(path)
    return node


class _Walk:
    """Collects the arrays below a group."""

    def __init__(self, root: h5py.File, alive: Callable[[], None], *, matlab: bool) -> None:
        self.arrays: list[StoredArray] = []
        self.refused: dict[str, str] = {}
        self.aliases: dict[str, str] = {}
        self._root = root
        self._alive = alive
        self._matlab = matlab
        # Of the group whose arrays are looked at now, and of those around it.
        self._sizes: list[VoxelSize | None] = []
        self._seen: set[tuple[int, int]] = set()

    def group(self, group: h5py.Group, prefix: str, depth: int) -> None:
        self._sizes.append(_laboratory_size(group))
        for name in group:
            self._alive()
            path = prefix + name
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.HardLink):
                if not (depth == 0 and name in _MATLAB_PRIVATE):
                    self._node(group[name], path, depth)
            elif isinstance(link, h5py.ExternalLink):
                self.refused[path] = f"it is a link to another file ({link.filename}), and such links are not followed"
            elif isinstance(link, h5py.SoftLink):
                self.aliases[path] = posixpath.normpath(posixpath.join("/" + prefix, link.path)).lstrip("/")
        self._sizes.pop()

    def _node(self, node: _Node, path: str, depth: int) -> None:
        # A group may be linked into itself, and a data set under two names is one.
        about = h5py.h5o.get_info(node.id)
        address = (about.fileno, about.addr)
        if address in self._seen or depth > _DEEPEST:
            return
        self._seen.add(address)
        if isinstance(node, h5py.Group):
            self.refused[path] = "it is a group, no array"
            self.group(node, path + "/", depth + 1)
        elif isinstance(node, h5py.Dataset):
            if h5py.check_ref_dtype(node.dtype) is h5py.Reference:
                self._cells(node, path, depth)
            else:
                self._dataset(node, path)

    def _cells(self, dataset: h5py.Dataset, path: str, depth: int) -> None:
        """Go through a MATLAB cell array or array of structs: numbered from 1 down the columns, as MATLAB does."""
        if dataset.shape is None or dataset.size > _MOST_CELLS:
            self.refused[path] = f"it is a cell array with more than {_MOST_CELLS} elements"
            return
        self.refused[path] = "it is a cell array; name one element"
        for number, reference in enumerate(dataset[()].ravel(), start=1):
            if reference:
                self._node(self._root[reference], f"{path}{{{number}}}", depth + 1)

    def _dataset(self, dataset: h5py.Dataset, path: str) -> None:
        dtype = _dtype(dataset)
        problem = self._problem(dataset, dtype)
        if problem is not None:
            self.refused[path] = problem
            return
        shape = dataset.shape
        stated = None if self._matlab else _stated_axes(dataset)
        if stated:
            order = tuple(stated.index(axis) for axis in "TCZYX" if axis in stated)
            axes = "".join(stated[axis] for axis in order)
        else:
            order = napari_order(len(shape), matlab=self._matlab)
            axes = name_axes(tuple(shape[axis] for axis in order))
        self.arrays.append(
            StoredArray(
                path=path,
                stored_shape=shape,
                order=order,
                axes=axes,
                dtype=dtype,
                voxel_size_um=self._voxel_size(dataset),
                origin_um=_origin(dataset),
                axes_are_stated=stated is not None,
                cheap_to_sample=math.prod(dataset.chunks or (1,)) * dataset.dtype.itemsize <= _SAMPLE_BYTES,
                full_scale=full_scale_of(dtype, dataset.attrs.get("scale")),
            )
        )

    def _voxel_size(self, dataset: h5py.Dataset) -> VoxelSize | None:
        """Return an array's own voxel size, else what its group or the file states for all."""
        if "element_size_um" in dataset.attrs:
            return checked_voxel_size(dataset.attrs["element_size_um"])
        return self._sizes[-1] or self._sizes[0]

    @staticmethod
    def _problem(dataset: h5py.Dataset, dtype: np.dtype[Any]) -> str | None:
        if outside := _outside(dataset):
            return outside
        if _matlab_class(dataset) == "char" or dataset.dtype.kind in "SUO":
            return "it holds text"
        if "MATLAB_empty" in dataset.attrs or dataset.shape is None or 0 in dataset.shape:
            return "it is empty"
        if dtype.kind not in READABLE_KINDS + "c":
            return f"it holds no plain numbers ({dataset.dtype})"
        if not is_picture(dataset.shape):
            return f"its shape is {dataset.shape}: no picture"
        return None


def _outside(dataset: h5py.Dataset) -> str | None:
    """Say whether the voxels lie in other files, which a stranger's file must not make us read."""
    if dataset.is_virtual or dataset.external:
        return "its voxels lie in other files, and those are not followed"
    return None


def _stated_axes(dataset: h5py.Dataset) -> str | None:
    """Return one letter for each axis where HDF5's own labels, PanSeg or ilastik name them all."""
    # Not through h5py's `dims`: HDF5's own reader of these labels crashes on damaged ones.
    stated = [_texts(dataset.attrs.get(name, ())) for name in ("DIMENSION_LABELS", "axis_order")]
    for axes in (*map("".join, stated), _axistags("".join(_texts(dataset.attrs.get("axistags", ()))))):
        distinct = len(set(axes)) == len(axes) == len(dataset.shape)
        if distinct and {"Y", "X"} <= set(axes.upper()) <= set("TCZYX"):
            return axes.upper()
    return None


def _texts(value: Any) -> list[str]:
    return [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in np.ravel(value)]


def _axistags(text: str) -> str:
    """Return the axes that ilastik states: ``{"axes": [{"key": "z", ...}, ...]}``."""
    try:
        return "".join(str(axis["key"]) for axis in json.loads(text)["axes"])
    except (KeyError, RecursionError, TypeError, ValueError):
        return ""


def _laboratory_size(group: h5py.Group) -> VoxelSize | None:
    if (size := _numbers(group, "voxelSizeUm", 3)) is not None:
        return checked_voxel_size(size)
    return laboratory_voxel_size(*(_numbers(group, name, 1) for name in ("pixelScale", "zScale")))


def _origin(dataset: h5py.Dataset) -> Origin:
    try:
        z, y, x = (float(value) for value in dataset.attrs["origin_um"])
    except (KeyError, TypeError, ValueError):
        return ZERO
    return Origin(z, y, x) if all(map(math.isfinite, (z, y, x))) else ZERO


def _provenance(root: h5py.File) -> object:
    """Return what the writers of this program leave: an attribute, a text, or MATLAB's text of 16-bit characters."""
    if "provenance" in root.attrs:
        return root.attrs["provenance"]
    if not isinstance(root.get("provenance", getlink=True), h5py.HardLink):
        return None
    node = root["provenance"]
    if not isinstance(node, h5py.Dataset) or _outside(node):
        return None
    if h5py.check_string_dtype(node.dtype) and node.shape == ():
        return node[()]
    largest = max(node.size or 0, math.prod(node.chunks or (1,)))
    if _matlab_class(node) == "char" and node.dtype == np.uint16 and largest <= LONGEST:
        return np.ravel(node[()]).astype("<u2").tobytes().decode("utf-16-le", "replace")
    return None


def _numbers(group: h5py.Group, name: str, size: int) -> NDArray[Any] | None:
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        return None
    node = group[name]
    fits = isinstance(node, h5py.Dataset) and node.size == size and node.dtype.kind in READABLE_KINDS
    return np.ravel(node[()]) if fits and not _outside(node) else None


def _dtype(dataset: h5py.Dataset) -> np.dtype[Any]:
    if _matlab_class(dataset) == "logical":
        return np.dtype(bool)
    if set(dataset.dtype.names or ()) == {"real", "imag"}:
        return np.dtype(complex)
    dtype: np.dtype[Any] = dataset.dtype
    return dtype.newbyteorder("=")


def _matlab_class(dataset: h5py.Dataset) -> str:
    value = dataset.attrs.get("MATLAB_class")
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
