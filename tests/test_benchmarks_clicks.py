"""The benchmark of clicks: how orders are judged, and that its proofreader sets every cell right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_scutoid.progress import drain
from napari_scutoid.proofread.review import Review
from napari_scutoid.proofread.session import Session
from napari_scutoid.proofread.suspects import Suspects
from napari_scutoid.volume import Labels, VoxelSize

ROOT = Path(__file__).resolve().parent


@pytest.fixture
def clicks(monkeypatch):
    """The benchmark's modules, which are no package."""
    monkeypatch.syspath_prepend(ROOT.parent / "benchmarks")
    import proofreading_clicks

    return proofreading_clicks


@pytest.fixture
def tissue(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "proofread")
    import judged_tissue

    return judged_tissue


def test_discovery_curves(clicks):
    wrong = {2, 3}
    ideal, worst = clicks.discovery([2, 3, 1, 4], wrong), clicks.discovery([1, 4, 2, 3], wrong)
    assert ideal.tolist() == [0, 0.5, 1, 1, 1]
    assert clicks.area(ideal) == 0.75
    assert clicks.area(worst) == 0.25
    assert clicks.looks_to(ideal, 0.8) == 2
    assert clicks.looks_to(worst, 0.5) == 3


def test_distance_between_boundaries(clicks):
    one = np.zeros((9, 9, 9), np.uint32)
    one[2:7, 2:7, 2:7] = 1
    assert clicks.distance(one, one, (1, 1, 1)) == 0
    shifted = np.roll(one, 1, axis=0)
    assert 0 < clicks.distance(one, shifted, (1, 1, 1)) < 1
    assert np.isnan(clicks.distance(one, np.zeros_like(one), (1, 1, 1)))


def test_the_proofreader_sets_every_cell_right(clicks, tissue):
    truth, labels = tissue.truth(), tissue.labels()
    labels[labels == 1] = 0
    labels[:2, :4, :4] = 200
    session = drain(Session.begin(Labels(labels, VoxelSize(1.0, 1.0, 1.0)), tissue.evidence()))
    suspects = drain(Suspects.build(session.scene(), (), tissue.judge()))
    reader = clicks.Proofreader(Review(session, suspects), truth)
    assert len(reader.missing()) == 4
    reader.work()
    assert reader.missing() == reader.invented() == []
    assert len(session.index) == 27
    assert {"merge", "split", "delete", "add"} <= set(reader.operations)
    assert reader.operations.total() < 15
    assert reader.taken >= 2
    session.close()
