"""Synthetic stacks to learn from, as a model sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.network.dataset import TrainingStack
from napari_scutoid.progress import drain
from napari_scutoid.steps.normalise import statistics
from napari_scutoid.synth.tissue import training_tissue

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.recipe import Normalise


def synthetic_stack(
    number: int, normalise: Normalise, *, real: Sequence[NDArray[Any]] = (), without: Collection[str] = ()
) -> TrainingStack:
    """Return the synthetic stack of a number.

    Parameters
    ----------
    number : int
        The same number gives the same stack.
    normalise : Normalise
        As the model's own images are normalised.
    real, without
        As for `synth.tissue.training_tissue`.
    """
    tissue = training_tissue(number, real=real, without=without)
    image = np.asarray(tissue.image.data)
    normalised = drain(statistics(image, normalise)).apply(image).astype(np.float16)
    return TrainingStack.from_labels(
        normalised, np.asarray(tissue.labels.data), spacing=tissue.image.spacing, name=f"synthetic {number}"
    )
