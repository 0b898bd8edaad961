"""What a file says of how it was made. A stranger may have written it: it is carried along, and never believed."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 2**20
"""Characters of JSON. A result's own have some thousands."""

_DEEPEST = 32


def checked_provenance(stated: object) -> Mapping[str, Any]:
    """Return a file's provenance as plain JSON: no NaN, no endless nesting, not too long.

    Parameters
    ----------
    stated : object
        JSON as text or bytes, or what became of it in a file that is JSON itself; None where there is none.

    Returns
    -------
    mapping
        Empty where there is none, or it is no JSON object. Where it is too much to be carried along, it says so.
    """
    try:
        text = stated.decode("utf-8", "replace") if isinstance(stated, bytes) else stated
        text = text if isinstance(text, str) else json.dumps(text)
        if len(text) > LONGEST:
            return {"left_out": f"it has {len(text)} characters, more than {LONGEST}"}
        found = json.loads(text, parse_constant=str, parse_float=_finite)
    except (TypeError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {"left_out": f"it is nested more than {_DEEPEST} times"} if _is_deeper(found, _DEEPEST) else found


def _finite(text: str) -> float | str:
    # 1e400 is infinite here, which JSON cannot say.
    number = float(text)
    return number if math.isfinite(number) else text


def _is_deeper(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inside)
