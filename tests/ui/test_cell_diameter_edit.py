"""The diameter is the program's to estimate until the user gives one."""

from __future__ import annotations

import pytest

from napari_scutoid.recipe import Recipe
from napari_scutoid.ui.cell_diameter import CellDiameterEdit


@pytest.fixture
def edit(qtbot):
    edit = CellDiameterEdit()
    qtbot.addWidget(edit)
    return edit


def test_it_starts_with_the_estimate_and_says_so(edit):
    assert edit.diameter() is None
    assert edit.text() == "estimated from the image"
    assert edit.recipe() == Recipe()
    assert edit.recipe().model_fields_set == set()


def test_a_given_diameter_goes_into_the_recipe_and_only_that(edit):
    edit.setValue(17.5)
    assert edit.text() == "17.5 voxels"
    assert edit.recipe().model_dump(exclude_unset=True) == {"rescale": {"cell_diameter": 17.5}}


def test_the_bounds_are_the_recipes(edit):
    edit.setValue(1e6)
    assert edit.diameter() == 500.0
    edit.setValue(2.0)
    assert edit.diameter() == 2.0
    edit.setValue(0.0)
    assert edit.diameter() is None
