"""Write ``docs/recipe.md`` from the recipe's own descriptions, so that the page and the program cannot differ.

python scripts/make_recipe_page.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_scutoid.recipe import Part, Recipe, recipe_yaml

PAGE = Path(__file__).resolve().parents[1] / "docs" / "recipe.md"
HEAD = """# The recipe: every setting of a segmentation

A recipe is a YAML file. `scutoid segment --recipe my.yaml` takes it; settings you leave out are the model's, and
where the model states none, the defaults below. A name that does not exist or a value out of bounds is refused with a
message. This page is written by `scripts/make_recipe_page.py`.

For example, to close more gaps in weak membranes and to drop small specks:

```yaml
watershed:
  boundary_threshold: 0.35
cleanup:
  min_size: 0.1
```

"""


def page() -> str:
    """Return the page's text."""
    parts = []
    for name, field in Recipe.model_fields.items():
        part = field.annotation
        if not (isinstance(part, type) and issubclass(part, Part)):
            continue
        schema = part.model_json_schema()
        parts.append(f"## {name}\n\n{(part.__doc__ or '').strip()}\n\n| setting | default | allowed | meaning |")
        parts.append("|---|---|---|---|")
        parts += [_row(key, about) for key, about in schema["properties"].items()]
        parts.append("")
    return f"{HEAD}{chr(10).join(parts)}\n## All defaults\n\n```yaml\n{recipe_yaml(Recipe())}```\n"


def _row(key: str, about: dict[str, Any]) -> str:
    default = about.get("default")
    shown = "empty" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
    return f"| `{key}` | {shown} | {_allowed(about)} | **{about['title']}.** {about['description']} |"


def _allowed(about: dict[str, Any]) -> str:
    for option in (about, *about.get("anyOf", [])):
        if "enum" in option:
            return ", ".join(option["enum"])
        if "minimum" in option:
            return f"{option['minimum']:g} to {option['maximum']:g} {about.get('unit', '')}".strip()
        if option.get("type") == "boolean":
            return "true, false"
    return f"three numbers, {about['ge']:g} to {about['le']:g} {about.get('unit', '')}".strip()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
