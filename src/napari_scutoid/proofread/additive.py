"""Probabilities from a generalised additive model: a sum of one curve a feature, made of straight pieces.

Plain numbers, which say of each judgement what it rests on: T. Hastie, R. Tibshirani (1986), Generalized additive
models, Statistical Science 1, 297-310.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Curve:
    """What a feature adds to the logarithmic odds: straight between knots, level beyond them."""

    feature: str
    knots: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class AdditiveModel:
    """Logarithmic odds as a sum of curves.

    Parameters
    ----------
    intercept : float
        The logarithmic odds where all curves are 0: those of an average case.
    curves : tuple of Curve
        One a feature, in the order of the features.
    """

    intercept: float
    curves: tuple[Curve, ...]

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], features: Sequence[str]) -> AdditiveModel:
        """Return the model that was stored.

        Raises
        ------
        ValueError
            When it is none, or one of other features.
        """
        curves = tuple(
            Curve(str(name), tuple(map(float, curve["knots"])), tuple(map(float, curve["values"])))
            for name, curve in stored["curves"].items()
        )
        if [curve.feature for curve in curves] != list(features):
            raise ValueError(f"the model is one of {[curve.feature for curve in curves]}, not of {list(features)}")
        for curve in curves:
            if len(curve.knots) != len(curve.values) or not curve.knots or np.any(np.diff(curve.knots) <= 0):
                raise ValueError(f"the curve of {curve.feature} needs as many values as knots, and these must rise")
        return cls(float(stored["intercept"]), curves)

    def as_json(self) -> dict[str, Any]:
        """Return plain numbers that `from_json` reads."""
        curves = {curve.feature: {"knots": list(curve.knots), "values": list(curve.values)} for curve in self.curves}
        return {"intercept": self.intercept, "curves": curves}

    def contributions(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what each feature adds to the logarithmic odds; shapes (n, features)."""
        added = [np.interp(features[:, i], curve.knots, curve.values) for i, curve in enumerate(self.curves)]
        return np.stack(added, axis=1) if len(features) else np.zeros(features.shape)

    def log_odds(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logarithmic odds of each row of features, shape (n,)."""
        odds: NDArray[np.float64] = self.intercept + self.contributions(features).sum(axis=1)
        return odds


def probability(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability of logarithmic odds."""
    p: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(log_odds, -30, 30)))
    return p


def expected_calibration_error(p: NDArray[np.float64], happened: NDArray[np.bool_], n_bins: int = 10) -> float:
    """Return by how much probabilities and frequencies differ in bins of equal width, weighted by their number [1]_.

    References
    ----------
    .. [1] M. P. Naeini, G. F. Cooper, M. Hauskrecht (2015), Obtaining well calibrated probabilities using Bayesian
           binning, AAAI.
    """
    if p.shape != happened.shape or p.ndim != 1:
        raise ValueError(f"p and happened must be lists of one length, not of shapes {p.shape} and {happened.shape}")
    if not p.size:
        return 0.0
    place = np.minimum((p * n_bins).astype(int), n_bins - 1)
    gaps = np.abs(np.bincount(place, p - happened, minlength=n_bins))
    return float(gaps.sum() / p.size)
