"""The JSON Schemas, held against the files that the package ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest

from oddjet.analysis.pipeline.schema import json_schema
from oddjet.datasets.disk.validation import read_config

ROOT = Path(__file__).resolve().parents[3]
ANALYSES = sorted((ROOT / "analysis").glob("*.yaml"))
FILESETS = sorted((ROOT / "datasets" / "catalog").glob("*.yaml"))


def problems(what: Any, content: object) -> list[str]:
    validator = jsonschema.Draft202012Validator(json_schema(what))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(content)]


@pytest.mark.parametrize("path", ANALYSES, ids=lambda path: path.name)
def test_shipped_analyses_are_valid(path: Path) -> None:
    assert problems("analysis", read_config(path)) == []


@pytest.mark.parametrize("path", FILESETS, ids=lambda path: path.name)
def test_shipped_filesets_are_valid(path: Path) -> None:
    assert problems("fileset", read_config(path)) == []


def test_mistakes_are_found() -> None:
    content = read_config(ANALYSES[0])
    (problem,) = problems("analysis", content | {"hunt": {"bin_widht": 4}})
    assert "bin_widht" in problem
    assert problems("analysis", content | {"folds": 1})
    assert problems("fileset", {"datasets": {"q": {"kind": "backgruond", "files": ["a.root"]}}})


def test_keys_are_described() -> None:
    schema = json_schema()
    assert schema["properties"]["lumi_ifb"]["description"].startswith("Luminosity of the data")
    assert (
        "Width of a bin [GeV]"
        in schema["$defs"]["HuntConfig"]["properties"]["bin_width"]["description"]
    )
    assert "\n" not in schema["$defs"]["HuntConfig"]["description"]


@pytest.mark.parametrize("what", ["analysis", "fileset"])
def test_every_key_is_described(what: Literal["analysis", "fileset"]) -> None:
    """Also those that a model inherits."""
    schema = json_schema(what)
    assert not [
        (name, key)
        for name, part in [(what, schema), *schema["$defs"].items()]
        for key, entry in part.get("properties", {}).items()
        if not entry.get("description")
    ]
