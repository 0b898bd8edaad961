"""Tiled prediction that equals an untiled one.

At the stack's own borders every convolution pads by zeros, tiled or not, so a tile there needs no margin on that
side; inside the stack a tile is computed with a margin of real voxels, at least as wide as the network's receptive
field, and only its core is kept. Tiles start at multiples of the network's pooling, so pooling groups the same voxels
in every tile; what is missing to a multiple at the far borders is reflected, which is also what an untiled pass does.
A tile therefore computes the same numbers as one pass over the whole stack, with less arithmetic than a reflected
margin around the stack would cost.
"""

from __future__ import annotations

import copy
import itertools
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_scutoid.errors import ScutoidError
from napari_scutoid.network.device import (
    channels_last,
    choose_device,
    choose_precision,
    free_memory,
    out_of_memory,
)
from napari_scutoid.network.gate import find_tissue
from napari_scutoid.network.tiles import Box, Grid, gather
from napari_scutoid.network.tissue_classifier import classify_tissue, knows_cells_of
from napari_scutoid.network.unet import activate, receptive_field
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.network.config import Architecture, ModelConfig, Output, Triple
    from napari_scutoid.network.device import Precision
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Predict
    from napari_scutoid.volume import ArrayLike

STEP = "Predicting"
SMALL_TILE = 16
"""Voxels along an axis of the tiles that the gate decides on."""
LARGE_CELL = 1.5
"""Diameter of a large cell, in typical cells."""
LARGEST = {"cpu": 8 * 2**20, "mps": 8 * 2**20, "cuda": 16 * 2**20}
"""Voxels in one pass, however much memory there is: a pass is what Cancel waits for, and larger ones gain nothing."""
MEMORY_SHARE = 0.6
"""Share of the free memory that a pass may take; the rest is for the stack, the results and other programs."""


class Normaliser(Protocol):
    """What turns raw intensities into the network's input, the same way in every tile."""

    def apply(self, block: Any, /) -> NDArray[np.float32]:
        """Return the normalised block."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Probabilities of a stack, and how they were computed.

    Parameters
    ----------
    probabilities : array-like, shape (n_outputs, z, y, x)
        The array that was given, or a new float32 one.
    tiles, tiles_skipped : int
        Tiles of the stack, and those of them that never went through the network.
    tile : (int, int, int)
        Their size in voxels.
    passes : int
        Passes through the network; neighbouring tiles share one.
    voxels_computed : int
        Voxels that went through the network, margins included.
    pass_voxels : int
        The most that a pass might have had.
    halo : (int, int, int)
        Margin around a pass, in voxels.
    device, precision : str
        Where and how it was computed.
    warnings : tuple of str
        What a person should know about the result.
    """

    probabilities: Any
    tiles: int
    tiles_skipped: int
    tile: Triple
    passes: int
    voxels_computed: int
    pass_voxels: int
    halo: Triple
    device: str
    precision: Precision
    warnings: tuple[str, ...] = ()


