"""A session begins with labels that a file holds, and continues with what its journal holds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.open import open_labels, save_result
from napari_scutoid.progress import drain
from napari_scutoid.proofread.change import Change, Difference
from napari_scutoid.ui.proofread_core import Asked, begin, find_suspects, look_beside
from napari_scutoid.volume import Labels, Volume, VoxelSize

SIZE = VoxelSize(0.5, 0.25, 0.25)


@dataclass
class Erase:
    cell: int

    def plan(self, scene):
        after = np.where(scene.labels == self.cell, np.uint32(0), scene.labels)
        labels = Difference.between(Box.whole(scene.shape), scene.labels[:], after)
        return Change("delete", f"Delete cell {self.cell}", labels=labels)


@pytest.fixture
def cells():
    data = np.zeros((3, 6, 8), np.uint32)
    data[:, 1:5, 1:4], data[:, 1:5, 4:7] = 1, 2
    return data


@pytest.fixture
def file(tmp_path, cells):
    lumen = np.zeros(cells.shape, bool)
    lumen[1, 0, 0] = True
    save_result(tmp_path / "gland.h5", Labels(cells, SIZE, lumen=lumen), {}, {})
    return tmp_path / "gland.h5"


@pytest.fixture
def asked(tmp_path, cells):
    return Asked(Volume(cells.copy(), SIZE), "gland cells", "Ana", tmp_path / "kept")


def of_file(asked, file, **more):
    return replace(asked, file=file, dataset="label", **more)


def test_labels_in_no_file_are_saved_before_the_first_edit(asked, cells):
    begun = drain(begin(asked))
    kept = asked.folder / "gland cells.h5"
    assert str(kept) in begun.told and begun.session.labels is asked.labels.data
    begun.session.do(Erase(2))
    begun.session.close()
    np.testing.assert_array_equal(open_labels(kept).data, cells)
    [found] = drain(look_beside(kept))
    assert found.problem is None and found.card.n_edits == 1 and found.card.authors == ("Ana",)
    other = drain(begin(replace(asked, labels=Volume(cells.copy(), SIZE))))
    assert "gland cells 2.h5" in other.told
    other.session.close()


def test_labels_of_a_file_bring_their_lumen_and_keep_their_journal_beside_it(asked, file):
    begun = drain(begin(of_file(asked, file)))
    assert begun.told == "" and begun.session.lumen.sum() == 1
    assert begun.session.journal.parent == file.parent and not asked.folder.exists()
    assert begun.session.spacing == SIZE
    begun.session.close()


def test_labels_that_are_shown_as_their_file_holds_them_are_not_read_into_a_second_array(asked, file):
    begun = drain(begin(of_file(asked, file)))
    assert begun.session.labels is asked.labels.data
    begun.session.do(Erase(2))
    begun.session.close()
    assert set(np.unique(open_labels(file, "label").data)) == {0, 1, 2}


@pytest.mark.parametrize("how", ["narrow", "of a file", "part", "turned", "read-only"])
def test_an_array_that_others_may_hold_or_that_cannot_be_changed_is_left_alone(asked, file, tmp_path, cells, how):
    shown = {
        "narrow": lambda: cells.astype(np.uint8),
        "of a file": lambda: np.memmap(tmp_path / "cells.raw", np.uint32, "w+", shape=cells.shape),
        "part": lambda: np.stack([cells, cells])[1],
        "turned": lambda: np.asfortranarray(cells),
        "read-only": cells.copy,
    }[how]()
    if how == "of a file":
        shown[:] = cells
    shown.flags.writeable = how != "read-only"
    begun = drain(begin(of_file(replace(asked, labels=Volume(shown, SIZE)), file)))
    assert begun.told == "" and begun.session.labels is not shown
    begun.session.do(Erase(2))
    begun.session.close()
    np.testing.assert_array_equal(shown, cells)


def test_corrections_continue_from_the_file_whatever_the_layer_shows(asked, file):
    first = drain(begin(of_file(asked, file)))
    first.session.do(Erase(2))
    first.session.close()
    shown = Volume(first.session.labels, SIZE)
    again = drain(begin(of_file(replace(asked, labels=shown), file, journal=first.session.journal, is_corrected=True)))
    assert set(np.unique(again.session.labels)) == {0, 1}
    again.session.undo()
    assert set(np.unique(again.session.labels)) == {0, 1, 2}
    again.session.close()


def test_labels_that_were_changed_by_hand_continue_nothing_and_begin_their_own(asked, file):
    first = drain(begin(of_file(asked, file)))
    first.session.close()
    asked.labels.data[0, 0, 0] = 9
    with pytest.raises(ScutoidError, match="is not what is in"):
        drain(begin(of_file(asked, file, journal=first.session.journal)))
    begun = drain(begin(of_file(asked, file)))
    assert "were saved to" in begun.told and begun.session.labels[0, 0, 0] == 9
    begun.session.close()


def test_a_foreign_journal_is_refused_and_left_as_it_is(asked, file):
    journal = file.with_name("gland.corrections.sqlite")
    journal.write_bytes(b"somebody else's")
    with pytest.raises(ScutoidError, match="no journal"):
        drain(begin(of_file(asked, file, journal=journal)))
    assert journal.read_bytes() == b"somebody else's"
    begun = drain(begin(of_file(asked, file)))
    assert begun.session.journal == file.with_name("gland.corrections-2.sqlite")
    begun.session.close()


@pytest.mark.parametrize("data", [np.full((2, 3, 4), 0.5), np.full((2, 3, 4), -1)])
def test_what_are_no_labels_is_refused(asked, data):
    with pytest.raises(ScutoidError, match="cannot be corrected"):
        drain(begin(replace(asked, labels=Volume(data, SIZE))))


def test_a_file_that_is_gone_or_an_image_is_no_file_of_labels(asked, tmp_path):
    begun = drain(begin(of_file(asked, tmp_path / "gone.h5")))
    assert "were saved to" in begun.told
    begun.session.close()
    with pytest.raises(ScutoidError, match="no such file"):
        drain(begin(of_file(asked, tmp_path / "gone.h5", journal=tmp_path / "gone.corrections.sqlite")))


def test_suspects_are_found_beside_edits(asked, file):
    begun = drain(begin(of_file(asked, file)))
    job, done = find_suspects(begun.session), []
    while True:
        try:
            done.append(next(job).step)
        except StopIteration as stop:
            review = stop.value
            break
        if len(done) == 2:
            begun.session.do(Erase(2))
    assert done[-1] == "Judging cells" and review.suspects.cells == [1]
    assert review.session.heard
    review.close()
    begun.session.close()


def test_a_search_for_suspects_that_is_cancelled_lets_the_session_go(asked, file):
    begun = drain(begin(of_file(asked, file)))
    job = find_suspects(begun.session)
    next(job)
    job.close()
    assert not begun.session._watches and not begun.session.heard
    begun.session.do(Erase(2))
    begun.session.close()
