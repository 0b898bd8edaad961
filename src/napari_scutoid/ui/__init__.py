"""The napari widgets. Nothing here computes; everything runs the core through `ui.jobs`."""