def predict(
    module: nn.Module,
    config: ModelConfig,
    data: ArrayLike,
    statistics: Normaliser,
    settings: Predict,
    *,
    out: Any = None,
) -> Steps[Prediction]:
    """Run a network over a stack, tile by tile.

    Parameters
    ----------
    module : torch.nn.Module
        As `checkpoint.load_model` returns it; it is not changed.
    config : ModelConfig
        Its configuration.
    data : ArrayLike, shape (z, y, x)
        Raw intensities; lazy arrays are read a tile at a time.
    statistics : object with ``apply``
        How to normalise a block, e.g. `steps.normalise.IntensityStatistics`.
    settings : Predict
        Device, precision, tiles and the gate that skips what holds no tissue.
    out : array of floats, shape (n_outputs, z, y, x), optional
        NumPy array, HDF5 or zarr data set that receives the probabilities; by default a new float32 array.

    Yields
    ------
    Progress
        Before and after every pass; closing the generator there cancels.

    Returns
    -------
    Prediction
        Skipped tiles hold 0, and 1 in an output called ``background``.

    Raises
    ------
    ScutoidError
        When the margin is smaller than the receptive field, the device does not exist, or the memory does not
        suffice for the smallest tile.
    ValueError
        When an array has the wrong shape.
    """
    shape = _checked_shape(data, config, out)
    halo = halo_for(config.architecture, settings.halo)
    multiple = config.architecture.multiple
    device = choose_device(settings.device)
    precision = choose_precision(settings.precision, device)
    network = _Network(module, config.outputs, device, precision)

    largest = settings.pass_voxels or largest_pass(config, device, precision, settings.memory_gb)
    grid, boxes = yield from _plan(data, shape, config, settings, halo, largest)

    target = np.zeros((len(config.outputs), *shape), dtype=np.float32) if out is None else out
    empty = [float(output.name == "background") for output in config.outputs]
    if out is not None or any(empty):
        _fill(target, empty)
    blend: _Blend | None = None

    pending = deque(boxes)
    done = computed = 0
    limit: int | None = None
    yield Progress(STEP, 0, len(pending))
    while pending:
        if blend is None and network.sees_the_tile and len(pending) > 1:
            blend = _Blend(len(config.outputs), shape, _half(halo, multiple))
        box = pending.popleft()
        core = box if blend is None else box.grown(blend.overlap, shape)
        read = core.grown(halo, shape)
        result = None if limit is not None and read.voxels >= limit else network.run(data, statistics, core, read)
        if result is None:
            # Tiles as large as one that did not fit would not fit either, so they are halved untried.
            limit = read.voxels if limit is None else min(limit, read.voxels)
            halves = box.halves(multiple)
            if halves is None:
                raise ScutoidError(
                    "The stack could not be segmented",
                    f"the memory does not suffice even for a tile of {read.shape} voxels",
                    "close other programs, rescale the stack to a coarser grid, or use a smaller model",
                )
            pending.extendleft(reversed(halves))
            continue
        if blend is None:
            for channel, values in enumerate(result):
                target[(channel, *core.slices)] = values
        else:
            blend.add(core, result)
        done += 1
        computed += read.voxels
        yield Progress(STEP, done, done + len(pending))
    if blend is not None:
        blend.write(target)
    sent = np.zeros(grid.counts, dtype=bool)
    for index, box in grid.boxes():
        sent[index] = any(box.intersection(other) is not None for other in boxes)
    return Prediction(
        probabilities=target,
        tiles=sent.size,
        tiles_skipped=int((~sent).sum()),
        tile=grid.tile,
        passes=done,
        voxels_computed=computed,
        pass_voxels=largest,
        halo=halo,
        device=device.type,
        precision=precision,
        warnings=() if blend is None else (_BLENDED,),
    )


def _plan(
    data: ArrayLike, shape: Triple, config: ModelConfig, settings: Predict, halo: Triple, largest: int
) -> Steps[tuple[Grid, list[Box]]]:
    """Return the tiles of a stack, and the boxes that go through the network one by one."""
    tile = _round_up(settings.tile or (SMALL_TILE,) * 3, config.architecture.multiple)
    grid = Grid(shape, tile)
    wanted = yield from wanted_tiles(data, grid, config, settings)
    if settings.tile is None:
        return grid, gather(wanted, grid, halo, largest)
    return grid, [box for index, box in grid.boxes() if wanted[index]]


def wanted_tiles(data: ArrayLike, grid: Grid, config: ModelConfig, settings: Predict) -> Steps[NDArray[np.bool_]]:
    """Return which tiles of a stack may hold tissue, one element per tile."""
    found = []
    if settings.gate in ("auto", "threshold"):
        # The range says how stacks are scaled by their typical cell; single cells are larger than that.
        largest = max(config.cell_diameter_range[1], LARGE_CELL * config.cell_diameter)
        found.append((yield from find_tissue(data, largest, settings.gate_threshold)))
    if settings.gate == "classifier" or (settings.gate == "auto" and knows_cells_of(config)):
        found.append((yield from classify_tissue(data)))
    wanted = np.ones(grid.counts, dtype=bool)
    for index, box in grid.boxes():
        wanted[index] = all(tissue.touches(box) for tissue in found)
    return wanted


