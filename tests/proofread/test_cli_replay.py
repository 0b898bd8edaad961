"""``scutoid replay``: the labels of the session, bit for bit, and two journals that meet."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from scripted import Fill, base, begin

from napari_scutoid.box import Box
from napari_scutoid.io.open import inspect, open_labels, open_volume
from napari_scutoid.io.save import save_stack
from napari_scutoid.proofread.edits.states import Accept
from napari_scutoid.proofread.journal import journals_beside
from napari_scutoid.volume import Volume
from told import assert_is_message, scutoid

LEFT, RIGHT = Box((0, 2, 0), (1, 1, 2)), Box((0, 2, 3), (1, 1, 2))


@pytest.fixture
def gland(tmp_path):
    """Labels with a lumen in a file."""
    labels = base(lumen=True)
    save_stack(tmp_path / "gland.h5", Volume(np.zeros(labels.shape, np.uint8), labels.voxel_size_um), labels)
    return tmp_path / "gland.h5"


def corrected(journal, *edits, author="Ana"):
    session = begin(journal, base(lumen=True), author)
    for edit in edits:
        session.do(edit)
    labels = session.labels.copy()
    session.close()
    return labels


def test_replay_is_what_the_session_showed(gland, capsys):
    journal, out = gland.with_name("gland.corrections.sqlite"), gland.with_name("out.h5")
    labels = corrected(journal, Fill(LEFT, lumen=True), Accept((1,)))
    before = gland.read_bytes(), journal.read_bytes()
    assert scutoid("replay", gland, journal, "-o", out) == 0
    assert "2 edits" in capsys.readouterr().err
    assert (gland.read_bytes(), journal.read_bytes()) == before
    assert (open_labels(out, "label").data == labels).all()
    assert open_volume(out, "lumen").data[:].sum() == 3
    made = inspect(out).provenance["corrections"]
    assert made["journals"] == [str(journal)]
    assert len(made["base"]["sha256"]) == 64
    assert "1,12" in out.with_name("out.cells.csv").read_text()


def test_a_lumen_has_the_axes_that_were_said_of_the_labels(tmp_path):
    labels = base(lumen=True)
    labels.lumen[2, 2, 5] = True
    file, journal, out = (tmp_path / name for name in ("gland.h5", "gland.corrections.sqlite", "out.h5"))
    with h5py.File(file, "w") as stored:
        stored["label"], stored["lumen"] = labels.data.swapaxes(1, 2), labels.lumen.swapaxes(1, 2).astype(np.uint8)
    session = begin(journal, labels)
    session.do(Fill(LEFT, 1))
    session.close()
    assert scutoid("replay", file, journal, "-o", out, "--axes", "ZXY") == 0
    assert (open_labels(out, "label").data == session.labels).all()
    assert (open_volume(out, "lumen").data[:] == session.lumen).all()


def test_journals_that_collide_are_listed(gland, capsys):
    first, second, out = (gland.with_name(name) for name in ("a.sqlite", "b.sqlite", "out.tif"))
    labels = corrected(first, Fill(LEFT, 1))
    corrected(second, Fill(LEFT, 2), Fill(RIGHT), author="Ben")
    assert scutoid("replay", gland, first, second, "-o", out) == 2
    printed, told = capsys.readouterr()
    assert_is_message(told)
    assert "Fill with cell 1 (Ana" in printed and "Fill with cell 2 (Ben" in printed
    assert not out.exists()
    merged = gland.with_name("gland.corrections.sqlite")
    assert scutoid("replay", gland, first, second, "-o", out, "--keep", "first", "--merged", merged) == 0
    assert "Collision 1" in capsys.readouterr().out
    labels[RIGHT.slices] = 41
    assert (open_labels(out).data == labels).all()
    assert [one.card.n_edits for one in journals_beside(gland)] == [2]


def test_what_is_refused(gland, capsys):
    journal = gland.with_name("a.sqlite")
    corrected(journal, Fill(LEFT, 1))
    out = gland.with_name("out.h5")
    for arguments, reason in (
        ((gland, journal, "-o", gland), "never changed"),
        ((gland, journal, "-o", "out.doc"), "could not be written"),
        ((gland, gland, "-o", out), "no journal"),
        ((gland, journal, "-o", out, "--keep", "first"), "two journals"),
        ((gland, journal, journal, journal, "-o", out), "two at a time"),
        ((gland.with_name("none.h5"), journal, "-o", out), "no such file"),
    ):
        assert scutoid("replay", *arguments) == 2
        assert_is_message(capsys.readouterr().err, reason)
    other = gland.with_name("other.h5")
    labels = base()
    save_stack(other, Volume(np.zeros(labels.shape, np.uint8)), labels)
    assert scutoid("replay", other, journal, "-o", out) == 2
    assert_is_message(capsys.readouterr().err, "lumen")
    assert not out.exists()
