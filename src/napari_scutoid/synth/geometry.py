"""Shapes of synthetic epithelia: which cell owns each voxel.

Lengths are in units of the x voxel, so that the z step is the only anisotropy. A cell is a *rod*, a short chain of
points from its apical to its basal end; a voxel belongs to the nearest rod (a Voronoi diagram with line generators,
as in Gomez-Galvez et al. 2018, "Scutoids are a geometrical solution to three-dimensional packing of epithelia").
Shifting the two ends independently makes cells exchange neighbours between apical and basal: scutoids. Cells of unequal
size come from a power diagram (Aurenhammer 1987, "Power diagrams: properties, algorithms and applications").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_scutoid.synth.fields import Shape, apply_matrices, resize_matrix, slow_waves
from napari_scutoid.synth.forms import KINDS, Form, Kind, Solid, make_solid
from napari_scutoid.synth.pieces import one_piece_each

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["KINDS", "Geometry", "Kind", "make_geometry"]

_COARSE = 3  # the fields below are smooth: a third of the resolution is enough, and 27 times cheaper
_SLAB_VOXELS = 16_000_000


@dataclass(frozen=True, slots=True)
class Geometry:
    """What a synthetic tissue looks like before any microscope sees it.

    Parameters
    ----------
    labels : ndarray of uint32, shape (z, y, x)
        One id per cell, 0 outside and in the lumen.
    lumen : ndarray of bool, shape (z, y, x)
        Cavities.
    z_step : float
        Length of a voxel along z over its length along x.
    apical : ndarray of bool, shape (z, y, x), optional
        Voxels of no cell that apical faces look at; the lumen where not given.
    """

    labels: NDArray[np.uint32]
    lumen: NDArray[np.bool_]
    z_step: float
    apical: NDArray[np.bool_] | None = None


def make_geometry(form: Form, shape: Shape, rng: np.random.Generator) -> Geometry:
    """Return labels and lumen of one synthetic tissue of this form.

    Parameters
    ----------
    form : Form
        Tissue form and cell shapes.
    shape : tuple of int
        Voxels along z, y, x.
    rng : numpy.random.Generator
        All randomness comes from here.
    """
    labels = np.zeros(shape, np.uint32)
    lumen, apical = np.zeros(shape, bool), np.zeros(shape, bool)
    extent = np.array(shape) * (form.z_step, 1.0, 1.0)
    for _ in range(form.pieces):
        solid = make_solid(form, extent, rng)
        _fill(solid, form, labels, lumen, apical, rng)
    return Geometry(one_piece_each(labels), lumen, form.z_step, apical)


def _fill(
    solid: Solid,
    form: Form,
    labels: NDArray[np.uint32],
    lumen: NDArray[np.bool_],
    apical: NDArray[np.bool_],
    rng: np.random.Generator,
) -> None:
    """Grow the cells of one piece of tissue into what other pieces left free."""
    shape = labels.shape
    step = np.array([form.z_step, 1.0, 1.0])
    coarse_shape = [max(2, -(-n // _COARSE)) for n in shape]
    # Cells of a coarse grid that spans the stack exactly; their centres carry the smooth fields.
    axes = [(np.arange(c) + 0.5) * n / c - 0.5 for c, n in zip(coarse_shape, shape, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3) * step
    depth = solid.depth(grid)
    inside = np.flatnonzero((depth > 0) & (depth < 1))
    if inside.size == 0:
        return
    tissue_volume = inside.size * float(np.prod(shape)) * form.z_step / np.prod(coarse_shape)
    n_cells = max(1, round(tissue_volume / form.cell_volume))
    rods, owner = _rods(solid, form, grid[inside], depth[inside], n_cells, rng)
    owner += labels.max()
    if not rods[:, 3].any():
        rods = rods[:, :3]
    tree = cKDTree(rods, balanced_tree=False)  # queries are what costs, and midpoints make them cheaper
    warp = _smooth_noise(coarse_shape, rng, form.cell_diameter / _COARSE) * (form.warp * form.edge)
    fields = np.concatenate([depth.reshape(1, *coarse_shape).clip(-9, 9), warp]).astype(np.float32)

    matrices = [resize_matrix(c, n) for c, n in zip(coarse_shape, shape, strict=True)]
    slab = max(1, _SLAB_VOXELS // (shape[1] * shape[2]))
    for start in range(0, shape[0], slab):
        part = slice(start, min(shape[0], start + slab))
        here = np.stack([apply_matrices(field, [matrices[0][part], *matrices[1:]]) for field in fields])
        free = (labels[part] == 0) & ~lumen[part]
        tissue = (here[0] > 0) & (here[0] < 1) & free
        points = np.zeros((int(tissue.sum()), rods.shape[1]))
        points[:, :3] = np.stack(np.nonzero(tissue), axis=1) * step + here[1:, tissue].T
        points[:, 0] += start * form.z_step
        labels[part][tissue] = owner[tree.query(points)[1]]
        apical[part] |= (here[0] <= 0) & free
        if solid.hollow:
            lumen[part] |= (here[0] <= 0) & free


def _rods(
    solid: Solid,
    form: Form,
    candidates: NDArray[np.float64],
    depth: NDArray[np.float64],
    n_cells: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
    """Return the points of all rods, shape (m, 4), and the cell id that owns each, shape (m,).

    The fourth coordinate holds a cell's weight: the power distance to a centre of weight w is the squared distance to
    a point lifted by sqrt(w_max - w) out of the space, so that the nearest neighbour in 4D gives the power diagram.
    """
    edge = form.edge
    n_seeds = max(1, round(n_cells / (1 + form.divided)))
    steps = np.linspace(0.05, 0.95, max(6, round(3 * form.aspect)))
    if form.kind == "packed":
        seeds = _spread(candidates, n_seeds, form, rng)
        # Plant cells lie side by side along one direction of growth; elsewhere each has its own.
        growth = rng.normal(size=3) * rng.uniform(0.0, 0.45) * float(rng.random() < 0.6)
        reach = (growth + rng.normal(size=(len(seeds), 3)) * rng.uniform(0.0, 0.25)) * edge
        ends = seeds - reach, seeds + reach
        steps = np.linspace(0, 1, 4)
    else:
        middle = np.abs(depth - 0.5) < 0.2
        seeds = _spread(candidates[middle] if middle.any() else candidates, n_seeds, form, rng)
        foot = solid.foot(seeds)
        ray = seeds - foot
        if form.kind == "sheet":
            ends = foot + ray * 0.5, foot + ray * 1.5
        else:
            # The depth grows linearly along the ray: two samples give where it is 0 (apical) and 1 (basal).
            here, further = solid.depth(seeds), solid.depth(foot + 1.05 * ray)
            slope = np.maximum((further - here) / 0.05, 0.05)
            ends = foot + ray * (1 - here / slope)[:, None], foot + ray * (1 + (1 - here) / slope)[:, None]
    one, other = (end + rng.normal(0, form.irregular * edge, seeds.shape) for end in ends)
    one, other = _divide(one, other, form, rng)
    rods = one[:, None] + (other - one)[:, None] * steps[:, None]
    radius = 0.5 * edge * np.exp(np.clip(rng.normal(0, form.unequal, len(one)), -0.7, 0.7))
    largest = radius.max()
    lift = np.sqrt((largest - radius) * (largest + radius))  # the difference of squares may round below 0
    rods = np.concatenate([rods, np.broadcast_to(lift[:, None, None], (*rods.shape[:2], 1))], axis=2)
    owner = np.repeat(np.arange(1, len(one) + 1, dtype=np.uint32), len(steps))
    return rods.reshape(-1, 4), owner


def _divide(
    one: NDArray[np.float64], other: NDArray[np.float64], form: Form, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Put two daughters in place of some cells, side by side across the cell's axis."""
    axis = other - one
    across = rng.normal(size=axis.shape)
    across -= axis * ((across * axis).sum(axis=1) / np.maximum((axis**2).sum(axis=1), 1e-9))[:, None]
    across *= 0.25 * form.edge / np.maximum(np.linalg.norm(across, axis=1), 1e-9)[:, None]
    divides = rng.random(len(one)) < form.divided
    across[~divides] = 0
    extra = -2 * across[divides]
    one, other = one + across, other + across
    return np.concatenate([one, one[divides] + extra]), np.concatenate([other, other[divides] + extra])


