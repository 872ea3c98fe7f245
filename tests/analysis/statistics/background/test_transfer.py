"""The transfer factor against the binomial closed form and on toys."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from oddjet.analysis.statistics.background import transfer
from oddjet.analysis.statistics.background.transfer import fit_transfer
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.errors import ConfigError, FitError
from oddjet.typing import Floats

EDGES = np.linspace(40, 240, 41)
WINDOW = (65.0, 100.0)
INSIDE = slice(5, 12)


def spectra(slope: float = 0.0) -> tuple[Floats, Floats]:
    """A failing spectrum with a peak that no falling family has, and a passing one."""
    centres = 0.5 * (EDGES[1:] + EDGES[:-1])
    failing = 3000 * np.exp(-centres / 50) + 500 * np.exp(-(((centres - 85) / 12) ** 2))
    return 0.1 * np.exp(slope * (centres - 140) / 100) * failing, failing


def test_constant_ratio_has_its_closed_form() -> None:
    rng = np.random.default_rng(1)
    passing, failing = (rng.poisson(x).astype(float) for x in spectra())
    fit = fit_transfer((passing, EDGES), (failing, EDGES), window=WINDOW, order=0)
    on, off = passing[fit.use].sum(), failing[fit.use].sum()
    assert fit.ratio == pytest.approx(np.full(40, on / off), rel=1e-4)
    inside = failing[INSIDE].sum()
    # Var(ln r) = 1/P + 1/F, and F in the window fluctuates by itself.
    variance = (on / off) ** 2 * (inside + inside**2 * (1 / on + 1 / off))
    assert fit.predicted == pytest.approx(on / off * inside, rel=1e-4)
    assert fit.predicted_error == pytest.approx(np.sqrt(variance), rel=1e-3)


def test_prediction_is_unbiased_with_honest_errors_where_no_falling_function_fits() -> None:
    passing, failing = spectra(0.5)
    rng = np.random.default_rng(2)
    pulls, values = [], []
    for _ in range(200):
        fit = fit_transfer(
            (rng.poisson(passing).astype(float), EDGES),
            (rng.poisson(failing).astype(float), EDGES),
            window=WINDOW,
            order=1,
        )
        pulls.append((fit.predicted - passing[INSIDE].sum()) / fit.predicted_error)
        values.append(fit.p_value)
    assert abs(np.mean(pulls)) < 3 / np.sqrt(200)
    assert np.std(pulls) == pytest.approx(1.0, abs=3 / np.sqrt(400))
    assert stats.kstest(values, "uniform").pvalue > 0.001


@pytest.mark.parametrize(("slope", "order"), [(0.0, 0), (0.6, 1)])
def test_f_test_finds_the_order(slope: float, order: int) -> None:
    rng = np.random.default_rng(3)
    chosen = [
        fit_transfer(*((rng.poisson(x), EDGES) for x in spectra(slope)), window=WINDOW)
        for _ in range(25)
    ]
    assert [fit.order for fit in chosen].count(order) >= 20
    assert all(sum(t.chosen for t in fit.tried) == 1 for fit in chosen)


def test_weights_scale_out() -> None:
    rng = np.random.default_rng(4)
    passing, failing = (rng.poisson(x).astype(float) for x in spectra(0.5))
    plain = fit_transfer((passing, EDGES), (failing, EDGES), window=WINDOW, order=1)
    scaled = fit_transfer(
        Spectrum(EDGES, 0.5 * passing, 0.25 * passing, is_data=False),
        Spectrum(EDGES, 2.0 * failing, 4.0 * failing, is_data=False),
        window=WINDOW,
        order=1,
    )
    assert scaled.predicted == pytest.approx(plain.predicted / 2, rel=1e-4)
    assert scaled.predicted_error == pytest.approx(plain.predicted_error / 2, rel=1e-3)
    assert scaled.p_value == pytest.approx(plain.p_value, rel=1e-3)


def test_a_ratio_with_a_slope_in_unequal_bins() -> None:
    edges = np.concatenate([np.arange(40.0, 120.0, 4.0), np.arange(120.0, 241.0, 24.0)])
    fine = np.linspace(40, 240, 20_001)

    def integrals(slope: float) -> Floats:
        running = np.concatenate([[0], np.cumsum(np.exp(slope * (fine[:-1] - 40)))])
        return np.asarray(np.diff(np.interp(edges, fine, 1e6 * running)))

    failing, passing = integrals(-1 / 25), 0.1 * integrals(-1 / 25 + 0.008)
    fit = fit_transfer(
        Spectrum(edges, passing, passing, is_data=False),
        Spectrum(edges, failing, failing, is_data=False),
        window=(144, 192),
        order=1,
    )
    inside = (edges[:-1] >= 144) & (edges[1:] <= 192)
    # At the centres of the bins instead of the mean masses it is off by 2 %.
    assert fit.predicted == pytest.approx(passing[inside].sum(), rel=2e-3)


def test_blinded_window_is_not_looked_at() -> None:
    rng = np.random.default_rng(5)
    passing, failing = (rng.poisson(x).astype(float) for x in spectra())
    changed = passing.copy()
    changed[INSIDE] += 1000
    one, two = (
        fit_transfer(Spectrum(EDGES, p, blind_window=WINDOW), (failing, EDGES), window=WINDOW)
        for p in (passing, changed)
    )
    assert one.predicted == two.predicted
    assert one.observed is None
    assert np.isnan(one.pulls[INSIDE]).all()


def test_bad_input_is_refused() -> None:
    counts = [np.round(x) for x in spectra()]
    passing, failing = ((x, EDGES) for x in counts)
    with pytest.raises(FitError, match="outside the histogram's range"):
        fit_transfer(passing, failing, window=(20, 60))
    with pytest.raises(FitError, match="widen the mass range"):
        fit_transfer(passing, failing, window=(40, 60))
    with pytest.raises(FitError, match="no passing events"):
        fit_transfer((0 * counts[0], EDGES), failing, window=WINDOW)
    with pytest.raises(FitError, match="negative contents"):
        fit_transfer(passing, (-counts[1], EDGES), window=WINDOW)
    with pytest.raises(FitError, match="needs variances"):
        fit_transfer(Spectrum(EDGES, counts[0], is_data=False), failing, window=WINDOW)
    with pytest.raises(ConfigError, match="order of the transfer factor"):
        fit_transfer(passing, failing, window=WINDOW, order=9)
    with pytest.raises(FitError, match="too few sideband bins"):
        fit_transfer(*((x[:4], EDGES[:5]) for x in counts), window=(45, 55), order=2)
    with pytest.raises(FitError, match="give both the same bins"):
        fit_transfer(passing, (counts[1][:4], EDGES[:5]), window=WINDOW)


def test_a_factor_that_no_events_hold_is_refused() -> None:
    """A fit to few events may run away in bins that it does not see, where its square overflowed."""
    np.testing.assert_allclose(transfer._ratio(np.array([0.0, -5.0]), 3), [1.0, np.exp(-5)])
    for logarithm in (400.0, -400.0, np.nan):
        with pytest.raises(FitError, match="3 passing events beside the window do not hold"):
            transfer._ratio(np.array([0.0, logarithm]), 3)
