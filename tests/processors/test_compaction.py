"""What runs do with a compacted skim: the same, and nothing again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coffea.processor.executor import ExecutorBase

from oddjet.datasets.files.dataset import Fileset
from oddjet.datasets.skims.compaction import compact
from oddjet.datasets.skims.skim import open_skim
from oddjet.ml.representations.jet_image import JetImage
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.events.selection import Selection
from oddjet.processors.run import run_anomaly, run_skim
from oddjet.processors.scores import open_scores


def forbidden(*args: Any, **options: Any) -> Any:
    raise AssertionError


def test_nothing_is_skimmed_again(
    fileset: Fileset, iterative: ExecutorBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def skim(selection: Selection | None = None) -> None:
        run_skim(
            fileset,
            selection=selection,
            output=tmp_path,
            representation=JetImage(pixels=8),
            executor=iterative,
            options=RunOptions(chunk_size=150),
        )

    skim()
    before = open_skim(tmp_path)
    jets, images = before.jets().to_list(), before.images()
    assert compact(tmp_path).n_files == 2
    with monkeypatch.context() as patch:
        patch.setattr("oddjet.processors.skim.SkimProcessor.process_chunk", forbidden)
        skim()
    after = open_skim(tmp_path)
    assert after.jets().to_list() == jets
    assert np.array_equal(after.images(), images)
    assert len(list(tmp_path.glob("*/*.parquet"))) == 2
    skim(Selection(pt_min=550.0))
    assert not list(tmp_path.glob("*/merged-*"))
    assert 0 < open_skim(tmp_path).n_jets < len(jets)


def test_a_compacted_skim_is_scored_as_it_was(
    skim_folder: Path, detector_folder: Path, iterative: ExecutorBase, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    copy = tmp_path / "skim"
    shutil.copytree(skim_folder, copy)

    def score(folder: Path, output: str) -> list[Any]:
        result = run_anomaly(
            open_skim(folder),
            detectors={"mass": detector_folder},
            output=tmp_path / output,
            executor=iterative,
        )
        assert all(chunk.stored_in is None for chunk in result.manifest.chunks)
        return open_scores(tmp_path / output).jets().to_list()

    expected = score(copy, "before")
    compact(copy)
    assert score(copy, "after") == expected
    with monkeypatch.context() as patch:  # parts keep their keys, and scores are found by these
        patch.setattr("oddjet.processors.anomaly.score_jets", forbidden)
        assert score(copy, "before") == expected
    compact(tmp_path / "after")
    table = open_scores(tmp_path / "after")
    assert table.jets().to_list() == expected
    assert len(list((tmp_path / "after").glob("*/*.parquet"))) == len(table.datasets)
