"""From labels to an image: membrane staining, the microscope's blur, and the camera.

Every quantity is drawn once per stack from the ranges in `Optics.random`, wide on purpose: a network that has seen
each of these effects in excess is not surprised by a real microscope (domain randomisation, Tobin et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.synth.geometry import Geometry


@dataclass(frozen=True, slots=True)
class Optics:
    """How a tissue is stained and imaged; lengths in x voxels, brightness relative to a typical membrane.

    Parameters
    ----------
    thickness : float
        Standard deviation of the membrane's own profile.
    face_spread : float
        Standard deviation of the logarithm of a face's brightness, drawn per pair of neighbours.
    missing : float
        Share of the faces between cells that are hardly stained.
    patchiness : float
        Relative strength of slow brightness changes along the membranes.
    apical, basal : float
        Brightness of the faces towards the lumen and the outside.
    lumen_fill : float
        Brightness of the lumen itself; glands accumulate stain there, up to 20 times the membranes.
    cytoplasm, background : float
        Brightness inside cells, and outside the tissue.
    cell_spread : float
        Standard deviation of the logarithm of a cell's brightness inside.
    nuclei : float
        Brightness of nuclei, as a factor of the cytoplasm's (below 1: dark).
    puncta : float
        Bright spots per cell.
    debris : int
        Bright pieces outside the tissue that are no cells.
    blur : float
        Lateral standard deviation of the point-spread function.
    axial : float
        The axial one over the lateral one.
    attenuation : float
        Share of the light that is left at the deepest slice.
    unevenness : float
        Relative strength of slow illumination changes across the field.
    photons : float
        Photons that a typical membrane voxel collects; fewer mean more shot noise.
    read_noise : float
        Standard deviation of the camera's noise.
    stripes : float
        Relative brightness changes from slice to slice.
    regrid : float
        Standard deviation of the smoothing by which the stack was resampled after it was taken; correlates the noise.
    gamma : float
        Exponent applied to the finished image.
    saturation : float
        Share of voxels that the detector clips.
    full_scale : int
        Largest grey value: 255, 4095 or 65535.
    """

    thickness: float
    face_spread: float
    missing: float
    patchiness: float
    apical: float
    basal: float
    lumen_fill: float
    cytoplasm: float
    cell_spread: float
    background: float
    nuclei: float
    puncta: float
    debris: int
    blur: float
    axial: float
    attenuation: float
    unevenness: float
    photons: float
    read_noise: float
    stripes: float
    regrid: float
    gamma: float
    saturation: float
    full_scale: int

    @classmethod
    def random(cls, rng: np.random.Generator, *, cell_diameter: float = 16.0) -> Optics:
        """Draw one microscope and one staining.

        Parameters
        ----------
        rng : numpy.random.Generator
            All randomness comes from here.
        cell_diameter : float
            In voxels; membranes and blur stay thin against the cells.
        """

        def log_uniform(low: float, high: float) -> float:
            return float(np.exp(rng.uniform(np.log(low), np.log(high))))

        def sometimes(share: float, value: float, otherwise: float) -> float:
            return value if rng.random() < share else otherwise

        fine = cell_diameter / 16
        accumulates = rng.random() < 0.55
        return cls(
            thickness=sometimes(0.65, log_uniform(0.3, 0.9), log_uniform(0.9, 3.5)) * fine,
            face_spread=rng.uniform(0.1, 0.6),
            missing=sometimes(0.6, rng.uniform(0, 0.08), 0.0),
            patchiness=rng.uniform(0.0, 0.5),
            apical=log_uniform(2, 20) if accumulates else log_uniform(0.5, 2),
            basal=log_uniform(0.35, 1.6),
            lumen_fill=log_uniform(0.5, 20) if accumulates else sometimes(0.5, 0.0, rng.uniform(0, 0.5)),
            # As dark as the outside in a third of the stacks: there only the walls tell what is a cell.
            cytoplasm=sometimes(0.35, 0.0, rng.uniform(0.0, 0.3)),
            cell_spread=sometimes(0.4, 0.0, rng.uniform(0.1, 1.0)),
            background=sometimes(0.7, rng.uniform(0.0, 0.06), rng.uniform(0.0, 0.25)),
            nuclei=sometimes(0.6, 1.0, rng.uniform(0.2, 2.5)),
            puncta=sometimes(0.5, 0.0, rng.uniform(0, 6)),
            debris=int(sometimes(0.5, 0, float(rng.integers(1, 5)))),
            blur=log_uniform(0.2, 1.0) * fine,
            axial=rng.uniform(1.0, 2.5),
            attenuation=log_uniform(0.25, 1.0),
            unevenness=rng.uniform(0.0, 0.3),
            photons=log_uniform(4, 400),
            read_noise=log_uniform(0.003, 0.12),
            stripes=sometimes(0.6, 0.0, rng.uniform(0, 0.15)),
            regrid=sometimes(0.4, 0.0, rng.uniform(0.2, 0.8)),
            gamma=log_uniform(0.65, 1.5),
            saturation=sometimes(0.6, 0.0, log_uniform(0.001, 0.2)),
            full_scale=int(rng.choice([255, 4095, 65535])),
        )


def render(geometry: Geometry, optics: Optics, rng: np.random.Generator) -> NDArray[Any]:
    """Image a tissue.

    Parameters
    ----------
    geometry : Geometry
        Labels and lumen.
    optics : Optics
        Staining and microscope.
    rng : numpy.random.Generator
        Face brightness and noise.

    Returns
    -------
    ndarray of uint8 or uint16, shape (z, y, x)
    """
    labels, step = geometry.labels, geometry.z_step
    image = _faces(geometry, optics, rng)
    image *= 1 + optics.patchiness * _slow_noise(image.shape, 5.0, step, rng)
    np.maximum(image, 0, out=image)
    _add_puncta(image, labels, optics, rng)
    sigma = optics.thickness
    image = ndimage.gaussian_filter(image, (sigma / step, sigma, sigma), mode="nearest")
    # A plane of unit voxels keeps 1 / sqrt(2 pi (sigma^2 + 1/4)) of its height under a blur: undo that.
    image *= np.sqrt(2 * np.pi * (sigma**2 + 0.25)) / 1.6

    tissue = labels > 0
    per_cell = optics.cytoplasm * np.exp(rng.normal(0, optics.cell_spread, int(labels.max()) + 1))
    inside = per_cell.astype(np.float32)[labels] * (1 + 0.3 * _slow_noise(image.shape, 3.0, step, rng))
    if optics.nuclei != 1.0:
        inside *= np.where(_nuclei(labels, rng), np.float32(optics.nuclei), np.float32(1))
    image += np.where(tissue, np.maximum(inside, 0), np.float32(optics.background))
    image[geometry.lumen] += np.float32(optics.lumen_fill)
    _add_debris(image, tissue | geometry.lumen, optics, rng)
    return _microscope(image, optics, step, rng)


def _microscope(image: NDArray[np.float32], optics: Optics, step: float, rng: np.random.Generator) -> NDArray[Any]:
    sigma = optics.blur
    image = ndimage.gaussian_filter(image, (sigma * optics.axial / step, sigma, sigma), mode="nearest")
    depth = np.linspace(0, 1, image.shape[0], dtype=np.float32)[:, None, None]
    image *= np.float32(optics.attenuation) ** (depth if rng.random() < 0.7 else 1 - depth)
    if optics.unevenness:
        image *= np.maximum(1 + optics.unevenness * _slow_noise(image.shape, max(image.shape) / 3, step, rng), 0.2)
    if optics.stripes:
        image *= (1 + optics.stripes * rng.normal(size=(image.shape[0], 1, 1))).clip(0.3).astype(np.float32)
    image = rng.poisson(np.maximum(image, 0) * optics.photons).astype(np.float32) / np.float32(optics.photons)
    image += optics.read_noise * rng.standard_normal(image.shape, dtype=np.float32)
    if optics.regrid:
        image = ndimage.gaussian_filter(image, optics.regrid, mode="nearest")
    low, high = np.float32(image.min()), np.float32(_upper(image, optics.saturation))
    image = np.clip((image - low) / max(float(high - low), 1e-6), 0, 1) ** np.float32(optics.gamma)
    offset = rng.uniform(0.0, 0.05)
    grey = (offset + (1 - offset) * image) * optics.full_scale
    return grey.round().astype(np.uint8 if optics.full_scale == 255 else np.uint16)


def _upper(image: NDArray[np.float32], saturation: float) -> float:
    if not saturation:
        return float(image.max())
    return float(np.quantile(image.ravel()[:: max(1, image.size // 1_000_000)], 1 - saturation))


def _faces(geometry: Geometry, optics: Optics, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the brightness of every voxel that touches another region; each pair of regions has its own."""
    lumen_id = np.uint32(0xFFFF_FFFF)
    regions = np.where(geometry.lumen, lumen_id, geometry.labels)
    image = np.zeros(regions.shape, np.float32)
    table = np.exp(rng.normal(0, optics.face_spread, 4096)).astype(np.float32)
    table[: round(optics.missing * len(table))] *= 0.08
    rng.shuffle(table)
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
        gain = np.where(high == lumen_id, optics.apical * np.sqrt(gain), gain).astype(np.float32)
        for part in (before, after):
            view = image[tuple(part)]
            view[index] = np.maximum(view[index], gain)
    # A cell's membrane is part of the cell: towards lumen and outside, the label ends where the membrane does.
    image[geometry.labels == 0] = 0
    return image


