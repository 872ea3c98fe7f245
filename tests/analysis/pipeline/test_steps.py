from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oddjet.analysis.cli.app import app
from oddjet.analysis.pipeline.steps import performance_report
from oddjet.condor import Cluster, open_executor
from oddjet.datasets.simulation import simulate
from oddjet.errors import ConfigError


@pytest.mark.slow
def test_dask_reports_on_a_skim(tmp_path: Path) -> None:
    sample, report = tmp_path / "qcd.root", tmp_path / "new" / "report.html"
    simulate("qcd", 100, seed=1, output=sample, pt_hat_min=350)
    command = ["skim", str(sample), "-o", str(tmp_path / "skim"), "--executor", "dask"]
    done = CliRunner().invoke(app, [*command, "--performance-report", str(report)])
    assert done.exit_code == 0, done.output
    assert "Dask Performance Report" in report.read_text()


def test_only_dask_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        open_executor(Cluster()) as executor,
        pytest.raises(ConfigError, match="expected a Dask executor"),
        performance_report(executor, tmp_path / "a.html"),
    ):
        pass
    with performance_report(executor, None):
        pass
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    executor.client = "some client"
    with (
        pytest.raises(ConfigError, match="pip install"),
        performance_report(executor, tmp_path / "a.html"),
    ):
        pass
    assert not list(tmp_path.iterdir())
