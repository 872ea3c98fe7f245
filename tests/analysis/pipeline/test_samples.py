"""Simulated samples are kept while they are what was simulated."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import awkward as ak
import pytest
import uproot

from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.jobs.damage import damage_of_run
from oddjet.analysis.pipeline.folder import Run
from oddjet.analysis.pipeline.samples import ready_samples
from oddjet.datasets.disk.checksums import file_sha256
from oddjet.datasets.files.dataset import Dataset, Fileset

WANTED = Fileset(
    datasets={
        "w": Dataset.model_validate(
            {
                "kind": "signal",
                "simulate": {"process": "w", "n_events": 5, "seed": 1, "pt_hat_min": 350},
            }
        )
    }
)


def ready(folder: Path) -> Path:
    (name,) = ready_samples(WANTED, folder).datasets["w"].files
    return Path(name)


def events(path: Path) -> ak.Array:
    with uproot.open(path) as file:
        return file["Events"].arrays(["event", "FatJet_pt"])


def test_a_damaged_sample_is_simulated_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = ready(tmp_path)
    whole, before = events(path), path.stat().st_mtime_ns
    assert ready(tmp_path) == path
    assert path.stat().st_mtime_ns == before
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    damaged = file_sha256(path)
    with caplog.at_level(logging.WARNING):
        assert ready(tmp_path) == path
    assert f"{path} is not the file that was simulated" in caplog.text
    assert file_sha256(path) != damaged
    assert ak.array_equal(events(path), whole)


@pytest.mark.parametrize("content", ["[]", "", '{"cross_section_pb": 1.0}'])
def test_a_sample_with_a_summary_that_is_none_is_simulated_again(
    tmp_path: Path, content: str
) -> None:
    path = ready(tmp_path)
    summary = path.with_suffix(".summary.json")
    before = summary.read_text()
    summary.write_text(content)
    assert ready(tmp_path) == path
    assert summary.read_text()[:60] == before[:60]


def test_a_sample_of_an_older_version_is_not_called_damaged(tmp_path: Path) -> None:
    path = ready(tmp_path)
    summary = path.with_suffix(".summary.json")
    whole = json.loads(summary.read_text())
    fileset: dict[str, Any] = {"datasets": {"w": {"kind": "signal", "files": [str(path)]}}}
    settings = {"name": "a", "output": tmp_path / "run", "fileset": fileset}
    run = Run(AnalysisConfig.model_validate(settings))
    assert damage_of_run(run) == []
    older = {key: value for key, value in whole.items() if key not in ("sha256", "file_sha256")}
    summary.write_text(json.dumps(older))
    assert damage_of_run(run) == []
    summary.write_text(json.dumps(older | {"file_sha256": whole["file_sha256"]}))
    ((named, what),) = damage_of_run(run)
    assert named == summary
    assert f"simulate {path.name} again" in what
    summary.write_text(json.dumps(older))
    ready(tmp_path)  # without a hash nothing is known of it
    assert "file_sha256" in json.loads(summary.read_text())
