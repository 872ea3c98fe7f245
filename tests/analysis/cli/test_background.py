"""The command `oddjet spurious` on a small skim of known spectrum."""

from __future__ import annotations

import json
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from typer.testing import CliRunner

from oddjet.analysis.cli import background
from oddjet.analysis.cli.app import app
from oddjet.analysis.scores.sample import leading_mass
from oddjet.datasets.skims.manifest import DatasetSummary, Manifest
from oddjet.errors import FitError


class FewJets:
    """A skim of a falling spectrum; every other jet is the second of its event."""

    manifest = Manifest(
        kind="skim",
        datasets={
            name: DatasetSummary(kind=kind, sumw=1, sumw2=1, n_events=1)
            for name, kind in (("qcd", "background"), ("jetht", "data"))
        },
    )

    def jets(self, _dataset: str, *, columns: list[str]) -> ak.Array:
        n = 20_000
        mass = 40.0 + np.random.default_rng(1).exponential(50.0, n)
        values = {"msoftdrop": mass, "pt": np.full(n, 500.0), "rank": np.arange(n) % 2}
        return ak.Array({**values, "weight": np.full(n, 0.5)})[columns]


def test_leading_jets_enter_with_their_weights() -> None:
    edges = np.linspace(40, 240, 41)
    counts, variances = leading_mass(FewJets(), "qcd", edges)  # type: ignore[arg-type]
    assert counts.sum() == pytest.approx(0.5 * 10_000, rel=0.03)
    assert variances == pytest.approx(0.5 * counts)
    with pytest.raises(FitError, match="no leading jet"):
        leading_mass(FewJets(), "qcd", edges, pt_min=600.0)  # type: ignore[arg-type]


def test_table_json_and_figure_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "open_of_run", lambda _folder: FewJets())
    arguments = ["spurious", "skim", "-o", str(tmp_path / "out"), "--background", "qcd"]
    arguments += ["--function", "exppoly2", "--function", "bernstein2", "--jets", "200"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "out" / "spurious.json").read_text())
    assert written["n_data"] == 200
    # Jets fall as an exponential, which exppoly2 is and a straight line is not.
    assert written["accepted"] == ["exppoly2"]
    assert (tmp_path / "out" / "spurious.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("dataset", "words"),
    [("jetht", "expected simulation, received data"), ("qdc", "Did you mean 'qcd'?")],
)
def test_data_and_unknown_datasets_are_refused(
    dataset: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "open_of_run", lambda _folder: FewJets())
    done = CliRunner().invoke(
        app, ["spurious", "skim", "-o", str(tmp_path), "--background", dataset]
    )
    assert done.exit_code == 1
    assert words in done.output


def test_a_missing_skim_is_refused(tmp_path: Path) -> None:
    arguments = ["spurious", str(tmp_path / "none"), "-o", str(tmp_path), "--background", "qcd"]
    assert CliRunner().invoke(app, arguments).exit_code == 1
