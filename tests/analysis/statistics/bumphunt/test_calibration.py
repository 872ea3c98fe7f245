"""Cuts that were calibrated on few jets: pseudo-experiments and local p know of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from oddjet.analysis.statistics.background.many import BatchModel
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.pvalues import on_off_p
from oddjet.analysis.statistics.bumphunt.scan import scan_jointly, scan_signals
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.bumphunt.statistic import FittedBeside
from oddjet.analysis.statistics.bumphunt.windows import make_windows
from oddjet.analysis.statistics.imprint import Imprint
from oddjet.errors import FitError
from oddjet.typing import Floats

EDGES = np.linspace(40.0, 240.0, 41)
CENTRES = 0.5 * (EDGES[:-1] + EDGES[1:])
LABELS = ("all", "20 %", "5 %")
MEMBERS = np.array([[True, True, True], [False, True, True], [False, False, True]])
SHAPE = CENTRES**3 * np.exp(-CENTRES / 20)
EXPECTED = np.array([0.8, 0.15, 0.05])[:, None] * 50_000 * SHAPE / SHAPE.sum()
BUMP = np.exp(-0.5 * ((CENTRES - 120) / 8) ** 2)
SMOOTH = (CENTRES - 140) / 100


def table(*, bump: float, smooth: float = 0.0, unknown: tuple[str, ...] = ()) -> JointTable:
    """Nested cuts whose efficiency is off by a bump and a slope of random sizes, three times so for the tighter."""
    rng = np.random.default_rng(1)
    sizes = rng.normal(size=(200, 2))
    sizes = (sizes - sizes.mean(axis=0)) / sizes.std(axis=0)
    change = sizes[:, :1] * bump * BUMP + sizes[:, 1:] * smooth * SMOOTH
    changes = np.stack([np.zeros_like(change), change, 3 * change], axis=1)
    n_calibration = np.array([np.inf, 5000.0, 5000.0])
    imprint = Imprint(LABELS, EDGES, changes, n_calibration, unknown).checked()
    counts = rng.poisson(EXPECTED).astype(np.float64)
    return JointTable(LABELS, EDGES, MEMBERS, counts, imprint)


def statistic_of(jets: JointTable) -> tuple[FittedBeside, Floats]:
    windows = make_windows(EDGES, (4, 8), sidebands=True)
    model = BatchModel.make("exppoly6", EDGES, EXPECTED.sum(axis=0))
    spectra = MEMBERS @ EXPECTED
    starts = np.stack([model.start(spectrum) for spectrum in spectra])
    beside = FittedBeside(model, windows, model.fit_whole(spectra, starts).parameters)
    return beside.with_calibration(MEMBERS @ jets.replicated(EXPECTED)), spectra


def test_patterns_change_so_that_spectra_do_as_they_should() -> None:
    jets = table(bump=0.05, smooth=0.02)
    assert jets.imprint is not None
    replicated = jets.replicated(EXPECTED)
    assert replicated.shape == (200, 3, 40)
    spectra = MEMBERS @ EXPECTED
    np.testing.assert_allclose(
        MEMBERS @ replicated, spectra * (1 + jets.imprint.changes), rtol=1e-9
    )
    plain = dataclasses.replace(jets, imprint=None).replicated(EXPECTED)
    np.testing.assert_array_equal(plain, EXPECTED[None])
    # Two spectra of the very same jets are no trouble.
    twice = jets.select([0, 1, 1])
    assert np.isfinite(twice.replicated(twice.counts + 0.5)).all()


def test_pseudo_experiments_scatter_by_the_calibration_as_well() -> None:
    jets = table(bump=0.1)
    toys = jets.draw(jets.replicated(EXPECTED), 3000, np.random.default_rng(2))
    peak = slice(14, 18)
    means = (MEMBERS @ EXPECTED)[:, peak].sum(axis=1)
    share = (0.1 * (MEMBERS @ EXPECTED)[1, peak] * BUMP[peak]).sum() / means[1]
    wanted = means + np.array([0.0, 1.0, 9.0]) * (means * share) ** 2
    np.testing.assert_allclose(toys[:, :, peak].sum(axis=2).var(axis=0), wanted, rtol=0.12)


def test_only_what_a_fit_cannot_follow_counts_in_a_window() -> None:
    bumpy, spectra = statistic_of(table(bump=0.1))
    smooth, _ = statistic_of(table(bump=0.0, smooth=0.09))
    place = int(np.flatnonzero((bumpy.windows.low == 100) & (bumpy.windows.high == 140))[0])
    excess = bumpy.windows.sums(0.1 * BUMP * spectra[1])[place]
    assert isinstance(bumpy.calibration, np.ndarray)
    assert isinstance(smooth.calibration, np.ndarray)
    assert bumpy.calibration[0].max() < 1e-12
    # The fit beside the window is pulled a little by the tails of the bump.
    assert np.sqrt(bumpy.calibration[1, place]) == pytest.approx(excess, rel=0.25)
    assert np.sqrt(smooth.calibration[1, place]) < 0.1 * excess
    tested, plain = (
        which.test(spectra[None] * np.array([1.0, 1.1, 1.1])[:, None])
        for which in (bumpy, dataclasses.replace(bumpy, calibration=0.0))
    )
    variance = plain.error[0, 1, place] ** 2 + bumpy.calibration[1, place]
    p = on_off_p(tested.observed[0, 1, place], tested.expected[0, 1, place], variance)
    assert tested.local_p[0, 1, place] == pytest.approx(float(p))
    assert tested.error[0, 1, place] == pytest.approx(np.sqrt(variance))
    np.testing.assert_allclose(tested.local_p[0, 0], plain.local_p[0, 0], rtol=1e-9)


@pytest.mark.parametrize("scan", [scan_jointly, scan_signals])
def test_a_bump_that_the_calibration_makes_is_none(scan: object) -> None:
    """A bump of one standard deviation of the map: 10 %, 5 standard deviations of a Poisson number."""
    jets = table(bump=0.1)
    wanted = (MEMBERS @ EXPECTED) * (1 + np.array([0.0, 0.1, 0.3])[:, None] * BUMP)
    made = np.linalg.solve(MEMBERS.astype(np.float64), wanted)
    counts = np.random.default_rng(3).poisson(8 * made).astype(np.float64)
    settings = ScanSettings(n_toys=60, seed=1, widths=(4, 8), signal_width=8.0)
    jets = dataclasses.replace(jets, counts=counts)
    assert callable(scan)
    known = scan(jets, settings)
    ignored = scan(dataclasses.replace(jets, imprint=None), settings)
    assert ignored.global_p == pytest.approx(1 / 61)
    assert known.global_p > 0.1
    assert known.channels[1].local_p > 100 * ignored.channels[1].local_p


def test_more_jets_than_were_calibrated_need_a_method_that_knows_its_error() -> None:
    jets = table(bump=0.0, unknown=("5 %",))
    settings = ScanSettings(n_toys=10, widths=(4, 8))
    with pytest.raises(
        FitError, match=r"'5 %' is hunted in 49,\d+ jets and was calibrated on 5,000"
    ):
        scan_jointly(jets, settings)
    assert scan_jointly(jets.select([0, 1]), settings).n_toys == 10
    few = dataclasses.replace(jets, counts=np.floor(jets.counts / 12))
    assert scan_jointly(few, settings).n_toys == 10
