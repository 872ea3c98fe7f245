from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coffea import lumi_tools
from hypothesis import given, settings
from hypothesis import strategies as st

from oddjet.datasets.luminosity.mask import LumiMask
from oddjet.errors import ConfigError

GOLDEN = {"10": [[1, 3], [5, 5]], "9": [[7, 1000]]}


def test_ends_are_included_and_runs_are_apart() -> None:
    mask = LumiMask.from_dict(GOLDEN)
    cases = {
        (10, 0): False, (10, 1): True, (10, 3): True, (10, 4): False, (10, 5): True, (10, 6): False,
        (9, 6): False, (9, 7): True, (9, 1000): True, (9, 1001): False, (8, 7): False, (11, 1): False,
    }  # fmt: skip
    run, block = (np.array(values, np.uint32) for values in zip(*cases, strict=True))
    assert mask.mask(run, block).tolist() == list(cases.values())


def test_no_events() -> None:
    assert LumiMask.from_dict(GOLDEN).mask(
        np.empty(0, np.uint32), np.empty(0, np.uint32)
    ).shape == (0,)


@st.composite
def certifications(draw: st.DrawFn) -> dict[str, list[list[int]]]:
    runs = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4, unique=True))
    content = {}
    for run in runs:
        edges = draw(st.lists(st.integers(1, 30), min_size=2, max_size=8, unique=True).map(sorted))
        content[str(run)] = [list(pair) for pair in zip(edges[::2], edges[1::2], strict=False)]
    return content


@settings(deadline=None)
@given(certifications())
def test_mask_is_that_of_a_plain_loop(content: dict[str, list[list[int]]]) -> None:
    run, block = (grid.ravel() for grid in np.meshgrid(np.arange(8), np.arange(33)))
    expected = [
        any(a <= b <= z for a, z in content.get(str(r), []))
        for r, b in zip(run, block, strict=True)
    ]
    assert LumiMask.from_dict(content).mask(run, block).tolist() == expected


def test_mask_is_that_of_coffea(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    content = {}
    for run in range(355000, 355040, 3):
        edges = np.unique(rng.integers(1, 2000, 20))
        content[str(run)] = edges[: len(edges) // 2 * 2].reshape(-1, 2).tolist()
    path = tmp_path / "golden.json"
    path.write_text(json.dumps(content))
    run = rng.integers(354998, 355045, 20_000).astype(np.uint32)
    block = rng.integers(1, 2100, 20_000).astype(np.uint32)
    expected = np.asarray(lumi_tools.LumiMask(path)(run, block))
    assert 0 < expected.sum() < len(expected)
    assert np.array_equal(LumiMask.from_json(path).mask(run, block), expected)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "at least one run"),
        ([[1, 2]], "at least one run"),
        ({"1": []}, "at least one"),
        ({"1": {}}, "at least one"),
        ({"1": [1, 10]}, r"expected \[first, last\]; received 1"),
        ({"1": [[10, 1]]}, "first ≤ last"),
        ({"1": [[0, 1]]}, "0 < first"),
        ({"1": [[1, 2, 3]]}, r"expected \[first, last\]"),
        ({"1": [[1.0, 2.0]]}, r"expected \[first, last\]"),
        ({"1": [[True, 2]]}, r"expected \[first, last\]"),
        ({"1": [["1", "2"]]}, r"expected \[first, last\]"),
        ({"1": [[5, 9], [1, 2]]}, r"received \[1, 2\] after \[5, 9\]"),
        ({"1": [[1, 5], [5, 9]]}, "do not overlap"),
        ({"run1": [[1, 2]]}, "run numbers"),
        ({"01": [[1, 2]]}, "run numbers"),
        ({"-1": [[1, 2]]}, "run numbers"),
        ({"99999999999": [[1, 2]]}, "run numbers"),
        ({"1": [[1, 2**33]]}, "first ≤ last"),
    ],
)
def test_malformed_certification_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "golden.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=message) as caught:
        LumiMask.from_json(path)
    assert "golden.json" in str(caught.value)


def test_what_is_not_json_or_repeats_a_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "golden.json"
    path.write_text('{"1": [[1, 2]], "1": [[3, 4]]}')
    with pytest.raises(ConfigError, match="'1' is there twice"):
        LumiMask.from_json(path)
    path.write_text("{")
    with pytest.raises(ConfigError, match="golden"):
        LumiMask.from_json(path)
    with pytest.raises(ConfigError, match="cannot read"):
        LumiMask.from_json(tmp_path / "nothing.json")
