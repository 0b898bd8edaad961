"""The table of overlaps that all scores of cells and classes are computed from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.metrics.slabs import slabs

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Overlaps:
    """A sparse contingency table: how many voxels each pair of ids shares, id 0 included.

    Parameters
    ----------
    truth, prediction : ndarray of uint32, shape (n,)
        The ids of each pair that occurs, sorted.
    voxels : ndarray of int64, shape (n,)
        Voxels they share.
    """

    truth: NDArray[np.uint32]
    prediction: NDArray[np.uint32]
    voxels: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Sizes:
    """The ids of one side of a table of overlaps.

    Parameters
    ----------
    ids : ndarray of uint32, shape (k,)
        Each id that occurs, sorted; 0 among them where it occurs.
    voxels : ndarray of int64, shape (k,)
        Its voxels.
    place : ndarray of int, shape (n,)
        For each pair of the table, where its id is in `ids`.
    """

    ids: NDArray[np.uint32]
    voxels: NDArray[np.int64]
    place: NDArray[np.intp]


def count_overlaps(prediction: NDArray[Any], truth: NDArray[Any]) -> Overlaps:
    """Count the voxels that every pair of ids shares.

    Ids change rarely along a row, so runs of equal pairs are counted, not voxels.

    Raises
    ------
    ValueError
        When shapes differ.
    """
    check_shapes(prediction, truth)
    pairs, counts = [], []
    for slab, _ in slabs(truth.shape):
        pair = truth[slab].astype(np.uint64).ravel() << np.uint64(32)
        pair |= prediction[slab].astype(np.uint64).ravel()
        starts = np.flatnonzero(np.concatenate([[True], pair[1:] != pair[:-1]]))
        found, voxels = _summed(pair[starts], np.diff(starts, append=pair.size))
        pairs.append(found)
        counts.append(voxels)
    if not pairs:
        pairs, counts = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    return _of_pairs(*_summed(np.concatenate(pairs), np.concatenate(counts)))


def sizes(overlaps: Overlaps) -> tuple[Sizes, Sizes]:
    """Return the true and the predicted ids with their sizes."""
    true, predicted = (_side(ids, overlaps.voxels) for ids in (overlaps.truth, overlaps.prediction))
    return true, predicted


def renamed(overlaps: Overlaps, new: NDArray[np.integer[Any]]) -> Overlaps:
    """Return the table once predicted ids have changed; those that become the same are one from then on.

    Parameters
    ----------
    overlaps : Overlaps
        The table.
    new : ndarray of integers, shape (n,)
        The new id of each predicted id from 0 to the largest.
    """
    pair = overlaps.truth.astype(np.uint64) << np.uint64(32) | new[overlaps.prediction].astype(np.uint64)
    return _of_pairs(*_summed(pair, overlaps.voxels))


def check_shapes(prediction: NDArray[Any], truth: NDArray[Any], name: str = "prediction") -> None:
    """Raise ValueError when shapes differ."""
    if prediction.shape != truth.shape:
        raise ValueError(f"{name} has shape {prediction.shape}, truth {truth.shape}")


def _of_pairs(pair: NDArray[np.uint64], voxels: NDArray[np.int64]) -> Overlaps:
    return Overlaps((pair >> np.uint64(32)).astype(np.uint32), pair.astype(np.uint32), voxels)


def _side(of_pairs: NDArray[np.uint32], voxels: NDArray[np.int64]) -> Sizes:
    ids, place = np.unique(of_pairs, return_inverse=True)
    total = np.zeros(ids.size, np.int64)
    np.add.at(total, place, voxels)
    return Sizes(ids, total, place)


def _summed(keys: NDArray[np.uint64], counts: NDArray[np.integer[Any]]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return each key once, with the sum of its counts."""
    unique, index = np.unique(keys, return_inverse=True)
    sums = np.zeros(unique.size, dtype=np.int64)
    np.add.at(sums, index, counts)
    return unique, sums
