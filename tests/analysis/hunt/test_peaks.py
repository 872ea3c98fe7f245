"""Known peaks: what is expected of them among the jets that are hunted in, and how it may shift."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from oddjet.analysis.config import HuntConfig, PeaksConfig
from oddjet.analysis.hunt.calibration import MASS_RESOLUTION, MASS_SCALE, with_errors
from oddjet.analysis.hunt.peaks import joint_table
from oddjet.analysis.scores.sample import histogram_settings
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.components import Component
from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, FitError
from oddjet.processors.histogram_files import (
    HISTOGRAMS,
    HISTOGRAMS_ROOT,
    load_histograms,
    write_histograms,
)
from oddjet.processors.histograms import HUNTED, PEAKS, Filler, HistogramSettings, Totals
from oddjet.processors.sample import HuntSample

SETTINGS = HuntConfig(
    range=(50, 250), bin_width=10, window=(150, 200), working_points=(0.3, 0.1), pt_bins=(500,),
    widths=(2, 4),
)  # fmt: skip
SCALES = {"qcd": 0.4, "w": 0.3}
LUMI_IFB = 2.0


def jets_of(n: int, mass: float, rng: np.random.Generator) -> Jets:
    """Events of one jet, with weights of their own."""
    columns = {
        "run": np.ones(n, np.uint32),
        "luminosityBlock": np.ones(n, np.uint32),
        "event": np.arange(n, dtype=np.uint64),
        "rank": np.zeros(n, np.int16),
        "pt": rng.uniform(300, 700, n),
        "msoftdrop": rng.normal(mass, 20, n),
        "weight": rng.uniform(0.5, 1.5, n),
        "d_s_ddt": rng.exponential(1.0, n),
    }
    return ak.zip(columns, depth_limit=1)


def settings_of(sample: HuntSample) -> HistogramSettings:
    peaks = {"w": SCALES["w"] / LUMI_IFB}
    return histogram_settings(SETTINGS, ("d_s_ddt",), sample, peaks=peaks)


def filled(sample: HuntSample, jets: dict[str, Jets]) -> Totals:
    filler = Filler(settings_of(sample), {"d_s_ddt": "d_s_ddt"}, tuple(jets))
    totals = Totals()
    for name, rows in jets.items():
        totals.add(filler.fill(rows, name))
    return totals


def numpy_counts(jets: Jets, weights: np.ndarray) -> np.ndarray:
    """By bin of pt, how many of the cuts a jet passes, and mass."""
    passed = (np.asarray(jets.d_s_ddt)[:, None] >= -np.log10([0.3, 0.1])).sum(axis=1)
    sample = np.stack([np.asarray(jets.pt) >= 500, passed, np.asarray(jets.msoftdrop)], axis=1)
    bins = ([-0.5, 0.5, 1.5], [-0.5, 0.5, 1.5, 2.5], np.linspace(50, 250, 21))
    return np.histogramdd(sample, bins, weights=weights)[0]


def cells_of(table: JointTable, values: np.ndarray) -> np.ndarray:
    cells = np.zeros((2, 3, 20))
    np.add.at(cells, (table.in_region, table.members.sum(axis=0) - 1), values)
    return cells


def test_the_joint_table_is_by_pt_and_holds_what_is_expected_of_peaks_in_data() -> None:
    rng = np.random.default_rng(1)
    jets = {"run": jets_of(3000, 120, rng), "w": jets_of(2000, 82, rng)}
    sample = HuntSample("data", LUMI_IFB, scales={"run": 1.0})
    totals = filled(sample, jets)
    assert totals.hunted is not None
    assert totals.peaks is not None
    table = joint_table({HUNTED: totals.hunted, PEAKS: totals.peaks}, settings_of(sample))
    assert table.regions == ("pt < 500", "pt > 500")
    np.testing.assert_array_equal(
        cells_of(table, table.counts), numpy_counts(jets["run"], np.ones(3000))
    )
    (peak,) = table.peaks
    weights = np.asarray(jets["w"].weight) * SCALES["w"]
    np.testing.assert_allclose(
        cells_of(table, peak.contents), numpy_counts(jets["w"], weights), atol=1e-12
    )
    assert peak.variances is not None
    np.testing.assert_allclose(
        cells_of(table, peak.variances), numpy_counts(jets["w"], weights**2), atol=1e-12
    )
    # Spectra that are left out take no jets along, and peaks stay with the patterns.
    alone = table.select([0])
    assert alone.n_patterns == 2
    np.testing.assert_allclose(alone.peaks[0].contents.sum(), peak.contents.sum())


def test_pseudo_data_that_leave_next_to_nothing_for_a_template_are_refused() -> None:
    jets = {"w": jets_of(200, 82, np.random.default_rng(1))}
    heaviest = float(np.asarray(jets["w"].weight).max())
    for share, refused in ((0.7, False), (0.9, True)):
        sample = HuntSample("pseudo-data", LUMI_IFB, 1, {"w": share / heaviest})
        if not refused:
            assert filled(sample, jets).peaks is not None
            continue
        with pytest.raises(
            ConfigError, match=r"take 90 % of the heaviest events of 'w'.* at most 1\.778/fb"
        ):
            filled(sample, jets)


@pytest.mark.parametrize(("weight", "refused"), [(-0.2, False), (-400.0, True)])
def test_cells_below_zero_are_said_or_refused(
    weight: float, refused: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Simulation with negative weights: one event alone at 240 GeV, where no other is."""
    jets = {
        "run": jets_of(500, 120, np.random.default_rng(1)),
        "w": jets_of(2000, 82, np.random.default_rng(2)),
    }
    mass, weights = np.asarray(jets["w"].msoftdrop), np.asarray(jets["w"].weight)
    mass, weights = np.append(mass[1:], 245.0), np.append(weights[1:], weight)
    jets["w"] = ak.with_field(ak.with_field(jets["w"], mass, "msoftdrop"), weights, "weight")
    sample = HuntSample("data", LUMI_IFB, scales={"run": 1.0})
    totals = filled(sample, jets)
    histograms = {HUNTED: totals.hunted, PEAKS: totals.peaks}
    if refused:
        with pytest.raises(
            FitError, match=r"w: 1 of \d+ cells of its template.*below 0, by 2\d % of the peak"
        ):
            joint_table(histograms, settings_of(sample))
        return
    table = joint_table(histograms, settings_of(sample))
    assert table.peaks[0].contents.min() == 0
    assert "w: 1 of" in caplog.text
    assert "they are taken for empty" in caplog.text


