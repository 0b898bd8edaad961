"""Segment, correct and measure epithelial cells in 3D confocal stacks.

The package itself imports nothing heavy: torch, scikit-image and napari are loaded where they are used.
"""

__version__ = "0.1.0.dev0"
