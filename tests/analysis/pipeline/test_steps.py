from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from oddjet.analysis.cli.app import app
from oddjet.datasets.simulation import simulate


@pytest.mark.slow
def test_dask_reports_on_a_skim(tmp_path: Path) -> None:
    sample, report = tmp_path / "qcd.root", tmp_path / "new" / "report.html"
    simulate("qcd", 100, seed=1, output=sample, pt_hat_min=350)
    command = ["skim", str(sample), "-o", str(tmp_path / "skim"), "--executor", "dask"]
    done = CliRunner().invoke(app, [*command, "--performance-report", str(report)])
    assert done.exit_code == 0, done.output
    assert "Dask Performance Report" in report.read_text()
