"""Known peaks among the jets that are hunted in: what is found of them, and what functions make of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from cut_tables import EDGES, shoulder_masses
from known_peaks import CUTS, PEAKS, SETTINGS, drawn_table, spectra_of, with_peaks

from oddjet.analysis.config import PeaksConfig
from oddjet.analysis.hunt.calibration import calibrate, expected_peaks, with_errors
from oddjet.analysis.hunt.hunt import hunt
from oddjet.analysis.report.sections.hunt import scores_section
from oddjet.analysis.report.sections.peaks import peaks_section
from oddjet.analysis.statistics.background.fit import fit_sidebands
from oddjet.analysis.statistics.background.many import BatchModel
from oddjet.analysis.statistics.bumphunt.joint import tilted_fit
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.errors import FitError

PLACES = range(len(CUTS) + 1)


def test_norms_scale_and_resolution_are_found_within_their_errors() -> None:
    pulls = []
    for seed in range(16):
        settings = PeaksConfig(norm="free", mass_scale=0.03)
        table = with_errors(
            with_peaks(drawn_table(seed, masses=shoulder_masses, scale=1.01)), settings
        )
        calibration = calibrate(table, PLACES, settings, (2, 4))
        scale, error = calibration.shifts["mass scale"]
        pulls.append([(p.norm - 1) / p.error for p in calibration.peaks] + [(scale - 1.01) / error])
        assert error < 0.01
    values = np.array(pulls)
    assert np.abs(values.mean(axis=0)).max() < 4 / np.sqrt(16)
    assert 0.5 < values.std(axis=0).mean() < 1.3
    # A mean of zero is what other peaks than these would not give.
    half = dataclasses.replace(
        table, peaks=tuple(p.transformed(lambda values: 2 * values) for p in table.peaks)
    )
    norms = [peak.norm for peak in calibrate(half, PLACES, settings, (2, 2)).peaks]
    same = [peak.norm for peak in calibrate(table, PLACES, settings, (2, 2)).peaks]
    assert norms == pytest.approx(0.5 * np.array(same), rel=1e-3)


def test_what_is_known_beforehand_counts() -> None:
    settings = PeaksConfig(norms={"z": 0.01, "w": "free"})
    calibration = calibrate(
        with_errors(with_peaks(drawn_table(1)), settings), PLACES, settings, (2, 4)
    )
    w, z, top = calibration.peaks
    assert (w.prior, z.prior, top.prior) == (None, 0.01, 0.2)
    assert z.error == pytest.approx(0.01, rel=0.1)
    assert abs(w.norm - 1) < 4 * w.error < 0.6
    assert calibration.sentence.startswith(
        f"w at {w.norm:.2f} ± {w.error:.2f} of expectation, z at "
    )
    assert w.expected == pytest.approx(PEAKS["w"][3], rel=0.01)
    assert 0.5 < w.passing / w.expected < 0.7  # of a cut of 20 %: 0.1 → 0.45, so 0.2 → 0.57


def test_a_function_on_top_of_peaks_expects_both() -> None:
    centres = 0.5 * (EDGES[1:] + EDGES[:-1])
    smooth, given = 3e4 * np.exp(-centres / 40), 800 * np.exp(-0.5 * ((centres - 172) / 13) ** 2)
    seen = Spectrum(EDGES, np.rint(smooth + given), given=given)
    fit = fit_sidebands(seen, window=(150, 200), function="exppoly2")
    inside = (centres > 150) & (centres < 200)
    assert fit.predicted == pytest.approx((smooth + given)[inside].sum(), rel=5e-3)
    model = BatchModel.make("exppoly2", EDGES, seen.counts)
    model = dataclasses.replace(model, given=given[None])
    start = np.tile(model.start(smooth), (1, 1, 1))
    first = np.flatnonzero(inside)[[0]]
    many = model.fit_windows(seen.counts[None], start, first, first + inside.sum())
    assert many.background[0, 0] == pytest.approx(fit.predicted, rel=1e-6)
    # The tilt of one pattern, and of one of which nothing smooth is left.
    at_nodes = model.at_nodes(smooth)[0]
    alone = tilted_fit(np.rint(0.1 * smooth + given), at_nodes, model.nodes, given)
    np.testing.assert_allclose(alone[:25], 0.1 * smooth[:25], rtol=0.02)
    assert tilted_fit(np.rint(given), at_nodes, model.nodes, 1.2 * given).sum() < 0.2 * given.sum()


def test_functions_see_no_known_peak_and_an_unknown_one_beside_them() -> None:
    drawn = drawn_table(0)
    settings = SETTINGS.model_copy(update={"method": "function"})
    known = hunt(spectra_of(with_peaks(drawn)), settings, unblind=True)
    assert known.bump_hunt is not None
    assert known.bump_hunt.global_p > 0.05
    for point in known.working_points:
        assert point.fit is not None
        assert point.fit.p_value > 0.01
    unknown = hunt(spectra_of(drawn), settings, unblind=True)
    assert unknown.bump_hunt is not None
    assert unknown.bump_hunt.global_p == pytest.approx(1 / 101)
    assert unknown.peaks is None
    section = peaks_section(known)
    assert known.peaks is not None
    assert section.statements[0] == known.peaks.sentence
    assert not section.warnings
    assert f"known peaks: {known.peaks.sentence}" in scores_section(known).statements
    assert known.to_dict()["peaks"]["peaks"][0]["name"] == "w"


def test_nothing_of_the_blinded_window_is_in_what_is_found() -> None:
    drawn = with_peaks(drawn_table(0))
    hidden = (EDGES[:-1] >= 150) & (EDGES[1:] <= 200)
    other = dataclasses.replace(drawn, counts=drawn.counts + 1000 * hidden)
    first, second = (hunt(spectra_of(table), SETTINGS).peaks for table in (drawn, other))
    assert first is not None
    assert second is not None
    assert first.to_dict() == second.to_dict()
    np.testing.assert_array_equal(first.jets, second.jets)


def test_a_peak_none_of_whose_jets_can_be_seen_is_said_to_be_so() -> None:
    settings = PeaksConfig(norms={"top": "free"})
    table = with_errors(with_peaks(drawn_table(0)), settings).hide(EDGES[:-1] >= 110)
    calibration = calibrate(table, PLACES, settings, (2, 2))
    assert (calibration.peaks[2].name, calibration.peaks[2].error) == ("top", np.inf)
    assert "top is not among the jets that can be seen" in calibration.sentence
    assert calibration.peaks[0].error < 0.2
    assert np.isfinite(calibration.jets).all()
    seen = hunt(spectra_of(with_peaks(drawn_table(0))), SETTINGS)
    (table_of_peaks,) = peaks_section(dataclasses.replace(seen, peaks=calibration)).tables
    assert [row[4] for row in table_of_peaks.rows][2] == "not seen"
    alone = dataclasses.replace(table, peaks=table.peaks[2:])
    assert not calibrate(alone, PLACES, settings, (2, 2)).jets.any()


def test_peaks_that_cannot_be_found_are_taken_as_expected() -> None:
    table = with_errors(with_peaks(drawn_table(0)).select([0]), PeaksConfig())
    with pytest.raises(FitError, match="no cut on a score"):
        calibrate(table, [0], PeaksConfig(), (2, 4))
    jets = expected_peaks(table, "")
    expected = sum(peak.contents for peak in table.peaks)
    np.testing.assert_allclose(jets.mean(axis=0), expected, atol=0.5)
    spread = jets.sum(axis=(1, 2)).std() / expected.sum()
    norms = np.array([peak.contents.sum() for peak in table.peaks])
    assert spread == pytest.approx(0.2 * np.sqrt((norms**2).sum()) / norms.sum(), rel=0.3)
    with pytest.raises(FitError, match=r"cannot be fitted \(no cut\): give .* hunt\.peaks\.norms"):
        expected_peaks(with_errors(table, PeaksConfig(norm="free")), "no cut")