def _spread(candidates: NDArray[np.float64], count: int, form: Form, rng: np.random.Generator) -> NDArray[np.float64]:
    """Choose spread points out of many by Lloyd's relaxation, closer to each other where cells are small."""
    count = min(count, len(candidates))
    enough = min(len(candidates), 60 * count, max(20_000, 15 * count))
    pool = candidates[rng.choice(len(candidates), enough, replace=False)]
    small = slow_waves(pool, rng.uniform(4, 12) * form.edge, rng)
    density = np.exp(3 * form.patches * np.clip(small, -1.5, 1.5))
    seeds = pool[rng.choice(len(pool), count, replace=False, p=density / density.sum())]
    # The relaxed density of centres goes with the weight to the power 3 / 5 (Gersho's conjecture in three dimensions).
    weight = density ** (5 / 3)
    pool_tree = cKDTree(pool, balanced_tree=False)
    for _ in range(form.relaxation):
        nearest = cKDTree(seeds).query(pool)[1]
        size = np.maximum(np.bincount(nearest, weight, minlength=count), 1e-9)
        mean = np.stack([np.bincount(nearest, weight * pool[:, a], minlength=count) for a in range(3)], axis=1)
        seeds = pool[pool_tree.query(mean / size[:, None])[1]]
    return np.unique(seeds, axis=0)


def _smooth_noise(shape: list[int], rng: np.random.Generator, sigma: float) -> NDArray[np.float64]:
    noise = rng.normal(size=(3, *shape))
    smooth = np.stack([ndimage.gaussian_filter(axis, sigma / 2, mode="reflect") for axis in noise])
    return smooth / max(float(smooth.std()), 1e-9)
