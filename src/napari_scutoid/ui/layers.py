"""Turn `Volume` and `Labels` into napari layers and back, with everything that napari needs to measure in them."""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.progress import Progress
from napari_scutoid.volume import Labels, Origin, Source, Volume, VoxelSize

if TYPE_CHECKING:
    from collections.abc import Iterable

    import napari
    from napari.layers import Image, Layer
    from napari.layers import Labels as LabelsLayer

    from napari_scutoid.progress import Steps
    from napari_scutoid.volume import ArrayLike

Part = tuple[int | None, int | None]

AXES = ("z", "y", "x")
METADATA = "scutoid"
KEPT = "kept"
"""Where labels that were made here remember what they can be made from again."""
LABELS_OPACITY = 0.5
# Contrast is for the eye: this many voxels settle its limits, wherever the stack is large.
SAMPLED_VOXELS = 2_000_000
# Stacks above this share of the free memory stay in their file and are read slice by slice.
MEMORY_SHARE = 0.4


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A stack ready to be shown.

    Parameters
    ----------
    volume : Volume
        The stack.
    contrast : tuple of float
        The grey values that become black and white.
    part : tuple of int or None
        Channel and time point of the file that it is, each None where the file has only one.
    """

    volume: Volume
    contrast: tuple[float, float]
    part: Part = (None, None)


def load(volume: Volume, part: Part = (None, None), *, in_memory: bool | None = None) -> Steps[Shown]:
    """Read a lazy stack into memory, block by block, and settle its contrast.

    Parameters
    ----------
    volume : Volume
        Lazy or in memory.
    part : tuple of int or None
        Which channel and time point it is.
    in_memory : bool, optional
        Whether to read it; by default where it takes no more than `MEMORY_SHARE` of what is free.

    Returns
    -------
    Shown
        The same volume, with NumPy data where it was read.

    Raises
    ------
    ScutoidError
        When it does not fit into memory.
    """
    import psutil

    from napari_scutoid.io.lazy import check_memory
    from napari_scutoid.io.output import block_keys

    size = math.prod(volume.shape) * volume.dtype.itemsize
    if in_memory is None:
        in_memory = size <= MEMORY_SHARE * psutil.virtual_memory().available
    if isinstance(volume.data, np.ndarray) or not in_memory:
        yield Progress("Looking at the stack")
        return Shown(volume, contrast_limits(volume.data), part)
    check_memory(size, str(volume.source or "the stack"))
    # The graphics card takes numbers only in the computer's own byte order; files may hold the other one.
    data = np.empty(volume.shape, volume.dtype.newbyteorder("="))
    # Not slice by slice: stored chunks span several slices, and each would be unpacked as often.
    keys = block_keys(volume.data)
    for number, key in enumerate(keys):
        yield Progress("Reading the stack", number, len(keys))
        data[key] = volume.data[key]
    return Shown(replace(volume, data=data), contrast_limits(data), part)


def contrast_limits(data: ArrayLike) -> tuple[float, float]:
    """Return the grey values to show as black and white, so that membranes can be seen.

    Black is the 1st percentile. White is the 99.8th, but no more than five times as far from black as the 90th: an
    apical line many times brighter than the membranes may fill a percent or two of a stack, and would leave the rest
    dark. The 98th percentile is the least that becomes white, for stacks that are empty but for a few cells.

    Parameters
    ----------
    data : ArrayLike, shape (z, y, x)
        The intensities; of a large array only some slices are read.

    Returns
    -------
    tuple of float
        Strictly increasing, also where the stack has only one value, or none that is finite.
    """
    depth, height, width = data.shape
    per_slice = height * width
    slices = range(0, depth, max(1, depth * per_slice // (16 * SAMPLED_VOXELS)))
    stride = max(1, math.ceil((len(slices) * per_slice / SAMPLED_VOXELS) ** 0.5))
    sample = np.concatenate([np.asarray(data[z])[::stride, ::stride].ravel() for z in slices])
    sample = sample[np.isfinite(sample)].astype(np.float64)
    if not sample.size:
        return 0.0, 1.0
    low, usual, least, most = (float(value) for value in np.percentile(sample, [1.0, 90.0, 98.0, 99.8]))
    high = min(most, max(least, low + 5 * (usual - low)))
    if high <= low:
        low, high = float(sample.min()), float(sample.max())
    return (low, high) if high > low else (low, low + 1.0)


def add_image(viewer: napari.Viewer, shown: Shown, name: str) -> Image:
    """Add a stack as an image layer."""
    return viewer.add_image(shown.volume.data, **image_options(shown, name))


def image_options(shown: Shown, name: str) -> dict[str, Any]:
    """Return what napari needs to know about a stack beside its voxels."""
    return {
        "name": name,
        "contrast_limits": shown.contrast,
        "colormap": "gray",
        "metadata": _metadata(shown.volume, "image", part=shown.part),
        **grid(shown.volume),
    }


def add_probability(
    viewer: napari.Viewer,
    volume: Volume,
    image: Volume | Labels,
    name: str,
    *,
    visible: bool = False,
    **metadata: Any,
) -> Image:
    """Add a probability map, hidden by default, so that it can be laid over the image by one click.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to add it.
    volume : Volume
        Values 0 to 1 (or 0 to 255 as uint8), possibly on a coarser grid.
    image : Volume or Labels
        The stack it was predicted from, or its cells; gives the grid a place where no voxel size is known.
    name : str
        Name of the layer.
    visible : bool
        Whether it is shown at once.
    metadata
        More for the layer's metadata: ``part``, where it was opened from a file.
    """
    return viewer.add_image(
        volume.data,
        name=name,
        contrast_limits=(0, 255) if volume.dtype == np.uint8 else (0.0, 1.0),
        colormap="magma",
        blending="additive",
        visible=visible,
        metadata=_metadata(volume, "probability", **metadata),
        **grid(volume, within=image),
    )


def add_labels(viewer: napari.Viewer, labels: Labels, name: str, provenance: dict[str, Any]) -> LabelsLayer:
    """Add cells as a labels layer, filled and half transparent."""
    layer = viewer.add_labels(labels.data, **labels_options(labels, name, provenance=provenance))
    layer.contour = 0
    return layer


def labels_options(labels: Labels, name: str, **metadata: Any) -> dict[str, Any]:
    """Return what napari needs to know about labels beside their voxels."""
    return {
        "name": name,
        "opacity": LABELS_OPACITY,
        "metadata": _metadata(labels, "labels", **metadata),
        **grid(labels),
    }


def grid(item: Volume | Labels, within: Volume | Labels | None = None) -> dict[str, Any]:
    """Return scale, translate, units and axis labels of a layer.

    Without a voxel size the layer is in pixels: its own, or those of a volume that covers the same extent. A map of
    half the resolution then has voxels of two pixels, and its origin, kept in its own voxels, doubles as well.
    """
    if item.voxel_size_um is not None:
        scale, origin, unit = tuple(item.voxel_size_um), tuple(item.origin_um), "um"
    else:
        scale = tuple(big / small for big, small in zip((within or item).shape, item.shape, strict=True))
        origin = tuple(start * step for start, step in zip(item.origin_um, scale, strict=True))
        unit = "pixel"
    return {"scale": scale, "translate": origin, "units": (unit,) * 3, "axis_labels": AXES}


def put_on_grid(layer: Layer, volume: Volume, within: Volume | Labels | None = None) -> None:
    """Give a layer the volume's grid, so that what is made from the volume lies exactly over the layer."""
    for name, value in grid(volume, within).items():
        setattr(layer, name, value)


