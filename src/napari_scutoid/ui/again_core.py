"""Segmenting again around accepted cells: from what, with which settings, and the job itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_scutoid.progress import Progress, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_scutoid.opinions import HowFound
    from napari_scutoid.progress import Steps
    from napari_scutoid.result import Kept, Result
    from napari_scutoid.volume import Labels, Volume

NOTHING = (
    "Nothing here tells where walls are: stop correcting, choose the stack under Image or its map under Walls, "
    "and continue."
)
NO_STACK = "The network needs the stack itself: stop correcting, choose it under Image, and continue."
ASKING = "Asking the network once more"
PARTS = ("normalise", "rescale", "predict", "watershed", "partition", "cleanup")
AFTER_MAPS = PARTS[3:]


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """A volume, and how the window calls it."""

    name: str
    volume: Volume


@dataclass(frozen=True, slots=True, eq=False)
class Offered:
    """What the window has to segment from.

    Parameters
    ----------
    grid : Labels
        The labels under correction, as they are.
    accepted : frozenset of int
        Their cells that are walls.
    segment : HowFound, optional
        What is set in the window Segment; None where it is not open.
    own : HowFound, optional
        How the cells were found; None where nothing says it.
    model : str
        What is used where neither is known.
    kepts : tuple of Kept
        What networks have said here.
    image : Named, optional
        The stack.
    walls : Named, optional
        The map, or the image, of walls.
    is_map : bool
        Whether it is a map of probabilities for sure.
    tissue : Volume, optional
        The map that belongs to it.
    """

    grid: Labels
    accepted: frozenset[int] = frozenset()
    segment: HowFound | None = None
    own: HowFound | None = None
    model: str = "builtin"
    kepts: tuple[Kept, ...] = ()
    image: Named | None = None
    walls: Named | None = None
    is_map: bool = False
    tissue: Volume | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What segmenting again would do.

    Parameters
    ----------
    words : str
        Which settings, which model, and from what.
    problem : str, optional
        Why it cannot be done.
    how : HowFound, optional
        The settings; None where there is a problem.
    kept, image, maps
        The one from which cells are found: what a network has said; the stack, over which it has to run; maps of walls
        and tissue.
    """

    words: str
    problem: str | None = None
    how: HowFound | None = None
    kept: Kept | None = None
    image: Volume | None = None
    maps: tuple[Volume, Volume | None] | None = None

    @property
    def runs_network(self) -> bool:
        """Whether it needs the whole machine."""
        return self.image is not None


def plan(offered: Offered) -> Plan:
    """Choose the settings and what to segment from.

    What is set in the window Segment counts where that window is open, as its button would do the same; else how the
    cells were found; else what is usual.
    """
    from napari_scutoid.opinions import HowFound, covers_the_same
    from napari_scutoid.recipe import Recipe

    n = len(offered.accepted)
    around = f" {n} accepted cell{' is a wall' if n == 1 else 's are walls'}." if n else " No cell is accepted yet."
    how, said = offered.segment, "As set in the window Segment"
    if how is None:
        how, said = offered.own, "As these cells were found"
    if how is None:
        how, said = HowFound(Recipe(), offered.model), "Nothing says how these cells were found; so as usual"
    elif how is offered.segment and how.problem is not None:
        return Plan("", f"In the window Segment: {how.problem}")
    image, walls = (
        one if one is not None and covers_the_same(one.volume, offered.grid) else None
        for one in (offered.image, offered.walls)
    )
    whole = f"{said}: model {how.model}, {in_words(how, PARTS)}."
    kept = _said_before(how, offered, image)
    if kept is not None:
        return Plan(f"{whole} The network need not run again.{around}", how=how, kept=kept)
    if walls is not None and (image is None or (offered.is_map and offered.segment is None)):
        tissue = offered.tissue
        if tissue is not None and tissue.shape != walls.volume.shape:
            tissue = None
        words = f"{said}: {in_words(how, AFTER_MAPS)}. From the map of walls “{walls.name}”; no network runs."
        if tissue is None:
            words += " No map of the tissue belongs to it, so cells are looked for only where there are some now."
        return Plan(words + around, how=how, maps=(walls.volume, tissue))
    if image is not None:
        if how.problem is not None:
            return Plan("", how.problem)
        words = f"{whole} The network runs over “{image.name}”, which takes as long as in Segment.{around}"
        return Plan(words, how=how, image=image.volume)
    other = offered.image or offered.walls
    return Plan("", NOTHING if other is None else f"“{other.name}” does not cover the same space as the cells.")


