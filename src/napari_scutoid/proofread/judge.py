"""The packaged weights: how probable each error is, learnt on synthetic tissue by ``scripts/calibrate_suspects.py``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.additive import AdditiveModel
from napari_scutoid.proofread.features import CELL, CELL_OPINIONS, FACE, FACE_OPINIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

WEIGHTS = Path(__file__).with_name("suspects.json")
WEIGHTS_VERSION = 1
_OPINIONS = {False: "alone", True: "with_opinions"}


@dataclass(frozen=True, slots=True)
class Judge:
    """How probable errors are.

    Parameters
    ----------
    face : AdditiveModel
        That no wall is where two cells touch.
    wrong : AdditiveModel
        That a cell fits no true one, for whatever reason.
    merged, invented : AdditiveModel
        That it is several true ones, and that it is none nor a piece of one.
    """

    face: AdditiveModel
    wrong: AdditiveModel
    merged: AdditiveModel
    invented: AdditiveModel

    @classmethod
    def packaged(cls, *, opinions: bool) -> Judge:
        """Return the judge that travels with the program, for cells with second opinions or without.

        Raises
        ------
        ScutoidError
            When its file is missing or damaged.
        """
        try:
            return cls.from_json(json.loads(WEIGHTS.read_text(encoding="utf-8")), opinions=opinions)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ScutoidError(
                "Cells cannot be judged", f"{WEIGHTS.name} is missing or damaged ({error})", "install the package again"
            ) from error

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], *, opinions: bool) -> Judge:
        """Return one of the two judges that are stored together; ValueError where they are of another version."""
        if stored["version"] != WEIGHTS_VERSION:
            raise ValueError(f"version {stored['version']} of the weights, not {WEIGHTS_VERSION}")
        own = stored[_OPINIONS[opinions]]
        face, cell = features_of(opinions=opinions)
        models = (AdditiveModel.from_json(own[name], cell) for name in ("wrong", "merged", "invented"))
        return cls(AdditiveModel.from_json(own["face"], face), *models)

    def as_json(self) -> dict[str, Any]:
        """Return plain numbers."""
        return {name: getattr(self, name).as_json() for name in ("face", "wrong", "merged", "invented")}


def as_json(alone: Judge, with_opinions: Judge) -> dict[str, Any]:
    """Return what `Judge.from_json` reads."""
    return {"version": WEIGHTS_VERSION, _OPINIONS[False]: alone.as_json(), _OPINIONS[True]: with_opinions.as_json()}


def features_of(*, opinions: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the features of faces and of cells."""
    return (FACE + FACE_OPINIONS, CELL + CELL_OPINIONS) if opinions else (FACE, CELL)
