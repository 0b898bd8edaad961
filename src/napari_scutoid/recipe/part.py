"""What all groups of settings share."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

P = TypeVar("P", bound="Part")


def number(
    default: Any,
    title: str,
    description: str,
    *,
    ge: float,
    le: float,
    unit: str = "",
    decimals: int = 0,
) -> Any:
    """Return a pydantic field that carries all a form needs: bounds, unit and decimals."""
    return Field(
        default,
        title=title,
        description=description,
        ge=ge,
        le=le,
        json_schema_extra={"unit": unit, "decimals": decimals},
    )


class Part(BaseModel):
    """A frozen group of settings that refuses names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @model_validator(mode="after")
    def _triples_within_bounds(self: P) -> P:
        # pydantic states bounds of single numbers only; a form reads those of a triple from the same place as this.
        for name, field in type(self).model_fields.items():
            stated, value = field.json_schema_extra, getattr(self, name)
            if isinstance(stated, dict) and "ge" in stated and value is not None:
                low, high = float(str(stated["ge"])), float(str(stated["le"]))
                if not all(low <= number <= high for number in value):
                    raise ValueError(f"{name} must lie between {low:g} and {high:g}, not {value}")
        return self

    def over(self: P, base: dict[str, Any]) -> P:
        """Return these settings laid over a base: what was set here wins, then the base, then the default.

        Parameters
        ----------
        base : dict
            Nested settings, e.g. a model's own; names as in this class.
        """
        return type(self).model_validate(_merged(base, self.model_dump(exclude_unset=True)))


def _merged(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in top.items():
        below = merged.get(name)
        merged[name] = _merged(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return merged
