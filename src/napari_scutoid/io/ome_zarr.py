"""OME-Zarr and plain Zarr stores of versions 2 and 3, read lazily and without ever leaving the store."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io import ngff
from napari_scutoid.io.format import (
    READABLE_KINDS,
    Kind,
    Listing,
    StoredArray,
    checked_voxel_size,
    full_scale_of,
    is_picture,
    name_axes,
)
from napari_scutoid.io.hdf5 import damaged
from napari_scutoid.io.lazy import check_memory
from napari_scutoid.io.provenance import checked_provenance
from napari_scutoid.io.zarr_files import (
    ZIP_SIGNATURE,
    Folder,
    StoreError,
    Zip,
    checked_key,
    is_folder_store,
    is_zip_store,
)
from napari_scutoid.volume import ZERO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_scutoid.io.ngff import ArrayHeader
    from napari_scutoid.io.zarr_files import Files
    from napari_scutoid.io.zarr_store import StoredZarr

_DEEPEST = 32
_MOST_NODES = 10_000
_METADATA_BYTES = 16 * 2**20
_SAMPLE_BYTES = 64 * 2**20


class OmeZarr:
    """OME-Zarr 0.1 to 0.5 in a folder or a ``.zip``; arrays of a store without OME's metadata are listed, too.

    An image has the name of its group, the image at the root that of its array (``0``). Of a pyramid, the full
    resolution is listed.
    """

    name = "OME-Zarr"

    def recognises(self, file: Path, head: bytes) -> bool:
        """Whether metadata of a group or array lie at the root of a folder or ``.zip``."""
        try:
            return is_zip_store(file) if head.startswith(ZIP_SIGNATURE) else not head and is_folder_store(file)
        except OSError as error:
            raise _not_read(file, error) from error

    def list(self, file: Path) -> Listing:
        """Return every numeric array that is no lower level of a pyramid. No voxel is read."""
        files = _open(file)
        walk = _Walk(files, _root_name(file))
        try:
            root = _node(files, "")
            walk.node("", root, 0)
        except ngff.METADATA_ERRORS as error:
            raise damaged(file, error) from error
        except OSError as error:
            raise _not_read(file, error) from error
        provenance = checked_provenance(None if root is None else root.attributes.get("provenance"))
        return Listing(tuple(walk.arrays), walk.refused, walk.aliases(), provenance)

    def read(self, file: Path, array: StoredArray) -> StoredZarr:
        """Return the array, unread."""
        from napari_scutoid.io.zarr_store import ZARR_ERRORS, StoredZarr

        files = _open(file)
        try:
            key, node = _locate(files, "" if array.path == _root_name(file) else array.path)
            header = ngff.array_header(node.metadata, node.version)
            if header.shape != array.stored_shape or header.dtype != array.dtype or _problem(header):
                raise ValueError(f"`{array.path}` has changed while it was read")
            # One chunk is the least that Zarr reads, and metadata may claim any size for it.
            check_memory(header.chunk_bytes, array.path)
            return StoredZarr(files, key, node.version, name=array.path, largest=2 * header.file_bytes)
        except ZARR_ERRORS as error:
            raise damaged(file, error) from error


@dataclass(frozen=True, slots=True)
class _Node:
    """A group or an array: what its own metadata say, and what is attached to it."""

    version: Literal[2, 3]
    is_array: bool
    metadata: Mapping[str, Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ome(self) -> Mapping[str, Any]:
        """OME's metadata, which moved into a key of their own with version 0.5."""
        inner = self.attributes.get("ome")
        return inner if isinstance(inner, dict) else self.attributes

    @property
    def multiscales(self) -> Sequence[Mapping[str, Any]]:
        """One entry for each image; all but a few groups have one or none."""
        return self.ome.get("multiscales") or ()


