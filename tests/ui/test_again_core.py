"""From what and with which settings a stack is segmented again: chosen, and said in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kept_samples import SIZE, kept_cells
from napari_scutoid.network.predict import STEP
from napari_scutoid.opinions import HowFound
from napari_scutoid.pace import Stopwatch
from napari_scutoid.progress import Progress, drain
from napari_scutoid.recipe import Recipe
from napari_scutoid.ui.again_core import (
    ASKING,
    NO_STACK,
    NOTHING,
    Named,
    Offered,
    how_made,
    opinion_plan,
    plan,
    second_opinions,
    segment_again,
)
from napari_scutoid.volume import Labels, Source, Volume, VoxelSize

MADE = HowFound(Recipe(), "mine", "ab")
SET = HowFound(Recipe.model_validate({"rescale": {"cell_diameter": 30.0}, "watershed": {"seeds": "maxima"}}))


@pytest.fixture(scope="module")
def kept():
    found = kept_cells()
    return replace(found, facts=found.facts | {"model": {"name": "mine", "weights_sha256": "ab"}})


@pytest.fixture
def offered(kept):
    return Offered(Labels(kept.labels.data, SIZE, kept.origin_um), frozenset({1}))


def image(kept, name="gland"):
    data = np.zeros(kept.shape, np.uint8)
    return Named(name, Volume(data, SIZE, kept.origin_um, Source("gland.h5", "raw")))


def walls(kept):
    return Named("gland boundary", kept.probabilities["boundary"])


def test_nothing_to_segment_from_is_told(offered, kept):
    assert plan(offered).problem == NOTHING
    far = replace(image(kept).volume, voxel_size_um=VoxelSize(9.0, 9.0, 9.0))
    assert "does not cover the same space" in plan(replace(offered, image=Named("gland", far))).problem


def test_what_is_set_in_segment_counts_where_it_is_open(offered, kept):
    found = plan(
        replace(offered, segment=SET, own=MADE, kepts=(kept,), image=image(kept), walls=walls(kept), is_map=True)
    )
    assert found.words.startswith("As set in the window Segment: model builtin, Typical cell diameter 30")
    assert "maxima" in found.words and "runs over “gland”" in found.words and "1 accepted cell is a wall" in found.words
    assert found.runs_network and found.how is SET
    wrong = plan(replace(offered, segment=replace(SET, problem="Choose a device."), image=image(kept)))
    assert wrong.problem == "In the window Segment: Choose a device."


def test_the_network_does_not_run_again_for_other_cells(offered, kept):
    how = replace(MADE, recipe=Recipe.model_validate({"watershed": {"seeds": "maxima"}}))
    found = plan(replace(offered, segment=how, kepts=(kept,), image=image(kept)))
    assert found.kept is kept and not found.runs_network and "need not run again" in found.words
    # Of another stack.
    other = replace(kept, image=replace(image(kept).volume, source=Source("other.h5", "raw")))
    assert plan(replace(offered, segment=how, kepts=(other,), image=image(kept))).runs_network


def test_maps_serve_where_segment_is_not_open_or_there_is_no_stack(offered, kept):
    for more in ({"own": MADE, "image": image(kept), "is_map": True}, {"segment": SET}, {}):
        found = plan(replace(offered, walls=walls(kept), **more))
        assert found.maps == (walls(kept).volume, None) and "no network runs" in found.words
        assert "No map of the tissue" in found.words
    tissue = kept.probabilities["foreground"]
    assert plan(replace(offered, walls=walls(kept), tissue=tissue)).maps[1] is tissue


def test_cells_that_nobody_knows_how_they_were_found_are_found_as_usual(offered, kept):
    found = plan(replace(offered, model="other", image=image(kept)))
    assert found.words.startswith(
        "Nothing says how these cells were found; so as usual: model other, its own settings."
    )


def test_a_model_that_is_gone_is_named(offered, kept):
    made = {"recipe": Recipe().model_dump(mode="json"), "model": {"name": "long gone", "weights_sha256": "ab"}}
    own = how_made(made)
    assert "the model long gone, which is not installed" in plan(replace(offered, own=own, image=image(kept))).problem
    asked = replace(offered, own=own, kepts=(replace(kept, image=image(kept).volume),), image=image(kept))
    assert plan(asked).problem is None
    # To look once more it has to be there.
    assert opinion_plan(asked).problem == own.problem
    assert how_made({}) is None


def test_a_files_own_settings_are_told_apart_from_its_models(offered, kept):
    made = Recipe.model_validate({"normalise": {"stabilise": "sqrt"}, "watershed": {"seeds": "maxima"}})
    own = how_made({"recipe": made.model_dump(mode="json"), "model": {"name": "builtin"}})
    words = plan(replace(offered, own=own, image=image(kept))).words
    assert words.startswith("As these cells were found: model builtin, ") and "maxima" in words
    # It is what the model itself says.
    assert "sqrt" not in words


@pytest.mark.parametrize("source", ["kept", "maps"])
def test_cells_are_found_around_the_accepted_ones(offered, kept, source):
    more = {"own": MADE, "kepts": (kept,)} if source == "kept" else {"walls": walls(kept)}
    offered = replace(offered, **more)
    found = drain(segment_again(offered, plan(offered)))
    mine = offered.grid.data == 1
    assert not found.labels.data[mine].any() and found.labels.data[~mine].any()


def test_the_network_runs_over_the_stack(offered, kept, monkeypatch):
    asked = []

    def predicted(*args):
        asked.append(args)
        yield from ()
        return kept

    monkeypatch.setattr("napari_scutoid.pipeline.predicted", predicted)
    offered = replace(offered, segment=SET, image=image(kept))
    found = drain(segment_again(offered, plan(offered)))
    assert asked == [(offered.image.volume, SET.recipe, "builtin")] and found.labels.data.any()


def test_a_plan_with_a_problem_is_no_plan(offered):
    with pytest.raises(ValueError, match="Nothing here tells"):
        drain(segment_again(offered, plan(offered)))


def test_the_network_looks_once_more_at_the_stack_as_when_the_cells_were_found(offered, kept, monkeypatch):
    assert opinion_plan(replace(offered, walls=walls(kept), is_map=True)).problem == NO_STACK
    far = Named("gland", replace(image(kept).volume, voxel_size_um=VoxelSize(9.0, 9.0, 9.0)))
    assert "does not cover the same space" in opinion_plan(replace(offered, image=far)).problem
    ran = []

    def network():
        yield Progress("Rescaling", 5, 5)
        yield from (Progress(STEP, n, 4) for n in range(5))

    def predicted(volume, recipe, model):
        ran.append((volume, model))
        yield from network()
        return kept

    def flipped(volume, _kept, model):
        ran.append((volume, model))
        yield from network()
        return kept.labels.data

    def asking(steps):
        return [(one.done, one.total) for one in steps if one.step == ASKING]

    monkeypatch.setattr("napari_scutoid.pipeline.predicted", predicted)
    monkeypatch.setattr("napari_scutoid.opinions.flipped_prediction", flipped)
    asked = replace(offered, segment=SET, own=MADE, image=image(kept))
    shown = []
    said, opinions = drain(second_opinions(asked, opinion_plan(asked)), shown.append)
    # How long it still takes is known from the passes of both runs together.
    assert asking(shown) == [(0, 0), *((n, 8) for n in (0, 1, 2, 3, 4, 4, 5, 6, 7, 8))]
    watch = Stopwatch()
    left = [watch.remaining(one, float(second)) for second, one in enumerate(shown)]
    at = [number for number, one in enumerate(shown) if one == Progress(ASKING, 3, 8)]
    assert left[at[0]] == 5.0
    assert said is kept and len(opinions) == 2 and all(one.shape == kept.shape for one in opinions)
    assert [(volume.source, model) for volume, model in ran] == [(image(kept).volume.source, "mine")] * 2
    # What it has said of the stack before, it need not say again.
    ran.clear()
    again = replace(offered, own=MADE, kepts=(replace(kept, image=image(kept).volume),))
    shown.clear()
    drain(second_opinions(again, opinion_plan(again)), shown.append)
    assert len(ran) == 1 and asking(shown) == [(0, 0), *((n, 4) for n in range(5))]
