"""Regions between bright walls: basins of the image, merged while the walls between them are weak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_scutoid.steps.flood import flood

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Partition:
    """The basins' regions after all merging below a contrast.

    Parameters
    ----------
    contrast : float
        Walls between regions are at least this much brighter than the brighter of the two regions.
    region : ndarray of int, shape (n_basins,)
        Region 0..n-1 of each basin.
    size : ndarray of float, shape (n,)
        Voxels of each region.
    enclosure : ndarray of float, shape (n,)
        How much brighter than the region its surface is on average; the stack's border counts as no brighter.
    """

    contrast: float
    region: NDArray[np.intp]
    size: NDArray[np.float64]
    enclosure: NDArray[np.float64]


def basins(image: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the catchment basins of an image's local minima, numbered from 0."""
    minima = image == ndimage.minimum_filter(image, size=3, mode="nearest")
    seeds, _ = ndimage.label(minima, np.ones((3, 3, 3), dtype=bool))
    flooded = flood(image, seeds.astype(np.uint32), np.ones(image.shape, dtype=bool), "bioimage-cpp")
    return flooded.astype(np.intp) - 1


def merge_across_weak_walls(
    image: NDArray[np.float32], basin: NDArray[np.intp], contrasts: Sequence[float]
) -> Iterator[Partition]:
    """Merge regions in order of the contrast of the wall between them, and yield the state at rising contrasts.

    The wall's brightness is the mean over the whole contact, so neither a gap nor a bright spot decides alone (average
    linkage). In each round all pairs merge that are each other's weakest wall, which for average linkage gives nearly
    what merging one pair after another gives, in a few vectorised rounds.

    Parameters
    ----------
    image : ndarray of float32, shape (z, y, x)
        Bright walls, in units in which contrasts compare, e.g. logarithmic.
    basin : ndarray of int, same shape
        Ids 0..n-1 as from `basins`.
    contrasts : sequence of float
        Rising.

    Yields
    ------
    Partition
        One for each contrast.
    """
    first, second, area, brightness = _walls(image, basin)
    flat = basin.ravel()
    size = np.bincount(flat).astype(np.float64)
    total = np.bincount(flat, image.ravel()).astype(np.float64)
    border = _border_area(basin, size.size)
    region = np.arange(size.size)
    for contrast in contrasts:
        while first.size:
            mean = total / size
            height = brightness / area - np.maximum(mean[first], mean[second])
            weakest = np.full(size.size, np.inf)
            np.minimum.at(weakest, first, height)
            np.minimum.at(weakest, second, height)
            merging = (height < contrast) & (height <= weakest[first]) & (height <= weakest[second])
            if not merging.any():
                break
            merged = _absorbed(first[merging], second[merging], size.size)
            n = int(merged.max()) + 1
            region = merged[region]
            size, total, border = _summed(merged, n, (size, total, border))
            kept = merged[first] != merged[second]
            first, second, (area, brightness) = _joined(
                merged[first[kept]], merged[second[kept]], n, (area[kept], brightness[kept])
            )
        surface = np.bincount(first, area, size.size) + np.bincount(second, area, size.size)
        light = np.bincount(first, brightness, size.size) + np.bincount(second, brightness, size.size)
        enclosure = (light - surface * total / size) / (surface + border)
        yield Partition(contrast, region, size, enclosure)


def _border_area(basin: NDArray[np.intp], n: int) -> NDArray[np.float64]:
    """Voxel faces of each basin on the border of the stack."""
    area = np.zeros(n)
    for axis in range(3):
        for end in (0, -1):
            area += np.bincount(basin.take(end, axis).ravel(), minlength=n)
    return area


def _walls(image: NDArray[np.float32], basin: NDArray[np.intp]) -> tuple[NDArray[Any], ...]:
    """Pairs of touching basins, the voxel faces between them, and the faces' summed brightness."""
    firsts, seconds, heights = [], [], []
    for axis in range(3):
        near = tuple(slice(None, -1) if i == axis else slice(None) for i in range(3))
        far = tuple(slice(1, None) if i == axis else slice(None) for i in range(3))
        between = basin[near] != basin[far]
        firsts.append(basin[near][between])
        seconds.append(basin[far][between])
        heights.append(np.maximum(image[near][between], image[far][between]))
    height = np.concatenate(heights).astype(np.float64)
    n = int(basin.max()) + 1
    first, second, (area, brightness) = _joined(
        np.concatenate(firsts), np.concatenate(seconds), n, (np.ones(height.size), height)
    )
    return first, second, area, brightness


def _absorbed(keep: NDArray[np.intp], give: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    """Return the new number of each of n regions once the second of each pair has become part of the first."""
    root = np.arange(n)
    root[give] = keep  # smaller than give: chains end
    while (root[root] != root).any():
        root = root[root]
    number = np.cumsum(root == np.arange(n)) - 1
    return np.asarray(number[root])


def _joined(
    first: NDArray[np.intp], second: NDArray[np.intp], n: int, sums: tuple[NDArray[np.float64], ...]
) -> tuple[NDArray[np.intp], NDArray[np.intp], list[NDArray[np.float64]]]:
    """Sum what belongs to the same unordered pair of regions; the first of a pair is the smaller."""
    key = np.minimum(first, second) * n + np.maximum(first, second)
    pairs, index = np.unique(key, return_inverse=True)
    return pairs // n, pairs % n, _summed(index, pairs.size, sums)


def _summed(index: NDArray[np.intp], n: int, arrays: tuple[NDArray[np.float64], ...]) -> list[NDArray[np.float64]]:
    return [np.bincount(index, values, n).astype(np.float64) for values in arrays]
