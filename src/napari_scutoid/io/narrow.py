"""The smallest type that holds an array's numbers without changing one, found in one streaming pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.io.output import block_keys
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from napari_scutoid.progress import Steps
    from napari_scutoid.volume import ArrayLike

LARGEST_LABEL = np.iinfo(np.uint32).max


@dataclass(frozen=True, slots=True)
class Numbers:
    """What numbers an array holds.

    Parameters
    ----------
    lowest, highest : int or float
        The range.
    whole : bool
        None has a fraction.
    single : bool
        Each is a single-precision number exactly.
    """

    lowest: float
    highest: float
    whole: bool
    single: bool


def survey(data: ArrayLike, step: str) -> Steps[Numbers]:
    """Find out what numbers an array holds, block by block.

    Parameters
    ----------
    data : ArrayLike, shape (z, y, x)
        Logical, integer or real numbers.
    step : str
        What `Progress` calls this.
    """
    whole = single = True
    lowest, highest = [], []
    keys = block_keys(data)
    for number, key in enumerate(keys, start=1):
        block = np.asarray(data[key])
        lowest.append(block.min().item())
        highest.append(block.max().item())
        if block.dtype.kind == "f":
            whole = whole and bool(np.array_equal(block, np.rint(block)))
            if single and block.dtype.itemsize > 4:
                # A number too large for single precision becomes infinite, and so differs.
                with np.errstate(over="ignore"):
                    single = bool(np.array_equal(block, block.astype(np.float32)))
        yield Progress(step, number, len(keys))
    return Numbers(min(lowest), max(highest), whole, single)


def smallest_type(dtype: np.dtype[Any], numbers: Numbers) -> np.dtype[Any]:
    """Return the smallest type for an image's numbers.

    Real and 32 or 64-bit whole numbers become integers of up to 32 bits where they fit; integers of 8 and 16 bits stay
    what they are, as cameras write them. Double precision becomes single where that changes no number.
    """
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind in "iu" and dtype.itemsize <= 2:
        return dtype
    if numbers.whole:
        for name in ("uint8", "int8", "uint16", "int16", "uint32", "int32"):
            bounds = np.iinfo(name)
            if bounds.min <= numbers.lowest and numbers.highest <= bounds.max:
                return np.dtype(name)
        return dtype
    return np.dtype(np.float32) if dtype.itemsize > 4 and numbers.single else dtype


def label_type(numbers: Numbers) -> np.dtype[Any]:
    """Return the smallest unsigned type for labels.

    Raises
    ------
    ValueError
        When the numbers are no labels: fractions, negative, or above 4294967295.
    """
    if not numbers.whole:
        raise ValueError("labels must be whole numbers; these have fractions")
    if numbers.lowest < 0 or numbers.highest > LARGEST_LABEL:
        raise ValueError(
            f"labels must lie in 0..{LARGEST_LABEL}; these span {numbers.lowest:.0f} to {numbers.highest:.0f}"
        )
    return np.min_scalar_type(int(numbers.highest))
