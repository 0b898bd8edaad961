from __future__ import annotations

import json

import pytest

from napari_scutoid.ui import remembered
from napari_scutoid.ui.remembered import MOST_DATASETS, MOST_LAYOUTS, Layout, Opened, Remembered

LAYOUT = Layout.of("MATLAB 7.3", [("labelledImage3D", 3), ("imageSequenceInterpolated", 3)])
OPENED = Opened(
    image="imageSequenceInterpolated",
    labels="labelledImage3D",
    axes="XYZ",
    in_memory=False,
    voxel_size_um=(1, 0.5, 0.5),
)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "settings" / "layouts.json"


def test_what_was_opened_is_found_again(file):
    Remembered(file).keep(LAYOUT, OPENED)
    assert Remembered(file).find(LAYOUT) == OPENED
    assert [one.name for one in file.parent.iterdir()] == ["layouts.json"]


def test_the_order_of_data_sets_does_not_matter_but_names_ranks_and_format_do(file):
    Remembered(file).keep(LAYOUT, OPENED)
    same = Layout.of("MATLAB 7.3", [("imageSequenceInterpolated", 3), ("labelledImage3D", 3)])
    assert Remembered(file).find(same) == OPENED
    for other in (
        Layout.of("HDF5", [("imageSequenceInterpolated", 3), ("labelledImage3D", 3)]),
        Layout.of("MATLAB 7.3", [("imageSequenceInterpolated", 4), ("labelledImage3D", 3)]),
        Layout.of("MATLAB 7.3", [("imageSequenceInterpolated", 3)]),
    ):
        assert Remembered(file).find(other) is None


def test_the_last_choice_counts_and_the_oldest_are_forgotten(file, monkeypatch):
    monkeypatch.setattr(remembered, "MOST_LAYOUTS", 3)
    kept = Remembered(file)
    layouts = [Layout.of("HDF5", [(f"raw{n}", 3)]) for n in range(4)]
    for layout in layouts:
        kept.keep(layout, OPENED)
    kept.keep(layouts[3], Opened(image="raw3"))
    assert kept.find(layouts[3]) == Opened(image="raw3")
    assert kept.find(layouts[0]) is None
    assert kept.find(layouts[1]) == OPENED


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"[]",
        b'{"version": 2, "entries": []}',
        json.dumps({"entries": [{"layout": {"format": "HDF5", "datasets": [["a", 3]]}, "opened": {"axes": "QQQ"}}]}),
        json.dumps({"entries": [{"layout": {"format": "HDF5", "datasets": []}, "opened": {"channel": -1}}]}),
        json.dumps({"entries": [{"layout": {"format": "H", "datasets": []}, "opened": {"voxel_size_um": [0, 1, 1]}}]}),
        json.dumps({"entries": [], "more": 1}),
        b'{"entries": ' + b"[" * 100_000,
    ],
)
def test_a_damaged_file_is_ignored_and_replaced(file, content):
    file.parent.mkdir()
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert Remembered(file).find(LAYOUT) is None
    Remembered(file).keep(LAYOUT, OPENED)
    assert Remembered(file).find(LAYOUT) == OPENED


def test_a_huge_file_is_not_read(file, monkeypatch):
    Remembered(file).keep(LAYOUT, OPENED)
    monkeypatch.setattr(remembered, "MOST_BYTES", 10)
    assert Remembered(file).find(LAYOUT) is None


def test_a_file_with_thousands_of_arrays_has_no_layout(file):
    layout = Layout.of("HDF5", [(f"a{n}", 3) for n in range(MOST_DATASETS + 1)])
    assert layout is None
    Remembered(file).keep(layout, OPENED)
    assert Remembered(file).find(layout) is None
    assert not file.exists()


def test_where_nothing_can_be_written_nothing_happens(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    kept = Remembered(blocked / "layouts.json")
    kept.keep(LAYOUT, OPENED)
    assert kept.find(LAYOUT) is None
    assert blocked.read_text() == "no folder"


def test_the_users_folder_is_the_default():
    assert Remembered().file.name == "layouts.json"
    assert "napari-scutoid" in str(Remembered().file)
    assert MOST_LAYOUTS > 0
