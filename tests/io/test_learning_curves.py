"""The table of a training run: read as it was written, at any moment, and after any end."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.learning_curves import EpochRecord, append_epoch, curve_columns, read_curves, start_curves

if TYPE_CHECKING:
    from pathlib import Path

OUTPUTS = ("foreground", "boundary")
HEADINGS = (
    "epoch,steps,seconds,learning_rate,train_loss,valid_loss,iou_foreground,iou_boundary,dice,"
    "boundary_precision,boundary_recall,boundary_f1,ap50,panoptic_quality,arand,voi_split,voi_merge,wrong_cells\n"
)


def record(epoch: int, **scores: object) -> EpochRecord:
    return EpochRecord(epoch, 50 * epoch, 12.5 * epoch, 2e-3, 1 / epoch, iou=dict.fromkeys(OUTPUTS), **scores)


def table(file: Path, epochs: int) -> None:
    start_curves(file, OUTPUTS)
    for epoch in range(1, epochs + 1):
        append_epoch(file, record(epoch))


def test_a_spreadsheet_finds_a_row_an_epoch(tmp_path):
    file = tmp_path / "curves.csv"
    assert start_curves(file, OUTPUTS) == ()
    append_epoch(file, record(1))
    append_epoch(
        file, replace(record(2, valid_loss=0.5, ap50=0.75, wrong_cells=3), iou={"foreground": 0.9, "boundary": None})
    )
    assert file.read_bytes().decode() == (
        f"{HEADINGS}1,50,12.5,0.002,1.0,,,,,,,,,,,,,\n2,100,25.0,0.002,0.5,0.5,0.9,,,,,,0.75,,,,,3\n"
    )
    assert list(tmp_path.iterdir()) == [file]


def test_epoch_0_is_the_start_and_has_no_training_loss(tmp_path):
    file = tmp_path / "curves.csv"
    start_curves(file, OUTPUTS)
    start = replace(record(1, valid_loss=0.7, ap50=0.25), epoch=0, steps=0, train_loss=None)
    append_epoch(file, start)
    append_epoch(file, record(1))
    assert file.read_text().splitlines()[1].startswith("0,0,12.5,0.002,,0.7,")
    assert read_curves(file) == start_curves(file, OUTPUTS, epoch=1) == (start, record(1))
    assert start_curves(file, OUTPUTS, epoch=0) == read_curves(file) == (start,)


number = st.floats(allow_nan=False)
scores = {name: st.none() | number for name in (one.name for one in fields(EpochRecord)[7:]) if name != "wrong_cells"}


@settings(max_examples=20, deadline=None)
@given(
    records=st.lists(
        st.builds(
            EpochRecord,
            *(st.integers(0, 10**9), st.integers(0, 10**9), number, number, number, st.none() | number),
            iou=st.tuples(*[st.none() | number] * 2).map(lambda scores: dict(zip(OUTPUTS, scores, strict=True))),
            wrong_cells=st.none() | st.integers(0, 10**6),
            **scores,
        ),
        max_size=2,
    )
)
def test_every_digit_comes_back(tmp_path_factory, records):
    file = tmp_path_factory.mktemp("run") / "curves.csv"
    start_curves(file, OUTPUTS)
    for one in records:
        append_epoch(file, one)
    assert read_curves(file) == tuple(records)
    assert all(type(one.epoch) is int and type(one.seconds) is float for one in read_curves(file))


def test_a_loss_that_is_no_number_is_told(tmp_path):
    file = tmp_path / "curves.csv"
    start_curves(file, ())
    append_epoch(file, EpochRecord(1, 1, 1.0, 1.0, math.nan, math.inf))
    [read] = read_curves(file)
    assert math.isnan(read.train_loss) and read.valid_loss == math.inf


def test_a_row_cut_off_anywhere_is_not_there(tmp_path):
    file = tmp_path / "curves.csv"
    table(file, 2)
    text = file.read_text()
    last = text.index("\n2,") + 1
    for end in range(last, len(text)):
        file.write_text(text[:end])
        assert read_curves(file) == (record(1),)
    file.write_text(text)
    assert len(read_curves(file)) == 2


def test_resuming_drops_what_comes_after_the_checkpoint(tmp_path):
    file = tmp_path / "curves.csv"
    table(file, 4)
    file.write_text(file.read_text() + "5,250,6")
    assert start_curves(file, OUTPUTS, epoch=2) == (record(1), record(2))
    append_epoch(file, record(3, ap50=0.5))
    assert read_curves(file) == (record(1), record(2), record(3, ap50=0.5))


def test_resuming_without_the_table_starts_one(tmp_path):
    file = tmp_path / "curves.csv"
    assert start_curves(file, OUTPUTS, epoch=7) == ()
    append_epoch(file, record(8))
    assert read_curves(file) == (record(8),)


def test_starting_anew_replaces_any_table(tmp_path):
    file = tmp_path / "curves.csv"
    file.write_text("something else")
    assert start_curves(file, OUTPUTS) == ()
    assert file.read_text() == HEADINGS


def test_a_table_of_other_outputs_is_not_resumed(tmp_path):
    file = tmp_path / "curves.csv"
    table(file, 2)
    before = file.read_bytes()
    with pytest.raises(ScutoidError, match="no scores of the outputs lumen"):
        start_curves(file, ("lumen",), epoch=2)
    with pytest.raises(ValueError, match=r"the record has the outputs \(\)"):
        append_epoch(file, EpochRecord(3, 3, 3.0, 1.0, 1.0))
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "its columns are others"),
        ("epoch,loss\n1,2\n", "its columns are others"),
        (f"{HEADINGS}1,50,x,0.002,1.0,,,,,,,,,,,,\n", "no number"),
        (f"{HEADINGS}1,50,,0.002,1.0,,,,,,,,,,,,\n", "no number"),
        (f"{HEADINGS}1,50\n", "a value too few"),
        ("\udcff\udcfe", "it is no text"),
        (None, "No such file"),
    ],
)
def test_what_is_no_such_table_is_told(tmp_path, text, words):
    file = tmp_path / "curves.csv"
    if text is not None:
        file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ScutoidError, match=f"could not be read as learning curves: .*{words}"):
        read_curves(file)


def test_a_row_without_its_table_is_refused(tmp_path):
    with pytest.raises(ScutoidError, match="could not be written"):
        append_epoch(tmp_path / "curves.csv", record(1))
    assert not list(tmp_path.iterdir())


def test_columns_are_as_long_as_the_run():
    columns = curve_columns([record(1), record(2, ap50=0.5)])
    assert ",".join(columns) + "\n" == HEADINGS
    assert columns["epoch"] == [1, 2] and columns["ap50"] == [None, 0.5]
    assert curve_columns([])["train_loss"] == []
