"""Segmenting the stack again around accepted cells: from the layers to the list of differences."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_scutoid.ui import layers
from napari_scutoid.ui.again_core import Named, Offered, Plan, plan
from napari_scutoid.ui.preferences import preferences

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari

    from napari_scutoid.opinions import HowFound
    from napari_scutoid.progress import Steps
    from napari_scutoid.result import Kept, Result
    from napari_scutoid.ui.difference_panel import DifferencePanel
    from napari_scutoid.ui.differing import Differing
    from napari_scutoid.ui.job_panel import JobPanel
    from napari_scutoid.ui.proofread_core import Begun, Compared
    from napari_scutoid.ui.sights import Sights
    from napari_scutoid.volume import Volume

    SegmentAgain = Callable[[Offered, Plan], Steps[Result]]

BUSY = "Something else is still running."
BOUNDARY, FOREGROUND = "boundary", "foreground"


class SegmentingAgain(QObject):
    """Finds the cells anew that are not accepted yet.

    Parameters
    ----------
    viewer : napari.Viewer
    panel : DifferencePanel
    jobs : JobPanel
    segment_again : callable
        Takes what there is to segment from, and a plan; returns the job.
    differing : Differing
        Goes through what comes of it.
    sights : Sights
        Knows the stack and its map of walls.
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        panel: DifferencePanel,
        jobs: JobPanel,
        segment_again: SegmentAgain,
        differing: Differing,
        sights: Sights,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._panel, self._jobs = viewer, panel, jobs
        self._segment_again, self._differing, self._sights = segment_again, differing, sights
        self._begun: Begun | None = None
        self._kept: Kept | None = None
        panel.againAsked.connect(self.start)
        panel.approached.connect(self.refresh)
        jobs.busyChanged.connect(self._on_busy)

    def begin(self, begun: Begun) -> None:
        """Work for a session."""
        self._begun, self._kept = begun, begun.kept

    def end(self) -> None:
        """Forget the session, and what a network has said for it."""
        self._begun = self._kept = None

    def offered(self) -> Offered | None:
        """Return what there is to segment from now, once a session has begun."""
        if self._begun is None:
            return None
        self._sights.settle()
        return self._offered(self._begun)

    def keep(self, kept: Kept) -> None:
        """Remember what a network has said, so that it need not say it again."""
        self._kept = kept

    def refresh(self) -> None:
        """Say what would be done."""
        begun = self._begun
        if begun is None or not self._panel.isVisible():
            return
        if self._jobs.is_busy:
            self._panel.setAgain(BUSY, can_start=False)
            return
        chosen = plan(self._offered(begun))
        self._panel.setAgain(chosen.problem or chosen.words, can_start=chosen.problem is None)

    def start(self) -> None:
        """Segment, then list what would change."""
        offered = self.offered()
        if offered is None:
            return
        chosen = plan(offered)
        if chosen.problem is not None:
            self._panel.setAgain(chosen.problem, can_start=False)
            return
        self._jobs.run(
            "Segmenting again",
            lambda: self._segment_again(offered, chosen),
            self._on_segmented,
            alone=chosen.runs_network,
        )

    def _offered(self, begun: Begun) -> Offered:
        """Return what is open now."""
        image, walls = self._sights.under("image"), self._sights.under("walls")
        kepts = [self._kept, *(_about(layer).get(layers.KEPT) for layer in self._viewer.layers)]
        accepted = frozenset(cell for cell, state in begun.session.states.items() if state.accepted)
        return Offered(
            replace(begun.base, data=begun.session.labels),
            accepted,
            _segment_window(self._viewer),
            begun.how,
            preferences().model,
            tuple(kept for kept in kepts if kept is not None),
            _named(image),
            _named(walls),
            walls is not None and layers.kind_of(walls) == "probability",
            self._tissue(walls),
        )

    def _tissue(self, walls: Any) -> Volume | None:
        """Return the map of the tissue that was made with a map of walls; it is called alike."""
        if walls is None or BOUNDARY not in walls.name:
            return None
        name = FOREGROUND.join(walls.name.rsplit(BOUNDARY, 1))
        found = [one for one in self._viewer.layers if one.name == name and layers.kind_of(one) == "probability"]
        return layers.volume_of(found[0]) if found else None

    def _on_segmented(self, result: Result) -> None:
        self._kept = result.kept or self._kept
        self._differing.compare_with(result.labels.data, lambda compared: self._show(compared, result))

    def _show(self, compared: Compared, result: Result) -> None:
        """Add the new cells as outlines: each difference can be seen before it is taken."""
        mine = self._sights.layer
        if mine is None:
            return
        made = replace(result.labels, data=compared.labels)
        layer = layers.add_labels(self._viewer, made, f"{mine.name} again", result.provenance)
        layer.metadata[layers.METADATA][layers.KEPT] = result.kept
        layer.contour = 1
        # Below the light, which says what is asked about.
        self._viewer.layers.move(len(self._viewer.layers) - 1, self._viewer.layers.index(mine) + 1)
        # What is painted goes to the layer that is selected.
        self._viewer.layers.selection.active = mine
        self._panel.other.setValue(layers.unwrapped(layer))
        self._jobs.say("\n".join(result.warnings))

    def _on_busy(self, _busy: bool) -> None:
        self.refresh()


def _segment_window(viewer: napari.Viewer) -> HowFound | None:
    """Return what is set in the window Segment, where it is open beside."""
    window = getattr(viewer, "window", None)
    docks = {} if window is None else window.dock_widgets
    for name in docks:
        how_found = getattr(docks[name], "how_found", None)
        if how_found is not None:
            return how_found()
    return None


def _named(layer: Any) -> Named | None:
    return None if layer is None else Named(layer.name, layers.volume_of(layer))


def _about(layer: Any) -> dict[str, Any]:
    return layer.metadata.get(layers.METADATA) or {}
