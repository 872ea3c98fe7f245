from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oddjet.analysis.cli.app import app
from oddjet.analysis.studies.benchmarks import cases as bench
from oddjet.analysis.studies.benchmarks import throughput
from oddjet.analysis.studies.benchmarks.cases import BenchmarkRow, run_benchmarks
from oddjet.errors import ConfigError


def row(name: str, **changes: object) -> BenchmarkRow:
    return BenchmarkRow(name, "5 jets/s", "", {"jets_per_second": 5.0}, **changes)  # type: ignore[arg-type]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand-ins for the benchmarks; gives the names of those that ran."""
    ran: list[str] = []

    def stand_in(name: str, **changes: object):
        def measure(place: object) -> Iterator[BenchmarkRow]:
            ran.append(name)
            yield row(name, **changes)

        return measure

    fast, slow = stand_in("fast", ratio=50.0, bound=30.0), stand_in("slow", ratio=2.0, bound=30.0)
    plain = stand_in("plain")
    benchmarks = {"representations": (fast, plain), "images": (fast,), "memory": (slow,)}
    monkeypatch.setattr(bench, "_BENCHMARKS", benchmarks)
    return ran


def test_a_bound_is_reached_missed_or_not_set() -> None:
    assert row("a", ratio=31.0, bound=30.0).passed
    assert not row("a", ratio=29.0, bound=30.0).passed
    assert row("a", ratio=1.1, bound=1.15, at_least=False).passed
    assert not row("a", ratio=1.2, bound=1.15, at_least=False).passed
    assert row("a").passed
    assert (row("a").ratio_text, row("a").expected) == ("", "")
    assert (row("a", ratio=31.0, bound=30.0).expected, row("a", ratio=2.0).ratio_text) == (
        "≥ 30×",
        "2×",
    )


def test_what_was_asked_for_is_measured_once(measured: list[str], tmp_path: Path) -> None:
    run_benchmarks(names=["images", "representations"], output=tmp_path / "new" / "numbers.json")
    assert measured == ["fast", "plain"]
    numbers = json.loads((tmp_path / "new" / "numbers.json").read_text())
    assert [(line["name"], line["passed"]) for line in numbers] == [("fast", True), ("plain", True)]
    measured.clear()
    run_benchmarks()
    assert measured == ["fast", "plain", "slow"]


def test_the_command_fails_where_a_bound_is_missed(measured: list[str]) -> None:
    fine = CliRunner().invoke(app, ["bench", "representations"])
    assert fine.exit_code == 0, fine.output
    assert "plain" in fine.output
    assert CliRunner().invoke(app, ["bench", "images", "memory"]).exit_code == 1
    assert measured == ["fast", "plain", "fast", "slow"]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'representations'"):
        run_benchmarks(names=["representation"])


def test_every_detector_has_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {"jets_per_second": 1000.0, "representation_jets_per_second": 2000.0}
    monkeypatch.setattr(throughput, "detector_rates", {"one": rates, "two": rates}.get)
    monkeypatch.setattr(throughput, "emd_rate", lambda: 500.0)
    monkeypatch.setattr(
        "oddjet.analysis.studies.benchmarks.cases.detector_names", lambda: ("one", "two")
    )
    rows = run_benchmarks(names=["detectors"])
    assert [line.name for line in rows][1:] == ["scores of one", "scores of two"]
    assert [line.measured for line in rows] == ["500 jets/s", "1,000 jets/s", "1,000 jets/s"]
    assert all(line.passed for line in rows)
