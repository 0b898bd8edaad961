"""What the Prepare dock asks of the program, as jobs, and what it will get, before it asks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress
from napari_scutoid.ui import layers
from napari_scutoid.volume import Labels, VoxelSize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.network.config import ModelConfig
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Normalise, Rescale
    from napari_scutoid.steps.cell_size import CellSize
    from napari_scutoid.steps.crop import Box
    from napari_scutoid.steps.histogram import Histogram
    from napari_scutoid.ui.layers import Shown
    from napari_scutoid.volume import Volume

    Shape = tuple[int, int, int]

NORMALISED_BYTES = 4
TRY_OTHER = "check that the right layer is chosen; where part of the stack is damaged, crop it away"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known before anything is prepared.

    Parameters
    ----------
    config : ModelConfig or None
        Of the model that the result is for; None while it is being read.
    cell_size : CellSize or None
        Estimated from the image; None where it was not, or could not be.
    problem : str
        Why it could not be.
    """

    config: ModelConfig | None = None
    cell_size: CellSize | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with a stack, and what comes out.

    Parameters
    ----------
    box : tuple of 3 slices or None
        What to keep; None for everything.
    rescale : Rescale
        How to resample.
    normalise : Normalise or None
        None leaves the intensities as they are.
    shape : tuple of 3 ints
        Voxels of the result.
    voxel_size_um : VoxelSize or None
        Of the result.
    diameter : float or None
        Of the typical cell in voxels of the result, where it is known.
    bytes : int
        Memory that the result takes.
    warning : str or None
        What a person should know.
    changes : bool
        Whether the result differs from the stack.
    """

    box: Box | None
    rescale: Rescale
    normalise: Normalise | None
    shape: Shape
    voxel_size_um: VoxelSize | None
    diameter: float | None
    bytes: int
    warning: str | None
    changes: bool


def planned(volume: Volume, box: Box | None, rescale: Rescale, normalise: Normalise | None, known: Known) -> Plan:
    """Return what would come out.

    Raises
    ------
    ValueError
        When a size that the settings need is not known.
    """
    from napari_scutoid.steps.rescale import distortion_warning, rescaled_shape, rescaled_voxel_size, target_factors

    kept: Shape = volume.shape if box is None else tuple(part.stop - part.start for part in box)
    ranges: dict[str, Any] = {}
    if known.config is not None:
        ranges = {name: getattr(known.config, name) for name in ("cell_diameter_range", "anisotropy_range")}
    factors = target_factors(rescale, volume.voxel_size_um, known.cell_size, **ranges)
    shape = rescaled_shape(kept, factors)
    old = volume.voxel_size_um
    resampled = shape != kept
    bytes_each = NORMALISED_BYTES if resampled or normalise is not None else volume.dtype.itemsize
    diameter = rescale.cell_diameter or (known.cell_size.diameter if known.cell_size is not None else None)
    return Plan(
        box=box,
        rescale=rescale,
        normalise=normalise,
        shape=shape,
        voxel_size_um=None if old is None else rescaled_voxel_size(old, kept, shape),
        diameter=None if diameter is None else diameter * (math.prod(shape) / math.prod(kept)) ** (1 / 3),
        bytes=math.prod(shape) * bytes_each,
        # In the other modes it is a person who chose the factors.
        warning=None if rescale.mode == "cell_size" else distortion_warning(factors, old),
        changes=box is not None or resampled or normalise is not None,
    )


def spacing_of(volume: Volume, known: Known) -> VoxelSize:
    """Return the edges of a voxel, in micrometres or, where unknown, relative to each other as estimated."""
    if volume.voxel_size_um is None and known.cell_size is not None:
        return VoxelSize(known.cell_size.anisotropy, 1.0, 1.0)
    return volume.spacing


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """What a preparation hands to the window.

    Parameters
    ----------
    shown : Shown
        The image.
    labels : Labels or None
        Those that lay over the stack.
    cropped : Volume
        The part of the stack that the image covers, on the stack's own grid.
    """

    shown: Shown
    labels: Labels | None
    cropped: Volume


def preparing(volume: Volume, ids: NDArray[Any] | None, plan: Plan) -> Steps[Ready]:
    """Cut, resample and normalise a stack, and cut and resample the labels over it.

    Parameters
    ----------
    volume : Volume
        Lazy data is read slab by slab.
    ids : ndarray of ints, shape (z, y, x), optional
        Labels on the stack's own grid.
    plan : Plan

    Raises
    ------
    ScutoidError
        When the intensities cannot be computed with.
    """
    yield Progress("Preparing")
    from napari_scutoid.steps.crop import cropping, cropping_labels
    from napari_scutoid.steps.normalise import normalising
    from napari_scutoid.steps.rescale import rescaling, rescaling_labels

    settings = plan.rescale
    try:
        cropped = volume if plan.box is None else (yield from cropping(volume, plan.box))
        image = yield from rescaling(cropped, plan.shape, order=settings.order, anti_alias=settings.anti_alias)
        if plan.normalise is not None:
            image = yield from normalising(image, plan.normalise)
        labels = None
        if ids is not None:
            labels = Labels(np.asarray(ids), volume.voxel_size_um, volume.origin_um, volume.source)
            # Cut also where everything is kept: the new labels must not share the old ones' memory.
            labels = yield from cropping_labels(labels, plan.box or (slice(None),) * 3)
            labels = yield from rescaling_labels(labels, plan.shape, method=settings.labels)
    except ValueError as error:
        raise ScutoidError(f"{volume.source or 'The stack'} was not prepared", str(error), TRY_OTHER) from error
    yield Progress("Looking at the result")
    return Ready(layers.Shown(image, layers.contrast_limits(image.data)), labels, cropped)


def finding_out(volume: Volume, model: str, known: Known, *, estimate: bool) -> Steps[Known]:
    """Read what the model was trained for, and estimate how large the cells are.

    Parameters
    ----------
    volume : Volume
        The stack; read as a whole for the estimate.
    model : str
        Name of a model, or its folder.
    known : Known
        What is known already.
    estimate : bool
        Whether to estimate.
    """
    yield Progress("Reading about the model")
    from napari_scutoid.network.checkpoint import find_model, read_config

    found = replace(known, config=known.config or read_config(find_model(model)))
    if not estimate:
        return found
    from napari_scutoid.steps.cell_size import estimating_cell_size

    try:
        return replace(found, cell_size=(yield from estimating_cell_size(volume.data)), problem="")
    except ValueError as error:
        return replace(found, cell_size=None, problem=str(error))


@dataclass(frozen=True, slots=True, eq=False)
class Intensities:
    """Histograms before and after, the sample they were counted in, or why there are none."""

    sample: NDArray[Any]
    pair: tuple[Histogram, Histogram] | None
    problem: str = ""


def counting(volume: Volume, box: Box | None, sample: NDArray[Any] | None, settings: Normalise) -> Steps[Intensities]:
    """Count intensities before and after normalising.

    Parameters
    ----------
    volume : Volume
    box : tuple of 3 slices or None
        What is kept of it.
    sample : ndarray or None
        Voxels of that box, where some were read before.
    settings : Normalise
    """
    from napari_scutoid.steps.histogram import before_and_after, sampling

    if sample is None:
        sample = yield from sampling(volume.data, box)
    try:
        return Intensities(sample, (yield from before_and_after(sample, settings)))
    except ValueError as error:
        return Intensities(sample, None, str(error))
