"""Do the edits of a journal again without a screen: what it stored is applied, and nothing is computed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.base import Base
from napari_scutoid.proofread.present import Present
from napari_scutoid.proofread.saving import Corrected

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_scutoid.progress import Steps
    from napari_scutoid.proofread.journal import Journal
    from napari_scutoid.volume import Labels


def replay(labels: Labels, journal: Journal, journals: Sequence[Path] = ()) -> Steps[Corrected]:
    """Bring labels from the base to a journal's head.

    Parameters
    ----------
    labels : Labels
        As they were before the first correction; their arrays are changed in place where they may be.
    journal : Journal
        What to do.
    journals : sequence of Path, optional
        What provenance names as the journals; by default this one's own file.

    Returns
    -------
    Corrected
        Bit for bit what the session showed.

    Raises
    ------
    ScutoidError
        When the journal is about other labels, or damaged.
    """
    base = yield from Base.of(labels)
    journal.check_base(base)
    present = Present(labels)
    yield from present.catch_up(journal)
    named = tuple(journals) or (() if journal.path is None else (journal.path,))
    return Corrected(labels, present.labels, present.lumen, present.states, base, journal.history, named)


def with_lumen(labels: Labels, base: Base, axes: str | None = None) -> Labels:
    """Return labels with the lumen that corrections started from, where their file holds it.

    Parameters
    ----------
    labels : Labels
        As a file has them.
    base : Base
        What the journal says of it.
    axes : str, optional
        What the labels' axes were said to be; the lumen's are the same.
    """
    from napari_scutoid.io.open import inspect, open_volume

    if not base.lumen_sha256 or labels.source is None:
        return labels
    for found in inspect(labels.source.path).datasets:
        if found.guess not in ("mask", "labels") or found.path == labels.source.dataset:
            continue
        try:
            mask = open_volume(labels.source.path, found.path, axes=axes)
        except ScutoidError:  # another data set may have other axes
            continue
        if mask.shape != labels.shape:
            continue
        lumen = np.asarray(mask.data[:]) != 0
        if hashlib.sha256(np.ascontiguousarray(lumen, np.uint8).data).hexdigest() == base.lumen_sha256:
            return replace(labels, lumen=lumen)
    return labels
