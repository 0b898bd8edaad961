"""Tissue forms: where tissue and lumen are. Lengths are in units of the x voxel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from scipy.spatial import cKDTree

from napari_scutoid.synth.fields import log_uniform, sometimes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

Kind = Literal["gland", "cyst", "sheet", "packed"]
KINDS: tuple[Kind, ...] = ("gland", "cyst", "sheet", "packed")

FORM_FACTORS: Mapping[str, Mapping[str, Any]] = {
    "cell_size": {"cell_diameter": 16.0},
    "anisotropy": {"z_step": 1.0},
    "cell_height": {"aspect": 1.0},
    "irregular": {"irregular": 0.03, "warp": 0.03, "relaxation": 6},
    "unequal_sizes": {"unequal": 0.0, "patches": 0.0, "divided": 0.0},
    "several_pieces": {"pieces": 1},
    "border": {"off_centre": 0.16},
    "lumen_folds": {"lumen_folds": 0.0},
}
"""What of `Form` is held still when a factor of this name is switched off."""


@dataclass(frozen=True, slots=True)
class Form:
    """What is drawn once per tissue, before any microscope sees it.

    Parameters
    ----------
    kind : {"gland", "cyst", "sheet", "packed"}
        A bent tube with a lumen, a hollow ball, a folded sheet, or cells without any cavity.
    cell_diameter : float
        Diameter, in voxels, of the ball with as many voxels as the mean cell.
    z_step : float
        Length of a voxel along z over its length along x.
    aspect : float
        Height over width of a cell: below 1 squamous, above columnar.
    lumen : float
        Radius of the lumen over the height of a cell.
    lumen_folds : float
        Relative unevenness of the lumen's radius.
    pieces : int
        Pieces of tissue in view.
    off_centre : float
        Range of a piece's middle, as a share of the stack's edges: 0 in the middle, above 1 also outside.
    relaxation : int
        Rounds of Lloyd's relaxation; fewer leave a more irregular tissue.
    irregular : float
        Standard deviation of the shift of each cell's ends, in cell edges; makes scutoids.
    warp : float
        Standard deviation of the waviness of faces, in cell edges.
    unequal : float
        Standard deviation of the logarithm of a cell's own radius (a power diagram).
    patches : float
        The same for slow changes of size: small cells in one region, large ones in another.
    divided : float
        Share of the cells that have just divided, by a straight wall.
    fills : bool
        Whether packed cells fill the view.
    """

    kind: Kind
    cell_diameter: float
    z_step: float
    aspect: float
    lumen: float
    lumen_folds: float
    pieces: int
    off_centre: float
    relaxation: int
    irregular: float
    warp: float
    unequal: float
    patches: float
    divided: float
    fills: bool

    @property
    def cell_volume(self) -> float:
        """Volume of the mean cell in cubic x voxels."""
        return float(np.pi / 6 * self.cell_diameter**3 * self.z_step)

    @property
    def edge(self) -> float:
        """Edge of the cube of the mean cell's volume, in x voxels."""
        return float(self.cell_volume ** (1 / 3))

    @classmethod
    def random(
        cls,
        kind: Kind,
        rng: np.random.Generator,
        *,
        cell_diameter: float = 16.0,
        z_step: float = 1.0,
        without: Collection[str] = (),
    ) -> Form:
        """Draw a form; factors named in ``without`` (see `FORM_FACTORS`) are held still, all else stays as drawn."""
        tall = kind in ("gland", "cyst")
        form = cls(
            kind=kind,
            cell_diameter=cell_diameter,
            z_step=z_step,
            aspect=sometimes(rng, 0.75, log_uniform(rng, 0.6, 2.2), log_uniform(rng, 0.3, 4.5)),
            lumen=sometimes(rng, 0.7, log_uniform(rng, 0.08, 0.9), log_uniform(rng, 0.3, 2.0 if tall else 0.9)),
            lumen_folds=sometimes(rng, 0.5, rng.uniform(0.0, 0.1), rng.uniform(0.1, 0.5)),
            pieces=int(rng.choice([1, 2, 3], p=[0.65, 0.25, 0.1])),
            off_centre=sometimes(rng, 0.6, 0.16, rng.uniform(0.3, 0.9)),
            relaxation=int(rng.integers(0, 9)),
            irregular=log_uniform(rng, 0.02, 0.25),
            warp=rng.uniform(0.0, 0.16),
            unequal=sometimes(rng, 0.4, 0.0, rng.uniform(0.05, 0.45)),
            patches=sometimes(rng, 0.5, 0.0, rng.uniform(0.05, 0.35)),
            divided=sometimes(rng, 0.5, 0.0, rng.uniform(0.05, 0.6)),
            fills=bool(rng.random() < 0.7),
        )
        # Cells lower than two and a half slices would be all membrane.
        form = replace(form, aspect=max(form.aspect, (2.5 * z_step / form.edge) ** 1.5))
        for factor in without:
            form = replace(form, **FORM_FACTORS.get(factor, {}))
        return form


