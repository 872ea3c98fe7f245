"""Scoring when disks fail, files are broken, or the detector's code changes."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coffea.processor.executor import ExecutorBase

from oddjet.datasets.files.dataset import Dataset, Fileset
from oddjet.datasets.skims.skim import open_skim
from oddjet.errors import BadFileError, ProcessingError
from oddjet.processors import anomaly, scoring
from oddjet.processors.engine import keys
from oddjet.processors.engine.attempts import Attempts
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.run import run_anomaly
from oddjet.processors.scores import open_scores

QUICK = Attempts(first_wait=0.01)
WriteTwice = Callable[..., None]


def columns(folder: Path) -> dict[str, Any]:
    return open_scores(folder).columns()


def same(first: Path, second: Path) -> None:
    expected = columns(second)
    for name, values in columns(first).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


def test_a_disk_that_fails_now_and_then_changes_nothing(
    skim_folder: Path,
    detector_folder: Path,
    iterative: ExecutorBase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options: dict[str, Any] = {"detectors": {"m": detector_folder}, "executor": iterative}
    run_anomaly(open_skim(skim_folder), output=tmp_path / "clean", **options)
    original, calls = anomaly.write_part, [0]

    def flaky(*args: Any, **more: Any) -> None:
        calls[0] += 1
        if calls[0] % 2:
            raise OSError(errno.EIO, "injected")
        original(*args, **more)

    monkeypatch.setattr(anomaly, "write_part", flaky)
    result = run_anomaly(
        open_skim(skim_folder),
        output=tmp_path / "flaky",
        options=RunOptions(attempts=QUICK),
        **options,
    )
    assert calls[0] == 2 * len(result.manifest.chunks)
    same(tmp_path / "flaky", tmp_path / "clean")


def test_a_disk_that_is_full_is_told_at_once(
    skim_folder: Path,
    detector_folder: Path,
    iterative: ExecutorBase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(anomaly, "write_part", full)
    with pytest.raises(ProcessingError, match=r"5 of 5 chunks failed(.|\n)*No space left"):
        run_anomaly(
            open_skim(skim_folder), detectors={"m": detector_folder}, output=tmp_path,
            executor=iterative,
        )  # fmt: skip
    assert not (tmp_path / "manifest.json").exists()


def test_a_broken_file_is_missing_and_said_so(
    qcd: Path, w: Path, detector_folder: Path, iterative: ExecutorBase, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.root"
    broken.write_bytes(w.read_bytes()[:-1000])
    both = Dataset(files=[str(qcd), str(broken)], kind="signal", truth=(24,), cross_section_pb=1.0)
    options: dict[str, Any] = {"detectors": {"m": detector_folder}, "executor": iterative}
    with pytest.raises(BadFileError, match=r"broken\.root"):
        run_anomaly(Fileset(datasets={"some": both}), output=tmp_path / "a", **options)
    result = run_anomaly(
        Fileset(datasets={"some": both}),
        output=tmp_path / "a",
        options=RunOptions(allow_missing=True),
        **options,
    )
    assert [part.file for part in result.manifest.missing] == [str(broken)]
    assert result.manifest.datasets["some"].sumw == 400
    alone = both.with_files([qcd])
    clean = run_anomaly(Fileset(datasets={"some": alone}), output=tmp_path / "b", **options)
    same(tmp_path / "a", tmp_path / "b")
    assert result.passed == clean.passed


def test_a_detector_whose_code_changed_scores_again(
    skim_folder: Path,
    detector_folder: Path,
    iterative: ExecutorBase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options: dict[str, Any] = {"detectors": {"m": detector_folder}, "executor": iterative}
    chunks = []
    for code, trust in (("a", False), ("a", False), ("b", False), ("b", True), ("c", True)):
        monkeypatch.setattr(scoring, "detector_code", lambda _, code=code: code)
        result = run_anomaly(
            open_skim(skim_folder), output=tmp_path, options=RunOptions(trust_code=trust), **options
        )
        chunks.append([chunk.key for chunk in result.manifest.chunks])
    assert chunks[0] == chunks[1] != chunks[2]
    assert chunks[3] == chunks[4] != chunks[2]


def test_the_code_of_a_detector_is_that_of_its_module(
    detector_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(keys.detector_code(str(detector_folder))) == 64
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(keys, "dependency_digest", lambda *names: asked.append(names) or "x")
    (tmp_path / "fold").mkdir()
    (tmp_path / "fold" / "detector.json").write_text('{"detector": "some.module:Class"}')
    keys.detector_code(str(tmp_path))
    assert asked == [("oddjet.ml.folds", "some.module")]
