"""What is known of a stack, and what preparing it would give, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_scutoid.ui.preparing import Known, Plan
    from napari_scutoid.volume import Volume

COPIES = 2
"""Arrays of the result's size that there are at once while it is made."""


def of_stack(volume: Volume) -> str:
    """Return the size of a stack and of its voxels."""
    size = volume.voxel_size_um
    voxels = "of unknown size" if size is None else f"of {_numbers(size)} µm"
    return f"{_shape(volume.shape)} voxels {voxels} (z × y × x), {volume.dtype}."


def of_estimate(known: Known, is_busy: bool) -> str:
    """Return how large the cells are, as estimated, and how sure that is."""
    if is_busy:
        return "Estimating…"
    if known.problem:
        return f"Not estimated: {known.problem}."
    if known.cell_size is None:
        return ""
    return f"Estimated: {known.cell_size.diameter:.1f} voxels, give or take {known.cell_size.uncertainty:.0%}."


def of_result(plan: Plan, known: Known, free_bytes: int) -> str:
    """Return what comes out, one fact a line."""
    from napari_scutoid.recipe import Watershed
    from napari_scutoid.steps.cells_blocks import memory_for

    size = "" if plan.voxel_size_um is None else f" of {_numbers(plan.voxel_size_um)} µm"
    lines = [f"{_shape(plan.shape)} voxels{size} (z × y × x), {_bytes(plan.bytes)}."]
    needed = memory_for(math.prod(plan.shape), Watershed())
    lines.append(f"Segmenting it takes about {_bytes(needed)} of memory; {_bytes(free_bytes)} are free.")
    if needed > free_bytes:
        lines.append("⚠ That is too little: crop more, or take a coarser grid.")
    if plan.diameter is not None and known.config is not None:
        low, high = known.config.cell_diameter_range
        lines.append(
            f"A typical cell is about {plan.diameter:.0f} voxels across in it; the model is made for "
            f"{low:.0f} to {high:.0f}."
        )
    if plan.warning is not None:
        lines.append(f"⚠ {plan.warning}")
    return "\n".join(lines)


def too_large(plan: Plan, free_bytes: int) -> str | None:
    """Return why a result cannot be made, or None."""
    if COPIES * plan.bytes <= free_bytes:
        return None
    return (
        f"The result takes {_bytes(COPIES * plan.bytes)} of memory while it is made, and {_bytes(free_bytes)} are "
        "free: crop more, or take a coarser grid."
    )


def _shape(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


def _numbers(numbers: Sequence[float]) -> str:
    return " × ".join(f"{number:.3g}" for number in numbers)


def _bytes(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.3g} MB"
