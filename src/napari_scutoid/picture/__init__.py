"""Pictures of a segmentation that say at a glance whether it is right."""

from napari_scutoid.picture.paint import HIT, INVENTED, MISSED, coloured, errors, grey
from napari_scutoid.picture.sections import Judged
from napari_scutoid.picture.sheet import sheet
from napari_scutoid.picture.verdict_sheet import draw_verdicts

__all__ = ["HIT", "INVENTED", "MISSED", "Judged", "coloured", "draw_verdicts", "errors", "grey", "sheet"]
