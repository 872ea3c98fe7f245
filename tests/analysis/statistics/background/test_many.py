"""The compiled fits against iminuit and closed forms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from iminuit import Minuit

from oddjet.analysis.statistics.background.choice import AUTO_FAMILIES
from oddjet.analysis.statistics.background.fit import fit_sidebands
from oddjet.analysis.statistics.background.many import BatchModel
from oddjet.analysis.statistics.background.signal import fit_signal, gaussian_fractions
from oddjet.errors import ConfigError, FitError
from oddjet.typing import Floats

EDGES = np.linspace(40.0, 240.0, 41)
CENTRES = 0.5 * (EDGES[:-1] + EDGES[1:])
TRUTH = 900 * np.exp(-(CENTRES - 40) / 40) + 2
UNEQUAL = np.concatenate([np.arange(40.0, 110.0, 4.0), [110, 125, 150, 170, 200, 240]])


FINE = EDGES[:-1, None] + (np.arange(50) + 0.5) / 50 * np.diff(EDGES)[:, None]
X = (FINE - 140) / 100


def spectra(n: int, seed: int = 1, scale: float = 1.0) -> Floats:
    return np.random.default_rng(seed).poisson(scale * TRUTH, (n, 40)).astype(float)


def starts(model: BatchModel, n: int) -> Floats:
    return np.repeat(model.start(TRUTH)[None], n, axis=0)


def minuit(counts: Floats, use: npt.NDArray[np.bool_], signal: Floats | None = None) -> Minuit:
    """exp(a + b x + c x²) integrated over the bins, and a signal, fitted with iminuit by itself."""

    def nll(a: float, b: float, c: float, s: float) -> float:
        expected = np.exp(a + b * X + c * X**2).mean(axis=1)
        if signal is not None:
            expected = expected + 100 * s * signal
        return float(np.sum((expected - counts * np.log(expected))[use]))

    fit = Minuit(nll, a=np.log(50), b=-2.0, c=0.1, s=0.0)
    fit.errordef, fit.tol = Minuit.LIKELIHOOD, 1e-6
    fit.strategy = 2
    fit.fixed["s"] = signal is None
    fit.migrad()
    fit.hesse()
    return fit


def test_a_masked_fit_is_iminuits() -> None:
    counts = spectra(3)
    model = BatchModel.make("exppoly3", EDGES, TRUTH)
    first, stop = np.array([10, 30]), np.array([15, 33])
    fits = model.fit_windows(counts, starts(model, 3), first, stop)
    basis = np.stack([np.ones(X.shape), X, X**2], axis=2)
    for s in range(3):
        for w in range(2):
            window = np.arange(40)
            inside = (window >= first[w]) & (window < stop[w])
            fit = minuit(counts[s], ~inside)
            density = np.exp(basis @ np.array(fit.values)[:3])
            expected = density.mean(axis=1)
            slope = (density[inside, :, None] * basis[inside]).mean(axis=1).sum(axis=0)
            variance = slope @ np.array(fit.covariance)[:3, :3] @ slope
            assert fits.background[s, w] == pytest.approx(expected[inside].sum(), rel=1e-5)
            assert fits.variance[s, w] == pytest.approx(variance, rel=1e-2)


def test_a_signal_fit_is_iminuits() -> None:
    counts = spectra(3)
    counts[:, 15:19] += 40
    signal = np.exp(-0.5 * ((CENTRES - 125) / 8) ** 2)
    signal /= signal.sum()
    model = BatchModel.make("exppoly3", EDGES, TRUTH)
    fits = model.fit_signals(counts, starts(model, 3), signal[None])
    everything = np.ones(40, bool)
    for s in range(3):
        fit = minuit(counts[s], everything, signal)
        without = minuit(counts[s], everything)
        assert fits.yields[s, 0] == pytest.approx(100 * fit.values["s"], rel=1e-3)
        assert fits.errors[s, 0] == pytest.approx(100 * fit.errors["s"], rel=0.02)
        gain = 2 * (without.fval - fit.fval)
        assert fits.gain[s, 0] == pytest.approx(gain, rel=1e-3)


@pytest.mark.parametrize("scale", [1.0, 0.02])
def test_the_choice_is_that_of_single_fits(scale: float) -> None:
    counts = spectra(6, seed=3, scale=scale)
    model = BatchModel.make("auto", EDGES, TRUTH)
    first, stop = np.array([3, 20]), np.array([7, 26])
    fits = model.fit_windows(counts, starts(model, 6), first, stop)
    same = 0
    for s in range(6):
        for w in range(2):
            window = (float(EDGES[first[w]]), float(EDGES[stop[w]]))
            fit = fit_sidebands((counts[s], EDGES), window=window)
            same += model.names[fits.chosen[s, w]] == fit.name
            if model.names[fits.chosen[s, w]] == fit.name:
                assert fits.background[s, w] == pytest.approx(fit.predicted, rel=1e-2)
    # Where two functions are as good as each other the midpoint may tip the scales.
    assert same >= 11


def test_errors_and_gains_are_those_of_the_profile_over_all_functions() -> None:
    """Single functions give penalised parabolas; their lower envelope, by a grid, gives the error, and what a signal gains."""
    counts = spectra(2, seed=4)
    names = [f"{family}{n}" for family in AUTO_FAMILIES for n in range(2, 7)]
    shape = gaussian_fractions(EDGES, mass=140, width=10)
    first, stop = np.array([18]), np.array([24])
    several = BatchModel.make("auto", EDGES, TRUTH)
    windows = several.fit_windows(counts, starts(several, 2), first, stop)
    signals = several.fit_signals(counts, starts(several, 2), shape[None])
    for s in range(2):
        profiles, gains = [], []
        for name in names:
            model = BatchModel.make(name, EDGES, TRUTH)
            one = model.fit_windows(counts[s : s + 1], starts(model, 1), first, stop)
            values = [float(column[0, 0]) for column in one[:3]]
            profiles.append((values[2] + int(name[-1]), values[0], values[1]))
            with_signal = model.fit_signals(counts[s : s + 1], starts(model, 1), shape[None])
            least = float(with_signal.deviance[0, 0]) + int(name[-1])
            gains.append((least, least + float(with_signal.gain[0, 0])))
        best = min(profiles)
        grid = best[1] + np.sqrt(best[2]) * np.linspace(-6, 6, 24_001)
        envelope = np.min([d + (grid - b) ** 2 / v for d, b, v in profiles], axis=0)
        inside = grid[envelope < best[0] + 1.0]
        reach = max(inside.max() - best[1], best[1] - inside.min())
        assert windows.variance[s, 0] ** 0.5 == pytest.approx(reach, rel=5e-3)
        gain = min(without for _, without in gains) - min(least for least, _ in gains)
        assert signals.gain[s, 0] == pytest.approx(gain, abs=2e-3)


@pytest.mark.parametrize("name", [f"{family}{n}" for family in AUTO_FAMILIES for n in range(2, 7)])
def test_fits_in_unequal_bins_are_those_of_the_sidebands(name: str) -> None:
    truth = 2e7 * np.diff(-np.exp(-(UNEQUAL - 40) / 25) - 0.01 * np.exp(-(UNEQUAL - 40) / 60))
    counts = np.random.default_rng(2).poisson(truth).astype(float)
    model = BatchModel.make(name, UNEQUAL, counts)
    first, stop = np.array([3, 15, 18]), np.array([6, 19, 21])
    fits = model.fit_windows(counts[None], model.start(counts)[None], first, stop)
    for w in range(3):
        window = (float(UNEQUAL[first[w]]), float(UNEQUAL[stop[w]]))
        fit = fit_sidebands((counts, UNEQUAL), window=window, function=name)
        assert fits.background[0, w] == pytest.approx(fit.predicted, rel=1e-5)
        # iminuit takes the observed information, which differs where a function does not describe it.
        assert fits.variance[0, w] == pytest.approx(fit.predicted_error**2, rel=5e-2)
        assert fits.deviance[0, w] == pytest.approx(fit.fitted.deviance, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("name", ["dijet4", "exppoly3"])
def test_signal_fits_in_unequal_bins_are_those_of_single_fits(name: str) -> None:
    shape = gaussian_fractions(UNEQUAL, mass=140, width=15)
    truth = 2e6 * np.diff(-np.exp(-(UNEQUAL - 40) / 25)) + 3000 * shape
    counts = np.random.default_rng(3).poisson(truth).astype(float)
    model = BatchModel.make(name, UNEQUAL, counts)
    fits = model.fit_signals(counts[None], model.start(counts)[None], shape[None])
    fit = fit_signal((counts, UNEQUAL), mass=140, width=15, function=name)
    assert fits.yields[0, 0] == pytest.approx(fit.yield_, rel=1e-3)
    assert fits.errors[0, 0] == pytest.approx(fit.error, rel=2e-2)
    assert fits.deviance[0, 0] == pytest.approx(fit.deviance, rel=1e-3)


def test_a_spectrum_that_is_the_function_is_given_back() -> None:
    truth = np.diff(-np.exp(5 - 0.02 * EDGES) / 0.02)
    model = BatchModel.make("exppoly2", EDGES, truth)
    expected, name = model.expected(truth)
    assert name == "exppoly2"
    np.testing.assert_allclose(expected, truth, rtol=1e-6)


def test_too_little_has_no_fit() -> None:
    counts = np.zeros((2, 40))
    counts[1, [4, 20]] = 1
    model = BatchModel.make("auto", EDGES, TRUTH)
    fits = model.fit_windows(counts, starts(model, 2), np.array([3]), np.array([6]))
    assert (fits.chosen < 0).sum() == 2
    assert np.isnan(fits.background).all()
    with pytest.raises(FitError, match="can be fitted to 0 events"):
        model.expected(counts[0])


def test_unknown_and_unfit_functions_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown background function"):
        BatchModel.make("dijet7", EDGES, TRUTH)
    with pytest.raises(ConfigError, match="logarithm is linear"):
        BatchModel.make("bernstein3", EDGES, TRUTH)
