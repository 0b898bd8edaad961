"""Shapes of synthetic epithelia: where tissue and lumen are, and which cell owns each voxel.

Lengths are in units of the x voxel, so that the z step is the only anisotropy. A cell is a *rod*, a short chain of
points from its apical to its basal end; a voxel belongs to the nearest rod (a Voronoi diagram with line generators,
as in Gomez-Galvez et al. 2018, "Scutoids are a geometrical solution to three-dimensional packing of epithelia").
Shifting the two ends independently makes cells exchange neighbours between apical and basal: scutoids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["gland", "cyst", "sheet", "packed"]
KINDS: tuple[Kind, ...] = ("gland", "cyst", "sheet", "packed")

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
        The cavity the apical faces look into.
    z_step : float
        Length of a voxel along z over its length along x.
    """

    labels: NDArray[np.uint32]
    lumen: NDArray[np.bool_]
    z_step: float


class _Form(Protocol):
    """A tissue form: for points (n, 3) their foot on the midline, direction and apico-basal depth."""

    def foot(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the nearest point of the form's skeleton, shape (n, 3)."""

    def depth(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return below 0 in the lumen, 0 to 1 from the apical to the basal side, above 1 outside."""


@dataclass(frozen=True)
class _Tube:
    """A bent tube (or, with a single point as its midline, a hollow ball) with a wobbling radius."""

    midline: NDArray[np.float64]
    inner: NDArray[np.float64]
    outer: NDArray[np.float64]
    lobes: NDArray[np.float64]

    def foot(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        feet: NDArray[np.float64] = self.midline[cKDTree(self.midline).query(points, workers=-1)[1]]
        return feet

    def depth(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        distance, index = cKDTree(self.midline).query(points, workers=-1)
        ray = points - self.midline[index]
        direction = ray / np.maximum(distance, 1e-6)[:, None]
        # A few random plane waves over the direction make the cross-section and the ball uneven.
        wobble = 1 + sum(a[3] * np.sin(direction @ a[:3] * 2.5 + a[4]) for a in self.lobes)
        inner, outer = self.inner[index] * wobble, self.outer[index] * wobble
        depth: NDArray[np.float64] = (distance - inner) / (outer - inner)
        return depth


@dataclass(frozen=True)
class _Sheet:
    """A folded layer over the image plane; its apical side faces one way along z."""

    waves: NDArray[np.float64]
    middle: float
    thickness: float
    upside: float
    rim: tuple[float, float, float]

    def _height(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        height = np.full(len(points), self.middle)
        for ky, kx, amplitude, phase in self.waves:
            height += amplitude * np.sin(ky * points[:, 1] + kx * points[:, 2] + phase)
        return height

    def foot(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        feet = points.copy()
        feet[:, 0] = self._height(points) - self.upside * self.thickness
        return feet

    def depth(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        depth = self.upside * (points[:, 0] - self._height(points)) / self.thickness + 0.5
        centre_y, centre_x, radius = self.rim
        outside = np.hypot(points[:, 1] - centre_y, points[:, 2] - centre_x) > radius
        # Below the apical side lies no lumen, only the outside: everything that is not tissue is above 1.
        return np.where((depth < 0) | outside, 2.0, depth)


@dataclass(frozen=True)
class _Packed:
    """Tissue that fills an ellipsoid (an embryo) or, where it is larger than the stack, everything."""

    centre: NDArray[np.float64]
    radii: NDArray[np.float64]

    def foot(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.broadcast_to(self.centre, points.shape)

    def depth(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        radius: NDArray[np.float64] = np.sqrt((((points - self.centre) / self.radii) ** 2).sum(axis=1))
        return radius


def make_geometry(
    kind: Kind, shape: tuple[int, int, int], rng: np.random.Generator, *, cell_diameter: float, z_step: float
) -> Geometry:
    """Return labels and lumen of one synthetic tissue.

    Parameters
    ----------
    kind : {"gland", "cyst", "sheet", "packed"}
        A bent tube with a lumen and a closed end, a hollow ball, a folded sheet, or cells without any cavity.
    shape : tuple of int
        Voxels along z, y, x.
    rng : numpy.random.Generator
        All randomness comes from here.
    cell_diameter : float
        Diameter, in voxels, of the ball with as many voxels as the mean cell.
    z_step : float
        Length of a voxel along z over its length along x.
    """
    step = np.array([z_step, 1.0, 1.0])
    extent = np.array(shape) * step
    cell_volume = np.pi / 6 * cell_diameter**3 * z_step
    form = _form(kind, extent, cell_volume, rng)

    coarse_shape = [max(2, -(-n // _COARSE)) for n in shape]
    # Cells of a coarse grid that spans the stack exactly; their centres carry the smooth fields.
    axes = [(np.arange(c) + 0.5) * n / c - 0.5 for c, n in zip(coarse_shape, shape, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3) * step
    depth = form.depth(grid)
    inside = np.flatnonzero((depth > 0) & (depth < 1))
    tissue_volume = inside.size * extent.prod() / np.prod(coarse_shape)
    n_cells = max(1, round(tissue_volume / cell_volume))
    if inside.size == 0:
        return Geometry(np.zeros(shape, np.uint32), np.zeros(shape, bool), z_step)

    rods, owner = _rods(kind, form, grid[inside], depth[inside], n_cells, cell_volume, rng)
    tree = cKDTree(rods)
    warp = _smooth_noise(coarse_shape, rng, cell_diameter / _COARSE) * (0.12 * cell_volume ** (1 / 3))
    fields = np.concatenate([depth.reshape(1, *coarse_shape), warp]).astype(np.float32)

    labels = np.zeros(shape, np.uint32)
    lumen = np.zeros(shape, bool)
    slab = max(1, _SLAB_VOXELS // (shape[1] * shape[2]))
    for start in range(0, shape[0], slab):
        stop = min(shape[0], start + slab)
        here = _refine(fields, shape, start, stop)
        tissue = (here[0] > 0) & (here[0] < 1)
        index = np.nonzero(tissue)
        points = np.stack(index, axis=1) * step
        points[:, 0] += start * z_step
        points += here[1:, tissue].T
        labels[start:stop][tissue] = owner[tree.query(points, workers=-1)[1]]
        if kind in ("gland", "cyst"):
            lumen[start:stop] = here[0] <= 0
    return Geometry(_one_piece_each(labels), lumen, z_step)


def _form(kind: Kind, extent: NDArray[np.float64], cell_volume: float, rng: np.random.Generator) -> _Form:
    centre = extent * rng.uniform(0.42, 0.58, 3)
    edge = cell_volume ** (1 / 3)
    if kind == "packed":
        fills = rng.random() < 0.7
        return _Packed(centre, extent * (4.0 if fills else rng.uniform(0.35, 0.65, 3)))
    # Height over width of a cell: columnar, cuboidal or flat.
    aspect = float(np.exp(rng.uniform(np.log(0.6), np.log(2.2))))
    height = edge * aspect ** (2 / 3)
    if kind == "sheet":
        waves = [
            (*rng.normal(0, 2 * np.pi / (9 * edge), 2), rng.uniform(0.1, 0.5) * edge, rng.uniform(0, 6.3))
            for _ in range(4)
        ]
        rim = (centre[1], centre[2], max(extent[1:]) * rng.uniform(0.4, 1.4))
        return _Sheet(np.array(waves), centre[0], height, rng.choice([-1.0, 1.0]), rim)
    lobes = np.column_stack([rng.normal(size=(4, 3)), rng.uniform(0, 0.07, 4), rng.uniform(0, 6.3, 4)])
    if kind == "cyst":
        inner = np.array([height * rng.uniform(0.3, 2.0)])
        return _Tube(centre[None], inner, inner + height, lobes)
    midline = _midline(extent, centre, rng)
    along = np.linspace(0, 1, len(midline))
    wobble = 1 + 0.12 * np.sin(2 * np.pi * (along * rng.uniform(0.5, 3) + rng.random()))
    inner = height * float(np.exp(rng.uniform(np.log(0.1), np.log(0.9)))) * wobble
    return _Tube(midline, inner, inner + height * wobble, lobes)


def _midline(extent: NDArray[np.float64], centre: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a smooth curve that enters through one side and ends inside the stack, points about 0.7 apart."""
    across = float(np.hypot(extent[1], extent[2]))
    heading, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 1.2) / across
    points = []
    position, tilt = centre.copy(), rng.normal(0, 0.08)
    # From the closed end near the middle's far side, walk out of the stack.
    position[1:] -= 0.33 * across * rng.uniform(0.3, 1.0) * np.array([np.sin(heading), np.cos(heading)])
    for _ in range(int(2 * across / 0.7)):
        points.append(position.copy())
        heading += 0.7 * bend + rng.normal(0, 0.004)
        position += 0.7 * np.array([tilt, np.sin(heading), np.cos(heading)])
    return np.array(points)


def _rods(
    kind: Kind,
    form: _Form,
    candidates: NDArray[np.float64],
    depth: NDArray[np.float64],
    n_cells: int,
    cell_volume: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
    """Return the points of all rods, shape (m, 3), and the cell id that owns each, shape (m,)."""
    edge = cell_volume ** (1 / 3)
    irregular = rng.uniform(0.02, 0.16) * edge
    if kind == "packed":
        seeds = _spread(candidates, n_cells, rng)
        # Plant cells lie side by side along one direction of growth; elsewhere each has its own.
        growth = rng.normal(size=3) * rng.uniform(0.0, 0.45) * float(rng.random() < 0.6)
        reach = (growth + rng.normal(size=(len(seeds), 3)) * rng.uniform(0.0, 0.25)) * edge
        ends = seeds - reach, seeds + reach
        steps = np.linspace(0, 1, 5)
    else:
        middle = np.abs(depth - 0.5) < 0.2
        seeds = _spread(candidates[middle] if middle.any() else candidates, n_cells, rng)
        foot = form.foot(seeds)
        ray = seeds - foot
        # The depth grows linearly along the ray: two samples give where it is 0 (apical) and 1 (basal).
        here, further = form.depth(seeds), form.depth(foot + 1.05 * ray)
        slope = np.maximum((further - here) / 0.05, 0.05)
        apical, basal = foot + ray * (1 - here / slope)[:, None], foot + ray * (1 + (1 - here) / slope)[:, None]
        if kind == "sheet":
            apical, basal = foot + ray * 0.5, foot + ray * 1.5
        ends = apical, basal
        steps = np.linspace(0.05, 0.95, 6)
    ends = ends[0] + rng.normal(0, irregular, seeds.shape), ends[1] + rng.normal(0, irregular, seeds.shape)
    rods = ends[0][:, None] + (ends[1] - ends[0])[:, None] * steps[:, None]
    owner = np.repeat(np.arange(1, len(seeds) + 1, dtype=np.uint32), len(steps))
    return rods.reshape(-1, 3), owner


def _spread(candidates: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Choose evenly spread points out of many by a few rounds of Lloyd's relaxation."""
    count = min(count, len(candidates))
    pool = candidates[rng.choice(len(candidates), min(len(candidates), 60 * count), replace=False)]
    seeds = pool[rng.choice(len(pool), count, replace=False)]
    rounds = int(rng.integers(1, 6))  # fewer rounds leave a more irregular tissue
    for _ in range(rounds):
        nearest = cKDTree(seeds).query(pool, workers=-1)[1]
        size = np.maximum(np.bincount(nearest, minlength=count), 1)
        mean = np.stack([np.bincount(nearest, pool[:, axis], minlength=count) for axis in range(3)], axis=1)
        seeds = pool[cKDTree(pool).query(mean / size[:, None], workers=-1)[1]]
    return seeds


def _smooth_noise(shape: list[int], rng: np.random.Generator, sigma: float) -> NDArray[np.float64]:
    noise = rng.normal(size=(3, *shape))
    smooth = np.stack([ndimage.gaussian_filter(axis, sigma / 2, mode="reflect") for axis in noise])
    return smooth / max(float(smooth.std()), 1e-9)


def _refine(fields: NDArray[np.float32], shape: tuple[int, int, int], start: int, stop: int) -> NDArray[np.float32]:
    """Interpolate coarse fields (c, z, y, x) linearly on the full grid's slices start to stop."""
    coarse = fields.shape[1]
    position = np.clip((np.arange(start, stop) + 0.5) * coarse / shape[0] - 0.5, 0, coarse - 1)
    below = np.minimum(position.astype(int), coarse - 2)
    weight = (position - below).astype(np.float32)[None, :, None, None]
    slab = fields[:, below] * (1 - weight) + fields[:, below + 1] * weight
    factors = (1, 1, shape[1] / fields.shape[2], shape[2] / fields.shape[3])
    return np.asarray(ndimage.zoom(slab, factors, order=1, mode="nearest", grid_mode=True), dtype=np.float32)


def _one_piece_each(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Give pieces the warp cut off a cell to the nearest cell, and number the cells without gaps."""
    import fastremap

    loose = _loose_pieces(labels)
    if loose.any():
        nearest = ndimage.distance_transform_edt(loose | (labels == 0), return_distances=False, return_indices=True)
        labels = np.where(loose, labels[tuple(nearest)], labels)
        # A piece that touches no cell stays loose there too: it is debris, not tissue.
        labels = np.where(_loose_pieces(labels), np.uint32(0), labels)
    renumbered: NDArray[np.uint32] = fastremap.renumber(labels, preserve_zero=True)[0].astype(np.uint32)
    return renumbered


def _loose_pieces(labels: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return where a cell has voxels outside its largest face-connected piece."""
    import cc3d

    pieces = cc3d.connected_components(labels, connectivity=6)
    size = np.bincount(pieces.ravel())
    cell = np.zeros(len(size), np.uint32)
    cell[pieces.ravel()] = labels.ravel()
    # Ordered by size, the last piece written for a cell is its largest, and one of two equal pieces is loose.
    order = np.argsort(size, kind="stable")
    kept = np.zeros(int(labels.max()) + 1, np.int64)
    kept[cell[order]] = order
    loose: NDArray[np.bool_] = ((kept[cell] != np.arange(len(size))) & (cell > 0))[pieces]
    return loose
