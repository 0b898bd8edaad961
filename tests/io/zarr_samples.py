"""Zarr stores as other programs write them, for the tests of their reader."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

if TYPE_CHECKING:
    from pathlib import Path

rng = np.random.default_rng(11)
STACK = rng.integers(0, 60_000, (12, 20, 24)).astype(np.uint16)
LABELS = (np.indices((12, 20, 24)).sum(axis=0) // 6 * 10_000).astype(np.uint32)
SCALE, SHIFT = {"type": "scale", "scale": [0.5, 0.2, 0.1]}, {"type": "translation", "translation": [3, -1, 0]}


def axes(names: str = "zyx", unit: str | None = "micrometer") -> list[dict[str, str]]:
    kinds = {"t": "time", "c": "channel"}
    return [
        {"name": name, "type": kinds.get(name, "space")} | ({} if unit is None or name in kinds else {"unit": unit})
        for name in names
    ]


def image(group: zarr.Group, data: np.ndarray, metadata: dict[str, Any] | None = None, **settings: Any) -> None:
    """Make an image of a group, as other programs do it: with Zarr's own library."""
    multiscale = {"axes": axes(), "datasets": [{"path": "0", "coordinateTransformations": [SCALE, SHIFT]}]}
    described(group, multiscales=[{**multiscale, **(metadata or {})}])
    settings.setdefault("chunks", tuple(min(8, n) for n in data.shape))
    group.create_array("0", data=data, **settings)


def described(group: zarr.Group, **attributes: Any) -> None:
    if group.metadata.zarr_format == 2:
        group.attrs.update(attributes)
    else:
        group.attrs["ome"] = {"version": "0.5", **attributes}


def store(path: Path, version: int = 2) -> zarr.Group:
    return zarr.open_group(path, mode="w", zarr_format=version)


def raw_store(path: Path, data: np.ndarray, **changed: Any) -> Path:
    """Write an array of one unpacked chunk by hand."""
    path.mkdir()
    header = {
        "zarr_format": 2, "shape": data.shape, "chunks": data.shape, "dtype": data.dtype.str, "compressor": None,
        "filters": None, "fill_value": 0, "order": "C",
    }  # fmt: skip
    (path / ".zarray").write_text(json.dumps(header | changed))
    (path / ".".join("0" * data.ndim)).write_bytes(data.tobytes())
    return path
