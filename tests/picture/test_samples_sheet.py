"""The contact sheet of training samples."""

from __future__ import annotations

import numpy as np
import pytest

from napari_scutoid.picture.samples import Sample, sample_sheet

SHAPE = (8, 16, 16)


def sample(caption="", level=0.5, known=True, labelled=False, shape=SHAPE, spacing=(1.0, 1.0, 1.0)):
    labels = np.zeros(shape, np.uint32)
    if labelled:
        labels[2:-2, 4:-4, 4:-4] = 5
    return Sample(caption, np.full(shape, level, np.float32), labels, np.full(shape, known), spacing)


def pixels(*samples, **how):
    return np.asarray(sample_sheet(samples, **how)).astype(int)


def inked(picture):
    """Rows in which something is written or drawn."""
    return np.flatnonzero((picture != 255).any(axis=(1, 2)))


def test_slice_and_section_are_drawn_to_one_scale():
    # No caption: what is not paper is the slice (16 x 16) over the section (8 x 16, voxels twice as high), box 96.
    picture = pixels(sample(level=0.0, spacing=(2.0, 1.0, 1.0)), box=96)
    rows = inked(picture)
    assert len(rows) == 48 + 48
    assert np.flatnonzero(np.diff(rows) > 1).tolist() == [47]
    assert ((picture != 255).any(axis=2).sum(axis=1)[rows] == 48).all()


def test_the_brighter_sample_looks_brighter():
    picture = pixels(sample(level=0.2), sample(level=0.4), sample(level=0.9), box=96)
    row = picture[inked(picture)[5], :, 0]
    greys = list(dict.fromkeys(row[row != 255].tolist()))
    assert greys == sorted(greys)
    assert len(greys) >= 2


def test_cells_are_outlined_in_colour_and_what_is_unknown_is_hatched():
    plain = pixels(sample(), box=96)
    outlined = pixels(sample(labelled=True), box=96)
    colourful = np.ptp(outlined, axis=2) > 30
    assert not (np.ptp(plain, axis=2) > 0).any()
    # One closed line around a cell of 8 x 8 voxels at 4 pixels each, and around its section of 4 x 8.
    assert colourful.sum() == 4 * 32 - 4 + 2 * (32 + 16) - 4
    hatched = pixels(sample(known=False), box=96)
    assert 0.1 < ((hatched == (110, 60, 60)).all(axis=2).sum() / (plain != 255).any(axis=2).sum()) < 0.5


def test_samples_fill_rows_of_columns():
    three = [sample("one"), sample("two"), sample("three")]
    two_columns = sample_sheet(three, columns=2, box=96)
    one_row = sample_sheet(three, columns=5, box=96)
    assert two_columns.width == 2 * 64 + 3 * 12
    assert one_row.width == 3 * 64 + 4 * 12
    assert two_columns.height - 12 == 2 * (one_row.height - 12)


def test_long_captions_are_wrapped_and_none_is_cut_off():
    short = sample_sheet([sample("bent")], box=96)
    long = sample_sheet([sample("rotated 37°, zoom 1.12, shifted 1.0, -2.0, 0.5, noise 0.05")], box=96)
    assert long.width == short.width
    assert long.height > short.height + 3 * 17
    rows = inked(np.asarray(long))
    assert rows.min() < 12 + 17


def test_samples_may_differ_in_shape():
    picture = sample_sheet([sample(shape=(1, 20, 10)), sample(shape=(30, 5, 40)), sample(shape=(1, 1, 1))], box=64)
    assert picture.width > 3 * 12


def test_programmers_mistakes_are_named():
    with pytest.raises(ValueError, match="samples is empty"):
        sample_sheet([])
    one = sample("odd")
    with pytest.raises(ValueError, match=r"'odd'.*\(8, 16, 16\).*\(2, 2, 2\)"):
        sample_sheet([Sample("odd", one.image, one.labels, np.ones((2, 2, 2), np.bool_))])
