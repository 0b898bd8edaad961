"""From fluorescence to grey values: the microscope's blur, the detector's noise, and what is done to a stack after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_scutoid.synth.fields import apply_matrices, resize, resize_matrix, slow_noise
from napari_scutoid.synth.stain import stain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.synth.geometry import Geometry
    from napari_scutoid.synth.optics import Optics

_HALO = 6.0  # x voxels: light out of focus has lost all detail, whatever the cells


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
    # Streams of their own: with one effect switched off, the others stay as they were.
    staining, light, detector = rng.spawn(3)
    image = _illuminate(_blur(stain(geometry, optics, staining), optics, geometry.z_step), optics, geometry, light)
    image = _detect(image, optics, detector)
    low, high = np.float32(image.min()), np.float32(_upper(image, optics.saturation))
    image = np.asarray(np.clip((image - low) / max(float(high - low), 1e-6), 0, 1)) ** np.float32(optics.gamma)
    offset = light.uniform(0.0, 0.05)
    grey = (offset + (1 - offset) * image) * np.float32(optics.exposure * optics.full_scale)
    grey_values: NDArray[Any] = grey.round().astype(np.uint8 if optics.full_scale == 255 else np.uint16)
    return grey_values


def _blur(image: NDArray[np.float32], optics: Optics, step: float) -> NDArray[np.float32]:
    sigma = np.array([optics.axial / step, 1.0, 1.0]) * optics.blur
    image = ndimage.gaussian_filter(image, sigma, mode="nearest", truncate=3)
    if optics.scatter:
        # Blurs add up in squares; in between, a mixture of the two ends is close enough.
        deep = ndimage.gaussian_filter(image, sigma * (2 * optics.scatter + optics.scatter**2) ** 0.5, truncate=3)
        image += np.linspace(0, 1, len(image), dtype=np.float32)[:, None, None] * (deep - image)
    if optics.halo:
        coarse = [max(1, round(n * s / _HALO)) for n, s in zip(image.shape, (step, 1.0, 1.0), strict=True)]
        haze = ndimage.gaussian_filter(_average(image, coarse), (1.5, 0.7, 0.7), mode="nearest")
        image += np.float32(optics.halo) * (resize(haze, image.shape) - image)
    return image


def _illuminate(
    image: NDArray[np.float32], optics: Optics, geometry: Geometry, rng: np.random.Generator
) -> NDArray[np.float32]:
    depth = np.linspace(0, 1, image.shape[0], dtype=np.float32)[:, None, None]
    image *= np.float32(optics.attenuation) ** (depth if rng.random() < 0.7 else 1 - depth)
    if optics.unevenness:
        field = slow_noise(image.shape, max(image.shape) / 3, geometry.z_step, rng)
        image *= np.maximum(1 + np.float32(optics.unevenness) * field, np.float32(0.2))
    return image


def _detect(image: NDArray[np.float32], optics: Optics, rng: np.random.Generator) -> NDArray[np.float32]:
    """Sample on the grid the stack was taken on, add noise there, and interpolate to the finished grid."""
    shape = image.shape
    factors = (optics.coarse_z, optics.coarse_xy, optics.coarse_xy)
    taken = tuple(max(2, round(n / f)) for n, f in zip(shape, factors, strict=True))
    kept = 1.0
    finer: Sequence[NDArray[np.float32]] | None = None
    if taken != shape:
        image = resize(image, taken)
        finer = [resize_matrix(a, b, optics.spline) for a, b in zip(taken, shape, strict=True)]
        kept *= float(np.prod([np.sqrt((m**2).sum(axis=1).mean()) for m in finer]))
    if optics.regrid:
        kept *= _kept_noise(optics.regrid)
    if optics.stripes:
        image *= (1 + optics.stripes * rng.normal(size=(len(image), 1, 1))).clip(0.3).astype(np.float32)
    if optics.crosstalk:
        image[1:] += np.float32(optics.crosstalk) * (image[:-1] - image[1:])
    photons = np.float32(optics.photons * kept**2)
    image = rng.poisson(np.maximum(image, 0) * photons).astype(np.float32) / photons
    image += np.float32(optics.read_noise / kept) * rng.standard_normal(image.shape, dtype=np.float32)
    if finer is not None:
        image = apply_matrices(image, finer)
    if optics.regrid:
        image = ndimage.gaussian_filter(image, optics.regrid, mode="nearest", truncate=3)
    return image


def _average(image: NDArray[np.float32], coarse: Sequence[int]) -> NDArray[np.float32]:
    """Return block means; the blocks are as equal as whole voxels allow."""
    matrices = []
    for old, new in zip(image.shape, coarse, strict=True):
        block = np.arange(old) * new // old
        matrix = (block == np.arange(new)[:, None]).astype(np.float32)
        matrices.append(matrix / matrix.sum(axis=1, keepdims=True))
    return apply_matrices(image, matrices)


def _kept_noise(sigma: float) -> float:
    """Return the share of independent noise's standard deviation that a Gaussian smoothing in 3D leaves."""
    impulse = np.zeros(33)
    impulse[16] = 1
    return float((ndimage.gaussian_filter1d(impulse, sigma, truncate=3) ** 2).sum() ** 1.5)


def _upper(image: NDArray[np.float32], saturation: float) -> float:
    if not saturation:
        return float(image.max())
    return float(np.quantile(image.ravel()[:: max(1, image.size // 1_000_000)], 1 - saturation))
