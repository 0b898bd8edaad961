"""The 3D U-Nets: architecture, checkpoints, prediction and training. The only torch code."""
