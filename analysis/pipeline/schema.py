"""JSON Schemas of what is written by hand, for editors: configurations and filesets."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel

from oddjet.analysis.config import AnalysisConfig
from oddjet.datasets.files.dataset import Fileset

__all__ = ["json_schema"]

_MODELS: dict[str, type[BaseModel]] = {"analysis": AnalysisConfig, "fileset": Fileset}
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def json_schema(what: Literal["analysis", "fileset"] = "analysis") -> dict[str, Any]:
    """Give the JSON Schema (draft 2020-12) of an analysis configuration, or of a fileset."""
    schema = _MODELS[what].model_json_schema()
    for model in (schema, *schema.get("$defs", {}).values()):
        text, _, attributes = model.get("description", "").partition("\n\nAttributes:\n")
        if text:
            model["description"] = text.replace("\n", " ")
        for name, description in _ATTRIBUTE.findall(attributes):
            if name in model.get("properties", {}):
                model["properties"][name]["description"] = " ".join(description.split())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
