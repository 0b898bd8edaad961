"""The tools of the Correct dock: what each is called, and what to do with it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tool:
    """A button of the tools.

    Parameters
    ----------
    name : str
        As other parts of the program call it.
    title : str
        On the button.
    does : str
        What it does, for the tip.
    hint : str
        What to do in the image while it is on; empty for a tool that acts at once on the chosen cells.
    by_list : str
        On the button beside the list of cells; empty where a list is no use.
    needs_no_cells : bool
        Whether it acts at once on the whole stack.
    """

    name: str
    title: str
    does: str
    hint: str = ""
    by_list: str = ""
    needs_no_cells: bool = False


IN_IMAGE = (
    Tool(
        "merge",
        "Merge",
        "Make one cell of two or more.",
        "Click a cell, then the one to merge it with; or drag from one to the other across their wall.",
        "Merge these",
    ),
    Tool(
        "split",
        "Split",
        "Divide a cell that should be several.",
        "Click once in each part of the cell, or draw a scribble in each; Enter divides it, Esc starts over.",
    ),
    Tool(
        "cut",
        "Cut",
        "Divide a cell along a line.",
        "Draw a line right across the cell; it becomes a surface through the slices above and below.",
    ),
    Tool(
        "add",
        "Add",
        "Make a cell where there is none.",
        "Click inside the missing cell: it grows to its walls. Or draw a scribble in it.",
    ),
    Tool("delete", "Delete", "Remove a cell: its voxels become outside.", "Click the cell to remove.", "Delete these"),
    Tool(
        "lumen",
        "Lumen",
        "Make a cell, or a gap that cells enclose, the lumen.",
        "Click the cell or the gap that is the lumen.",
        "Set as lumen",
    ),
    Tool(
        "outside",
        "Outside",
        "Make a cell, or a piece of the lumen, the outside.",
        "Click the cell or the piece of the lumen that is outside the tissue.",
        "Set as outside",
    ),
    Tool(
        "paint",
        "Paint",
        "Paint with napari's brush; its size is at the upper left.",
        "Choose what to draw below, then paint; one stroke is one step of the history.",
    ),
    Tool("erase", "Erase", "Take voxels away from cells with napari's brush.", "Paint over what is no cell."),
    Tool(
        "polygon",
        "Polygon",
        "Draw an outline in a slice.",
        "Choose what to draw below. Click along the outline, double click to close it.",
    ),
)
"""Tools that stay on until another one is chosen."""

ON_CELLS = (
    Tool("propose", "Propose cuts", "Show the three best ways to divide the chosen cell."),
    Tool("fill_holes", "Fill holes", "Fill what the chosen cells enclose."),
    Tool("keep_largest", "Keep largest", "Remove all pieces of the chosen cells but the largest."),
    Tool("smooth", "Smooth", "Smooth the surface of the chosen cells."),
    Tool("grow", "Grow into gaps", "Give the empty voxels between cells to the nearest of the chosen cells."),
    Tool("interpolate", "Interpolate", "Fill the slices that are missing between those that hold the chosen cell."),
    Tool("accept", "Accept", "The chosen cells are right: nothing changes them until they are unlocked."),
    Tool("unlock", "Unlock", "The chosen cells may be changed again."),
    Tool("invalid", "Not valid", "Leave the chosen cells out of measurements, or take them in again."),
    Tool("propose_lumen", "Find lumen", "Show what looks most like the lumen.", needs_no_cells=True),
)
"""Tools that act once, on the cells of the list."""

TOOLS = {tool.name: tool for tool in (*IN_IMAGE, *ON_CELLS)}
PICK_HINT = "Click a cell to choose it, Shift and click for more; then a button below, or a key."
