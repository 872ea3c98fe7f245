from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from oddjet.processors.engine.keys import code_digest, with_key
from oddjet.processors.events.source import ChunkSource

SOURCE = ChunkSource("a", "signal", (24,), "/x/a.root", "uuid", "Events", 0, 10, "nanoaod_v15")


def key(source: ChunkSource = SOURCE, **settings: Any) -> str:
    return with_key(source, settings=settings, trust_code=False).key


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "b"},
        {"kind": "background"},
        {"truth": (23,)},
        {"file_uuid": "other"},
        {"tree": "Other"},
        {"entry_start": 1},
        {"entry_stop": 9},
        {"reader_name": "pfnano_ak8"},
    ],
)
def test_what_enters_the_rows_is_in_the_key(change: dict[str, Any]) -> None:
    assert key(replace(SOURCE, **change)) != key()


def test_the_path_is_not() -> None:
    assert key(replace(SOURCE, file="/y/copy.root")) == key()


def test_settings_and_code_are() -> None:
    assert key(cut=1) == key(cut=1) != key(cut=2)
    assert with_key(SOURCE, settings={}, trust_code=True).key != key()
    assert len(code_digest()) == 64


def test_a_source_survives_the_way_through_coffea() -> None:
    metadata = {"dataset": "x", **replace(SOURCE, key="k").to_metadata()}
    assert ChunkSource.from_metadata(metadata) == replace(SOURCE, key="k")