def opinion_plan(offered: Offered) -> Plan:
    """Choose what a network is to look at a second time: the stack, as when these cells were found."""
    from napari_scutoid.opinions import HowFound, covers_the_same
    from napari_scutoid.recipe import Recipe

    how = offered.own or HowFound(Recipe(), offered.model)
    image = offered.image
    if image is not None and not covers_the_same(image.volume, offered.grid):
        return Plan("", f"“{image.name}” does not cover the same space as the cells.")
    if how.problem is not None:
        return Plan("", how.problem)
    kept = _said_before(how, offered, image)
    if kept is not None and kept.image is not None:
        return Plan("", how=how, kept=kept, image=kept.image)
    if image is None:
        return Plan("", NO_STACK)
    return Plan("", how=how, image=image.volume)


def how_made(provenance: Mapping[str, Any]) -> HowFound | None:
    """Return how a file says that its labels were found, with what is known here of its model."""
    from napari_scutoid.network.checkpoint import list_models, read_config
    from napari_scutoid.opinions import how_found
    from napari_scutoid.pipeline import settings_for
    from napari_scutoid.recipe import Recipe

    how = how_found(provenance)
    if how is None:
        return None
    installed = list_models()
    if how.model not in installed:
        problem = (
            f"These cells were found with the model {how.model}, which is not installed here: import it, or open the "
            "window Segment and choose another one there."
        )
        return replace(how, problem=problem)
    return replace(how, usual=settings_for(Recipe(), read_config(installed[how.model])))


def segment_again(offered: Offered, chosen: Plan) -> Steps[Result]:
    """Segment the stack with accepted cells as walls; cells that are not accepted may be changed meanwhile.

    Parameters
    ----------
    offered : Offered
    chosen : Plan
        What `plan` makes of it, without a problem.
    """
    from napari_scutoid.opinions import around_accepted, kept_of_maps
    from napari_scutoid.pipeline import predicted

    yield Progress("Preparing")
    if chosen.how is None:
        raise ValueError(chosen.problem)
    if chosen.kept is not None:
        kept = chosen.kept
    elif chosen.image is not None:
        kept = yield from predicted(chosen.image, chosen.how.recipe, chosen.how.model)
    elif chosen.maps is not None:
        kept = yield from kept_of_maps(offered.grid, *chosen.maps)
    else:
        raise ValueError("the plan says nothing to segment from")
    return (yield from around_accepted(kept, offered.grid, offered.accepted, chosen.how.recipe))


def second_opinions(offered: Offered, chosen: Plan) -> Steps[tuple[Kept, list[NDArray[Any]]]]:
    """Segment the stack in two other ways: with another post-processing, and as the network sees it mirrored.

    Parameters
    ----------
    offered : Offered
    chosen : Plan
        What `opinion_plan` makes of it, without a problem.

    Returns
    -------
    tuple of Kept and list of ndarray
        What the network said, and the cells that the two ways give.
    """
    from napari_scutoid.network.predict import STEP
    from napari_scutoid.opinions import flipped_prediction, other_partition
    from napari_scutoid.pipeline import predicted

    yield Progress(ASKING)
    how, image, kept = chosen.how, chosen.image, chosen.kept
    if how is None or image is None:
        raise ValueError(chosen.problem)
    # What is waited for is the network: its passes count as one step, over the stack as it is and as it is mirrored.
    runs = 1 if kept is not None else 2
    if kept is None:
        kept = yield from one_of(predicted(image, how.recipe, how.model), 0, runs, step=STEP, words=ASKING)
    flipped = flipped_prediction(image, kept, how.model)
    mirrored = yield from one_of(flipped, runs - 1, runs, step=STEP, words=ASKING)
    return kept, [(yield from other_partition(kept)), mirrored]


def in_words(how: HowFound, parts: tuple[str, ...]) -> str:
    """Return the settings that are not the model's own: ``"Typical cell diameter 30 voxels, Seeds maxima"``."""
    from napari_scutoid.opinions import OF_THE_COMPUTER

    stated = how.recipe.over(how.usual.model_dump())
    words = []
    for part in parts:
        now, usual = getattr(stated, part), getattr(how.usual, part)
        for name, field in type(now).model_fields.items():
            value = getattr(now, name)
            if name not in OF_THE_COMPUTER and value != getattr(usual, name):
                words.append(f"{field.title} {_value(value)}")
    return ", ".join(words) or ("its own settings" if parts == PARTS else "the usual settings")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " × ".join(_value(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else "as estimated" if value is None else str(value)


def _said_before(how: HowFound, offered: Offered, image: Named | None) -> Kept | None:
    """Return what a network has said of this very stack with these settings."""
    from napari_scutoid.opinions import covers_the_same

    for kept in offered.kepts:
        boundary = kept.probabilities["boundary"]
        if how.is_of(kept) and _is_of_image(kept, image) and covers_the_same(boundary, offered.grid):
            return kept
    return None


def _is_of_image(kept: Kept, image: Named | None) -> bool:
    """Whether a network has looked at this very stack."""
    if image is None or kept.image is None:
        return True
    one, other = kept.image, image.volume
    return (one.source, one.shape, one.history) == (other.source, other.shape, other.history)
