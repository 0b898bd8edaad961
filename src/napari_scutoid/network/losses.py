"""What training minimises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor


def soft_dice(probabilities: Tensor, target: Tensor) -> Tensor:
    """Return the Dice coefficient of each output, 2 |PT| / (|P| + |T|) with products for intersections.

    Milletari et al. 2016, "V-Net", with plain instead of squared sums in the denominator.

    Parameters
    ----------
    probabilities, target : Tensor, shape (b, n, z, y, x)
        Both in 0..1.

    Returns
    -------
    Tensor, shape (n,)
        1 is perfect; an output that is empty in both counts as 1.
    """
    axes = (0, 2, 3, 4)
    overlap = (probabilities * target).sum(dim=axes)
    total = probabilities.sum(dim=axes) + target.sum(dim=axes)
    return (2 * overlap + 1) / (total + 1)


def bce_dice(logits: Tensor, target: Tensor) -> Tensor:
    """Return binary cross-entropy plus one minus the mean Dice, averaged over the outputs.

    Parameters
    ----------
    logits, target : Tensor, shape (b, n, z, y, x)
    """
    logits = logits.float()
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, target)
    return cross_entropy + 1 - soft_dice(torch.sigmoid(logits), target).mean()
