"""Preferences are those of napari's settings, and the manifest's defaults are the program's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from napari.settings import _clear_plugin_settings_cache, get_plugin_settings

from napari_scutoid.ui.preferences import PLUGIN, Preferences, preferences


@pytest.fixture(autouse=True)
def _fresh_settings(tmp_path):
    _clear_plugin_settings_cache()
    get_plugin_settings(path_dir=tmp_path)
    yield
    _clear_plugin_settings_cache()


def test_the_defaults_of_the_manifest_are_those_of_the_program():
    assert preferences() == Preferences()


def test_what_the_user_set_counts_from_then_on():
    stated = get_plugin_settings(PLUGIN).segmentation
    stated.device, stated.memory_gb, stated.model, stated.autosave_folder = "cpu", 2.5, " mine ", "~/saved"
    assert preferences() == Preferences("cpu", 2.5, "mine", Path("~/saved").expanduser())


def test_a_napari_that_does_not_know_the_plugin_gets_the_defaults(monkeypatch):
    def unknown(plugin):
        raise KeyError(plugin)

    monkeypatch.setattr("napari.settings.get_plugin_settings", unknown)
    assert preferences() == Preferences()
