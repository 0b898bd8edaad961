"""A stack that goes through the network in parts: the plan that all follow who compute one, and the parts, in files.

The folder ``NAME_labels.h5.parts`` beside a result holds them while it is made:

- ``plan.json``, which is written last of what comes before the network: grid, statistics, tiles, how they are computed;
- ``rescaled.h5``, the stack on the working grid, where that is another than its own;
- ``part_003_of_012_0123456789ab.bin``, whose name ends with the first digits of the plan's SHA-256. It holds what the
  network said of some consecutive tiles: of each the numbers, one output after the other, and a SHA-256 of the plan's,
  the tile's number and these.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_scutoid import __version__
from napari_scutoid.batch.stack import Stamp
from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.atomic import replacing
from napari_scutoid.pipeline import is_large
from napari_scutoid.recipe import Predict, Recipe
from napari_scutoid.steps.cell_size import CellSize
from napari_scutoid.steps.normalise import IntensityStatistics
from napari_scutoid.volume import Origin, VoxelSize

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_scutoid.network.config import ModelConfig
    from napari_scutoid.network.predict import Plan

PLAN, RESCALED = "plan.json", "rescaled.h5"
LARGEST_PLAN = 64 * 2**20
"""Bytes; that of a thousand million voxels has about 100 000."""
_OURS = re.compile(r"(plan\.json|rescaled\.h5|part_\d+_of_\d+_[0-9a-f]{12}\.bin)")
_OURS_UNFINISHED = re.compile(r"\." + _OURS.pattern + r"\.[0-9a-f]{8}\.part")


class StackPlan(BaseModel):
    """All that is decided about a stack before the network sees it, in values that go into JSON.

    Parameters
    ----------
    program : str
        Version that made it.
    asked : dict
        What it was made for, see `division.prepare`: another job needs another plan.
    stack : Stamp
        The file that it was made for.
    recipe, base, source_sha256, statistics, spacing, cell_size, warnings
        As in `result.Begun` and `result.Prepared`.
    shape, voxel_size_um, origin_um, history
        Of the working grid.
    rescaled_sha256 : str
        Of the file with the stack on that grid; empty where it is the stack's own.
    settings, why, largest, blended
        As in `network.predict.Plan`.
    wanted : str
        The same, eight elements a byte, in Base64.
    parts : int
        How many files the network's result goes into.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    program: str
    asked: dict[str, Any]
    stack: Stamp
    recipe: Recipe
    base: Recipe
    source_sha256: str
    statistics: IntensityStatistics
    spacing: VoxelSize
    cell_size: CellSize | None
    warnings: tuple[str, ...]
    shape: tuple[int, int, int]
    voxel_size_um: VoxelSize | None
    origin_um: Origin
    history: tuple[str, ...]
    rescaled_sha256: str
    settings: Predict
    why: str
    largest: int
    wanted: str
    blended: bool
    parts: int

    def passes(self, config: ModelConfig) -> Plan:
        """Return the network's part of it.

        Raises
        ------
        ValueError
            When it does not fit together.
        """
        from napari_scutoid.network.passes import grid_for
        from napari_scutoid.network.predict import Plan

        counts = grid_for(self.shape, config.architecture, self.settings).counts
        packed = np.frombuffer(base64.b64decode(self.wanted, validate=True), np.uint8)
        if packed.size != math.ceil(math.prod(counts) / 8):
            raise ValueError(f"wanted has {packed.size} bytes, and the grid {counts} cells")
        wanted = np.unpackbits(packed, count=math.prod(counts)).astype(bool).reshape(counts)
        return Plan(self.shape, self.settings, self.why, self.largest, wanted, self.blended)

    def is_sound(self, config: ModelConfig) -> bool:
        """Whether it fits together."""
        try:
            tiles = len(self.passes(config).tiles(config))
        except (ValueError, ScutoidError):
            return False
        return min(1, tiles) <= self.parts <= tiles


def packed(wanted: NDArray[np.bool_]) -> str:
    """Return what the gate says as a plan has it."""
    return base64.b64encode(np.packbits(wanted).tobytes()).decode("ascii")


def folder_of(output: Path) -> Path:
    """Return where the parts of a result are."""
    return output.with_name(f"{output.name}.parts")


