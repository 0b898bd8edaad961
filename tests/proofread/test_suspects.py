from __future__ import annotations

import json

import numpy as np
import pytest
from judged_tissue import EDGE, MERGED, PIECE, REST, judge, labels, scene, suspects, truth

from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import drain
from napari_scutoid.proofread import judge as judge_module
from napari_scutoid.proofread.edits.merge import Merge
from napari_scutoid.proofread.features import CELL
from napari_scutoid.proofread.index import CellIndex
from napari_scutoid.proofread.judge import Judge, as_json
from napari_scutoid.proofread.look import look_at, usual_step
from napari_scutoid.proofread.scene import Scene
from napari_scutoid.proofread.suspects import Suspects
from napari_scutoid.volume import VoxelSize

STEP = (1, 1, 1)


def look(made, cell, **how):
    return look_at(scene(made, **how), cell, STEP)


def alone(*boxes, shape=(20, 20, 20)):
    made = np.zeros(shape, np.uint32)
    for number, box in enumerate(boxes, 1):
        made[box] = min(number, 1)
    return made


def test_both_errors_come_first():
    found = suspects(scene())
    assert set(found.cells[:3]) == {MERGED, PIECE, REST}
    assert all(found.probability(cell) > 0.5 for cell in found.cells[:3])
    assert found.probability(1) < 0.2
    assert found.face_probability(PIECE, REST) == found.face_probability(REST, PIECE) > 0.9
    assert found.face_probability(1, 2) < 0.1
    assert len(found) == len(found.cells) == 27
    assert MERGED in found
    with pytest.raises(KeyError):
        found.probability(999)


@pytest.mark.parametrize("opinions", [False, True])
def test_packaged_weights_find_them_too(opinions):
    others = [truth()] if opinions else []
    found = drain(Suspects.build(scene(), others))
    assert set(found.cells[:3]) == {MERGED, PIECE, REST}
    assert found.probability(found.cells[0]) > 0.5 > found.probability(found.cells[-1])


def test_an_opinion_that_agrees_speaks_for_a_cell_and_one_that_does_not_against():
    found = drain(Suspects.build(scene(), [truth()]))
    of = scene()
    names = [curve.feature for curve in found.judge.wrong.curves]
    differs, divided = names.index("differs"), names.index("divided")
    assert found.features(of, 1)[differs] == 0
    assert found.features(of, PIECE)[differs] == pytest.approx(0.5)
    assert found.features(of, MERGED)[divided] == pytest.approx(0.5)
    pairs, rows = found.faces(of, [PIECE])
    faces = dict(zip(pairs, rows, strict=True))
    columns = [curve.feature for curve in found.judge.face.curves]
    agreed, fits = columns.index("agreed"), columns.index("union_fits")
    assert faces[(REST, PIECE)][agreed] == 1
    assert faces[(REST, PIECE)][fits] == pytest.approx(0.5)


def test_an_edit_changes_the_judgement_of_its_cells_and_their_neighbours_only():
    before = scene()
    found = suspects(before)
    change = Merge((REST, PIECE)).plan(before)
    made = before.labels.copy()
    change.labels.apply(made)
    after = scene(made)
    untouched = {cell: found.odds(cell) for cell in found.cells if cell not in after.index.neighbours(REST)}
    judged = found.update(after, {REST, PIECE})
    assert set(judged) == {REST, *after.index.neighbours(REST)}
    assert PIECE not in found
    assert found.probability(REST) < 0.2
    for cell, odds in untouched.items():
        if cell not in (REST, PIECE):
            assert found.odds(cell) is odds
    afresh = Suspects(found.judge, STEP, (), found.tissue)
    afresh.update(after, after.index.cells.tolist())
    assert {cell: found.probability(cell) for cell in found.cells} == pytest.approx(
        {cell: afresh.probability(cell) for cell in afresh.cells}
    )


def test_a_cell_that_comes_back_is_judged_again():
    whole = scene()
    made = labels()
    made[made == PIECE] = 0
    without = scene(made)
    found = suspects(whole)
    before = found.probability(REST)
    found.update(without, {PIECE, *whole.index.neighbours(PIECE)})
    assert PIECE not in found
    assert found.look(REST).voxels == EDGE**3 // 2
    found.update(whole, {PIECE, *whole.index.neighbours(PIECE)})
    assert found.probability(REST) == pytest.approx(before)