def problem_of(layer: Layer) -> str | None:
    """Return why a layer cannot be segmented, or None."""
    shape = "×".join(str(length) for length in layer.data.shape) if hasattr(layer.data, "shape") else ""
    if getattr(layer, "multiscale", False):
        return "this layer has several resolutions; open its file here instead"
    if getattr(layer, "rgb", False):
        return "this layer is a colour picture; split its channels first"
    if layer.ndim != 3 or 0 in layer.data.shape:
        return f"this layer is {shape}; a stack has three axes (z, y, x)"
    if not np.allclose(layer.affine.affine_matrix, np.eye(4)) or not np.allclose(layer.rotate, np.eye(3)):
        return "this layer is moved or rotated; open its file here instead"
    if np.any(layer.shear) or min(layer.scale) <= 0:
        return "this layer is sheared or mirrored; open its file here instead"
    return None


def volume_of(layer: Image) -> Volume:
    """Return an image layer as a volume, with the voxel size of `voxel_size_of`."""
    source = source_of(layer) or Source(str(layer.source.path or layer.name), "napari layer")
    voxel_size, _ = voxel_size_of(layer)
    step = [known / scale for known, scale in zip(voxel_size or layer.scale, layer.scale, strict=True)]
    origin = Origin(*(float(start) * factor for start, factor in zip(layer.translate, step, strict=True)))
    history = tuple((layer.metadata.get(METADATA) or {}).get("history", ()))
    return Volume(layer.data, voxel_size, origin, source=source, history=history)


