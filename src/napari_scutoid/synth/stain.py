"""From labels to fluorescence: membranes, cytoplasm, nuclei, spots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_scutoid.synth.fields import slow_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.synth.geometry import Geometry
    from napari_scutoid.synth.optics import Optics

_APICAL = np.uint32(0xFFFF_FFFF)


def stain(geometry: Geometry, optics: Optics, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the fluorescence of every voxel, shape (z, y, x); a typical membrane has 1."""
    labels, step = geometry.labels, geometry.z_step
    image = _faces(geometry, optics, rng)
    image *= 1 + optics.patchiness * slow_noise(labels.shape, 5.0, step, rng)
    np.maximum(image, 0, out=image)
    _add_puncta(image, geometry, optics, rng)
    sigma = optics.thickness
    image = ndimage.gaussian_filter(image, (sigma / step, sigma, sigma), mode="nearest", truncate=3)
    # A plane of unit voxels keeps 1 / sqrt(2 pi (sigma^2 + 1/4)) of its height under a blur: undo that.
    image *= np.float32(np.sqrt(2 * np.pi * (sigma**2 + 0.25)) / 1.6)
    image += _insides(geometry, optics, rng)
    _add_debris(image, (labels > 0) | geometry.lumen, optics, rng)
    return image


def _faces(geometry: Geometry, optics: Optics, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the brightness of every voxel that touches another region; each pair of regions has its own."""
    apical = geometry.lumen if geometry.apical is None else geometry.apical
    regions = np.where(apical, _APICAL, geometry.labels)
    image = np.zeros(regions.shape, np.float32)
    table = np.exp(rng.normal(0, optics.face_spread, 4096)).astype(np.float32)
    hidden = rng.permutation(len(table))[: round(optics.missing * len(table))]
    table[hidden] *= 0.08
    for axis in range(3):
        before: list[slice] = [slice(None)] * 3
        after = list(before)
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        one, other = regions[tuple(before)], regions[tuple(after)]
        index = np.nonzero(one != other)
        low, high = np.minimum(one[index], other[index]), np.maximum(one[index], other[index])
        # Multiplicative hashing (Knuth): neighbouring ids land on unrelated entries.
        entry = (low * np.uint32(2654435761) ^ high * np.uint32(2246822519)) >> np.uint32(20)
        gain = table[entry]
        gain = np.where(low == 0, optics.basal * np.sqrt(gain), gain)
        gain = np.where(high == _APICAL, optics.apical * np.sqrt(gain), gain).astype(np.float32)
        if axis == 0:
            gain *= np.float32(optics.facing)
        for part in (before, after):
            view = image[tuple(part)]
            view[index] = np.maximum(view[index], gain)
    # A cell's membrane is part of the cell: towards lumen and outside, the label ends where the membrane does.
    image[geometry.labels == 0] = 0
    return image


def _insides(geometry: Geometry, optics: Optics, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return what is bright but no membrane: cytoplasm, nuclei, the lumen, the medium."""
    labels, step = geometry.labels, geometry.z_step
    count = int(labels.max()) + 1
    per_cell = (optics.cytoplasm * np.exp(rng.normal(0, optics.cell_spread, count))).astype(np.float32)
    grain = np.float32(optics.texture) * slow_noise(labels.shape, 3.0, step, rng)
    inside = per_cell[labels] * (1 + grain)
    if optics.nuclei != 1.0 or optics.bleed_through:
        nuclei = _nuclei(labels, optics.nucleus_size, step)
        inside *= np.where(nuclei, np.float32(optics.nuclei), np.float32(1))
        stained = (optics.bleed_through * np.exp(rng.normal(0, 0.3, count))).astype(np.float32)
        inside += np.where(nuclei, stained[labels], np.float32(0)) * (1 + grain)
    np.maximum(inside, 0, out=inside)
    inside[labels == 0] = optics.background
    inside[geometry.lumen] += np.float32(optics.lumen_fill)
    return inside


def _nuclei(labels: NDArray[np.uint32], size: float, step: float) -> NDArray[np.bool_]:
    import edt

    distance = edt.edt(labels, anisotropy=(step, 1.0, 1.0), black_border=False, parallel=1)
    deepest = np.asarray(ndimage.maximum(distance, labels, np.arange(int(labels.max()) + 1)), np.float32)
    nuclei: NDArray[np.bool_] = (labels > 0) & (distance > (1 - size) * deepest[labels])
    return nuclei


def _add_puncta(image: NDArray[np.float32], geometry: Geometry, optics: Optics, rng: np.random.Generator) -> None:
    labels = geometry.labels
    count = round(optics.puncta * int(labels.max()))
    if not count:
        return
    # Drawn over the whole stack and kept where they hit a cell: no list of all tissue voxels is needed.
    share = max(float((labels[::4, ::4, ::4] > 0).mean()), 1e-3)
    place = tuple(rng.integers(0, n, min(round(count / share), labels.size // 20)) for n in image.shape)
    hit = labels[place] > 0
    place = tuple(axis[hit] for axis in place)
    image[place] += rng.exponential(1.5, len(place[0])).astype(np.float32)


def _add_debris(
    image: NDArray[np.float32], occupied: NDArray[np.bool_], optics: Optics, rng: np.random.Generator
) -> None:
    for _ in range(optics.debris):
        centre = rng.integers(0, image.shape)
        radius = rng.uniform(2, 7, 3)
        box = tuple(
            slice(max(0, int(c - r)), min(n, int(c + r) + 1))
            for c, r, n in zip(centre, radius, image.shape, strict=True)
        )
        axes = np.ogrid[box]
        ball = sum(((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, radius, strict=True)) < 1
        image[box] += np.where(ball & ~occupied[box], np.float32(rng.uniform(0.3, 4)), np.float32(0))
