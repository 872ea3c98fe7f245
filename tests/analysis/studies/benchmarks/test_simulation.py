"""The benchmark measures what it says."""

from __future__ import annotations

import pytest

from oddjet.analysis.studies.benchmarks.simulation import benchmark_simulation


def test_rates_and_their_ratio() -> None:
    numbers = benchmark_simulation(30, seed=1)
    assert numbers["n_events"] == 30
    assert numbers["ratio"] == pytest.approx(
        numbers["events_per_second"] / numbers["bare_events_per_second"]
    )
    assert 0 < numbers["ratio"] < 1.5
