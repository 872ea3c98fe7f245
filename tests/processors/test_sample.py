from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oddjet.processors.pseudodata import ExpectedWeights
from oddjet.processors.sample import HuntSample

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
