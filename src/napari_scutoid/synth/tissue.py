"""One call from a seed to a synthetic stack with its true labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.synth.geometry import KINDS, Kind, make_geometry
from napari_scutoid.synth.optics import Optics, render
from napari_scutoid.volume import Labels, Source, Volume, VoxelSize

if TYPE_CHECKING:
    from collections.abc import Mapping

CELL_DIAMETER_UM = 8.0
"""Diameter given to a typical synthetic cell, from which the voxel size follows."""

BYTES_PER_VOXEL = 160
"""Memory to have free per voxel for `synthesise`: an upper estimate, some forty arrays of 4 bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticTissue:
    """A stack and the truth about it."""

    image: Volume
    labels: Labels


def synthesise(
    kind: Kind,
    shape: tuple[int, int, int],
    seed: int,
    *,
    cell_diameter: float = 16.0,
    z_step: float = 1.0,
    optics: Mapping[str, float] | None = None,
) -> SyntheticTissue:
    """Make a synthetic epithelium; the same arguments give the same voxels.

    Parameters
    ----------
    kind : {"gland", "cyst", "sheet", "packed"}
        Tissue form.
    shape : tuple of int
        Voxels along z, y, x; each at least 8.
    seed : int
        Of all randomness.
    cell_diameter : float
        Diameter, in voxels, of the ball with as many voxels as the mean cell; at least 4.
    z_step : float
        Length of a voxel along z over its length along x; 0.1 to 20.
    optics : mapping, optional
        Fields of `Optics` to fix instead of drawing them.

    Raises
    ------
    ValueError
        When an argument is out of bounds.

    Examples
    --------
    >>> tissue = synthesise("cyst", (16, 32, 32), seed=1, cell_diameter=8)
    >>> tissue.image.shape == tissue.labels.shape
    True
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    if len(shape) != 3 or min(shape) < 8:
        raise ValueError(f"shape needs three axes of at least 8 voxels, not {shape}")
    if cell_diameter < 4:
        raise ValueError(f"cell_diameter must be at least 4 voxels, not {cell_diameter}")
    if not 0.1 <= z_step <= 20:
        raise ValueError(f"z_step must lie between 0.1 and 20, not {z_step}")
    rng = np.random.default_rng(seed)
    geometry = make_geometry(kind, shape, rng, cell_diameter=cell_diameter, z_step=z_step)
    drawn = Optics.random(rng, cell_diameter=cell_diameter)
    if optics:
        from dataclasses import asdict

        drawn = Optics(**(asdict(drawn) | dict(optics)))
    image = render(geometry, drawn, rng)
    # The cube root spreads the anisotropy, so that a cell of this diameter measures CELL_DIAMETER_UM.
    edge = CELL_DIAMETER_UM / cell_diameter / z_step ** (1 / 3)
    voxel = VoxelSize.checked(edge * z_step, edge, edge)
    source = Source(f"synth:{kind}", f"seed {seed}")
    return SyntheticTissue(
        Volume(image, voxel, source=source, history=(f"synthesised: {kind}, seed {seed}",)),
        Labels(geometry.labels, voxel, source=source, lumen=geometry.lumen),
    )
