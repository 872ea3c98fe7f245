"""What a function leaves of simulated background: its size, and that it is in p-values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from oddjet.analysis.statistics.background.many import BatchModel
from oddjet.analysis.statistics.background.signal import fit_signal, gaussian_fractions
from oddjet.analysis.statistics.background.smoothing import smooth
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.misfit import cut_template, misfits, with_misfits
from oddjet.analysis.statistics.bumphunt.scan import scan_table
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.bumphunt.windows import Windows
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.errors import FitError
from oddjet.typing import Floats

EDGES = np.linspace(40.0, 240.0, 41)
X = (EDGES[:-1] - 137.5) / 97.5


def shape(n: float, *, wave: float = 0.0) -> Floats:
    """A falling spectrum that `exppoly4` is, and a wave that it is not."""
    mean = np.exp(-1.2 * X - 0.6 * X**2 + wave * np.sin(7.0 * X))
    return np.asarray(n * mean / mean.sum())


def simulation(n: float, weight: float = 0.1, **how: float) -> Spectrum:
    counts = np.random.default_rng(1).poisson(shape(n, **how) / weight) * weight
    return Spectrum(EDGES, counts, counts * weight, name="all jets", is_data=False)


def table(n: float, seed: int, **how: float) -> JointTable:
    counts = np.random.default_rng(seed).poisson(shape(n, **how)).astype(float)
    return JointTable(("all jets",), EDGES, np.ones((1, 1), np.bool_), counts[None])


def test_a_function_that_is_the_truth_leaves_what_statistics_leave_open() -> None:
    """The pulls of what is left are of unit size, and its statistical error falls as the root of the simulation."""
    sizes = {}
    for weight in (1.0, 0.05):
        (left,) = misfits(table(5000, 1), "exppoly4", {"all jets": simulation(5000, weight)})
        windows = Windows(EDGES, np.arange(4, 30, 4), np.arange(8, 34, 4))
        model = BatchModel.make("exppoly4", EDGES, shape(5000))
        size, error = left.spurious(windows, model)
        assert np.abs(size / error).max() < 3.0
        sizes[weight] = error.mean()
    assert sizes[1.0] / sizes[0.05] == pytest.approx(np.sqrt(20), rel=0.5)


def test_spurious_events_are_those_of_the_single_fit() -> None:
    signal = gaussian_fractions(EDGES, mass=140, width=12)
    (left,) = misfits(table(5000, 1), "exppoly4", {"all jets": simulation(500_000, 1.0, wave=0.1)})
    model = BatchModel.make("exppoly4", EDGES, shape(5000))
    template = left.expected * (1 + left.change)
    data = Spectrum(EDGES, template, template, is_data=False)
    fit = fit_signal(data, template=signal, function="exppoly4")
    # A hundred times as many simulated jets: their error is a tenth of that of the data.
    assert left.events(signal, model) == pytest.approx(
        np.hypot(fit.yield_, 0.1 * fit.error), rel=0.1
    )
    assert abs(fit.yield_) > 5


def test_modes_hold_nothing_that_the_function_follows() -> None:
    (left,) = misfits(table(5000, 1), "exppoly4", {"all jets": simulation(5000)})
    basis = np.vander(X, 4)
    for mode in left.modes:
        weight = left.expected
        followed = np.linalg.lstsq(
            basis * np.sqrt(weight)[:, None], mode * np.sqrt(weight), rcond=None
        )
        assert np.abs(basis @ followed[0]).max() < 0.05 * np.abs(left.modes).max() + 1e-9


def test_the_replicas_have_the_covariance_of_what_is_left() -> None:
    (left,) = misfits(table(5000, 1), "exppoly4", {"all jets": simulation(5000, wave=0.1)})
    many = [with_misfits(table(5000, 1), (left,), seed).imprint for seed in range(40)]
    changes = np.concatenate([i.changes[:, 0] for i in many if i is not None])
    covariance = np.outer(left.change, left.change) + left.modes.T @ left.modes
    expected = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(changes.std(axis=0), expected, rtol=0.06)
    assert np.abs(changes.mean(axis=0)).max() < 0.06 * expected.max()


def test_the_template_after_a_cut_has_its_jets_and_its_slope() -> None:
    everything = smooth(simulation(50_000))
    share = 0.1 * np.exp(0.3 * X)
    counts = np.random.default_rng(2).poisson(shape(50_000) * share / 0.1) * 0.1
    passed = Spectrum(EDGES, counts, counts * 0.1, name="cut", is_data=False)
    template = cut_template(everything, passed)
    assert template.sum() == pytest.approx(counts.sum(), rel=1e-3)
    ratio = template / everything.counts / share
    assert np.abs(ratio - 1).max() < 0.06
    with pytest.raises(FitError, match="no simulated jet passes"):
        cut_template(everything, Spectrum(EDGES, np.zeros(40), np.zeros(40), is_data=False))


def global_p(n: int, *, known: bool, wave: float) -> Floats:
    simulated = {"all jets": simulation(400_000, wave=wave)} if known else None
    settings = ScanSettings(n_toys=60, function="exppoly4", widths=(3, 6))
    return np.array(
        [
            scan_table(table(30_000, seed, wave=wave), settings, simulated=simulated).global_p
            for seed in range(n)
        ]
    )


def test_what_a_function_does_not_follow_is_in_p() -> None:
    """A wave that fakes discoveries in most experiments without a signal fakes none where simulation has it too."""
    alone, known = (global_p(8, known=known, wave=0.08) for known in (False, True))
    assert np.mean(alone <= 0.05) > 0.6
    assert np.mean(known <= 0.05) < 0.3
    assert known.min() > 1 / 61


def test_a_function_that_is_the_truth_loses_little() -> None:
    """With ten times as much simulation as data p hardly changes, and notes say what was left."""
    bump = 450 * np.diff(stats.norm.cdf(EDGES, 150, 10))
    data = table(30_000, 1)
    counts = data.counts + np.random.default_rng(3).poisson(bump)
    data = JointTable(data.labels, EDGES, data.members, counts)
    settings = ScanSettings(n_toys=60, function="exppoly4", widths=(3, 8))
    alone = scan_table(data, settings)
    known = scan_table(data, settings, simulated={"all jets": simulation(400_000)})
    assert known.best.local_p < 1e-3
    assert known.best.expected_error < 1.4 * alone.best.expected_error
    (note,) = known.spurious
    assert note in known.notes
    assert "σ of simulated background" in note
    assert "not known" in alone.spurious[0]


def test_simulation_that_cannot_be_used_is_named() -> None:
    short = Spectrum(EDGES, np.zeros(40), np.zeros(40), is_data=False)
    settings = ScanSettings(n_toys=5, function="exppoly2")
    result = scan_table(table(500, 1), settings, simulated={"all jets": short})
    assert "the spurious signal is not known, and in no p-value" in result.spurious[0]


def test_a_scan_without_simulation_says_what_it_does_not_know() -> None:
    result = scan_table(table(500, 1), ScanSettings(n_toys=5, function="exppoly2"))
    (note,) = result.spurious
    assert "oddjet study background" in note
    assert note in result.notes
