"""Pictures of a segmentation that say at a glance whether it is right."""

from napari_scutoid.picture.paint import HIT, INVENTED, MISSED, coloured, errors, grey
from napari_scutoid.picture.sheet import sheet

__all__ = ["HIT", "INVENTED", "MISSED", "coloured", "errors", "grey", "sheet"]