class _Walk:
    """Collects the arrays below a group."""

    def __init__(self, files: Files, root_name: str) -> None:
        self.arrays: list[StoredArray] = []
        self.refused: dict[str, str] = {}
        self._files = files
        self._root_name = root_name
        self._levels: set[str] = set()
        self._listed: set[str] = set()
        self._nodes = 0

    def aliases(self) -> dict[str, str]:
        """Return short names of label images: ``cells`` for ``labels/cells``."""
        first = {array.path.partition("/")[0] for array in self.arrays}
        short = {
            array.path.rpartition("/")[2]: array.path
            for array in self.arrays
            if array.stated_kind in ("labels", "mask")
        }
        return {name: path for name, path in short.items() if name not in first}

    def node(self, key: str, node: _Node | None, depth: int, *, labels: bool = False) -> None:
        self._nodes += 1
        if node is None or depth > _DEEPEST or self._nodes > _MOST_NODES:
            return
        if node.is_array:
            if key not in self._levels:
                self._array(key or self._root_name, node)
            return
        kind = _stated_kind(node, labels=labels)
        images = [_levels(key, multiscale) for multiscale in node.multiscales]
        self._levels.update(level for levels in images for level in levels)
        before = len(self.arrays)
        self._children(key, depth, labels=isinstance(node.ome.get("labels"), list))
        below, self.arrays[before:] = self.arrays[before:], []
        if key:
            self.refused.setdefault(key, "it is a group, no array")
        for number, (levels, multiscale) in enumerate(zip(images, node.multiscales, strict=True)):
            path = key if key and number == 0 else levels[0]
            # One array may be shown by two groups; the one closer to it comes first.
            if levels[0] not in self._listed:
                self._image(path, levels[0], multiscale, kind, node.attributes.get("scale"))
        self.arrays += below

    def _children(self, key: str, depth: int, *, labels: bool) -> None:
        for name in self._files.children(key):
            child = f"{key}/{name}" if key else name
            try:
                self.node(child, _node(self._files, child), depth + 1, labels=labels)
            except ngff.METADATA_ERRORS as error:
                self.refused[child] = _why(error)

    def _image(self, path: str, key: str, multiscale: Mapping[str, Any], kind: Kind | None, scale: Any) -> None:
        self._listed.add(key)
        try:
            node = _node(self._files, key)
            if node is None or not node.is_array:
                raise ValueError(f"its array `{key}` is missing")
            self._array(path, node, multiscale, kind, scale)
        except ngff.METADATA_ERRORS as error:
            self.refused[path] = _why(error)

    def _array(
        self,
        path: str,
        node: _Node,
        multiscale: Mapping[str, Any] | None = None,
        kind: Kind | None = None,
        scale: Any = None,
    ) -> None:
        header = ngff.array_header(node.metadata, node.version)
        problem = _problem(header)
        if problem is not None:
            self.refused[path] = problem
            return
        n = len(header.shape)
        letters = ngff.axes_of(multiscale, n) if multiscale else _named_axes(node, n)
        try:
            voxel_size, origin, notes = ngff.grid_of(multiscale or {}, letters)
        except ngff.METADATA_ERRORS:
            voxel_size, origin, notes = None, ZERO, ("voxel size unknown: what the file says of it is damaged",)
        if not multiscale:
            # PanSeg's arrays, which are no images of OME's.
            voxel_size = checked_voxel_size(node.attributes.get("element_size_um"))
        order = sorted(range(n), key=lambda axis: "TCZYX".find(letters[axis] or "?")) if letters else range(n)
        axes = "".join(letters[axis] or "Q" for axis in order) if letters else name_axes(header.shape)
        self.refused.pop(path, None)
        self.arrays.append(
            StoredArray(
                path=path,
                stored_shape=header.shape,
                order=tuple(order),
                axes=axes,
                dtype=header.dtype,
                voxel_size_um=voxel_size,
                origin_um=origin,
                axes_are_stated=bool(letters),
                cheap_to_sample=header.chunk_bytes <= _SAMPLE_BYTES,
                stated_kind=kind,
                full_scale=full_scale_of(header.dtype, scale),
                notes=notes,
            )
        )


