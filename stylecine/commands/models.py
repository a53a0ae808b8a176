"""Lists the models, and how to get them."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from stylecine.commands.console import say

if TYPE_CHECKING:
    from stylecine.weights import ModelRecord


def add_arguments(models: argparse.ArgumentParser) -> None:
    models.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace, start: float) -> int:
    from stylecine.weights import models, models_folder

    known = models()
    if options.json:
        say(json.dumps([_model_facts(model) for model in known]))
        return 0
    for model in known:
        facts = _model_facts(model)
        terms = ", NON-COMMERCIAL" if model.accept else ""
        say(f"{model.name}: {model.resolution}x{model.resolution}, {model.licence}{terms}, {model.source}")
        state = "installed" if facts["installed"] else "not installed"
        say(f"    {', '.join(filter(None, [model.about, state, 'inversion by ' + facts['inversion']]))}")
        for step in model.steps:
            say(f"    $ {step}")
    say(f"Converted models are stored in {models_folder()}.")
    return 0


def _model_facts(model: "ModelRecord") -> dict[str, Any]:
    return {
        "name": model.name,
        "resolution": model.resolution,
        "injection": model.injection,
        "about": model.about,
        "licence": model.licence,
        "non_commercial": bool(model.accept),
        "accept": model.accept,
        "source": model.source,
        "inversion": "encoder" if "encoder" in model.files else "optimisation",
        "installed": model.installed,
        "steps": model.steps,
    }