def test_a_look_at_pieces_holes_and_caps():
    two = look(alone(np.s_[2:10, 2:10, 2:10], np.s_[14:16, 14:16, 14:16]), 1)
    assert (two.pieces, two.astray) == (2, pytest.approx(8 / 520))
    hollow = alone(np.s_[2:10, 2:10, 2:10])
    hollow[5:7, 5:7, 5:7] = 0
    assert look(hollow, 1).holes == pytest.approx(8 / 512)
    assert two.holes == 0
    assert look(alone(np.s_[2:10, 2:10, 2:10]), 1).cap == 1.0
    assert look(alone(np.s_[0:10, 2:10, 2:10]), 1).cap == 1.0
    assert look(alone(np.s_[0:20, 2:10, 2:10]), 1).cap == 0.0


def test_a_cell_in_one_layer_looks_at_two_sides():
    made = np.zeros((16, 12, 12), np.uint32)
    made[4:12] = np.kron(np.arange(1, 10).reshape(1, 3, 3), np.ones((8, 4, 4))).astype(np.uint32)
    lumen = np.zeros(made.shape, np.bool_)
    lumen[:4] = True
    middle = look(made, 5, lumen=lumen)
    assert (middle.free_patches, middle.apical, middle.basal) == (2, True, True)
    covered = made.copy()
    covered[4, 4:8, 4:8] = 1
    assert not look(covered, 5, lumen=lumen).apical
    assert look(covered, 5).free_patches == 1


def test_a_coarser_look_sees_nearly_the_same():
    of = scene(with_image=True)
    fine, coarse = (look_at(of, MERGED, step) for step in ((1, 1, 1), (2, 2, 2)))
    assert coarse.voxels == fine.voxels == 2 * EDGE**3
    assert coarse.mean == pytest.approx(fine.mean, abs=0.6)
    assert np.diag(coarse.covariance) == pytest.approx(np.diag(fine.covariance), rel=0.05)
    assert coarse.brightness == pytest.approx(fine.brightness, rel=0.3)
    assert usual_step(of.index) == (1, 1, 1)


def test_a_cell_too_thin_for_the_coarser_grid_is_still_seen():
    made = np.zeros((12, 12, 12), np.uint32)
    made[4, 4, 2:9] = 3
    of = scene(np.pad(made, 6))
    assert look_at(of, 3, (4, 4, 4)).voxels == 7


def test_stray_voxels_far_apart_do_not_make_the_whole_stack_be_read():
    made = np.zeros((8, 900, 900), np.uint32)
    made[1, 3, 5] = made[6, 890, 897] = 3
    made[2, 3, 3:9] = 3
    read = []

    class Counting:
        def boundary(self, box):
            read.append(box.size)
            return np.zeros(box.shape, np.uint8)

        image = boundary

    own = Counting()
    found = look_at(Scene(made, drain(CellIndex.build(made)), VoxelSize(1.0, 1.0, 1.0), own), 3, STEP)
    assert found.voxels == 8
    assert found.pieces > 1
    assert found.astray == pytest.approx(1 / 8)
    assert sum(read) < made.size / 100


def test_a_cell_that_the_border_cuts_is_not_called_small():
    of = scene(truth()[6:-6])  # halves of the first and the last layer
    found = suspects(of)
    cut, whole = (dict(zip(CELL, found.features(of, cell), strict=True)) for cell in (1, 14))
    assert found.tissue.voxels == EDGE**3
    assert (cut["size"], cut["size_beside"]) == (0, 0)
    assert cut["size_at_border"] == pytest.approx(np.log(0.5))
    assert (whole["size"], whole["size_at_border"]) == (0, 0)
    assert whole["size_beside"] == 0


def test_nothing_to_judge():
    made = np.zeros((6, 6, 6), np.uint32)
    assert suspects(scene(made)).cells == []
    made[2:4, 2:4, 2:4] = 5
    only = suspects(scene(made))
    assert only.cells == [5]
    made[:] = 5
    assert suspects(scene(made)).cells == [5]
    assert len(drain(CellIndex.build(made))) == 1


def test_weights_of_another_version_or_none_are_refused(monkeypatch, tmp_path):
    stored = as_json(judge(), judge(opinions=True))
    assert Judge.from_json(json.loads(json.dumps(stored)), opinions=True) == judge(opinions=True)
    file = tmp_path / "weights.json"
    monkeypatch.setattr(judge_module, "WEIGHTS", file)
    for text in (None, "{", "[]", "{}", json.dumps(stored | {"version": 99}), json.dumps(stored | {"alone": {}})):
        if text is not None:
            file.write_text(text)
        with pytest.raises(ScutoidError, match="Cells cannot be judged"):
            Judge.packaged(opinions=False)
