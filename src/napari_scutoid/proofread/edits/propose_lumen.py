"""Finds the lumen: background that cells enclose, or the brightest line between their apical sides."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress
from napari_scutoid.proofread.edits.guards import GAP, LUMEN, Canvas, typical_diameter, typical_voxels
from napari_scutoid.proofread.edits.lumen import WHOLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.scene import Scene

SMALLEST = 1.0
"""Of a lumen, in typical cells; smaller holes are gaps and cells that were missed."""

PIECE = 0.1
"""Smallest piece of the lumen beside the largest."""

LEAK = 0.2
"""Largest share of its surface through which a lumen that is enclosed slice by slice may be open."""

BRIGHT, DEEP = 0.4, 0.6
"""Of an apical line: how bright, from the tissue's median to its 99.5th percentile, and how deep, of the deepest."""

_CELLS_AROUND, _CELLS_ALONG = 3, 4
_VOXELS = 2**23
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, eq=False)
class _Coarse:
    """The stack in blocks, small enough to be looked at as a whole.

    Parameters
    ----------
    by : tuple of 3 ints
        Voxels of a block along each axis.
    spacing : tuple of 3 floats
        Edges of a block.
    labels : ndarray of uint32
        The largest id in each block: one that holds any tissue counts as such, so that narrow leaks close.
    """

    by: tuple[int, int, int]
    spacing: tuple[float, float, float]
    labels: NDArray[np.uint32]


def propose_lumen(scene: Scene) -> Steps[Change]:
    """Return the change that makes the lumen of what looks most like it.

    First, background that the outside does not reach. Where tissue reaches the stack's border, the outside enters
    only through what it reaches within that side of the stack, by the same rule, so that a tube may leave the stack.
    Then, should a missing cell have let the outside in, background that is enclosed within the slices across two of
    the axes. Then both again, with narrow gaps between cells closed. Last, where cells leave no room at all: the
    brightest line deep in the tissue along which many cells meet, since apical membranes are rich in actin. Large
    stacks are looked at in blocks; the result is of single voxels.

    Raises
    ------
    ScutoidError
        When nothing looks like a lumen.
    """
    typical = typical_voxels(scene)
    if typical is None:
        raise ScutoidError("No lumen can be proposed", "there are no cells yet", "segment the stack, or draw the lumen")
    coarse = yield from _blocks(scene)
    smallest = SMALLEST * typical / math.prod(coarse.by)
    width = GAP * typical_diameter(scene)
    tissue = coarse.labels > 0
    found, how, reach = None, "enclosed background", math.hypot(*coarse.spacing) if max(coarse.by) > 1 else 0.0
    for attempt, step in enumerate(("Looking for enclosed background", "Closing gaps between cells")):
        yield Progress(step, attempt, _ATTEMPTS)
        empty = ~(_closed(tissue, width, coarse.spacing) if attempt else tissue)
        found = _enclosed(empty, smallest)
        if found is not None:
            reach += attempt * width
            break
    if found is not None:
        yield Progress("Drawing the lumen", 2, _ATTEMPTS)
        canvas, mask = _near(scene, found, coarse, reach)
        mask &= canvas.labels == 0
    else:
        how = "the brightest apical line"
        canvas, mask = yield from _apical_line(scene, coarse, _reached(~tissue))
    canvas.paint(mask, LUMEN)
    return canvas.change("propose_lumen", f"Set {how} as lumen", {"found": how, "voxels": int(np.count_nonzero(mask))})