class Solid(Protocol):
    """One piece of tissue: for points (n, 3) their foot on the skeleton and their apico-basal depth."""

    @property
    def hollow(self) -> bool:
        """Whether what is below depth 0 is a lumen."""

    def foot(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the nearest point of the form's skeleton, shape (n, 3)."""

    def depth(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return below 0 on the apical side, 0 to 1 from the apical to the basal side, above 1 outside."""


@dataclass(frozen=True)
class Tube:
    """A bent tube (or, with a single point as its midline, a hollow ball) with a wobbling radius."""

    midline: NDArray[np.float64]
    inner: NDArray[np.float64]
    outer: NDArray[np.float64]
    lobes: NDArray[np.float64]
    folds: NDArray[np.float64]
    hollow: bool = True

    def foot(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the nearest point of the midline."""
        feet: NDArray[np.float64] = self.midline[cKDTree(self.midline).query(points)[1]]
        return feet

    def depth(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the distance from the lumen's surface over the height of the wall."""
        distance, index = cKDTree(self.midline).query(points)
        direction = (points - self.midline[index]) / np.maximum(distance, 1e-6)[:, None]
        outer = self.outer[index] * (1 + _waves(direction, self.lobes))
        inner = self.inner[index] * np.maximum(1 + _waves(direction, self.lobes) + _waves(direction, self.folds), 0.1)
        inner = np.minimum(inner, 0.85 * outer)
        depth: NDArray[np.float64] = (distance - inner) / (outer - inner)
        return depth


@dataclass(frozen=True)
class Sheet:
    """A folded layer; its apical side faces along the first axis of ``frame``."""

    centre: NDArray[np.float64]
    frame: NDArray[np.float64]
    waves: NDArray[np.float64]
    thickness: float
    rim: float
    hollow: bool = False

    def foot(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the point one thickness on the apical side of the sheet's middle."""
        here = (points - self.centre) @ self.frame.T
        here[:, 0] = self._height(here) - self.thickness
        feet: NDArray[np.float64] = here @ self.frame + self.centre
        return feet

    def depth(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the height in the sheet."""
        here = (points - self.centre) @ self.frame.T
        depth = (here[:, 0] - self._height(here)) / self.thickness + 0.5
        return np.where(np.hypot(here[:, 1], here[:, 2]) > self.rim, 2.0, depth)

    def _height(self, here: NDArray[np.float64]) -> NDArray[np.float64]:
        height = np.zeros(len(here))
        for ky, kx, amplitude, phase in self.waves:
            height += amplitude * np.sin(ky * here[:, 1] + kx * here[:, 2] + phase)
        return height


@dataclass(frozen=True)
class Packed:
    """Tissue that fills an ellipsoid (an embryo) or, where it is larger than the stack, everything."""

    centre: NDArray[np.float64]
    radii: NDArray[np.float64]
    lobes: NDArray[np.float64]
    hollow: bool = False

    def foot(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the centre."""
        return np.broadcast_to(self.centre, points.shape)

    def depth(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the share of the radius."""
        ray = (points - self.centre) / self.radii
        radius: NDArray[np.float64] = np.sqrt((ray**2).sum(axis=1))
        depth: NDArray[np.float64] = radius / (1 + _waves(ray / np.maximum(radius, 1e-6)[:, None], self.lobes))
        # 0 is the apical side, and packed cells have none.
        return np.maximum(depth, 1e-6)


def make_solid(form: Form, extent: NDArray[np.float64], rng: np.random.Generator) -> Solid:
    """Place one piece of tissue in a stack of this extent (z, y, x)."""
    edge, kind = form.edge, form.kind
    centre = extent * (0.5 + form.off_centre * rng.uniform(-0.5, 0.5, 3))
    lobes = np.column_stack([rng.normal(size=(4, 3)), rng.uniform(0, 0.07, 4), rng.uniform(0, 6.3, 4)])
    if kind == "packed":
        small = not form.fills or form.pieces > 1
        return Packed(centre, extent * (rng.uniform(0.3, 0.65, 3) if small else 4.0), lobes)
    height = edge * form.aspect ** (2 / 3)
    if kind == "sheet":
        waves = [
            (*rng.normal(0, 2 * np.pi / (9 * edge), 2), rng.uniform(0.1, 0.5) * edge, rng.uniform(0, 6.3))
            for _ in range(4)
        ]
        rim = float(max(extent[1:]) * rng.uniform(0.4, 1.4))
        return Sheet(centre, _frame(rng), np.array(waves), height, rim)
    fold_waves = rng.normal(size=(5, 3)) * 2
    folds = np.column_stack([fold_waves, rng.normal(0, form.lumen_folds, 5), rng.uniform(0, 6.3, 5)])
    if kind == "cyst":
        inner = np.array([max(height * form.lumen * 1.6, 1.0)])
        return Tube(centre[None], inner, inner + height, lobes, folds)
    midline = _midline(extent, centre, rng)
    along = np.linspace(0, 1, len(midline))
    wobble = 1 + 0.12 * np.sin(2 * np.pi * (along * rng.uniform(0.5, 3) + rng.random()))
    inner = height * form.lumen * wobble
    return Tube(midline, inner, inner + height * wobble, lobes, folds)


def _waves(direction: NDArray[np.float64], waves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a few random plane waves over the direction, which make cross-sections and balls uneven."""
    total: NDArray[np.float64] = (waves[:, 3] * np.sin(direction @ waves[:, :3].T * 2.5 + waves[:, 4])).sum(axis=1)
    return total


def _frame(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a rotation, rows (apico-basal, along, across): mostly flat in the image plane, sometimes any."""
    flat = np.diag([rng.choice([-1.0, 1.0]), 1.0, 1.0])
    spread = 0.12 if rng.random() < 0.7 else 2.0
    frame: NDArray[np.float64] = np.linalg.qr((flat + spread * rng.normal(size=(3, 3))).T)[0].T
    # QR may turn an axis round; the apical side shall stay where it was drawn.
    return frame * np.where((frame * flat).sum(axis=1) < 0, -1.0, 1.0)[:, None]


def _midline(extent: NDArray[np.float64], centre: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a smooth curve that enters through one side and ends inside the stack, or crosses it; points 0.7 apart."""
    across = float(np.hypot(extent[1], extent[2]))
    heading, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 1.2) / across
    points = []
    position, tilt = centre.copy(), rng.normal(0, 0.12)
    back = rng.uniform(0.1, 0.33) if rng.random() < 0.7 else 1.0
    # From the closed end, walk out of the stack.
    position += back * across * np.array([-tilt, -np.sin(heading), -np.cos(heading)])
    for _ in range(int((1.5 + back) * across / 0.7)):
        points.append(position.copy())
        heading += 0.7 * bend + rng.normal(0, 0.004)
        position += 0.7 * np.array([tilt, np.sin(heading), np.cos(heading)])
    return np.array(points)
