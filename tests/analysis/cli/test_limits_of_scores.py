"""Limits in a scores table by the command line: from pass and fail, with the models that `hunt` and `limit` write."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from toy_tables import write_table
from typer.testing import CliRunner

from oddjet.analysis.cli.app import app
from oddjet.analysis.pipeline.limits import limit_scores
from oddjet.analysis.statistics.limits.inputs import LimitSettings
from oddjet.datasets.jets import Truth

HUNT = (
    *("--set", "hunt.window=[100, 150]", "--set", "hunt.bin_width=20", "--set", "hunt.n_toys=100"),
    *("--set", "hunt.working_points=[0.1]", "--set", "hunt.orders=[2, 2]", "--set", "hunt.widths=[2, 3]"),
    *("--column", "d_s_ddt"),
)  # fmt: skip


def make_jets(n: int, seed: int, *, is_signal: bool) -> ak.Array:
    """Jets of a falling spectrum or a peak at 125 GeV, half of which pass a cut of 10 %."""
    rng = np.random.default_rng(seed)
    survival = rng.uniform(0, 1, n) ** (np.log(0.1) / np.log(0.5) if is_signal else 1.0)
    return ak.Array(
        {
            "run": np.ones(n, np.uint32),
            "luminosityBlock": np.ones(n, np.uint32),
            "event": np.arange(n, dtype=np.uint64),
            "rank": np.zeros(n, np.int16),
            "pt": rng.uniform(450, 1000, n),
            "msoftdrop": rng.normal(125, 8, n) if is_signal else 50 + rng.exponential(45, n),
            "weight": np.full(n, 0.25),
            "label": np.full(n, Truth.MERGED if is_signal else Truth.BACKGROUND, np.int8),
            "d_s": -survival,
            "d_s_calibrated": -np.log10(survival),
            "d_s_ddt": -np.log10(survival),
        }
    )


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    jets = {
        "jetht": make_jets(5000, 1, is_signal=False),
        "x": make_jets(800, 2, is_signal=True),
    }
    kinds = {"jetht": "data", "x": "signal"}
    return write_table(tmp_path_factory.mktemp("scores"), jets, kinds, kind="scores").folder


def test_a_limit_from_pass_and_fail_on_a_gaussian_and_on_a_signal(
    scores: Path, tmp_path: Path
) -> None:
    out = tmp_path / "limits"
    command = ["limit", str(scores), "--mass", "125", "--width", "8", "--toys", "0", *HUNT]
    done = CliRunner().invoke(app, [*command, "-o", str(out)])
    assert done.exit_code == 0, done.output
    gaussian, signal = json.loads((out / "limits.json").read_text())["limits"]
    assert (gaussian["name"], signal["name"]) == ("", "x")
    assert signal["observed"] is None
    assert signal["inputs"]["signal_efficiency"] == pytest.approx(0.5, abs=0.06)
    # Half of the signal passes: twice as many are excluded, but for what more cuts and the shape give.
    events = [limit["expected"]["median"]["events"] for limit in (gaussian, signal)]
    assert events[1] == pytest.approx(2 * events[0], rel=0.25)
    spec = json.loads((out / "x" / "workspace.json").read_text())
    assert len(spec["channels"]) == 2 * 10
    assert "rateParam r0_k1_b0 smooth" in (out / "x" / "datacard.txt").read_text()
    assert (out / "m125" / "workspace.json").is_file()
    assert any("the error of the cuts' calibration is not known" in n for n in signal["notes"])


def test_a_hunt_writes_its_models_beside_its_numbers(
    scores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = partial(limit_scores, how=LimitSettings(n_toys=0))
    monkeypatch.setattr("oddjet.analysis.cli.hunt.limit_scores", quick)
    out = tmp_path / "hunt.json"
    done = CliRunner().invoke(app, ["hunt", str(scores), *HUNT, "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert out.is_file()
    assert (tmp_path / "hunt" / "x" / "workspace.json").is_file()
    assert "workspace.json and 3 more" in " ".join(done.output.split())


def test_options_of_the_other_source_are_refused(scores: Path, tmp_path: Path) -> None:
    signal = ["--mass", "125", "--width", "8", "-o", str(tmp_path / "o")]
    done = CliRunner().invoke(app, ["limit", str(scores), *signal, "--background", "f.root:h"])
    assert done.exit_code == 1
    assert "--background is an option of a histogram" in done.output
    done = CliRunner().invoke(app, ["limit", "f.root:h", *signal, "--column", "d_s_ddt"])
    assert done.exit_code == 1
    assert "--column is an option of a scores table" in done.output
