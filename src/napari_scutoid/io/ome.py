"""OME-XML, the description inside an OME-TIFF: which plane is which, and how big a voxel is.

Read here and not by tifffile, which follows names of other files, and believes any number of planes.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_scutoid.io.format import checked_voxel_size
from napari_scutoid.io.tiff_structure import MOST_PAGES
from napari_scutoid.io.units import micrometres

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from xml.etree.ElementTree import Element

    from napari_scutoid.volume import VoxelSize

_LONGEST = 32 * 2**20
_ORDERS = {"XY" + "".join(rest) for rest in itertools.permutations("ZCT")}


@dataclass(frozen=True, slots=True)
class OmeImage:
    """One image of an OME-TIFF.

    Parameters
    ----------
    name, description : str
        As the file states them.
    axes : str
        Axes in front of those of a plane, slowest first, e.g. ``"TZC"``.
    shape : tuple of int
        Their lengths, as far as the planes are in this file.
    planes : tuple of int
        Number of the page of each plane, the last of `axes` running fastest.
    voxel_size_um : VoxelSize or None
        None where the file does not state all three edges.
    states_z : bool
        Whether the distance of slices is stated, as it is where a single plane is a slice of a stack.
    problem : str or None
        Why the planes cannot be put in order.
    """

    name: str
    description: str
    axes: str
    shape: tuple[int, ...]
    planes: tuple[int, ...]
    voxel_size_um: VoxelSize | None
    states_z: bool
    problem: str | None = None


def is_ome(description: str) -> bool:
    """Whether a TIFF's description is OME-XML."""
    return description[-32:].strip().endswith("OME>")


def parse(description: str, n_pages: int, file_name: str) -> list[OmeImage]:
    """Read OME-XML.

    Parameters
    ----------
    description : str
        The XML.
    n_pages : int
        Planes in the file; those that are said to lie in other files are left out.
    file_name : str
        Name of the file, without folders.

    Raises
    ------
    ValueError
        When it is no valid OME-XML, too long, or defines entities, which can expand without bounds.
    """
    from xml.etree import ElementTree

    if len(description) > _LONGEST:
        raise ValueError("its description is too long")
    if "<!DOCTYPE" in description or "<!ENTITY" in description:
        raise ValueError("its description defines XML entities, which OME-XML never does")
    try:
        root = ElementTree.fromstring(description)
    except ElementTree.ParseError as error:
        raise ValueError(f"its OME description is no valid XML ({error})") from error
    own = _own_ids(root, file_name)
    return [_image(image, n_pages, own) for image in _children(root, "Image")]


def _children(element: Element, name: str) -> Iterator[Element]:
    return (child for child in element if child.tag.rpartition("}")[2] == name)


def _own_ids(root: Element, file_name: str) -> set[str | None]:
    """Return the ids that mean this file, also after somebody renamed it."""
    named = {
        (uuid.text or "").strip(): uuid.get("FileName", "")
        for uuid in root.iter()
        if uuid.tag.rpartition("}")[2] == "UUID"
    }
    own: set[str | None] = {one for one, name in named.items() if name.lower() == file_name.lower()}
    if "UUID" in root.attrib:
        own.add(root.attrib["UUID"].strip())
    elif len(named) == 1:
        own |= named.keys()
    return own | {None}


def _image(image: Element, n_pages: int, own: set[str | None]) -> OmeImage:
    pixels = next(_children(image, "Pixels"), None)
    if pixels is None:
        raise ValueError("an image in its description has no pixels")
    order = pixels.get("DimensionOrder", "")
    if order not in _ORDERS:
        raise ValueError(f"its description states the order {order!r}")
    samples = max(1, _whole(next(_children(pixels, "Channel"), pixels), "SamplesPerPixel", 1))
    lengths = [_whole(pixels, f"Size{axis}", 1) // (samples if axis == "C" else 1) for axis in order[2:]]
    if min(lengths) < 1:
        raise ValueError("its description states an axis of length 0")
    found, elsewhere = _pages(pixels, order[2:], lengths, n_pages, own)
    voxel_size = checked_voxel_size(
        [micrometres(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "ZYX"]
    )
    texts = [node.text or "" for node in _children(image, "Description")]
    present = [sorted({place[axis] for place in found}) for axis in range(3)]
    shape = tuple(len(one) for one in present)
    problem = None
    if not found:
        problem = "its voxels lie in other files, and those are not followed" if elsewhere else "it holds no planes"
    elif math.prod(shape) != len(found):
        problem = f"its description speaks of {math.prod(lengths)} planes, and {len(found)} of them are here"
    planes = () if problem else tuple(found[place] for place in itertools.product(*present))
    return OmeImage(
        name=image.get("Name", ""),
        description=texts[0] if texts else "",
        axes=order[:1:-1],
        shape=shape,
        planes=planes,
        voxel_size_um=voxel_size,
        states_z="PhysicalSizeZ" in pixels.attrib,
        problem=problem,
    )


def _pages(
    pixels: Element, order: str, lengths: Sequence[int], n_pages: int, own: set[str | None]
) -> tuple[dict[tuple[int, ...], int], bool]:
    """Return the page of each plane by its place, slowest axis first, and whether any lies in another file.

    `order` and `lengths` begin with the quickest axis.
    """
    total = math.prod(lengths)
    found: dict[tuple[int, ...], int] = {}
    elsewhere = False
    work = 0
    for block in _children(pixels, "TiffData"):
        uuid = next(_children(block, "UUID"), None)
        if uuid is not None and (uuid.text or "").strip() not in own:
            elsewhere = True
            continue
        page = _whole(block, "IFD", 0)
        count = _whole(block, "PlaneCount", _whole(block, "NumPlanes", 1 if "IFD" in block.attrib else n_pages))
        first = [_whole(block, f"First{axis}", 0) for axis in order]
        if any(at >= length for at, length in zip(first, lengths, strict=True)):
            # ImageJ leaves such entries behind when it crops.
            continue
        start = first[0] + lengths[0] * (first[1] + lengths[1] * first[2])
        steps = range(min(count, n_pages - page, total - start))
        work += len(steps)
        if work > 4 * MOST_PAGES:
            raise ValueError("its description names the same planes over and over")
        for step in steps:
            rest, quick = divmod(start + step, lengths[0])
            slow, middle = divmod(rest, lengths[1])
            found[slow, middle, quick] = page + step
    return found, elsewhere


def _whole(element: Element, name: str, default: int) -> int:
    try:
        number = int(element.get(name, default))
    except ValueError as error:
        raise ValueError(f"its description states {name} {element.get(name)!r}") from error
    if not 0 <= number < 2**31:
        raise ValueError(f"its description states {name} {number}")
    return number
