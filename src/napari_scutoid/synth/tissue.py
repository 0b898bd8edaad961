"""One call from a seed to a synthetic stack with its true labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.synth.camera import render
from napari_scutoid.synth.fields import log_uniform
from napari_scutoid.synth.forms import FORM_FACTORS, KINDS, Form, Kind
from napari_scutoid.synth.geometry import Geometry, make_geometry
from napari_scutoid.synth.optics import OPTICS_FACTORS, Optics
from napari_scutoid.synth.real import real_geometry
from napari_scutoid.volume import Labels, Source, Volume, VoxelSize

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.synth.fields import Shape

CELL_DIAMETER_UM = 8.0
"""Diameter given to a typical synthetic cell, from which the voxel size follows."""

BYTES_PER_VOXEL = 160
"""Memory to have free per voxel for `synthesise`: an upper estimate, some forty arrays of 4 bytes."""

FACTORS: tuple[str, ...] = (*FORM_FACTORS, "real_geometry", *OPTICS_FACTORS)
"""What can be switched off by name, to learn what it is worth."""

TRAINING_KINDS: Mapping[Kind, float] = {"gland": 0.4, "cyst": 0.12, "sheet": 0.13, "packed": 0.35}
"""Shares of the forms among training stacks of synthetic geometry."""

REAL_SHARE = 0.25
"""Share of the training stacks that show real geometry, where there is any."""


_VOXELS = 1_000_000
_LEAST_TISSUE = 0.05  # of the voxels of a training stack


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticTissue:
    """A stack and the truth about it."""

    image: Volume
    labels: Labels


def synthesise(
    kind: Kind,
    shape: Shape,
    seed: int,
    *,
    cell_diameter: float = 16.0,
    z_step: float = 1.0,
    optics: Mapping[str, Any] | None = None,
    without: Collection[str] = (),
) -> SyntheticTissue:
    """Make a synthetic epithelium, one piece in the middle; the same arguments give the same voxels.

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
    without : collection of str
        `FACTORS` to switch off.

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
    _check_shape(shape)
    _check_factors(without)
    if cell_diameter < 4:
        raise ValueError(f"cell_diameter must be at least 4 voxels, not {cell_diameter}")
    if not 0.1 <= z_step <= 20:
        raise ValueError(f"z_step must lie between 0.1 and 20, not {z_step}")
    for_form, for_cells, for_optics, for_image = np.random.default_rng(seed).spawn(4)
    form = Form.random(kind, for_form, cell_diameter=cell_diameter, z_step=z_step, without=without)
    form = replace(form, pieces=1, off_centre=0.16)
    geometry = make_geometry(form, shape, for_cells)
    drawn = Optics.random(for_optics, cell_diameter=form.cell_diameter, z_step=form.z_step, without=without)
    drawn = replace(drawn, **(optics or {}))
    return _finished(geometry, render(geometry, drawn, for_image), form.cell_diameter, kind, seed)


def training_tissue(
    seed: int,
    *,
    shape: Shape | None = None,
    real: Sequence[NDArray[Any]] = (),
    without: Collection[str] = (),
) -> SyntheticTissue:
    """Make a random stack to train on: form, cell size, anisotropy, staining and microscope all follow from the seed.

    Parameters
    ----------
    seed : int
        Of all randomness.
    shape : tuple of int, optional
        Voxels along z, y, x; each at least 8. Drawn, at about a million voxels, where not given.
    real : sequence of ndarray of int, shape (z, y, x)
        Labels of segmented volumes on isotropic grids, whose cells are shown in a share of the stacks.
    without : collection of str
        `FACTORS` to switch off; all else stays as the seed draws it, as far as it does not depend on them.

    Raises
    ------
    ValueError
        When an argument is out of bounds.
    """
    if shape is not None:
        _check_shape(shape)
    _check_factors(without)
    rng, for_form, for_cells, for_optics, for_image = np.random.default_rng(seed).spawn(5)
    diameter, z_step = _draw_scale(rng)
    kind: Kind = KINDS[int(rng.choice(len(KINDS), p=[TRAINING_KINDS[kind] for kind in KINDS]))]
    form = Form.random(kind, for_form, cell_diameter=diameter, z_step=z_step, without=without)
    which, share = rng.random(), rng.random()
    if shape is None:
        deep = int(np.clip(round(56 / form.z_step), 24, 64))
        wide = 8 * round((_VOXELS / deep) ** 0.5 / 8)
        shape = (deep, wide, wide)
    # Smaller cells would need more of a segmented volume than there is, and mirror it again and again.
    if real and share < REAL_SHARE and "real_geometry" not in without and form.cell_diameter > 9:
        volume = real[int(which * len(real))]
        size = {"cell_diameter": form.cell_diameter, "z_step": form.z_step}
        geometry = real_geometry(volume, shape, for_cells, **size)
    else:
        geometry = make_geometry(form, shape, for_cells)
        for second in (replace(form, off_centre=0.16), replace(form, kind="packed", fills=True, pieces=1)):
            if geometry.labels.max() > 3 and np.count_nonzero(geometry.labels) > _LEAST_TISSUE * geometry.labels.size:
                break
            geometry = make_geometry(second, shape, for_cells)
    drawn = Optics.random(for_optics, cell_diameter=form.cell_diameter, z_step=form.z_step, without=without)
    return _finished(geometry, render(geometry, drawn, for_image), form.cell_diameter, "training", seed)


def _draw_scale(rng: np.random.Generator) -> tuple[float, float]:
    """Return a cell diameter in voxels and a z step."""
    usual, tail = log_uniform(rng, 8, 32), rng.random()
    diameter = log_uniform(rng, 5, 8) if tail < 0.04 else log_uniform(rng, 32, 40) if tail > 0.95 else usual
    # Cells of fewer than two and a half slices cannot be told apart by anybody.
    return diameter, min(log_uniform(rng, 0.4, 6), (diameter / 2.5) ** 1.5)


def _finished(geometry: Geometry, image: NDArray[Any], cell_diameter: float, name: str, seed: int) -> SyntheticTissue:
    # The cube root spreads the anisotropy, so that a cell of this diameter measures CELL_DIAMETER_UM.
    edge = CELL_DIAMETER_UM / cell_diameter / geometry.z_step ** (1 / 3)
    voxel = VoxelSize.checked(edge * geometry.z_step, edge, edge)
    source = Source(f"synth:{name}", f"seed {seed}")
    return SyntheticTissue(
        Volume(image, voxel, source=source, history=(f"synthesised: {name}, seed {seed}",)),
        Labels(geometry.labels, voxel, source=source, lumen=geometry.lumen),
    )


def _check_shape(shape: Shape) -> None:
    if len(shape) != 3 or min(shape) < 8:
        raise ValueError(f"shape needs three axes of at least 8 voxels, not {shape}")


def _check_factors(without: Collection[str]) -> None:
    unknown = sorted(set(without) - set(FACTORS))
    if unknown:
        raise ValueError(f"without: no factor is called {', '.join(unknown)}; there are {', '.join(FACTORS)}")
