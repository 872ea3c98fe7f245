from __future__ import annotations

from pathlib import Path

import pytest

from oddjet.analysis.studies.benchmarks import cases as bench
from oddjet.analysis.studies.benchmarks import processors as benchmark
from oddjet.analysis.studies.benchmarks import scale
from oddjet.analysis.studies.benchmarks.cases import run_benchmarks
from oddjet.analysis.studies.benchmarks.scale import compare_scoring, compare_workers, halves
from oddjet.datasets.simulation import simulate
from oddjet.errors import ConfigError, ProcessingError


def test_files_are_divided_by_size(tmp_path: Path) -> None:
    paths = [tmp_path / f"{size}" for size in (5, 4, 3, 3, 1)]
    for path in paths:
        path.write_bytes(b"x" * int(path.name))
    first, second = halves(paths)
    assert sorted(first + second) == sorted(paths)
    sizes = [sum(path.stat().st_size for path in part) for part in (first, second)]
    assert sizes == [8, 8]


@pytest.mark.long
def test_workers_are_compared(qcd: Path, tmp_path: Path) -> None:
    other = simulate_other(tmp_path)
    numbers = compare_workers([qcd, other], tmp_path / "bench", repeats=1, chunk_size=100)
    assert numbers["n_events"] == 700
    assert set(numbers["events_per_second"]) == {"alone", "futures", "dask", "one"}
    assert all(rate > 0 for rate in numbers["events_per_second"].values())
    rates = numbers["events_per_second"]
    assert numbers["dask_by_alone"] == pytest.approx(rates["dask"] / rates["alone"])
    assert not list((tmp_path / "bench").rglob("*.parquet"))


def simulate_other(folder: Path) -> Path:
    path = folder / "other.root"
    simulate("qcd", 300, seed=2, output=path, pt_hat_min=350)
    return path


@pytest.mark.slow
def test_scoring_is_compared(qcd: Path, tmp_path: Path) -> None:
    numbers = compare_scoring(qcd, tmp_path / "bench", "kmeans", repeats=1)
    assert numbers["n_jets"] > 100
    assert numbers["ratio"] > 0


def test_a_process_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProcessingError, match="a benchmark's process failed"):
        compare_scoring(tmp_path / "nowhere.root", tmp_path / "bench", "kmeans")


def test_rows_have_their_bounds(qcd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {"alone": 200.0, "futures": 190.0, "dask": 170.0, "one": 110.0}
    workers = {
        "n_events": 10, "events_per_second": rates, "dask_by_alone": 0.85, "dask_overhead": 0.12
    }  # fmt: skip
    scoring = {
        "n_jets": 5, "processor_jets_per_second": 6.0, "memory_jets_per_second": 10.0, "ratio": 0.6
    }  # fmt: skip
    skim = {
        "n_events": 10, "skim_events_per_second": 5.0, "read_events_per_second": 10.0, "ratio": 0.5
    }  # fmt: skip
    monkeypatch.setattr(scale, "compare_workers", lambda *_: workers)
    monkeypatch.setattr(scale, "compare_scoring", lambda *_: scoring)
    monkeypatch.setattr(benchmark, "benchmark_skim", lambda *_, **__: skim)
    rows = run_benchmarks(names=["scale"], files=[qcd, qcd])
    assert [row.passed for row in rows] == [False, True, True, True, True, False]
    assert rows[2].ratio == pytest.approx(200 / 110)
    assert "scale" in bench._BENCHMARKS
    with pytest.raises(ConfigError, match="at least two files"):
        run_benchmarks(names=["scale"], files=[qcd])