def halo_for(architecture: Architecture, requested: Triple | None = None) -> Triple:
    """Return the margin around a tile: the receptive field, or a larger one if requested, in steps of the pooling.

    Raises
    ------
    ScutoidError
        When the requested margin is smaller than the receptive field along an axis.
    """
    needed = receptive_field(architecture)
    if requested is not None and any(r < n for r, n in zip(requested, needed, strict=True)):
        raise ScutoidError(
            f"The margin around a tile cannot be {requested}",
            f"the network looks {needed} voxels (z, y, x) in every direction, and tiles would show as seams",
            f"leave the margin empty, or set at least {needed}",
        )
    return _round_up(requested or needed, architecture.multiple)


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode, faster because batch norms are part of the convolutions before them."""
    folded = copy.deepcopy(module).eval()
    for part in folded.modules():
        if not isinstance(part, nn.Sequential):
            continue
        names = list(part._modules)
        for first, second in itertools.pairwise(names):
            convolution, norm = part._modules[first], part._modules[second]
            if isinstance(convolution, nn.Conv3d) and isinstance(norm, nn.BatchNorm3d):
                part._modules[first] = fuse_conv_bn_eval(convolution, norm)
                part._modules[second] = nn.Identity()
    return folded


class _SinglePrecision(nn.Module):
    """A layer that computes in float32 within a pass in bf16."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's result in float32."""
        with torch.autocast(x.device.type, enabled=False):
            result: torch.Tensor = self.layer(x.float())
        return result


def keep_ends_precise(module: nn.Module) -> None:
    """Let the first convolution and the last two compute in float32, whatever the precision around them.

    Intensities and probabilities have more digits than bf16's eight bits hold, and seeds are placed by small
    differences of probabilities; the layers between are where the time goes.
    """
    names = [name for name, part in module.named_modules() if isinstance(part, nn.Conv3d)]
    for name in {names[0], *names[-2:]}:
        parent, _, child = name.rpartition(".")
        owner = module.get_submodule(parent)
        setattr(owner, child, _SinglePrecision(owner.get_submodule(child)))


def bytes_per_voxel(architecture: Architecture, n_outputs: int, precision: Precision) -> int:
    """Return about how many bytes one pass takes per voxel.

    The peak is at full resolution in the decoder, where the encoder's features, the enlarged deeper ones, the two
    concatenated, and the convolutions' results live together.
    """
    widths = [second for _, second in architecture.plan[:2]]
    ends = 4 * 2 * widths[0] if precision == "bf16" else 0  # see `keep_ends_precise`
    return 3 * sum(widths) * (2 if precision == "bf16" else 4) + ends + 16 * (n_outputs + 1)


class _Network:
    """A network ready to compute: folded, laid out and placed."""

    def __init__(
        self, module: nn.Module, outputs: Sequence[Output], device: torch.device, precision: Precision
    ) -> None:
        self.module = fold_batch_norm(module).to(device)
        if precision == "bf16":
            keep_ends_precise(self.module)
        channels_last(self.module)
        self.outputs = outputs
        self.device = device
        self.precision = precision

    @property
    def sees_the_tile(self) -> bool:
        """Whether a layer takes its statistics from the tile, so that tiles differ from one pass."""
        over_the_tile = (nn.GroupNorm, nn.InstanceNorm3d, nn.LayerNorm, nn.AdaptiveAvgPool3d)
        return any(isinstance(part, over_the_tile) for part in self.module.modules())

    def run(self, data: ArrayLike, statistics: Normaliser, core: Box, read: Box) -> NDArray[np.float32] | None:
        """Return the probabilities (n, z, y, x) of a tile's core; None when the memory did not suffice."""
        try:
            block = np.ascontiguousarray(statistics.apply(np.asarray(data[read.slices])))
            x = torch.from_numpy(block)[None, None].to(self.device, memory_format=torch.channels_last_3d)
            kept = core.relative_to(read).slices
            with (
                torch.inference_mode(),
                torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"),
                torch.backends.cudnn.flags(allow_tf32=False),
            ):
                probabilities = activate(self.module(x)[(..., *kept)], self.outputs)
            result: NDArray[np.float32] = probabilities[0].cpu().numpy()
            return result
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        # Only here, after the exception and with it the failed pass's tensors are gone.
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return None


