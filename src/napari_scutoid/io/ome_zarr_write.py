"""OME-Zarr 0.4 (Zarr version 2), written block by block; why not 0.5 is in docs/decisions/0006-ome-zarr-version.md."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from napari_scutoid.io.atomic import replacing_folder
from napari_scutoid.io.ngff import multiscale_of
from napari_scutoid.io.output import SCHEMA_VERSION, as_json, chunk_for
from napari_scutoid.io.suffixes import OME_ZARR
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_scutoid.io.output import Output
    from napari_scutoid.progress import Steps

# Larger than in other formats: every chunk is a file.
_CHUNK = (32, 128, 128)


class OmeZarrWriter:
    """OME-Zarr in a folder: an image at the root, labels and masks below ``labels``, all else in groups of their own.

    Where there is no image, the root shows the first array, so that programs which open the root alone show something.
    There is one resolution, no pyramid. Units are stated where the voxel size is known. Each group carries ``kind`` and
    ``history``; the root carries ``schema_version`` and ``provenance``.
    """

    suffixes = OME_ZARR
    is_folder = True

    def may_replace(self, path: Path) -> bool:
        """Whether an empty folder or a store of this program is there: a folder can hold anything."""
        if path.suffix.lower() not in self.suffixes or not path.is_dir():
            return True
        try:
            if not any(path.iterdir()):
                return True
            return "schema_version" in json.loads((path / ".zattrs").read_bytes())
        except (OSError, ValueError, TypeError, RecursionError):
            return False

    def write(self, path: Path, outputs: Mapping[str, Output], provenance: Mapping[str, Any]) -> Steps[None]:
        """Write arrays, packed by Blosc with Zstandard. See `Writer`."""
        from napari_scutoid.io.zarr_folder import writing_group

        keys = _keys(outputs)
        with replacing_folder(path) as part, writing_group(part) as root:
            root.attrs.update(schema_version=SCHEMA_VERSION, provenance=json.loads(as_json(provenance)))
            names = [key.removeprefix("labels/") for key in keys.values() if key.startswith("labels/")]
            if names:
                root.create_group("labels").attrs["labels"] = names
            for name, output in outputs.items():
                key = keys[name]
                group = root.require_group(key) if key else root
                group.attrs.update(_attributes(name, "0", output))
                if key.startswith("labels/"):
                    group.attrs["image-label"] = {"version": "0.4", "source": {"image": "../../"}}
                yield from _write_array(group, name, output)
            if outputs and "" not in keys.values():
                name, key = next(iter(keys.items()))
                root.attrs.update(_attributes(name, f"{key}/0", outputs[name]))


def _write_array(group: Any, name: str, output: Output) -> Steps[None]:
    chunk = chunk_for(output.shape, _CHUNK)
    array = group.create_array(
        "0",
        shape=output.shape,
        chunks=chunk,
        dtype=output.dtype,
        compressors={"id": "blosc", "cname": "zstd", "clevel": 5, "shuffle": 1},
        # OME-Zarr demands it; Zarr's own default is a dot.
        chunk_key_encoding={"name": "v2", "separator": "/"},
        fill_value=0,
    )
    if output.grid.voxel_size_um is not None:
        # For PanSeg, which does not read OME's metadata.
        array.attrs["element_size_um"] = list(output.grid.voxel_size_um)
    blocks = output.keys(chunk)
    for number, block in enumerate(blocks, start=1):
        array[block] = output.block(block)
        yield Progress(f"Writing {name}", number, len(blocks))


def _attributes(name: str, path: str, output: Output) -> dict[str, Any]:
    grid = output.grid
    multiscale = multiscale_of(name, path, grid.voxel_size_um, grid.origin_um)
    attributes: dict[str, Any] = {"multiscales": [multiscale], "kind": output.kind}
    if grid.history:
        attributes["history"] = list(grid.history)
    attributes.update(json.loads(as_json(output.attributes)))
    return attributes


def _keys(outputs: Mapping[str, Output]) -> dict[str, str]:
    """Return the group of each array; empty for the root."""
    keys: dict[str, str] = {}
    taken = {"", "0", "labels"}
    image = next((name for name, output in outputs.items() if output.kind == "image"), None)
    for name, output in outputs.items():
        if name == image:
            keys[name] = ""
            continue
        # Names become folders, on any system; leading dots and underscores belong to Zarr.
        plain = re.sub(r"[^\w.+-]", "_", name.removeprefix("labels/")).lstrip("._") or "array"
        plain = f"labels/{plain}" if output.kind in ("labels", "mask") else plain
        number = 1
        keys[name] = plain
        while keys[name].lower() in taken:
            number += 1
            keys[name] = f"{plain}_{number}"
        taken.add(keys[name].lower())
    return keys
