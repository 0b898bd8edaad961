"""What a network would be shown, for a person to check that it still makes sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.network.augment import augmented_sample
from napari_scutoid.network.dataset import draw_centre
from napari_scutoid.picture.samples import Sample, sample_sheet
from napari_scutoid.recipe.train import CHANGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from napari_scutoid.network.dataset import TrainingStack
    from napari_scutoid.recipe.train import TrainRecipe


def preview(stacks: Sequence[TrainingStack], recipe: TrainRecipe, count: int = 12) -> Image.Image:
    """Draw a contact sheet of augmented samples; the first is the plain cut.

    Parameters
    ----------
    stacks : sequence of TrainingStack
        Shown in turn.
    recipe : TrainRecipe
        Its parts `sampling` and `augment`, and the seed.
    count : int
        Samples on the sheet.
    """
    never = {name: 0.0 for name in CHANGES}
    plain = recipe.augment.model_copy(update=never)
    samples = []
    for number in range(count):
        stack = stacks[number % len(stacks)]
        rng = np.random.default_rng((recipe.optimise.seed, number))
        centre = draw_centre(stack, recipe.sampling.patch, rng, cell_share=1.0)
        settings = recipe.augment if number else plain
        patch, words = augmented_sample(stack, centre, recipe.sampling.patch, settings, rng)
        caption = f"{stack.name}: {', '.join(words) or 'as it is'}"
        samples.append(Sample(caption, patch.image, patch.labels, patch.known, stack.spacing))
    return sample_sheet(samples)
