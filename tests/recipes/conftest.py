"""The recipes, which are programs beside each other and no package."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

RECIPES = Path(__file__).resolve().parents[2] / "pretrained/recipes"


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a recipe by its name."""
    monkeypatch.syspath_prepend(str(RECIPES))
    return importlib.import_module
