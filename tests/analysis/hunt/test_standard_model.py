"""QCD with W, Z and top, and nothing else or something: what the conditional hunt finds beside known peaks.

Jets are drawn from QCD with a shoulder in its mass spectrum, 75,000 of them, and peaks at their expectation.
"""

from __future__ import annotations

import numpy as np
import pytest
from cut_tables import shoulder_masses
from known_peaks import POINTS, SETTINGS, drawn_table, with_peaks
from scipy import stats

from oddjet.analysis.config import PeaksConfig
from oddjet.analysis.hunt.calibration import calibrate, with_errors
from oddjet.analysis.hunt.result import spectrum_name
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.result import BumpHunt
from oddjet.analysis.statistics.conditional.scan import scan_conditionally

LADDER = " + ".join(spectrum_name(*point) for point in POINTS[1:])
RESONANCE = (125.0, 10.0, 700)


def drawn(seed: int, resonance: tuple[float, float, int] = (0.0, 1.0, 0)) -> JointTable:
    return drawn_table(seed, masses=shoulder_masses, resonance=resonance)


def known(table: JointTable) -> JointTable:
    return with_errors(with_peaks(table), PeaksConfig())


def scan(table: JointTable, n_toys: int) -> BumpHunt:
    """Score bins in windows of 30 GeV, so that pseudo-experiments are quick."""
    settings = SETTINGS.model_copy(update={"n_toys": n_toys, "widths": (6, 6)})
    return scan_conditionally(table, settings, tested=[LADDER])


def test_nothing_is_found_beside_known_peaks_but_what_is_not_known() -> None:
    p = [scan(known(drawn(seed)), 39).global_p for seed in range(4)]
    assert sum(value <= 0.05 for value in p) <= 1
    unknown = scan(drawn(0), 39)
    assert unknown.global_p == pytest.approx(1 / 40)
    assert unknown.best.local_p * unknown.n_windows < 1e-6
    more = scan(known(drawn(1, RESONANCE)), 39)
    assert more.global_p == pytest.approx(1 / 40)
    low, high = more.best.window
    assert low < 125 < high


def test_a_window_on_a_known_peak_tests_what_exceeds_it() -> None:
    # As many jets more as the peak has itself.
    twice = with_peaks(drawn(2, (172.0, 13.0, 900)))
    more = scan(with_errors(twice, PeaksConfig(norms={"top": 0.05})), 39)
    low, high = more.best.window
    assert low < 172 < high
    assert more.global_p == pytest.approx(1 / 40)
    # Where little is known of the peak they are taken for it, and that is said.
    assert scan(known(twice), 39).global_p > 0.05
    calibration = calibrate(known(twice), range(len(POINTS)), PeaksConfig(), (2, 4))
    assert calibration.peaks[2].norm == pytest.approx(2, abs=4 * calibration.peaks[2].error)
    (doubt,) = calibration.doubts
    assert doubt.startswith(f"top is {calibration.peaks[2].norm:.2f} times what is expected")


@pytest.mark.long
def test_the_global_p_is_uniform_over_a_hundred_drawings() -> None:
    p, pulls = [], []
    for seed in range(100):
        table = known(drawn(seed))
        p.append(scan(table, 99).global_p)
        calibration = calibrate(table, range(len(POINTS)), PeaksConfig(), (2, 4))
        pulls.append([(peak.norm - 1) / peak.error for peak in calibration.peaks])
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert np.mean(np.array(p) <= 0.05) <= 0.12
    assert np.abs(np.mean(pulls, axis=0)).max() < 4 / 10
    assert scan(drawn(0), 1999).global_p < 0.001
