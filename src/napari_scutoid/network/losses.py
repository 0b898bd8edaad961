"""What training minimises.

A batch's loss is the plain mean of what each sample's loss is by itself. So the gradients of several processes, or of
batches that are accumulated, average to those of one large batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from napari_scutoid.network.unet import activate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from napari_scutoid.network.config import Output
    from napari_scutoid.recipe.train import Loss

BACKGROUND = "background"
"""Softmax output whose voxels the weighted cross-entropy takes for background; every other one is foreground."""
VOXELS = (2, 3, 4)
"""Axes of a batch that are space."""


def make_loss(settings: Loss, outputs: Sequence[Output]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return the loss as a function of logits, target and weight.

    All three have the shape (b, n, z, y, x), the weight's n may be 1, and the result is a scalar in float32, whatever
    precision the logits have. Targets lie in 0..1, those of the softmax outputs add up to 1. Weights are 0 or more;
    voxels of weight 0 are ignored, and a sample of them alone has a loss of 0. Softmax outputs say one thing together,
    so that the least of their weights holds for all of them.

    * ``cross_entropy``, ``weighted_cross_entropy``: see `cross_entropy`.
    * ``falk``: cross-entropy; the weight must hold `loss_weights.separation_weights` as a factor.
    * ``dice``: one minus `soft_dice`, averaged over the outputs.
    * ``bce_dice``: cross-entropy plus that.

    Parameters
    ----------
    settings : Loss
        Which loss, and beta.
    outputs : sequence of Output, length n
        Sigmoid outputs are judged by binary cross-entropy, all softmax outputs together by categorical cross-entropy.

    Returns
    -------
    callable
        Raises ValueError when the shapes do not fit each other or the outputs.
    """
    outputs = tuple(outputs)
    beta = settings.beta if settings.name == "weighted_cross_entropy" else None

    def loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        _check_shapes(logits, target, weight, len(outputs))
        logits, target = logits.float(), target.float()
        weight = _shared_by_exclusive(weight.float().expand_as(logits), outputs)
        terms = []
        if settings.name != "dice":
            terms.append(cross_entropy(logits, target, weight, outputs, beta).mean())
        if settings.name in ("dice", "bce_dice"):
            terms.append(1 - soft_dice(activate(logits, outputs), target, weight).mean())
        return torch.stack(terms).sum()

    return loss


def cross_entropy(
    logits: Tensor, target: Tensor, weight: Tensor, outputs: Sequence[Output], beta: float | None = None
) -> Tensor:
    """Return the weighted mean over a sample's voxels of the cross-entropy, for each of its questions.

    Each sigmoid output is a question by itself: -t log p - (1 - t) log(1 - p). All softmax outputs together are one
    more: the sum of -t log p over them. With beta, the terms of an output's own voxels are multiplied by it, those of
    the others by 1 - beta [1]_; among softmax outputs, `BACKGROUND` stands for the others. The weights of voxels are
    divided by their sum, beta's are not: at 0.5 it halves the loss.

    Parameters
    ----------
    logits, target, weight : Tensor of float32, shape (b, n, z, y, x)
        Weights are the same for all softmax outputs.
    outputs : sequence of Output, length n
    beta : float, optional
        In 0..1.

    Returns
    -------
    Tensor, shape (b, number of questions)
        0 where all weights are 0.

    References
    ----------
    .. [1] S. Xie, Z. Tu (2015), Holistically-nested edge detection, ICCV, equation 2, with a beta that is given.
    """
    own, other = (1.0, 1.0) if beta is None else (beta, 1 - beta)
    single, exclusive = _by_activation(outputs)
    means = []
    if single:
        ratio = torch.tensor(own / other, device=logits.device)
        entropy = other * functional.binary_cross_entropy_with_logits(
            logits[:, single], target[:, single], pos_weight=ratio, reduction="none"
        )
        means.append(_weighted_mean(entropy, weight[:, single]))
    if exclusive:
        factors = [other if outputs[index].name == BACKGROUND else own for index in exclusive]
        factor = torch.tensor(factors, device=logits.device).reshape(1, -1, 1, 1, 1)
        terms = factor * target[:, exclusive] * torch.log_softmax(logits[:, exclusive], dim=1)
        means.append(_weighted_mean(-terms.sum(dim=1, keepdim=True), weight[:, exclusive[:1]]))
    return torch.cat(means, dim=1)


def soft_dice(probabilities: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the Dice coefficient of each output of each sample, (2 sum w min(p, t) + 1) / (sum w (p + t) + 1).

    For targets of 0 and 1 the minimum is the product p t, as in V-Net [1]_ with plain sums in the denominator; for
    targets between, unlike the product, it makes p = t the best answer [2]_.

    Parameters
    ----------
    probabilities, target : Tensor of float32, shape (b, n, z, y, x)
        Both in 0..1.
    weight : Tensor of float32, same shape, optional
        0 or more.

    Returns
    -------
    Tensor, shape (b, n)
        1 is perfect; an output that is empty in both, or has no weight, counts as 1.

    References
    ----------
    .. [1] F. Milletari, N. Navab, S.-A. Ahmadi (2016), V-Net, 3DV.
    .. [2] Z. Wang et al. (2023), Dice semimetric losses: optimizing the Dice score with soft labels, MICCAI.
    """
    overlap, total = torch.minimum(probabilities, target), probabilities + target
    if weight is not None:
        overlap, total = weight * overlap, weight * total
    return (2 * overlap.sum(dim=VOXELS) + 1) / (total.sum(dim=VOXELS) + 1)


def _by_activation(outputs: Sequence[Output]) -> tuple[list[int], list[int]]:
    """Return the channels with a sigmoid, and those that share a softmax."""
    single = [index for index, output in enumerate(outputs) if output.activation == "sigmoid"]
    return single, [index for index in range(len(outputs)) if index not in single]


def _shared_by_exclusive(weight: Tensor, outputs: Sequence[Output]) -> Tensor:
    _, exclusive = _by_activation(outputs)
    if not exclusive:
        return weight
    weight = weight.clone()
    weight[:, exclusive] = weight[:, exclusive].amin(dim=1, keepdim=True)
    return weight


def _weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    total = weight.sum(dim=VOXELS)
    return (weight * values).sum(dim=VOXELS) / torch.where(total > 0, total, 1)


def _check_shapes(logits: Tensor, target: Tensor, weight: Tensor, n_outputs: int) -> None:
    shape = tuple(logits.shape)
    if len(shape) != 5 or shape[1] != n_outputs:
        raise ValueError(f"logits must have shape (b, {n_outputs}, z, y, x), not {shape}")
    if target.shape != logits.shape:
        raise ValueError(f"target has shape {tuple(target.shape)}, logits have {shape}")
    if tuple(weight.shape) not in (shape, (shape[0], 1, *shape[2:])):
        raise ValueError(f"weight has shape {tuple(weight.shape)}, logits have {shape}; only the outputs may be one")
