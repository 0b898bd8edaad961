"""Lengths as microscopes' files write them, in micrometres."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_MICROMETRES: Mapping[str, float] = {
    **dict.fromkeys(("µm", "μm", "um", "micron", "microns", "micrometer", "micrometers", "micrometre"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre"), 1e-3),
    **dict.fromkeys(("pm", "picometer", "picometre"), 1e-6),
    **dict.fromkeys(("Å", "å", "Å", "angstrom"), 1e-4),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre"), 1e3),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre"), 1e4),
    **dict.fromkeys(("m", "meter", "meters", "metre"), 1e6),
    **dict.fromkeys(("in", "inch", "inches"), 25400.0),
}


def micrometres(length: Any, unit: str) -> float | None:
    r"""Return a length in micrometres, or None where it is no positive number or the unit is no length (``pixel``).

    Examples
    --------
    >>> micrometres(235, "nm"), micrometres("0.15", r"\u00B5m"), micrometres(1, "pixel")
    (0.235, 0.15, None)
    """
    # ImageJ writes the micro sign as Java source would.
    name = re.sub(r"\\u([0-9A-Fa-f]{4})", lambda code: chr(int(code[1], 16)), unit).strip()
    factor = _MICROMETRES.get(name) or (_MICROMETRES.get(name.lower()) if len(name) > 2 else None)
    try:
        number = float(length)
    except (TypeError, ValueError, OverflowError):
        return None
    if factor is None or not (math.isfinite(number) and number > 0):
        return None
    # 235 nm is 0.235 µm, not 0.23500000000000001: divide where the factor is no whole number.
    return number * factor if factor >= 1 else number / round(1 / factor)