class _Blend:
    """Weighted mean of overlapping tiles, for networks whose tiles do not fit together exactly."""

    def __init__(self, n_outputs: int, shape: Triple, overlap: Triple) -> None:
        self.shape = shape
        self.overlap = overlap
        self.total = np.zeros((n_outputs, *shape), dtype=np.float32)
        self.weight = np.zeros(shape, dtype=np.float32)

    def add(self, core: Box, values: NDArray[np.float32]) -> None:
        """Add a tile, with weights that fall linearly towards the faces it shares with other tiles."""
        weight = np.ones(core.shape, dtype=np.float32)
        for axis, overlap in enumerate(self.overlap):
            size = core.shape[axis]
            ramp = np.ones(size, dtype=np.float32)
            rise = (np.arange(size, dtype=np.float32) + 1) / (2 * overlap + 1)
            if core.start[axis] > 0:
                ramp = np.minimum(ramp, rise)
            if core.stop[axis] < self.shape[axis]:
                ramp = np.minimum(ramp, rise[::-1])
            weight *= ramp.reshape([-1 if other == axis else 1 for other in range(3)])
        self.total[(slice(None), *core.slices)] += values * weight
        self.weight[core.slices] += weight

    def write(self, target: Any) -> None:
        """Write the mean where there is one."""
        for z in range(self.shape[0]):
            covered = self.weight[z] > 0
            for channel, total in enumerate(self.total[:, z]):
                plane = np.asarray(target[channel, z])
                plane[covered] = total[covered] / self.weight[z][covered]
                target[channel, z] = plane


_BLENDED = (
    "This model normalises by groups of channels within each tile, so its tiles do not fit together exactly; they were "
    "blended where they overlap. Use tiles as large as the memory allows, or a model with batch norm."
)


def _checked_shape(data: ArrayLike, config: ModelConfig, out: Any) -> Triple:
    if len(data.shape) != 3 or 0 in data.shape:
        raise ValueError(f"data must have three non-empty axes (z, y, x); got shape {tuple(data.shape)}")
    if config.architecture.in_channels != 1:
        raise ScutoidError(
            f"The model {config.name} cannot segment this stack",
            f"it needs {config.architecture.in_channels} channels ({', '.join(config.inputs)}), the stack has one",
            "choose a model for one channel",
        )
    z, y, x = data.shape
    expected = (len(config.outputs), z, y, x)
    if out is not None and (tuple(out.shape) != expected or np.dtype(out.dtype).kind != "f"):
        raise ValueError(f"out must hold floats in shape {expected}, not {out.dtype} in {tuple(out.shape)}")
    return z, y, x


def largest_pass(
    config: ModelConfig, device: torch.device, precision: Precision, memory_gb: float | None = None
) -> int:
    """Return how many voxels one pass may have, within a share of the free memory and a bound of the user's."""
    each = bytes_per_voxel(config.architecture, len(config.outputs), precision)
    memory = MEMORY_SHARE * free_memory(device)
    if memory_gb is not None:
        memory = min(memory, memory_gb * 1e9)
    return min(LARGEST[device.type], int(memory) // each)


def _fill(target: Any, values: Sequence[float]) -> None:
    for channel, value in enumerate(values):
        for z in range(target.shape[1]):
            target[channel, z] = value


def _half(sizes: Triple, multiple: Triple) -> Triple:
    z, y, x = (-(-size // 2) for size in sizes)
    return _round_up((z, y, x), multiple)


def _round_up(sizes: Triple, multiple: Triple) -> Triple:
    z, y, x = (-(-size // step) * step for size, step in zip(sizes, multiple, strict=True))
    return z, y, x