def write_plan(folder: Path, plan: StackPlan) -> str:
    """Write a plan, and return its SHA-256."""
    content = plan.model_dump_json(indent=1).encode()
    with replacing(folder / PLAN) as part:
        part.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def find_plan(folder: Path) -> tuple[StackPlan, str] | None:
    """Return the plan in a folder and its SHA-256; None where there is none that can be understood."""
    file = folder / PLAN
    try:
        if file.stat().st_size > LARGEST_PLAN:
            return None
        content = file.read_bytes()
        return StackPlan.model_validate_json(content), hashlib.sha256(content).hexdigest()
    except (OSError, ValidationError):
        return None


def read_plan(folder: Path, sha256: str) -> StackPlan:
    """Return the plan that others follow too.

    Raises
    ------
    ScutoidError
        When it is not there.
    """
    found = find_plan(folder)
    if found is None or found[1] != sha256 or found[0].program != __version__:
        raise ScutoidError(
            "A part of the stack could not be computed",
            f"the plan of its parts in {folder} is gone, or another one",
            "let all workers see that folder under the same path, with the same version of napari-scutoid, and resume",
        )
    return found[0]


def file_sha256(file: Path) -> str:
    """Return the SHA-256 of a file; empty where it cannot be read."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def clear(folder: Path) -> None:
    """Remove a folder of parts; what somebody else has put into it stays."""
    with contextlib.suppress(OSError):
        for file in list(folder.iterdir()):
            if _OURS.fullmatch(file.name) or _OURS_UNFINISHED.fullmatch(file.name):
                with contextlib.suppress(OSError):  # Windows keeps what a worker still has open
                    file.unlink()
        folder.rmdir()


def part_file(folder: Path, sha256: str, number: int, parts: int) -> Path:
    """Return where a part is, counted from 0."""
    return folder / f"part_{number + 1:03d}_of_{parts:03d}_{sha256[:12]}.bin"


class Parts:
    """What the network said of all tiles, in files.

    Parameters
    ----------
    folder : Path
    plan : StackPlan
    sha256 : str
        Of the plan.
    config : ModelConfig
    """

    def __init__(self, folder: Path, plan: StackPlan, sha256: str, config: ModelConfig) -> None:
        self._folder, self._sha256, self._parts = folder, sha256, plan.parts
        self._shapes = [(len(config.outputs), *box.shape) for box in plan.passes(config).kept(config)]
        # As in the arrays that they go into; what is blended is rounded thereafter.
        self._dtype = np.dtype("<f2" if is_large(plan.shape) and not plan.blended else "<f4")

    def path(self, number: int) -> Path:
        """Return the file of a part."""
        return part_file(self._folder, self._sha256, number, self._parts)

    def span(self, number: int) -> range:
        """Return the tiles of a part."""
        n = len(self._shapes)
        return range(n * number // self._parts, n * (number + 1) // self._parts)

    def packed(self, tile: int, values: NDArray[np.floating]) -> bytes:
        """Return a tile's numbers as they are written."""
        if values.shape != self._shapes[tile]:
            raise ValueError(f"values of tile {tile} have shape {values.shape}, the plan says {self._shapes[tile]}")
        content = values.astype(self._dtype).tobytes()
        return content + self._digest(tile, content)

    def is_intact(self, number: int) -> bool:
        """Whether a part is there, whole and undamaged."""
        try:
            for _ in self.read(number):
                pass
        except ScutoidError:
            return False
        return True

    def read(self, number: int) -> Iterator[NDArray[np.floating]]:
        """Yield the tiles of a part.

        Raises
        ------
        ScutoidError
            When it is not there, or not as it was written.
        """
        file = self.path(number)
        try:
            with file.open("rb") as stream:
                for tile in self.span(number):
                    values = np.empty(self._shapes[tile], self._dtype)
                    content = values.data.cast("B")
                    if stream.readinto(content) != len(content) or stream.read(32) != self._digest(tile, content):
                        raise _damaged(file, "it is damaged")
                    yield values
                if stream.read(1):
                    raise _damaged(file, "it is damaged")
        except OSError as error:
            raise _damaged(file, error.strerror or str(error)) from error

    def read_all(self) -> Iterator[NDArray[np.floating]]:
        """Yield all tiles in their order."""
        for number in range(self._parts):
            yield from self.read(number)

    def _digest(self, tile: int, content: bytes | memoryview) -> bytes:
        digest = hashlib.sha256(f"{self._sha256}:{tile}:".encode())
        digest.update(content)
        return digest.digest()


def _damaged(file: Path, why: str) -> ScutoidError:
    return ScutoidError(
        "The parts of the stack could not be put together",
        f"{file}: {why}",
        "resume (--resume): what is missing or damaged is computed again",
    )