def voxel_size_of(layer: Layer) -> tuple[VoxelSize | None, bool]:
    """Return a layer's voxel size in micrometres, None where it states none, and whether its unit is assumed.

    A scale in pixels that is not 1 is taken for micrometres, as most napari users mean it.
    """
    scale = [float(edge) for edge in layer.scale]
    if all(unit.dimensionality == {"[length]": 1} for unit in layer.units):
        edges = ((edge * unit).to("micrometer").magnitude for edge, unit in zip(scale, layer.units, strict=True))
        return VoxelSize.checked(*edges), False
    if np.allclose(scale, 1.0):
        return None, False
    return VoxelSize.checked(*scale), True


def with_voxel_size(volume: Volume, voxel_size_um: VoxelSize | None) -> Volume:
    """Return the volume with another voxel size, its first voxel as many voxels from the origin as before."""
    before, now = volume.spacing, voxel_size_um or VoxelSize(1.0, 1.0, 1.0)
    origin = Origin(*(start * new / old for start, new, old in zip(volume.origin_um, now, before, strict=True)))
    return replace(volume, voxel_size_um=voxel_size_um, origin_um=origin)


def find_image(layers: Iterable[Layer], shown: Shown) -> Layer | None:
    """Return the layer made here that shows this data set, channel and time point of this file already, or None."""
    for layer in layers:
        if kind_of(layer) in ("image", "probability") and source_of(layer) == shown.volume.source:
            # Maps that were made here have the stack's own source, and no part.
            if layer.metadata[METADATA].get("part", "none") == shown.part:
                return layer
    return None


def show_middle(viewer: napari.Viewer, layer: Layer) -> None:
    """Move the slider of the first axis to the middle of a layer, and leave 2D or 3D as it is."""
    low, high = layer.extent.world[:, 0]
    viewer.dims.set_point(viewer.dims.ndim - layer.ndim, (low + high) / 2)


def held_weakly(layer: Any) -> weakref.ref[Any]:
    """Return a weak reference to a layer: to itself, as napari hands plugins proxies of layers, which nobody keeps."""
    return weakref.ref(unwrapped(layer))


def unwrapped(thing: Any) -> Any:
    """Return what a proxy of napari's stands for: a proxy warns of what its own tools use, but has no public name."""
    return getattr(thing, "__wrapped__", thing)


def kind_of(layer: Layer) -> str:
    """Return what a layer holds, "image", "probability" or "labels"; "" for a layer not made here."""
    return str((layer.metadata.get(METADATA) or {}).get("kind", ""))


def source_of(layer: Layer) -> Source | None:
    """Return the file and data set that a layer made here came from; None for any other layer."""
    source = (layer.metadata.get(METADATA) or {}).get("source")
    return source if isinstance(source, Source) else None


def _metadata(item: Volume | Labels, kind: str, **more: Any) -> dict[str, Any]:
    return {METADATA: {"kind": kind, "source": item.source, "history": item.history, **more}}