def test_files_hold_what_is_expected_of_peaks(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    jets = {"run": jets_of(500, 120, rng), "w": jets_of(500, 82, rng)}
    sample = HuntSample("data", LUMI_IFB, scales={"run": 1.0})
    settings = settings_of(sample)
    totals = filled(sample, jets)
    write_histograms(tmp_path, totals, settings)
    tables = [
        joint_table(histograms, settings)
        for histograms in (
            {HUNTED: totals.hunted, PEAKS: totals.peaks},
            load_histograms(tmp_path / HISTOGRAMS),
        )
    ]
    np.testing.assert_array_equal(tables[0].counts, tables[1].counts)
    np.testing.assert_array_equal(tables[0].peaks[0].contents, tables[1].peaks[0].contents)
    with uproot.open(tmp_path / HISTOGRAMS_ROOT) as file:
        (peak,) = tables[0].peaks
        for place, name in enumerate(("all", "d_s_ddt/0.3", "d_s_ddt/0.1")):
            inside = tables[0].members[place]
            cut = file[f"peaks/w/{name}/mass"]
            np.testing.assert_allclose(cut.values(), peak.contents[inside].sum(axis=0))
            np.testing.assert_allclose(cut.variances(), peak.variances[inside].sum(axis=0))
            hunted = file[f"hunted/{name}/mass"].values()
            np.testing.assert_array_equal(hunted, tables[0].spectra[place])


def test_pseudo_data_and_what_is_expected_of_a_peak_share_no_event() -> None:
    rng = np.random.default_rng(2)
    jets = {"qcd": jets_of(1000, 120, rng), "w": jets_of(4000, 100, rng)}
    expected = numpy_counts(jets["w"], np.asarray(jets["w"].weight) * SCALES["w"])
    sums, differences = [], []
    for seed in range(40):
        sample = HuntSample("pseudo-data", LUMI_IFB, seed, SCALES)
        totals = filled(sample, jets)
        assert totals.hunted is not None
        assert totals.peaks is not None
        drawn = totals.hunted[{"dataset": "w"}]
        template = totals.peaks[{"dataset": "w"}]
        sums.append(template.sum().value)
        differences.append(
            (drawn.sum() - template.sum().value) / np.sqrt(drawn.sum() + template.sum().variance)
        )
    assert np.mean(sums) == pytest.approx(expected.sum(), rel=0.01)
    # Of one and the same simulation the distance is not that of independent numbers, but it is centred.
    assert abs(np.mean(differences)) < 4 / np.sqrt(40)


def test_stages_expect_their_share_of_a_peak() -> None:
    rng = np.random.default_rng(3)
    jets = {"w": jets_of(2000, 100, rng)}
    whole = HuntSample("pseudo-data", LUMI_IFB, 1, SCALES)
    weights = whole.expected_of_part(jets["w"], "w", SCALES["w"] / LUMI_IFB)
    rows, _ = whole.rows_of_part(jets["w"], "w")
    assert not weights[rows].any()
    assert (weights[~rows] > 0).all()


def test_a_shift_of_the_mass_scale_moves_every_pattern_by_as_much() -> None:
    edges = np.linspace(50, 250, 101)
    centres = 0.5 * (edges[1:] + edges[:-1])
    shape = np.exp(-0.5 * ((centres - 90) / 8) ** 2)
    contents = np.stack([3.0 * shape, shape])
    members = np.array([[True, True], [True, False]])
    table = JointTable(("all", "cut"), edges, members, contents, peaks=(Component("w", contents),))
    settings = PeaksConfig(norms={"w": "free"}, mass_scale=0.02, mass_resolution=0.25)
    (peak,) = with_errors(table, settings).peaks
    assert peak.constraint is None

    def moments(values: np.ndarray) -> tuple[float, float]:
        mean = float(values @ centres / values.sum())
        return mean, float(np.sqrt(values @ (centres - mean) ** 2 / values.sum()))

    for row in range(2):
        down, up = (moments(side[row]) for side in peak.shifts[MASS_SCALE])
        assert (down[0], up[0]) == (pytest.approx(90 * 0.98, rel=1e-3), pytest.approx(91.8, 1e-3))
        narrow, wide = (moments(side[row]) for side in peak.shifts[MASS_RESOLUTION])
        assert (narrow[1], wide[1]) == (pytest.approx(6, rel=0.02), pytest.approx(10, rel=0.02))
        assert wide[0] == pytest.approx(90, abs=0.05)
    assert with_errors(table, PeaksConfig(mass_scale=0)).peaks[0].constraint == 0.2