def _slow_noise(shape: tuple[int, ...], length: float, step: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return noise of standard deviation 1 that changes over about ``length`` x voxels."""
    coarse = [max(2, round(n * s / length) + 1) for n, s in zip(shape, (step, 1.0, 1.0), strict=True)]
    noise = rng.normal(size=coarse).astype(np.float32)
    factors = [n / c for n, c in zip(shape, coarse, strict=True)]
    fine = np.asarray(ndimage.zoom(noise, factors, order=1, mode="nearest", grid_mode=True), np.float32)
    fine /= max(float(fine.std()), 1e-6)
    return fine


def _nuclei(labels: NDArray[np.uint32], rng: np.random.Generator) -> NDArray[np.bool_]:
    import edt

    distance = edt.edt(labels, black_border=False, parallel=2)
    deepest = ndimage.maximum(distance, labels, np.arange(int(labels.max()) + 1))
    nuclei: NDArray[np.bool_] = (labels > 0) & (distance > rng.uniform(0.35, 0.7) * np.asarray(deepest)[labels])
    return nuclei


def _add_puncta(
    image: NDArray[np.float32], labels: NDArray[np.uint32], optics: Optics, rng: np.random.Generator
) -> None:
    count = round(optics.puncta * int(labels.max()))
    if not count:
        return
    # Drawn over the whole stack and kept where they hit a cell: no list of all tissue voxels is needed.
    share = max(float((labels[::4, ::4, ::4] > 0).mean()), 1e-3)
    place = tuple(rng.integers(0, n, round(count / share)) for n in image.shape)
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
