from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import uproot
from typer.testing import CliRunner, Result

from oddjet.analysis.cli.app import app

EDGES = np.linspace(40.0, 160.0, 25)
BACKGROUND = 4000 * np.exp(-0.5 * (EDGES[1:] + EDGES[:-1]) / 40)


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    path = tmp_path / "foreign.root"
    with uproot.recreate(path) as file:
        file["data/mass"] = (np.round(BACKGROUND), EDGES)
        file["bkg/mass"] = (np.round(BACKGROUND), EDGES)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["limit", *map(str, arguments)])


def test_limit_from_a_histogram_written_by_uproot(foreign: Path, tmp_path: Path) -> None:
    signal = ("--mass", 85, "--width", 6, "--function", "exppoly2")
    done = run(f"{foreign}:data/mass", *signal, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "blinded" in done.output
    (written,) = json.loads((tmp_path / "out" / "limits.json").read_text())["limits"]
    assert written["blinded"] is True
    assert written["observed"] is None
    assert written["expected"]["median"]["events"] > 0
    for name in ("workspace.json", "datacard.txt", "shapes.root", "limit.png"):
        assert (tmp_path / "out" / name).is_file()


def test_given_background_range_and_cross_section(foreign: Path, tmp_path: Path) -> None:
    given = ("--background", f"{foreign}:bkg/mass", "--range", 70, 100, "--unblind")
    signal = ("--mass", 85, "--width", 4, "--lumi", 59.8, "--efficiency", 0.01)
    small = ("--mass-scale", 0, "--mass-resolution", 0, "--lumi-error", 0, "--tagger", 0.2)
    done = run(f"{foreign}:data/mass", *signal, *given, *small, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    (written,) = json.loads((tmp_path / "out" / "limits.json").read_text())["limits"]
    observed = written["observed"]
    assert observed["cross_section_pb"] == pytest.approx(observed["events"] / (0.01 * 59800))
    assert written["inputs"]["edges"][0] == 70.0
    assert "are not used" in done.output


def test_few_events_are_given_toys_with_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oddjet.analysis.statistics.limits.upper.DEFAULT_TOYS", 400)
    with uproot.recreate(tmp_path / "few.root") as file:
        file["data"] = (np.array([3.0, 2.0, 4.0, 1.0]), np.array([60.0, 75.0, 90.0, 105.0, 120.0]))
        file["bkg"] = (np.array([3.0, 3.0, 2.0, 2.0]), np.array([60.0, 75.0, 90.0, 105.0, 120.0]))
    given = ("--background", f"{tmp_path}/few.root:bkg", "--unblind")
    signal = ("--mass", 90, "--width", 6, "-o", tmp_path / "out")
    done = run(f"{tmp_path}/few.root:data", *given, *signal)
    assert done.exit_code == 0, done.output
    assert "Limits" in done.output
    (written,) = json.loads((tmp_path / "out" / "limits.json").read_text())["limits"]
    assert "400 toys a point, because" in written["method"]
    quick = run(f"{tmp_path}/few.root:data", *given, *signal, "--toys", 0)
    assert quick.exit_code == 0, quick.output
    (written,) = json.loads((tmp_path / "out" / "limits.json").read_text())["limits"]
    assert written["method"] == "CLs, asymptotic"


def test_mistakes_give_one_message(foreign: Path, tmp_path: Path) -> None:
    signal = ("--mass", 85, "--width", 6, "-o", tmp_path / "out")
    done = run(f"{foreign}:data/mas", *signal)
    assert done.exit_code == 1
    assert "Did you mean 'data/mass'" in done.output
    done = run(f"{foreign}:data/mass", "--simulation", "--unblind", *signal)
    assert done.exit_code == 1
    assert "no data to unblind" in done.output
