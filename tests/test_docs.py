"""Pages that are written from the program say what the program does."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_recipe_page_is_current():
    spec = importlib.util.spec_from_file_location("make_recipe_page", ROOT / "scripts" / "make_recipe_page.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.PAGE.read_text(encoding="utf-8") == script.page(), "run scripts/make_recipe_page.py"