def _blocks(scene: Scene) -> Steps[_Coarse]:
    spacing = np.asarray(scene.spacing)
    edge = min(spacing)
    by = np.ones(3, np.int64)
    while math.prod(-(-n // int(k)) for n, k in zip(scene.shape, by, strict=True)) > _VOXELS:
        edge *= 1.25
        by = np.maximum(1, np.rint(edge / spacing)).astype(np.int64)
    z, y, x = (int(k) for k in by)
    slabs = []
    for first in range(0, scene.shape[0], z):
        yield Progress("Reading the cells", first, scene.shape[0])
        slabs.append(_pooled(scene.labels[first : first + z], (z, y, x), np.max))
    dz, dy, dx = (float(edge) for edge in by * spacing)
    return _Coarse((z, y, x), (dz, dy, dx), np.concatenate(slabs))


def _pooled(slab: NDArray[Any], by: Sequence[int], how: Any) -> NDArray[Any]:
    """Return a slab of one block's thickness, or less, in blocks."""
    flat = how(slab, axis=0)
    padded = np.pad(flat, [(0, -n % k) for n, k in zip(flat.shape, by[1:], strict=True)], mode="edge")
    rows, columns = (n // k for n, k in zip(padded.shape, by[1:], strict=True))
    return np.asarray(how(padded.reshape(1, rows, by[1], columns, by[2]), axis=(2, 4)))


def _closed(tissue: NDArray[np.bool_], width: float, spacing: Sequence[float]) -> NDArray[np.bool_]:
    """Return the tissue without gaps that are narrower than twice the width."""
    import edt

    if width < min(spacing) or tissue.all() or not tissue.any():
        return tissue
    wide = edt.edt(~tissue, anisotropy=tuple(spacing), parallel=0) > width
    if not wide.any():
        return tissue
    closed: NDArray[np.bool_] = edt.edt(~wide, anisotropy=tuple(spacing), parallel=0) > width
    return closed | tissue


def _reached(empty: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which empty places the outside reaches, entering where it reaches a side of the grid within that side."""
    from scipy.ndimage import label

    if empty.ndim == 0:
        return empty
    entries = np.zeros(empty.shape, np.bool_)
    for axis in range(empty.ndim):
        for end in (0, -1):
            side = (slice(None),) * axis + (end,)
            entries[side] |= _reached(empty[side])
    pieces, n = label(empty)
    is_outside = np.zeros(n + 1, np.bool_)
    is_outside[np.unique(pieces[entries])] = True
    is_outside[0] = False
    reached: NDArray[np.bool_] = is_outside[pieces]
    return reached


def _large(mask: NDArray[np.bool_], smallest: float) -> NDArray[np.bool_] | None:
    """Return the pieces that are large enough, also beside the largest; None where none is."""
    from scipy.ndimage import label

    pieces, _ = label(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    if sizes.max() < max(smallest, 1):
        return None
    kept: NDArray[np.bool_] = (sizes >= max(smallest, PIECE * sizes.max()))[pieces]
    return kept


def _enclosed(empty: NDArray[np.bool_], smallest: float) -> NDArray[np.bool_] | None:
    """Return large pieces that are enclosed, else those that are so in the slices across two axes."""
    found = _large(empty & ~_reached(empty), smallest)
    if found is not None:
        return found
    votes = np.zeros(empty.shape, np.uint8)
    for axis in range(3):
        planes = np.moveaxis(empty, axis, 0)
        votes += np.moveaxis(np.stack([plane & ~_reached(plane) for plane in planes]), 0, axis)
    found = _large(votes >= 2, smallest)
    return found if found is not None and _openness(found, empty) <= LEAK else None


def _openness(found: NDArray[np.bool_], empty: NDArray[np.bool_]) -> float:
    """Return the share of a piece's surface that other empty places touch."""
    area = leak = 0
    for axis in range(3):
        a, b = (np.delete(found, end, axis) for end in (-1, 0))
        surface = a != b
        area += int(np.count_nonzero(surface))
        leak += int(np.count_nonzero(surface & np.delete(empty, -1, axis) & np.delete(empty, 0, axis)))
    return leak / max(1, area)


def _near(scene: Scene, found: NDArray[np.bool_], coarse: _Coarse, reach: float) -> tuple[Canvas, NDArray[np.bool_]]:
    """Return a canvas around some blocks, and which of its voxels lie in blocks that near."""
    import edt

    inner = Box.of(found)
    if inner is None:
        raise ValueError("there are no blocks to draw in")
    wide = inner.padded([math.ceil(reach / edge) for edge in coarse.spacing], found.shape)
    zone = edt.edt(~found[wide.slices], anisotropy=coarse.spacing, parallel=0) <= reach
    start = np.multiply(wide.start, coarse.by)
    box = Box.between(start, np.minimum(np.multiply(wide.stop, coarse.by), scene.shape))
    for axis, k in enumerate(coarse.by):
        zone = zone.repeat(k, axis=axis) if k > 1 else zone
    return Canvas(scene, box, WHOLE), zone[tuple(slice(0, n) for n in box.shape)]


def _apical_line(scene: Scene, coarse: _Coarse, outside: NDArray[np.bool_]) -> Steps[tuple[Canvas, NDArray[np.bool_]]]:
    """Return where to draw, and the brightest voxels deep in the tissue along which cells meet."""
    import cc3d
    import edt

    none = ScutoidError(
        "No lumen was found",
        "cells enclose no background, and no bright line runs where their inner sides meet",
        "draw it, or click on the cell that is the lumen",
    )
    image = yield from _brightness(scene, coarse)
    tissue = None if image is None else image[~outside]
    if image is None or tissue is None or not tissue.size:
        raise none
    yield Progress("Looking for the apical line", 1, _ATTEMPTS)
    dark, bright = np.percentile(tissue, (50, 99.5))
    level = dark + BRIGHT * (bright - dark)
    if outside.any():
        depth = edt.edt(~outside, anisotropy=coarse.spacing, parallel=0)
        deep = depth >= DEEP * depth.max()
    else:
        deep = ~outside
    line = (image > level) & deep
    places = np.argwhere(line)
    line[tuple(places[_cells_around(coarse.labels, places) < _CELLS_AROUND].T)] = False
    pieces = cc3d.connected_components(line.view(np.uint8), connectivity=26)
    weights = np.bincount(pieces.ravel(), image.ravel() - level)
    weights[0] = 0
    found = pieces == np.argmax(weights)
    inner = Box.of(found & line)
    if inner is None or len(set(np.unique(coarse.labels[inner.slices])) - {0}) < _CELLS_ALONG:
        raise none
    yield Progress("Drawing the lumen", 2, _ATTEMPTS)
    canvas, mask = _near(scene, found, coarse, 0.0)
    # Where the canvas lies, the intensities are read again at full resolution.
    wide = Box.between(np.multiply(inner.start, coarse.by), np.minimum(np.multiply(inner.stop, coarse.by), scene.shape))
    values = scene.evidence.image(wide)
    return canvas, mask & (np.asarray(values) > level)


def _brightness(scene: Scene, coarse: _Coarse) -> Steps[NDArray[np.float32] | None]:
    slabs = []
    depth, height, width = scene.shape
    for first in range(0, depth, coarse.by[0]):
        yield Progress("Reading the image", first, depth)
        slab = scene.evidence.image(Box((first, 0, 0), (min(coarse.by[0], depth - first), height, width)))
        if slab is None:
            return None
        slabs.append(_pooled(np.asarray(slab, np.float32), coarse.by, np.mean))
    return np.concatenate(slabs)


def _cells_around(labels: NDArray[np.uint32], places: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return how many cells each place and its 26 neighbours hold."""
    if not len(places):
        return np.zeros(0, np.intp)
    padded = np.pad(labels, 1)
    steps = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    around = np.sort(np.stack([padded[tuple((places + step).T)] for step in steps]), axis=0)
    new = np.diff(around, axis=0, prepend=np.uint32(0)) != 0
    return np.asarray(np.count_nonzero(new, axis=0))
