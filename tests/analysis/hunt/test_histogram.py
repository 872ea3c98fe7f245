"""Hunts in histograms from files, as other tools write them."""

from __future__ import annotations

import json
from pathlib import Path

import hist
import numpy as np
import pytest
import uproot
from typer.testing import CliRunner

from oddjet.analysis.cli.app import app
from oddjet.analysis.hunt.histogram import hunt_file
from oddjet.analysis.report.sections.hunt import histogram_section
from oddjet.analysis.report.write import write_section
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.errors import FitError

EDGES = np.linspace(50.0, 250.0, 41)
CENTRES = 0.5 * (EDGES[:-1] + EDGES[1:])
EXPECTED = 500 * np.exp(-(CENTRES - 50) / 45) + 1
SETTINGS = ScanSettings(n_toys=100, function="exppoly3")


@pytest.fixture(scope="module")
def root_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mass with a bump at 120 GeV in a folder, its background, and weighted simulation."""
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("root") / "theirs.root"
    bump = 160 * np.exp(-0.5 * ((CENTRES - 120) / 7) ** 2)
    with uproot.recreate(path) as file:
        file["cr/mass"] = (rng.poisson(EXPECTED + bump).astype(float), EDGES)
        file["cr/background"] = (EXPECTED, EDGES)
        weighted = hist.Hist.new.Variable(EDGES, name="mass").Weight()
        weighted.fill(CENTRES, weight=0.5 * EXPECTED)
        file["simulation"] = weighted
    return path


def test_a_bump_in_a_root_histogram_is_found(root_file: Path, tmp_path: Path) -> None:
    result = hunt_file(f"{root_file}:cr/mass", SETTINGS)
    written = write_section(tmp_path / "out", histogram_section(result))
    scan = result.bump_hunt
    assert scan.window[0] < 120 < scan.window[1]
    assert scan.background == "fit beside each window"
    assert scan.global_p == 1 / 101
    content = json.loads((tmp_path / "out" / "hunt.json").read_text())
    assert content["window"] == list(scan.window)
    assert content["local_p"] == scan.local_p
    assert {file.name for file in written} == {"hunt.json", "p_values.png", "toys.png"}
    assert all(file.stat().st_size > 1000 for file in written)


def test_a_background_can_be_given(root_file: Path) -> None:
    result = hunt_file(
        f"{root_file}:cr/mass", SETTINGS, background=f"{root_file}:cr/background"
    ).bump_hunt
    assert result.background == "given"
    assert result.best.expected == pytest.approx(
        EXPECTED[(EDGES[:-1] >= result.window[0]) & (EDGES[1:] <= result.window[1])].sum()
    )


def test_a_range_and_a_signal_width(root_file: Path) -> None:
    settings = ScanSettings(range=(60, 240), signal_width=7, function="exppoly3", n_toys=50)
    result = hunt_file(f"{root_file}:cr/mass", settings)
    assert result.spectrum.edges[[0, -1]].tolist() == [60, 240]
    assert result.bump_hunt.background == "signal plus background"
    assert abs(np.mean(result.bump_hunt.window) - 120) < 6


def test_weighted_simulation_is_not_data(root_file: Path) -> None:
    with pytest.raises(FitError, match="pseudo-data"):
        hunt_file(f"{root_file}:simulation", SETTINGS)


def test_the_command_line(root_file: Path) -> None:
    arguments = ["hunt", f"{root_file}:cr/mass", "--function", "exppoly3", "--toys", "50"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "global p" in done.output
    wrong = CliRunner().invoke(app, ["hunt", f"{root_file}:cr/mess"])
    assert wrong.exit_code == 1
    with_folder = CliRunner().invoke(app, ["hunt", str(root_file.parent)])
    assert with_folder.exit_code == 1
