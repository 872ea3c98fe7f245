"""The step `certify`: written into the folder of its analysis, and shown in the report as of it or of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from toy_tables import write_table

from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.injection.certificate.replica import Replica
from oddjet.analysis.pipeline.certify import certificate_sections, certify_and_write
from oddjet.analysis.pipeline.folder import Run
from oddjet.processors.engine.progress import SilentReporter


def config(output: Path, **changes: Any) -> AnalysisConfig:
    given = {
        "name": "toy",
        "output": str(output),
        "fileset": {"datasets": {"qcd": {"kind": "background", "files": {"toy.root": "Events"}}}},
        "image": None,
        "detectors": [{"name": "observables", "cut": "tau21"}],
        "pseudo_data": {"lumi_ifb": 1.0},
        "certificate": {"replicas": 40},
        "cluster": {"executor": "iterative"},
    }
    return AnalysisConfig.model_validate(given | changes)


def stub(replica: Replica) -> dict[str, Any]:
    p = np.random.default_rng(replica.seed).random()
    return {"seed": replica.seed, "global_p": p, "problem": "", "verdicts": {}, "n_hunted": 10}


def test_the_certificate_is_in_the_report_of_its_own_analysis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oddjet.analysis.injection.certificate.run.run_replica", stub)
    jets = ak.Array({"event": np.arange(5), "msoftdrop": np.full(5, 80.0)})
    write_table(tmp_path / "skim", {"qcd": jets}, {"qcd": "background"})
    assert certificate_sections(Run(config(tmp_path))) == []
    result, written = certify_and_write(
        config(tmp_path), skim=tmp_path / "skim", reporter=SilentReporter()
    )
    assert len(result.replicas) == 40
    assert written[0] == tmp_path / "certificate" / "certificate.json"
    (section,) = certificate_sections(Run(config(tmp_path)))
    assert section.anchor == "certificate"
    assert section.statements == (result.conclusion,)
    assert not any("not of this analysis" in warning for warning in section.warnings)
    other = config(tmp_path, folds=5)
    (strange,) = certificate_sections(Run(other))
    assert "not of this analysis" in strange.warnings[0]
    (unknown,) = certificate_sections(Run(config(tmp_path, pseudo_data=None)))
    assert "not of this analysis" in unknown.warnings[0]
