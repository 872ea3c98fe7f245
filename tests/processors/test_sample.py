from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oddjet.datasets.folds import event_hash, held_out
from oddjet.datasets.skims.manifest import Manifest
from oddjet.errors import SkimError
from oddjet.processors.pseudodata import ExpectedWeights
from oddjet.processors.sample import HeldOut, HuntSample

N = 2000
TABLE: dict[str, Any] = {
    "dataset": np.repeat(["qcd", "run", "w"], [N, N, N]),
    "run": np.ones(3 * N, np.uint32),
    "luminosityBlock": np.ones(3 * N, np.uint32),
    "event": np.arange(3 * N, dtype=np.uint64) // 2,
    "rank": (np.arange(3 * N) % 2).astype(np.int16),
    "weight": np.repeat(np.linspace(0.1, 1.0, 3 * N // 2), 2),
}


@pytest.mark.parametrize(
    "sample",
    [
        HuntSample("data", 1.0, scales={"run": 1.0}),
        HuntSample("pseudo-data", 1.0, 3, {"qcd": 0.5, "w": 1.0}),
        HuntSample("pseudo-data", None, 3),
        HuntSample("data", 1.0, scales={"run": 1.0}, held_out=HeldOut(0.5, ("run",))),
        HuntSample("pseudo-data", 1.0, 3, {"qcd": 0.5, "w": 0.5}, held_out=HeldOut(0.6, ("qcd",))),
        HuntSample("pseudo-data", None, held_out=HeldOut(0.6, ("",))),
    ],
)
def test_parts_hold_the_jets_of_the_whole(sample: HuntSample) -> None:
    rows = sample.rows(TABLE)
    parts, summary = [], ExpectedWeights()
    for name, start in (("qcd", 0), ("qcd", N // 2), ("run", N), ("run", 3 * N // 2), ("w", 2 * N)):
        size = N if name == "w" else N // 2
        part = {column: values[start : start + size] for column, values in TABLE.items()}
        kept, weights = sample.rows_of_part(part, name)
        parts.append(kept)
        summary += weights
    np.testing.assert_array_equal(np.concatenate(parts), rows)
    assert summary.usable
    # Jets of an event are kept together.
    np.testing.assert_array_equal(rows[::2], rows[1::2])
    by_dataset = {name: rows[TABLE["dataset"] == name].mean() for name in ("qcd", "run", "w")}
    assert (by_dataset["run"] > 0) == (sample.kind == "data" or sample.scales is None)


FRESH = held_out(event_hash(TABLE["run"], TABLE["luminosityBlock"], TABLE["event"]), 0.5)


def test_only_fresh_events_are_hunted_in_and_stand_for_all() -> None:
    names = TABLE["dataset"]
    data = HuntSample("data", None, scales={"run": 1.0}, held_out=HeldOut(0.5, ("run",)))
    np.testing.assert_array_equal(data.rows(TABLE), FRESH & (names == "run"))
    assert data.lumi_share == 0.5
    drawn = {"lumi_ifb": None, "seed": 5, "scales": {"qcd": 0.4, "w": 0.4}}
    sample = HuntSample("pseudo-data", **drawn, held_out=HeldOut(0.5, ("qcd",)))
    rows = sample.rows(TABLE)
    assert not (rows & ~FRESH & (names == "qcd")).any()
    assert (rows & ~FRESH & (names == "w")).any()
    # As many as without: half the events with twice the weight.
    for name in ("qcd", "w"):
        expected = 0.4 * TABLE["weight"][names == name].sum()
        assert rows[names == name].sum() == pytest.approx(expected, abs=5 * np.sqrt(2 * expected))


def test_shares_of_several_detectors_are_nested() -> None:
    def on(name: str, n_effective: float) -> dict[str, Any]:
        return {"datasets": [name], "n_effective": n_effective}

    first = {"detectors": on("qcd", 9), "thresholds": on("qcd", 8), "maps": on("run", 7)}
    second = {"detectors": on("qcd", 9), "thresholds": on("qcd", 6)}
    both = HeldOut.from_detectors([(0.5, first), (0.3, second), (0.1, {})])
    assert both == HeldOut(0.3, ("qcd", "run"), ("qcd", "run"), 6.0)
    assert both.only(["w", "run"]).datasets == ("run",)
    assert HeldOut.from_detectors([]) == HeldOut()
    config = {"detectors": [{"label": "a", "held_out": 0.4, "learned": first}]}
    manifest = Manifest(kind="scores", datasets={}, config=config)
    assert HeldOut.from_manifest(manifest, "scores") == HeldOut(0.4, ("qcd", "run"), ("run",), 7.0)
    old = Manifest(kind="scores", datasets={}, config={"detectors": [{"label": "a"}]})
    with pytest.raises(SkimError, match="held no events out"):
        HeldOut.from_manifest(old, "scores")
