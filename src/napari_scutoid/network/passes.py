"""How a stack goes through a network in passes: margins, memory, and the tiles of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_scutoid.errors import ScutoidError
from napari_scutoid.network.tiles import Grid, Space, best_size, round_up
from napari_scutoid.network.unet import receptive_field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_scutoid.network.config import Architecture, ModelConfig, Triple
    from napari_scutoid.network.device import DeviceFacts
    from napari_scutoid.network.tiles import Tile
    from napari_scutoid.recipe import Predict

SMALL_TILE = 16
"""Voxels along an axis of the tiles that the gate decides on."""
LARGEST = {"cpu": 8 * 2**20, "mps": 8 * 2**20, "xpu": 8 * 2**20, "cuda": 16 * 2**20}
"""Voxels in one pass, however much memory there is: a pass is what Cancel waits for, and larger ones gain nothing."""
MEMORY_SHARE = 0.6
"""Share of the free memory that a pass may take; the rest is for the stack, the results and other programs."""
FEATURES_AT_ONCE = {"torch": 3.0, "openvino": 2.0}
"""How many of the two finest levels' features a library holds at the peak, see `bytes_per_voxel`."""
APART = 1.25
"""The same of OpenVINO where it puts none side by side, see `unet.UNet3D.take_apart`."""
MIRRORED = 8
"""Passes of a tile where its mirror images are averaged: each of the three axes either way."""


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
    return round_up(requested or needed, architecture.multiple)


def blend_width(halo: Triple, multiple: Triple) -> Triple:
    """Return by how much the cores of tiles overlap where they are blended: half a margin."""
    z, y, x = (-(-size // 2) for size in halo)
    return round_up((z, y, x), multiple)


def bytes_per_voxel(architecture: Architecture, n_outputs: int, facts: DeviceFacts) -> int:
    """Return about how many bytes one pass takes per voxel.

    The peak is at full resolution in the decoder, where the encoder's features, the enlarged deeper ones, the two
    concatenated, and the convolutions' results live together. OpenVINO plans its memory beforehand, and one of them
    takes the place of another.
    """
    widths = [second for _, second in architecture.plan[:2]]
    half = facts.precision == "bf16"
    at_once = FEATURES_AT_ONCE[facts.backend]
    if facts.backend == "openvino" and architecture.name in ("UNet3D", "MiniUNet3D"):
        at_once = APART
    # PyTorch computes the ends in single precision, see `torch_backend.keep_ends_precise`.
    ends = 4 * 2 * widths[0] if half and facts.backend == "torch" else 0
    return round(at_once * sum(widths) * (2 if half else 4)) + ends + 16 * (n_outputs + 1)


def blending_bytes(config: ModelConfig, voxels: int) -> int:
    """Return the memory of the weighted sums of tiles that do not fit together, see `blend`; 0 where they do."""
    architecture = config.architecture
    sees_the_tile = architecture.norm == "group" or "g" in getattr(architecture.options, "order", "")
    return 4 * (len(config.outputs) + 1) * voxels if sees_the_tile else 0


def largest_pass(config: ModelConfig, facts: DeviceFacts, settings: Predict) -> int:
    """Return how many voxels one pass may have: as stated, or within a share of the free memory and the user's bound.

    Parameters
    ----------
    config : ModelConfig
    facts : DeviceFacts
        What will compute, with its free memory.
    settings : Predict
    """
    if settings.pass_voxels is not None:
        return settings.pass_voxels
    memory = MEMORY_SHARE * facts.free_bytes
    if settings.memory_gb is not None:
        memory = min(memory, settings.memory_gb * 1e9)
    return min(LARGEST[facts.device], int(memory) // bytes_per_voxel(config.architecture, len(config.outputs), facts))


def grid_for(shape: Triple, architecture: Architecture, settings: Predict) -> Grid:
    """Return a stack divided into what the gate decides on: the stated tiles, or small ones."""
    return Grid(shape, round_up(settings.tile or (SMALL_TILE,) * 3, architecture.multiple))


def tiles_for(
    wanted: NDArray[np.bool_], grid: Grid, architecture: Architecture, settings: Predict, largest: int, *, blended: bool
) -> list[Tile]:
    """Return the tiles that go through the network, all of one size.

    Parameters
    ----------
    wanted : ndarray of bool
        One element per cell of the grid.
    grid : Grid
        See `grid_for`.
    architecture : Architecture
    settings : Predict
        A tile that is stated there is the core of each; its size follows from it.
    largest : int
        Voxels of a tile, margins included, where none is stated; the smallest possible one may have more.
    blended : bool
        Whether more than one tile overlaps with its neighbours, because they do not fit together exactly.

    Returns
    -------
    list of Tile
        In reading order. Cores that are to be blended do not overlap yet, see `blend_width`.
    """
    halo, multiple = halo_for(architecture, settings.halo), architecture.multiple
    tiles = _placed(wanted, Space(grid, halo, multiple), settings, largest)
    if not blended or len(tiles) <= 1:
        return tiles
    z, y, x = (a + b for a, b in zip(halo, blend_width(halo, multiple), strict=True))
    return _placed(wanted, Space(grid, (z, y, x), multiple), settings, largest)


def _placed(wanted: NDArray[np.bool_], space: Space, settings: Predict, largest: int) -> list[Tile]:
    if settings.tile is None:
        return space.cover(wanted, best_size(wanted, space, largest))
    sides = zip(space.grid.tile, space.halo, space.whole, strict=True)
    z, y, x = (min(tile + 2 * margin, n) for tile, margin, n in sides)
    return [space.around(box, (z, y, x)) for index, box in space.grid.boxes() if wanted[index]]
