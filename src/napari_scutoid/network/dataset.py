"""Training stacks in memory, and the patches drawn from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_scutoid.steps.ground_truth import make_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_scutoid.network.config import Triple

TARGETS = ("foreground", "boundary")
"""What the built-in model learns, in the order of its outputs."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One training stack: normalised image and its targets.

    Parameters
    ----------
    image : ndarray of float16, shape (z, y, x)
        Normalised with the statistics of the whole stack.
    targets : ndarray of bool, shape (2, z, y, x)
        Cells, and the two voxels along every border between two regions.
    anchors : ndarray of int, shape (n, 3)
        Some voxels of cells, spread over all of them: where patches are taken.
    """

    image: NDArray[np.float16]
    targets: NDArray[np.bool_]
    anchors: NDArray[np.intp]

    @classmethod
    def from_labels(cls, image: NDArray[np.floating], labels: NDArray[np.integer]) -> Example:
        """Make the targets: foreground, and boundaries two voxels thick (Wolny et al. 2020, PlantSeg)."""
        if image.shape != labels.shape:
            raise ValueError(f"image has shape {image.shape}, labels have {labels.shape}")
        targets = np.stack([make_target(name, labels).values for name in TARGETS]).astype(np.bool_, copy=False)
        cells = np.flatnonzero(targets[0])
        some = cells[:: max(1, len(cells) // 2000)]
        anchors = np.stack(np.unravel_index(some, labels.shape), axis=1)
        return cls(image.astype(np.float16), targets, anchors)


def draw_patch(
    examples: Sequence[Example], patch: Triple, rng: np.random.Generator, *, empty_share: float = 0.1
) -> tuple[Tensor, Tensor]:
    """Cut a random patch, flip and turn it, and change its intensities.

    Parameters
    ----------
    examples : sequence of Example
        Each at least as large as the patch.
    patch : tuple of int
        Voxels along z, y, x; y and x equal, since the patch is also turned in the plane.
    rng : numpy.random.Generator
        All randomness comes from here.
    empty_share : float
        Share of patches taken anywhere; the others hold a cell's voxel.

    Returns
    -------
    image : Tensor of float32, shape (1, z, y, x)
    target : Tensor of float32, shape (2, z, y, x)

    Raises
    ------
    ValueError
        When the patch is not square in the plane or larger than the example.
    """
    if patch[1] != patch[2]:
        raise ValueError(f"patch must be square in the plane, not {patch}")
    example = examples[int(rng.integers(len(examples)))]
    shape = example.image.shape
    if any(p > n for p, n in zip(patch, shape, strict=True)):
        raise ValueError(f"patch {patch} is larger than the example {shape}")
    corner = [int(rng.integers(n - p + 1)) for n, p in zip(shape, patch, strict=True)]
    if len(example.anchors) and rng.random() >= empty_share:
        voxel = example.anchors[int(rng.integers(len(example.anchors)))]
        corner = [int(np.clip(v - rng.integers(p), 0, n - p)) for v, p, n in zip(voxel, patch, shape, strict=True)]
    box = tuple(slice(c, c + p) for c, p in zip(corner, patch, strict=True))
    image = example.image[box].astype(np.float32)[None]
    target = example.targets[(slice(None), *box)]
    for axis in (1, 2, 3):
        if rng.random() < 0.5:
            image, target = np.flip(image, axis), np.flip(target, axis)
    if rng.random() < 0.5:
        image, target = image.swapaxes(2, 3), target.swapaxes(2, 3)
    image = _changed_intensities(image, rng)
    return torch.from_numpy(np.ascontiguousarray(image)), torch.from_numpy(target.astype(np.float32))


def _changed_intensities(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Stretch, shift and bend: the share of empty space in a stack moves its percentiles just so."""
    image = image * np.float32(np.exp(rng.uniform(-0.45, 0.45))) + np.float32(rng.uniform(-0.1, 0.1))
    if rng.random() < 0.4:
        image = np.sign(image) * np.abs(image) ** np.float32(np.exp(rng.uniform(-0.4, 0.4)))
    if rng.random() < 0.3:
        image = image + rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(0, 0.1))
    return image.astype(np.float32, copy=False)
