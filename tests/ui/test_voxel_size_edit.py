from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_scutoid.ui.voxel_size import FROM_FILE, VoxelSizeEdit
from napari_scutoid.volume import VoxelSize

edges = st.floats(1e-4, 1000.0)


@pytest.fixture
def edit(qtbot):
    made = VoxelSizeEdit()
    qtbot.addWidget(made)
    return made


@given(size=st.builds(VoxelSize, edges, edges, edges))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_untouched_numbers_are_the_files_own(edit, size):
    edit.setValue(size)
    assert edit.value() == size
    assert edit.origin() == FROM_FILE


def test_edited_numbers_are_as_shown(edit):
    edit.setValue(VoxelSize(0.3000001, 0.1, 0.1))
    edit._edges[2].setValue(0.16235)
    assert edit.value() == (0.3, 0.1, 0.16235)
    assert edit.origin() == "Entered by you."


def test_numbers_are_shown_without_idle_zeros(edit):
    edit.setValue(VoxelSize(100.0, 0.25, 0.16235))
    assert [edge.text() for edge in edit._edges] == ["100", "0.25", "0.16235"]
    edit.setValue(None)
    assert [edge.text() for edge in edit._edges] == ["unknown"] * 3
    assert edit.value() is None and edit.problem() is None


def test_half_a_voxel_size_is_a_problem(edit):
    edit.setValue(None)
    edit._edges[0].setValue(2.0)
    assert edit.problem() == "Enter the voxel size along y, x too, or set all three to 0 (unknown)."
    assert edit.value() is None
