from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from judged_tissue import judge, scene, suspects, truth

from napari_scutoid.proofread.additive import Curve
from napari_scutoid.proofread.edits.delete import Delete
from napari_scutoid.proofread.edits.repair import FillHoles, KeepLargest
from napari_scutoid.proofread.handwork import Handwork
from napari_scutoid.proofread.reasons import face_place, suspect

MIDDLE = 13


def sheet():
    """Return 25 cells in one layer, and what lies on its apical side."""
    cells = np.kron(np.arange(1, 26).reshape(1, 5, 5), np.ones((8, 4, 4))).astype(np.uint32)
    made = np.pad(cells, 4)
    lumen = np.zeros(made.shape, np.bool_)
    lumen[:4] = True
    return made, lumen


def speaking(feature, *points):
    """Return a judge that goes by one feature alone."""
    by = judge()
    knots, values = zip(*points, strict=True)
    curves = tuple(
        Curve(curve.feature, *((knots, values) if curve.feature == feature else ((0.0,), (0.0,))))
        for curve in by.wrong.curves
    )
    never = replace(by.merged, intercept=-9.0, curves=tuple(Curve(c.feature, (0.0,), (0.0,)) for c in curves))
    face = replace(by.face, intercept=-9.0, curves=tuple(Curve(c.feature, (0.0,), (0.0,)) for c in by.face.curves))
    return replace(by, face=face, wrong=replace(by.wrong, curves=curves), merged=never, invented=never)


@pytest.mark.parametrize(
    ("covered", "words"),
    [
        (np.s_[4:6, 12:16, 12:16], "misses the apical surface"),
        (np.s_[10:12, 12:16, 12:16], "misses the basal surface"),
    ],
)
def test_a_cell_that_misses_a_surface_is_told(covered, words):
    made, lumen = sheet()
    made[covered] = 1
    of = scene(made, lumen)
    found = suspects(of, by=speaking("one_sided", (0.0, 0.0), (1.0, 4.0)))
    assert found.tissue.one_layer
    assert found.cells[0] == MIDDLE
    told = suspect(of, found, MIDDLE, Handwork())
    assert told.reasons == (words,)
    assert told.place == of.index.centroid(MIDDLE)
    assert (told.other, told.fix) == (None, None)


def test_packed_cells_miss_no_surface():
    of = scene()
    found = suspects(of, by=speaking("one_sided", (0.0, 0.0), (1.0, 4.0)))
    assert not found.tissue.one_layer
    assert len({found.probability(cell) for cell in found.cells}) == 1
    assert suspect(of, found, 1, Handwork()).reasons == ("nothing in particular",)


def test_pieces_and_holes_are_told_and_repaired():
    made, _ = sheet()
    made[7:9, 13:15, 13:15] = 0
    of = scene(made)
    told = suspect(of, suspects(of, by=speaking("holes", (0.0, 0.0), (0.1, 4.0))), MIDDLE, Handwork())
    assert told.reason == "holes: 6.2% of it"
    assert (told.fix, told.fix_title) == (FillHoles(MIDDLE), "Fill the holes")
    made[1:3, 1:3, 1:3] = MIDDLE
    of = scene(made)
    told = suspect(of, suspects(of, by=speaking("astray", (0.0, 0.0), (0.1, 4.0))), MIDDLE, Handwork())
    assert told.reason == "2 pieces"
    assert told.fix == KeepLargest(MIDDLE)


@pytest.mark.parametrize(
    ("feature", "points", "words"),
    [
        ("size", ((-1.0, 4.0), (0.0, 0.0)), "0.38 times the usual size"),
        ("open", ((-1.0, 2.0), (1.0, 2.0)), "a faint outline: 0.00"),
        ("exposed", ((-1.0, 2.0), (1.0, 2.0)), "unusually many or few neighbours around it"),
        ("waist", ((-9.0, 2.0), (9.0, 2.0)), "an unusual shape"),
        ("inside", ((-1.0, 2.0), (1.0, 2.0)), "signs of walls deep inside: 0.00"),
    ],
)
def test_reasons_in_words(feature, points, words):
    made, _ = sheet()
    made[4:9, 12:16, 12:16] = 0
    of = scene(made)
    of.evidence.walls[:] = 0
    told = suspect(of, suspects(of, by=speaking(feature, *points)), MIDDLE, Handwork())
    assert words in told.reasons


def test_a_repair_that_changes_nothing_is_not_proposed():
    """A hole may hold a cell; pieces that touch on the coarser grid may be one."""
    made, _ = sheet()
    made[7:9, 13:15, 13:15] = 99
    of = scene(made)
    told = suspect(of, suspects(of, by=speaking("holes", (0.0, 0.0), (0.1, 4.0))), MIDDLE, Handwork())
    assert told.reason == "holes: 6.2% of it"
    assert (told.fix, told.fix_title) == (None, "")


@pytest.mark.parametrize("dark", [False, True])
def test_without_light_nothing_is_said_of_it(dark):
    made, _ = sheet()
    of = scene(made, with_image=dark)
    if dark:
        of.evidence._image[:] = 0
    told = suspect(of, suspects(of, by=speaking("brightness", (-1.0, 2.0), (1.0, 2.0))), MIDDLE, Handwork())
    assert told.reasons == ("nothing in particular",)


def test_a_face_has_a_place_only_where_cells_touch():
    made, _ = sheet()
    of = scene(made)
    z, y, x = face_place(of, 13, 14)
    assert (x, round(y), round(z)) == (15.5, 14, 8) or (x, round(y), round(z)) == (15.5, 13, 7)
    assert face_place(of, 1, 25) is None
    assert face_place(of, 1, 7) is None


def small_or_open():
    """Return a judge that would delete what is small, or has no walls."""
    by = speaking("size", (-3.0, 0.0), (0.0, 0.0))
    none = ((0.0,), (0.0,))
    small = ((-3.0, 0.0), (5.0, 0.0))
    told = {"size": small, "size_at_border": small, "open": ((0.2, 1.0), (0.0, 4.0))}
    curves = tuple(Curve(curve.feature, *told.get(curve.feature, none)) for curve in by.invented.curves)
    return replace(by, invented=replace(by.invented, intercept=-2.0, curves=curves))


def cut_off(walls=True):
    """Return cubes of which the first nine are cut off by the stack's border, all but a slice; 18 is small itself."""
    made = truth()[9:]
    made[(made == 18) & (np.arange(len(made)) > 2)[:, None, None]] = 0
    of = scene(made)
    of.evidence.walls = of.evidence.walls[9:].copy()
    if not walls:
        of.evidence.walls[:, :14, :14] = 0
    return of


def test_what_the_border_cuts_is_not_deleted_for_being_small():
    of = cut_off()
    found = suspects(of, by=small_or_open())
    assert found.odds(1).invented > 1
    told = suspect(of, found, 1, Handwork())
    assert told.fix is None and told.probability == found.probability(1)
    assert suspect(of, found, 18, Handwork()).fix == Delete((18,))


def test_what_the_border_cuts_is_deleted_where_no_walls_are():
    of = cut_off(walls=False)
    assert suspect(of, suspects(of, by=small_or_open()), 1, Handwork()).fix == Delete((1,))


def test_what_the_border_cuts_is_told():
    of = cut_off()
    found = suspects(of, by=speaking("size_at_border", (-3.0, 5.0), (0.0, 0.0)))
    assert suspect(of, found, 1, Handwork()).reason == "0.12 times the usual size, cut by the stack's border"
