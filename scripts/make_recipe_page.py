"""Write ``docs/recipe.md`` and ``docs/train.md`` from the recipes' own descriptions, so that they cannot differ.

python scripts/make_recipe_page.py
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from napari_scutoid.recipe import Part, Recipe, TrainRecipe, recipe_yaml

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, TRAIN_PAGE = DOCS / "recipe.md", DOCS / "train.md"
COLUMNS = "| setting | default | allowed | meaning |\n|---|---|---|---|"
HEAD = """# The recipe: every setting of a segmentation

A recipe is a YAML file. `scutoid segment --recipe my.yaml` takes it; settings you leave out are the model's, and
where the model states none, the defaults below. A name that does not exist or a value out of bounds is refused with a
message. Single settings can follow as `--set watershed.boundary_threshold=0.35`, which wins over the recipe. This page
is written by `scripts/make_recipe_page.py`.

For example, to close more gaps in weak membranes and to drop small specks:

```yaml
watershed:
  boundary_threshold: 0.35
cleanup:
  min_size: 0.1
```

"""


TRAIN_HEAD = """# Train a model on your own stacks

The built-in model has never seen a real stack. A few of yours, corrected, make a model that knows your microscope and
your tissue: three or four stacks of some fifty cells each are a good start, and twenty minutes on an ordinary computer.

```
scutoid train --train corrected/ -o my_model --minutes 20
scutoid segment stack.tif --model my_model -o labels.h5
```

`corrected/` holds files with an image and its labels (as `.h5`, `.mat` or `.zarr`), or images beside label files of the
same name (`a.tif` and `a_label.tif`, or folders `images` and `labels`). `scutoid info FILE` tells what a file holds;
`--image-dataset` and `--labels-dataset` name data sets where that is not clear.

- **Look first.** `--show-samples samples.png` draws what the network would be shown, changed at random as in training,
  with the true cells outlined. If a sample makes no sense to you, it makes none to the network: turn that change down.
- **Validation.** One stack in five is kept aside to choose the best weights, and to tune the post-processing; `--valid`
  names your own. With a single stack nothing can be chosen and the last weights are kept.
- **Partly corrected stacks** are welcome: what *Correct* has written for training marks voxels that nobody has
  accepted, and they are not learnt from. In labels from elsewhere, give them a label of their own and name it with
  `--ignore`.
- **Interrupted?** `--resume` goes on from the last epoch. `my_model/training` holds the learning curves, as a table
  (`curves.csv`) and as a picture (`curves.png`), and which stack had which role (`stacks.json`). After each epoch that
  is the best so far the model in `my_model` is one you can use.
- **Starting point.** By default all layers start from the built-in model, at a small learning rate. `--strategy freeze`
  keeps the encoder, for very few cells; `--strategy scratch` starts from random weights, for other stains than
  membranes; `--init` starts from another model ([models](models.md)).
- **Several GPUs**: `torchrun --nproc-per-node 2 -m napari_scutoid.cli train ...`.

The best epoch is the one whose *cells* are best on the validation stacks (AP50 minus adapted Rand error, made by the
whole pipeline), not the one with the lowest loss. Epoch 0 is the model that training starts from: it is kept where
nothing was better.

## Settings

`--recipe train.yaml` takes any of these; what it leaves out has its default. This part is written by
`scripts/make_recipe_page.py`.

"""


def page() -> str:
    """Return the text of the page on recipes."""
    return f"{HEAD}{_tables(Recipe)}\n## All defaults\n\n```yaml\n{recipe_yaml(Recipe())}```\n"


def train_page() -> str:
    """Return the text of the page on training."""
    return f"{TRAIN_HEAD}{_tables(TrainRecipe)}\n## All defaults\n\n```yaml\n{recipe_yaml(TrainRecipe())}```\n"


def _tables(recipe: type[Part]) -> str:
    """Return a table for each group of settings, and one for those of no group."""
    whole = recipe.model_json_schema()["properties"]
    parts, alone = [], []
    for name, field in recipe.model_fields.items():
        part = field.annotation
        if isinstance(part, type) and issubclass(part, Part):
            schema = part.model_json_schema()
            parts.append(f"## {name}\n\n{inspect.cleandoc(part.__doc__ or '')}\n\n{COLUMNS}")
            parts += [_row(key, about) for key, about in schema["properties"].items()]
            parts.append("")
        elif "description" in whole[name]:
            alone.append(_row(name, whole[name]))
    lead = [COLUMNS, *alone, ""] if alone else []
    return "\n".join([*lead, *parts])


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
        if "$ref" in option:
            return "settings as in a [recipe](recipe.md)"
        if option.get("items", {}).get("type") == "string":
            return "a list of names"
    if "ge" not in about:
        return "a text"
    return f"three numbers, {about['ge']:g} to {about['le']:g} {about.get('unit', '')}".strip()


if __name__ == "__main__":
    for file, text in ((PAGE, page()), (TRAIN_PAGE, train_page())):
        file.write_text(text, encoding="utf-8")
        print(file)
