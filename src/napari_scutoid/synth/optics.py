"""How a tissue is stained and imaged: one draw of everything that real microscopes vary.

Every quantity is drawn once per stack from the ranges in `Optics.random`, wide on purpose: a network that has seen
each of these effects in excess is not surprised by a real microscope (domain randomisation, Tobin et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from napari_scutoid.synth.fields import log_uniform, sometimes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy as np

OPTICS_FACTORS: Mapping[str, Mapping[str, Any]] = {
    "thickness": {"thickness": 0.5},
    "face_brightness": {"face_spread": 0.0, "patchiness": 0.0, "facing": 1.0},
    "missing_faces": {"missing": 0.0},
    "apical": {"apical": 1.0, "lumen_fill": 0.0},
    "basal": {"basal": 1.0},
    "cytoplasm": {"cytoplasm": 0.0, "cell_spread": 0.0},
    "nuclei": {"nuclei": 1.0},
    "background": {"background": 0.0},
    "puncta": {"puncta": 0.0},
    "debris": {"debris": 0},
    "bleed_through": {"bleed_through": 0.0, "crosstalk": 0.0},
    "blur": {"blur": 0.3, "axial": 1.0, "halo": 0.0},
    "scatter": {"scatter": 0.0},
    "attenuation": {"attenuation": 1.0},
    "unevenness": {"unevenness": 0.0},
    "noise": {"photons": 1e5, "read_noise": 0.0},
    "stripes": {"stripes": 0.0},
    "interpolation": {"coarse_z": 1.0, "coarse_xy": 1.0, "regrid": 0.0},
    "gamma": {"gamma": 1.0},
    "clipping": {"saturation": 0.0},
    "bit_depth": {"exposure": 1.0, "full_scale": 65535},
}
"""What of `Optics` is held still when a factor of this name is switched off."""

MOST_NOISE = 0.45
"""Largest noise of a typical membrane voxel, as a share of its brightness: what a person can still outline in 3D."""


@dataclass(frozen=True, slots=True)
class Optics:
    """How a tissue is stained and imaged; lengths in x voxels, brightness relative to a typical membrane.

    Parameters
    ----------
    thickness : float
        Standard deviation of the membrane's own profile.
    face_spread : float
        Standard deviation of the logarithm of a face's brightness, drawn per pair of neighbours.
    missing : float
        Share of the faces between cells that are hardly stained.
    facing : float
        Brightness of faces that lie in the image plane; polarised light excites those less or more.
    patchiness : float
        Relative strength of slow brightness changes along the membranes.
    apical, basal : float
        Brightness of the faces towards the lumen and the outside.
    lumen_fill : float
        Brightness of the lumen itself; glands accumulate stain there, up to 20 times the membranes.
    cytoplasm, background : float
        Brightness inside cells, and outside the tissue.
    cell_spread : float
        Standard deviation of the logarithm of a cell's brightness inside.
    texture : float
        Relative strength of the grain inside cells.
    nuclei : float
        Brightness of nuclei or, where large, of vacuoles, as a factor of the cytoplasm's (below 1: dark).
    nucleus_size : float
        Radius of a nucleus or vacuole over that of the ball which just fits the cell.
    bleed_through : float
        Brightness that a nuclear channel leaves in this one.
    puncta : float
        Bright spots per cell.
    debris : int
        Bright pieces outside the tissue that are no cells.
    blur : float
        Lateral standard deviation of the point-spread function.
    axial : float
        The axial one over the lateral one.
    halo : float
        Share of the light that is out of focus, spread over a quarter of a cell.
    scatter : float
        By how much the blur has grown at the deepest slice, relative to ``blur``.
    attenuation : float
        Share of the light that is left at the deepest slice.
    unevenness : float
        Relative strength of slow illumination changes across the field.
    photons : float
        Photons that a typical membrane voxel collects; fewer mean more shot noise.
    read_noise : float
        Standard deviation of the camera's noise. Both noises are those of the finished stack: what an interpolation
        smooths away has been added before.
    stripes : float
        Relative brightness changes from slice to slice.
    crosstalk : float
        Share of a slice's light that shows in the next one.
    coarse_z, coarse_xy : float
        Voxels of the finished grid per voxel of the one the stack was taken on, before it was interpolated.
    spline : int
        Order of that interpolation: 1 linear, 3 cubic.
    regrid : float
        Standard deviation of a smoothing after the stack was taken; correlates the noise.
    gamma : float
        Exponent applied to the finished image.
    saturation : float
        Share of voxels that the detector clips.
    exposure : float
        Share of the grey values in use.
    full_scale : int
        Largest grey value: 255, 4095 or 65535.
    """

    thickness: float
    face_spread: float
    missing: float
    facing: float
    patchiness: float
    apical: float
    basal: float
    lumen_fill: float
    cytoplasm: float
    cell_spread: float
    texture: float
    background: float
    nuclei: float
    nucleus_size: float
    bleed_through: float
    puncta: float
    debris: int
    blur: float
    axial: float
    halo: float
    scatter: float
    attenuation: float
    unevenness: float
    photons: float
    read_noise: float
    stripes: float
    crosstalk: float
    coarse_z: float
    coarse_xy: float
    spline: Literal[1, 3]
    regrid: float
    gamma: float
    saturation: float
    exposure: float
    full_scale: int

    @classmethod
    def random(
        cls,
        rng: np.random.Generator,
        *,
        cell_diameter: float = 16.0,
        z_step: float = 1.0,
        without: Collection[str] = (),
    ) -> Optics:
        """Draw one microscope and one staining.

        Parameters
        ----------
        rng : numpy.random.Generator
            All randomness comes from here.
        cell_diameter : float
            In voxels; membranes and blur stay thin against the cells.
        z_step : float
            Length of a voxel along z over its length along x.
        without : collection of str
            Factors (see `OPTICS_FACTORS`) to hold still; all else stays as drawn.
        """
        width = cell_diameter * z_step ** (1 / 3)  # of a cell, in x voxels
        fine = width / 16
        accumulates = rng.random() < 0.65
        thickness = sometimes(rng, 0.6, log_uniform(rng, 0.3, 0.9), log_uniform(rng, 0.9, 1.9)) * fine
        blur = log_uniform(rng, 0.2, 1.0) * fine
        axial = min(log_uniform(rng, 1.0, 3.5), 0.14 * width / blur)
        # Blur lowers a membrane's peak. Cells are told apart by what is left of it above noise and cytoplasm.
        thickness = min(max(thickness, 0.2125), 4.25)
        peak = ((thickness**2 + 0.25) / (thickness**2 + blur**2 + 0.25)) ** 0.5
        photons, read_noise = log_uniform(rng, 6, 10_000), log_uniform(rng, 0.002, 0.3)
        calm = min(1.0, MOST_NOISE * peak * min(1.0, fine) ** 0.5 / (1 / photons + read_noise**2) ** 0.5)
        cytoplasm = sometimes(rng, 0.35, rng.uniform(0.0, 0.02), log_uniform(rng, 0.02, 0.45)) * peak
        # What was taken far coarser than the grid can no longer show the cells.
        cell_slices = width / z_step
        drawn = cls(
            thickness=thickness,
            face_spread=rng.uniform(0.1, 0.6),
            missing=sometimes(rng, 0.5, rng.uniform(0, 0.12), 0.0),
            facing=sometimes(rng, 0.5, 1.0, rng.uniform(0.4, 1.3)),
            patchiness=rng.uniform(0.0, 0.5),
            apical=log_uniform(rng, 2, 30) if accumulates else log_uniform(rng, 0.5, 2),
            basal=log_uniform(rng, 0.25, 2.0),
            lumen_fill=log_uniform(rng, 0.3, 20) if accumulates else sometimes(rng, 0.5, 0.0, rng.uniform(0, 0.5)),
            # As dark as the outside in a third of the stacks: there only the walls tell what is a cell.
            cytoplasm=cytoplasm,
            cell_spread=sometimes(rng, 0.4, 0.0, rng.uniform(0.1, 0.9)) * (1.0 - cytoplasm),
            texture=sometimes(rng, 0.7, rng.uniform(0.1, 0.4), rng.uniform(0.4, 1.0)),
            background=sometimes(rng, 0.7, rng.uniform(0.0, 0.05), rng.uniform(0.0, 0.4)),
            nuclei=sometimes(rng, 0.5, 1.0, log_uniform(rng, 0.1, 1.8)),
            nucleus_size=rng.uniform(0.3, 0.85),
            bleed_through=sometimes(rng, 0.75, 0.0, rng.uniform(0.05, 0.5)) * peak,
            puncta=sometimes(rng, 0.5, 0.0, log_uniform(rng, 0.5, 30)),
            debris=int(sometimes(rng, 0.5, 0, float(rng.integers(1, 5)))),
            blur=blur,
            axial=axial,
            halo=sometimes(rng, 0.5, 0.0, rng.uniform(0.05, 0.5)),
            scatter=sometimes(rng, 0.5, 0.0, rng.uniform(0.2, 1.5)),
            attenuation=log_uniform(rng, 0.25, 1.0),
            unevenness=rng.uniform(0.0, 0.3),
            photons=photons / calm**2,
            read_noise=read_noise * calm,
            stripes=sometimes(rng, 0.6, 0.0, rng.uniform(0, 0.15)),
            crosstalk=sometimes(rng, 0.7, 0.0, rng.uniform(0.05, 0.3)),
            coarse_z=sometimes(rng, 0.6, 1.0, min(rng.uniform(1, 4), max(1.0, cell_slices / 6))),
            coarse_xy=sometimes(rng, 0.7, 1.0, min(rng.uniform(1, 2), max(1.0, width / 8))),
            spline=1 if rng.random() < 0.5 else 3,
            regrid=sometimes(rng, 0.35, rng.uniform(0.2, 0.9) * min(1.0, fine), 0.0),
            gamma=log_uniform(rng, 0.55, 1.7),
            saturation=sometimes(rng, 0.6, 0.0, log_uniform(rng, 0.001, 0.2)),
            exposure=sometimes(rng, 0.5, 1.0, log_uniform(rng, 0.15, 1.0)),
            full_scale=int(rng.choice([255, 4095, 65535])),
        )
        for factor in without:
            drawn = replace(drawn, **OPTICS_FACTORS.get(factor, {}))
        return drawn
