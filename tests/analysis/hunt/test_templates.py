"""Signals out of the histograms of a score, against sums over the jets themselves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import awkward as ak
import numpy as np
import pytest

from oddjet.analysis.hunt.spectra import ScoreHistograms
from oddjet.analysis.hunt.templates import signal_templates
from oddjet.datasets.skims.manifest import DatasetSummary
from oddjet.errors import FitError
from oddjet.processors.histograms import Filler, HistogramSettings

SCALE = 3.0


def jets(n: int = 400) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {
        "rank": np.zeros(n, np.int16),
        "weight": rng.uniform(0.5, 1.5, n),
        "msoftdrop": rng.uniform(50, 250, n),
        "pt": rng.uniform(300, 20_000, n),
        "d_s": rng.uniform(0, 1, n),
        "d_s_calibrated": -np.log10(rng.uniform(0, 1, n)),
    }


def templates(pt_bins: tuple[float, ...]) -> Any:
    settings = HistogramSettings(
        n_bins=10,
        mass_range=(50, 250),
        pt_edges=(400, 600, 1000),
        pt_bins=pt_bins,
        working_points=(0.3, 0.1),
    )
    cuts = {"d_s": "d_s_calibrated"}
    filled = Filler(settings, cuts, ("x",)).fill(ak.Array(jets()), "x").histograms
    histograms = ScoreHistograms(settings, {}, filled, frozenset(), cuts, {})
    points = [SimpleNamespace(efficiency=share) for share in (1.0, 0.3, 0.1)]
    hunt: Any = SimpleNamespace(
        main_points=points,
        column="d_s",
        sample=SimpleNamespace(lumi_share=0.5, lumi_ifb=2.0),
    )
    known = DatasetSummary(
        kind="signal", sumw=1, sumw2=1, n_events=1, cross_section_pb=4.0, k_factor=1.5
    )
    other = DatasetSummary(kind="background", sumw=1, sumw2=1, n_events=1)
    return signal_templates(histograms, hunt, {"x": known, "qcd": other}, {"x": SCALE, "qcd": 1.0})


@pytest.mark.parametrize("pt_bins", [(), (600.0,), (400.0, 1000.0)])
def test_jets_of_each_bin_of_pt_and_score_are_those_of_the_table(
    pt_bins: tuple[float, ...],
) -> None:
    (template,) = templates(pt_bins)
    assert template.name == "x"
    assert template.cross_section_pb == 6.0
    table = jets()
    rarity = table["d_s_calibrated"]
    score = (rarity >= -np.log10(0.3)).astype(int) + (rarity >= -np.log10(0.1))
    region = np.digitize(table["pt"], pt_bins)
    mass = np.digitize(table["msoftdrop"], np.linspace(50, 250, 11)) - 1
    expected = np.zeros((len(pt_bins) + 1, 3, 10))
    np.add.at(expected, (region, score, mass), 0.5 * SCALE * table["weight"])
    assert template.score_bins == pytest.approx(expected)
    passed = table["weight"][score == 2]
    assert template.error == pytest.approx(np.sqrt(np.sum(passed**2)) / passed.sum())


def test_bins_of_pt_that_the_histograms_do_not_have_are_refused() -> None:
    with pytest.raises(FitError, match=r"no edge at a pt of 700 GeV.*hunt\.pt_edges"):
        templates((700.0,))
