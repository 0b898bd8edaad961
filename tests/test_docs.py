"""Pages that are written from the program say what the program does."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


def test_pages_of_settings_are_current():
    spec = importlib.util.spec_from_file_location("make_recipe_page", ROOT / "scripts" / "make_recipe_page.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for file, text in ((script.PAGE, script.page()), (script.TRAIN_PAGE, script.train_page())):
        assert file.read_text(encoding="utf-8") == text, "run scripts/make_recipe_page.py"


def test_every_score_is_explained():
    from napari_scutoid.metrics import ComparedCell, compare_classes, evaluate

    labels = np.ones((2, 2, 2), np.uint32)
    page = (ROOT / "docs" / "evaluate.md").read_text(encoding="utf-8")
    names = {*evaluate(labels, labels), *compare_classes(labels, labels), *ComparedCell._fields} - {"centroid"}
    assert {name for name in names if f"`{name}`" not in page} == set()
