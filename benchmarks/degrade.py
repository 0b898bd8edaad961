"""Real stacks made worse by a seeded program, as other microscopes or other days would have recorded them.

========  ==============================================================================================
noise     photon and read noise that bring `signal_to_noise` to a third
blur      a Gaussian of 1.5 voxels along each axis
half_z    every second slice, image and labels
gradient  brightness above the dark level falls to a quarter across the stack, along a drawn direction in the plane
========  ==============================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_scutoid.volume import VoxelSize

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_scutoid.volume import Volume

DEGRADATIONS = ("noise", "blur", "half_z", "gradient")
NOISE_FACTOR = 3.0
"""By how much the signal-to-noise ratio falls."""
LARGEST_RATIO = 5.0
"""Signal over noise is brought at least down to this: in an image that has been smoothed there is nearly no noise to
multiply, and three times nothing would be no test. The shared glands lie at 4 to 9 as they are."""
READ_SHARE = 0.25
"""Share of the added variance, at the tissue's mean brightness, that does not grow with brightness."""
BLUR = 1.5
DARKEST = 0.25
DARK_PERCENTILE = 1.0
TOLERANCE = 0.02
MOST_ROUNDS = 20


class SignalToNoise(NamedTuple):
    """Brightness of tissue above the dark level, and the noise there, both in grey values."""

    signal: float
    noise: float

    @property
    def ratio(self) -> float:
        """Signal over noise."""
        return self.signal / self.noise


class Degraded(NamedTuple):
    """A stack made worse, and its true cells on the same grid."""

    volume: Volume
    labels: NDArray[Any]


def degrade(name: str, volume: Volume, labels: NDArray[Any], seed: int = 0) -> Degraded:
    """Return the stack after one of `DEGRADATIONS`; the same seed gives the same stack.

    Raises
    ------
    ValueError
        When there is no degradation of that name, or the shapes differ.
    """
    if name not in DEGRADATIONS:
        raise ValueError(f"name must be one of {', '.join(DEGRADATIONS)}, not {name!r}")
    if labels.shape != volume.shape:
        raise ValueError(f"labels have shape {labels.shape}, the volume {volume.shape}")
    if name == "half_z":
        return _half_z(volume, labels)
    image = np.asarray(volume.data[:])
    return Degraded(volume.with_data(_CHANGES[name](image, np.random.default_rng(seed)), name), labels)


def flat_tissue(image: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where noise can be told from structure: the flat half of the tissue.

    Tissue is what lies above Otsu's threshold on the logarithm of the smoothed image, its flat half where the gradient
    is at most the tissue's median.

    Raises
    ------
    ValueError
        When the image has no structure.
    """
    from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude
    from skimage.filters import threshold_otsu

    image = np.asarray(image, np.float32)
    smooth = gaussian_filter(image, 2.0)
    low, high = smooth.min(), np.percentile(smooth, 99.5)
    if high <= low:
        raise ValueError("the image is flat: it has neither signal nor noise")
    logarithm = np.log(smooth - low + 0.01 * (high - low))
    tissue = logarithm > threshold_otsu(logarithm)
    steepness = gaussian_gradient_magnitude(image, 1.5)
    flat: NDArray[np.bool_] = tissue & (steepness <= np.median(steepness[tissue]))
    return flat


def signal_to_noise(image: NDArray[Any], where: NDArray[np.bool_]) -> SignalToNoise:
    """Return the signal and the noise of an image at some voxels.

    The signal is the mean brightness there less the smoothed stack's 1st percentile. The noise is 1.4826 times the
    median absolute response to Immerkaer's mask (the difference of two Laplacians, divided by its norm 6; Computer
    Vision and Image Understanding 64, 1996), slice by slice. What fine structure is left counts as noise: noise added
    in proportion to it is rather too strong than too weak.

    Parameters
    ----------
    image : ndarray, shape (z, y, x)
    where : ndarray of bool, same shape
        As `flat_tissue` gives it; that of the clean image, to compare what was made of it.
    """
    from scipy.ndimage import convolve1d, gaussian_filter

    image = np.asarray(image, np.float32)
    second = np.array([1.0, -2.0, 1.0])
    residual = convolve1d(convolve1d(image, second, axis=1), second, axis=2)[where] / 6
    noise = 1.4826 * float(np.median(np.abs(residual)))
    signal = float(image[where].mean()) - float(np.percentile(gaussian_filter(image, 2.0), DARK_PERCENTILE))
    return SignalToNoise(signal, max(noise, float(np.finfo(np.float32).tiny)))


def _noise(image: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Add photon and read noise until the ratio, as measured on what is recorded, is what it should be."""
    where = flat_tissue(image)
    before = signal_to_noise(image, where)
    wanted = min(before.ratio / NOISE_FACTOR, LARGEST_RATIO)
    deviation = before.signal / wanted
    seed = rng.integers(2**63)
    for _ in range(MOST_ROUNDS):
        noisy = _recorded(_with_noise(image, deviation, before.signal, np.random.default_rng(seed)), image)
        found = signal_to_noise(noisy, where).ratio
        if abs(found / wanted - 1) < TOLERANCE:
            return noisy
        deviation *= found / wanted
    raise ValueError(f"noise could not be made to fit: the ratio is {found:.2f} and should be {wanted:.2f}")


def _with_noise(image: NDArray[Any], deviation: float, signal: float, rng: np.random.Generator) -> NDArray[Any]:
    """Add noise of a standard deviation that it has where the brightness above the dark level is `signal`."""
    dark = np.percentile(image, DARK_PERCENTILE)
    gain = (1 - READ_SHARE) * deviation**2 / signal  # grey values a photon
    photons = np.maximum(image - dark, 0) / gain
    shot = (rng.poisson(photons) - photons) * gain
    noisy: NDArray[Any] = image + shot + rng.normal(0, np.sqrt(READ_SHARE) * deviation, image.shape)
    return noisy


def _blur(image: NDArray[Any], _: np.random.Generator) -> NDArray[Any]:
    from scipy.ndimage import gaussian_filter

    return _recorded(gaussian_filter(image.astype(np.float32), BLUR), image)


def _gradient(image: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    angle = rng.uniform(0, 2 * np.pi)
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in image.shape[1:])
    along = np.sin(angle) * y[:, None] + np.cos(angle) * x
    along = (along - along.min()) / np.ptp(along)
    dark = np.percentile(image, DARK_PERCENTILE)
    return _recorded(dark + (image - dark) * (1 - (1 - DARKEST) * along), image)


def _half_z(volume: Volume, labels: NDArray[Any]) -> Degraded:
    size = volume.voxel_size_um
    twice = None if size is None else VoxelSize(2 * size.z, size.y, size.x)
    return Degraded(volume.with_data(np.asarray(volume.data[::2]), "half_z", voxel_size_um=twice), labels[::2])


def _recorded(image: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    """Return intensities as the camera of the stack would store them: its type, nothing below 0 or beyond its range."""
    if np.issubdtype(like.dtype, np.integer):
        limits = np.iinfo(like.dtype)
        return np.clip(np.rint(image), limits.min, limits.max).astype(like.dtype)
    return np.maximum(image, min(0.0, float(like.min()))).astype(like.dtype)


_CHANGES: dict[str, Callable[[NDArray[Any], np.random.Generator], NDArray[Any]]] = {
    "noise": _noise,
    "blur": _blur,
    "gradient": _gradient,
}
