"""How well a network's outputs agree with their targets, voxel by voxel, over any number of stacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from napari_scutoid.metrics.classes import agreement
from napari_scutoid.metrics.overlaps import Overlaps
from napari_scutoid.metrics.ratio import ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_scutoid.metrics.ratio import Score

    Array: TypeAlias = NDArray[Any] | Tensor

THRESHOLD = 0.5
"""Above it, an output or a soft target says yes."""


@dataclass(frozen=True, slots=True, eq=False)
class VoxelCounts:
    """Confusion matrices, which add up: ``counts += count_voxels(...)`` needs no voxel of the stacks before.

    Parameters
    ----------
    names : tuple of str
        The outputs, in their order.
    matrices : ndarray of int64, shape (n, 2, 2) or (1, n, n)
        Voxels, a row for each true class, a column for each predicted one. Either yes and no for each of the n
        outputs, no first, or all n outputs in one, where exactly one of them is right.
    """

    names: tuple[str, ...]
    matrices: NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.names)
        if self.matrices.shape not in ((n, 2, 2), (1, n, n)):
            raise ValueError(f"matrices must have shape {(n, 2, 2)} or {(1, n, n)}, not {self.matrices.shape}")

    @classmethod
    def none(cls, names: Sequence[str], *, exclusive: bool = False) -> VoxelCounts:
        """Return the counts of no voxels; `exclusive` says that exactly one output is right."""
        n = len(names)
        return cls(tuple(names), np.zeros((1, n, n) if exclusive else (n, 2, 2), np.int64))

    def __add__(self, other: VoxelCounts) -> VoxelCounts:
        """Return the counts of both.

        Raises
        ------
        ValueError
            When they are of other outputs.
        """
        if self.names != other.names or self.matrices.shape != other.matrices.shape:
            raise ValueError(f"counts of {other.names} do not add to those of {self.names}")
        return VoxelCounts(self.names, self.matrices + other.matrices)

    def iou(self) -> dict[str, Score]:
        """Return the IoU of each output; None where it occurs neither in truth nor in prediction."""
        return self._agreement()[1]

    def dice(self) -> dict[str, Score]:
        """Return the Dice coefficient of each output; None as in `iou`."""
        return self._agreement()[0]

    def mean_iou(self) -> Score:
        """Return the mean IoU of the outputs that occur (mIoU)."""
        return _mean(self.iou())

    def mean_dice(self) -> Score:
        """Return the mean Dice coefficient of the outputs that occur."""
        return _mean(self.dice())

    def precision_recall_f1(self, name: str) -> tuple[Score, Score, Score]:
        """Return precision, recall and F1 of an output, voxel on voxel, without the tolerance that cells are given.

        Each is None where it has nothing to judge; F1, which is the Dice coefficient, where the output never occurs.

        Raises
        ------
        ValueError
            When there is no such output.
        """
        if name not in self.names:
            raise ValueError(f"name must be one of {', '.join(self.names)}, not {name!r}")
        matrix, row = self._of(self.names.index(name))
        hits, predicted, true = matrix[row, row], matrix[:, row].sum(), matrix[row].sum()
        return ratio(hits, predicted), ratio(hits, true), ratio(2 * hits, predicted + true)

    def confusion_matrix(self) -> list[Any]:
        """Return the matrices as nested lists: one n x n, or one 2 x 2 for each output."""
        nested: list[Any] = self.matrices.tolist()
        return nested[0] if self._exclusive else nested

    @property
    def _exclusive(self) -> bool:
        return self.matrices.shape != (len(self.names), 2, 2)

    def _of(self, output: int) -> tuple[NDArray[np.int64], int]:
        """Return the matrix that an output is in, and its place there."""
        return (self.matrices[0], output) if self._exclusive else (self.matrices[output], 1)

    def _agreement(self) -> tuple[dict[str, Score], dict[str, Score]]:
        scores: tuple[dict[str, Score], dict[str, Score]] = {}, {}
        for output, name in enumerate(self.names):
            matrix, row = self._of(output)
            for of_outputs, of_classes in zip(scores, agreement(_overlaps(matrix)), strict=True):
                of_outputs[name] = of_classes.get(row)
        return scores


def count_voxels(
    names: Sequence[str], probabilities: Array, target: Array, valid: Array | None = None, *, exclusive: bool = False
) -> VoxelCounts:
    """Count how many voxels of each true class were given each class.

    Parameters
    ----------
    names : sequence of str
        The n outputs.
    probabilities, target : ndarray or Tensor, shape (n, z, y, x)
        In 0..1. Yes is above `THRESHOLD`; the largest wins where outputs are exclusive. What follows the first axis
        may be of any shape, such as a batch of patches.
    valid : ndarray or Tensor, optional
        Bool, or weights: voxels at 0 are not counted. Of the target's shape, or with 1 or no first axis.
    exclusive : bool
        Exactly one output is right at each voxel (softmax).

    Raises
    ------
    ValueError
        When shapes differ.
    """
    predicted, true = _tensor(probabilities), _tensor(target)
    if predicted.shape != true.shape or predicted.ndim < 2 or predicted.shape[0] != len(names):
        raise ValueError(
            f"probabilities have shape {tuple(predicted.shape)}, target {tuple(true.shape)}, of {len(names)} outputs"
        )
    counted = _counted(valid, true)
    if exclusive:
        voxels = counted.all(dim=0)
        matrices = [_matrix(_largest(predicted)[voxels], _largest(true)[voxels], len(names))]
    else:
        matrices = [
            _matrix(one[voxels] > THRESHOLD, other[voxels] > THRESHOLD, 2)
            for one, other, voxels in zip(predicted, true, counted, strict=True)
        ]
    return VoxelCounts(tuple(names), np.stack(matrices))


def _tensor(array: Array) -> Tensor:
    # A copy only where torch needs one: it warns of what is read-only, and refuses strides below zero.
    return array if isinstance(array, torch.Tensor) else torch.from_numpy(np.require(array, requirements=("C", "W")))


def _counted(valid: Array | None, target: Tensor) -> Tensor:
    if valid is None:
        return torch.ones((), dtype=torch.bool, device=target.device).expand(target.shape)
    mask = _tensor(valid).to(target.device) > 0
    if mask.shape not in (target.shape, target.shape[1:], (1, *target.shape[1:])):
        raise ValueError(f"valid has shape {tuple(mask.shape)}, target {tuple(target.shape)}")
    return mask.expand(target.shape)


def _largest(outputs: Tensor) -> Tensor:
    return (outputs.byte() if outputs.dtype == torch.bool else outputs).argmax(dim=0)  # torch has none for bool


def _matrix(predicted: Tensor, true: Tensor, classes: int) -> NDArray[np.int64]:
    pairs = torch.bincount(classes * true.long() + predicted.long(), minlength=classes * classes)
    matrix: NDArray[np.int64] = pairs.cpu().numpy().reshape(classes, classes)
    return matrix


def _overlaps(matrix: NDArray[np.int64]) -> Overlaps:
    true, predicted = np.nonzero(matrix)
    return Overlaps(true.astype(np.uint32), predicted.astype(np.uint32), matrix[true, predicted])


def _mean(scores: dict[str, Score]) -> Score:
    defined = [score for score in scores.values() if score is not None]
    return float(np.mean(defined)) if defined else None
