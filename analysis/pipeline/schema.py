"""JSON Schemas of what is written by hand, for editors: configurations and filesets."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel

from oddjet.analysis.config import AnalysisConfig
from oddjet.datasets.files.dataset import Fileset

__all__ = ["json_schema"]

_MODELS: dict[str, type[BaseModel]] = {"analysis": AnalysisConfig, "fileset": Fileset}
_ATTRIBUTE = re.compile(r"^(\w+): (.*(?:\n {4}.*)*)", re.MULTILINE)


def json_schema(what: Literal["analysis", "fileset"] = "analysis") -> dict[str, Any]:
    """Give the JSON Schema (draft 2020-12) of an analysis configuration, or of a fileset."""
    schema = _MODELS[what].model_json_schema()
    models = {model.__name__: model for model in _subclasses(BaseModel)}
    for name, part in [(_MODELS[what].__name__, schema), *schema.get("$defs", {}).items()]:
        text, _, _ = part.get("description", "").partition("\n\nAttributes:\n")
        if text:
            part["description"] = text.replace("\n", " ")
        described = _attributes(models[name]) if name in models else {}
        for key, entry in part.get("properties", {}).items():
            if key in described:
                entry["description"] = described[key]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _subclasses(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for subclass in model.__subclasses__():
        if subclass.__module__.startswith("oddjet."):
            yield subclass
        yield from _subclasses(subclass)


def _attributes(model: type[BaseModel]) -> dict[str, str]:
    """What docstrings say of a model's keys, those of the classes it extends included."""
    described = {}
    for base in reversed(model.__mro__):
        _, _, attributes = (base.__doc__ or "").partition("Attributes:\n")
        for name, description in _ATTRIBUTE.findall(inspect.cleandoc("\n" + attributes)):
            described[name] = " ".join(description.split())
    return described
