"""Recipes: one statement per parameter, round trips, and errors in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_scutoid.errors import ScutoidError
from napari_scutoid.recipe import (
    Cleanup,
    Normalise,
    Part,
    Predict,
    Recipe,
    Rescale,
    Watershed,
    read_recipe,
    recipe_yaml,
)

PARTS = (Normalise, Rescale, Predict, Watershed, Cleanup)


@pytest.mark.parametrize("part", PARTS)
def test_every_parameter_says_what_it_means_and_every_number_its_bounds(part):
    for name, schema in part.model_json_schema()["properties"].items():
        assert schema.get("title") and schema.get("description"), name
        options = [schema, *schema.get("anyOf", [])]
        if any(option.get("type") in ("number", "integer") for option in options):
            assert "unit" in schema and "decimals" in schema, name
            assert any("minimum" in option and "maximum" in option for option in options), name


@given(sigma=st.floats(0, 1), size=st.floats(0, 1000), method=st.sampled_from(["zscore", "minmax", "percentile"]))
def test_yaml_round_trip(tmp_path_factory, sigma, size, method):
    recipe = Recipe.model_validate(
        {"watershed": {"seed_sigma": sigma}, "cleanup": {"min_size": size}, "normalise": {"method": method}}
    )
    file = tmp_path_factory.mktemp("recipes") / "r.yaml"
    for only_set in (False, True):
        file.write_text(recipe_yaml(recipe, only_set=only_set), encoding="utf-8")
        assert read_recipe(file) == recipe


@pytest.mark.parametrize("backend", ["compiled", "bioimage-cpp", "scikit-image"])
def test_recipes_from_before_flooding_was_compiled_are_read(tmp_path, backend):
    (tmp_path / "r.yaml").write_text(f"watershed: {{backend: {backend}}}")
    assert read_recipe(tmp_path / "r.yaml").watershed.backend == backend


def test_a_saved_recipe_keeps_what_was_left_to_the_model():
    recipe = Recipe.model_validate({"watershed": {"seed_sigma": 1.0}})
    assert "boundary_threshold" not in recipe_yaml(recipe, only_set=True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("watershed: {seed_sigma: -1}", "watershed.seed_sigma: .*greater than or equal to 0.*got -1"),
        ("watershed: {sede_sigma: 1}", "watershed.sede_sigma: there is no setting of this name.*docs/recipe.md"),
        ("rescale: {mode: factors}", "needs factors"),
        ("rescale: {mode: factors, factors: [0, 1, 1]}", "factors must lie between"),
        ("rescale: {factors: [.nan, 1, 1]}", "factors must lie between"),
        ("predict: {tile: [0, 0, 0]}", "tile must lie between 8 and 2048"),
        ("predict: {halo: [-8, 32, 32]}", "halo must lie between 0 and 512"),
        ("[1, 2]", "list"),
        ("a: b: c", "not valid YAML: mapping values are not allowed here, line 1, column 5"),
        ("a: [1", "not valid YAML: [^\\n]*, line 1, column 6"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_a_wrong_recipe_is_told_by_name(tmp_path, text, told):
    file = tmp_path / "r.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ScutoidError, match=told):
        read_recipe(file)


def test_a_missing_recipe_is_told(tmp_path):
    with pytest.raises(ScutoidError, match="could not be read: No such file or directory"):
        read_recipe(tmp_path / "none.yaml")
    (tmp_path / "stack.h5").write_bytes(b"\x89HDF")
    with pytest.raises(ScutoidError, match="could not be read: it is no text file"):
        read_recipe(tmp_path / "stack.h5")


def test_recipes_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Recipe().watershed.seed_sigma = 2.0


def test_over_keeps_only_what_was_set():
    class Inner(Part):
        a: int = 1
        b: int = 2

    class Outer(Part):
        inner: Inner = Inner()

    merged = Outer.model_validate({"inner": {"a": 5}}).over({"inner": {"a": 7, "b": 8}})
    assert merged.inner == Inner(a=5, b=8)


@pytest.mark.parametrize(
    ("text", "gate"),
    [("true", "auto"), ("false", "off"), ("off", "off"), ("'off'", "off"), ("classifier", "classifier")],
)
def test_gates_of_older_recipes_and_of_yaml_are_read(tmp_path, text, gate):
    file = tmp_path / "r.yaml"
    file.write_text(f"predict: {{gate: {text}}}", encoding="utf-8")
    assert read_recipe(file).predict.gate == gate
    file.write_text(recipe_yaml(read_recipe(file)), encoding="utf-8")
    assert read_recipe(file).predict.gate == gate


@pytest.mark.parametrize("text", ["maybe", "1", "[]"])
def test_an_unknown_gate_is_told(tmp_path, text):
    file = tmp_path / "r.yaml"
    file.write_text(f"predict: {{gate: {text}}}", encoding="utf-8")
    with pytest.raises(ScutoidError, match=r"predict\.gate: .*'auto', 'threshold', 'classifier' or 'off'"):
        read_recipe(file)