def _open(file: Path) -> Files:
    try:
        return Folder(file) if file.is_dir() else Zip(file)
    except OSError as error:
        raise _not_read(file, error) from error
    except StoreError as error:
        raise damaged(file, error) from error


def _root_name(file: Path) -> str:
    """Return what an array without any group is called: as its file, without endings."""
    return file.name.partition(".")[0] or "array"


def _node(files: Files, key: str) -> _Node | None:
    prefix = f"{key}/" if key else ""
    metadata = _json(files, prefix + "zarr.json")
    if metadata is not None:
        is_array = {"array": True, "group": False}[metadata["node_type"]]
        return _Node(3, is_array, metadata, _mapping(metadata.get("attributes") or {}))
    attributes = _json(files, prefix + ".zattrs")
    metadata = _json(files, prefix + ".zarray")
    if metadata is not None:
        return _Node(2, True, metadata, attributes or {})
    if attributes is None and files.size(prefix + ".zgroup") is None:
        return None
    return _Node(2, False, {}, attributes or {})


def _locate(files: Files, path: str) -> tuple[str, _Node]:
    """Return key and node of the array behind a listed name."""
    node = _node(files, path)
    if node is not None and not node.is_array:
        path = _levels(path, node.multiscales[0])[0]
        node = _node(files, path)
    if node is None or not node.is_array:
        raise LookupError(path)
    return path, node


def _named_axes(node: _Node, n_axes: int) -> tuple[str | None, ...]:
    """Return the letters of an array that is no image of OME's, where Zarr 3, xarray or PanSeg name all its axes."""
    stated = [node.attributes.get(name) for name in ("_ARRAY_DIMENSIONS", "axis_order")]
    for names in (node.metadata.get("dimension_names"), *stated):
        if isinstance(names, list | str) and all(isinstance(name, str) for name in names):
            letters = ngff.axes_of({"axes": names}, n_axes)
            if letters and all(letters):
                return letters
    return ()


def _stated_kind(node: _Node, *, labels: bool) -> Kind | None:
    """Return what a group says that its image is: this program does so in words, others by where labels are kept."""
    kind = node.attributes.get("kind")
    if kind in get_args(Kind):
        return cast("Kind", kind)
    return "labels" if labels or "image-label" in node.ome else None


def _levels(key: str, multiscale: Mapping[str, Any]) -> list[str]:
    """Return the keys of an image's arrays, full resolution first."""
    paths = ["/".join(checked_key(_text(dataset["path"]))) for dataset in multiscale["datasets"]]
    if not all(paths):
        raise ValueError("an array of an image has no name")
    return [f"{key}/{path}" if key else path for path in paths]


def _problem(header: ArrayHeader) -> str | None:
    if header.dtype.kind not in READABLE_KINDS + "c":
        return f"it holds no plain numbers ({header.dtype})"
    unknown = sorted(set(header.codecs) - ngff.CODECS)
    if unknown:
        return f"it is packed by `{unknown[0]}`, which is not read"
    if 0 in header.shape:
        return "it is empty"
    if not is_picture(header.shape):
        return f"its shape is {header.shape}: no picture"
    return None


def _json(files: Files, key: str) -> dict[str, Any] | None:
    size = files.size(key)
    if size is None:
        return None
    if size > _METADATA_BYTES:
        raise StoreError(f"`{key}` has {size} bytes")
    try:
        return _mapping(json.loads(files.read(key, 0, size)))
    except (ValueError, RecursionError) as error:
        raise StoreError(f"`{key}` is no JSON ({error})") from error


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} where names with values belong")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no name")
    return value


def _why(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, ngff.NoNumbersError):
        return text
    return f"its metadata are damaged ({text.strip(chr(39)) or type(error).__name__})"


def _not_read(file: Path, error: OSError) -> ScutoidError:
    return ScutoidError(
        f"{file} could not be opened", error.strerror or str(error), "check that you may read the folder and all in it"
    )
