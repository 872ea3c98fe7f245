"""What grows with the number of chunks, and what is read of them."""

from __future__ import annotations

import dataclasses
import io
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coffea.processor.executor import ExecutorBase

from oddjet.datasets.skims.compaction import compact
from oddjet.datasets.skims.skim import open_skim
from oddjet.ml.folds import FoldedDetector
from oddjet.processors import detection
from oddjet.processors.histograms import HistogramSettings
from oddjet.processors.run import run_anomaly
from oddjet.processors.scores import open_scores


def test_a_worker_loads_a_detector_once(
    skim_folder: Path, detector_folder: Path, iterative: ExecutorBase, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    loaded: list[Any] = []
    original = FoldedDetector.load

    def load(folder: Path | str) -> FoldedDetector:
        loaded.append(folder)
        return original(folder)

    monkeypatch.setattr(FoldedDetector, "load", load)
    detection._load.cache_clear()
    skim = open_skim(skim_folder)
    assert len(skim.manifest.chunks) >= 4
    run_anomaly(
        skim, detectors={"mass": detector_folder}, output=tmp_path, executor=iterative
    )  # to plan; scoring is in the same process
    assert len(loaded) == 1


def test_results_are_added_in_a_tree(
    executors: dict[str, ExecutorBase], monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = dataclasses.replace(executors["dask"], treereduction=3)
    mapped: list[int] = []
    original = executor.client.map

    def watched(function: Any, items: Any, **options: Any) -> Any:
        items = list(items)
        mapped.append(len(items))
        return original(function, items, **options)

    monkeypatch.setattr(executor.client, "map", watched)
    total, _ = executor(list(range(10)), np.square, None)
    assert total == sum(n * n for n in range(10))
    assert mapped == [10, 4, 2, 1]


@pytest.fixture
def n_read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Bytes read of parquet files, as one number in a list."""
    total = [0]

    class Counting(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:
            content: bytes = super().read(-1 if size is None else size)
            total[0] += len(content)
            return content

    original = pq.ParquetFile
    with ExitStack() as opened:

        def open_counting(path: Path) -> pq.ParquetFile:
            file = opened.enter_context(Counting(str(path)))
            return original(pa.PythonFile(file, mode="r"))

        monkeypatch.setattr(pq, "ParquetFile", open_counting)
        yield total


def test_only_columns_and_parts_that_are_used_are_read(
    skim_folder: Path, tmp_path: Path, n_read: list[int]
) -> None:
    def cost(folder: Path, **options: Any) -> int:
        n_read[0] = 0
        open_skim(folder).jets(**options)
        return n_read[0]

    size = sum(path.stat().st_size for path in skim_folder.glob("*/*.parquet"))
    everything = cost(skim_folder)
    n_files = len(list(skim_folder.glob("*/*.parquet")))
    nothing = cost(skim_folder, columns=["rank"])  # and the files' own descriptions
    assert everything >= 0.9 * size
    assert cost(skim_folder, columns=["pt", "weight"]) - nothing < 0.1 * (everything - nothing)
    assert cost(skim_folder, columns=["constituents"]) - nothing > 0.5 * (everything - nothing)
    copy = tmp_path / "skim"
    shutil.copytree(skim_folder, copy)
    compact(copy)
    skim = open_skim(copy)
    n_read[0] = 0
    next(skim.iter_jets())
    assert n_read[0] < 1.5 * everything / n_files + nothing


def test_histograms_are_filled_again_from_their_columns_alone(
    skim_folder: Path, detector_folder: Path, iterative: ExecutorBase, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def score(n_bins: int) -> None:
        run_anomaly(
            open_skim(skim_folder),
            detectors={"mass": detector_folder},
            output=tmp_path,
            executor=iterative,
            histograms=HistogramSettings(n_bins=n_bins),
        )

    score(60)
    seen: list[Any] = []
    original = pq.ParquetFile.read

    def watched(self: pq.ParquetFile, *, columns: Any = None, **options: Any) -> Any:
        seen.append(columns)
        return original(self, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "read", watched)
    score(30)
    assert len(seen) == len(open_skim(skim_folder).manifest.chunks)
    for columns in seen:
        assert set(columns) == {
            "msoftdrop", "pt", "weight", "rank", "mass_mass_calibrated", "mass_light_calibrated",
        }  # fmt: skip


def test_scores_are_the_same_whatever_the_number_of_threads(
    skim_folder: Path, executors: dict[str, ExecutorBase], tmp_path: Path
) -> None:
    """A worker has one thread a library, this process as many as it likes: k-means multiplies matrices."""
    skim = open_skim(skim_folder)
    jets = skim.jets(kinds="background")
    FoldedDetector.fit(jets, detector=("kmeans", {}), k=3, seed=1).save(tmp_path / "model")
    tables = []
    for kind in ("iterative", "futures"):
        run_anomaly(
            skim,
            detectors={"k": tmp_path / "model"},
            output=tmp_path / kind,
            executor=executors[kind],
        )
        tables.append(open_scores(tmp_path / kind).columns())
    for name, values in tables[0].items():
        np.testing.assert_array_equal(values, tables[1][name], err_msg=name)
