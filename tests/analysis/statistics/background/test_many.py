"""The compiled fits against iminuit and closed forms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from iminuit import Minuit

from oddjet.analysis.statistics.background.fit import fit_sidebands
from oddjet.analysis.statistics.background.many import BatchModel
from oddjet.errors import ConfigError, FitError
from oddjet.typing import Floats

EDGES = np.linspace(40.0, 240.0, 41)
CENTRES = 0.5 * (EDGES[:-1] + EDGES[1:])
TRUTH = 900 * np.exp(-(CENTRES - 40) / 40) + 2


def spectra(n: int, seed: int = 1, scale: float = 1.0) -> Floats:
    return np.random.default_rng(seed).poisson(scale * TRUTH, (n, 40)).astype(float)


def starts(model: BatchModel, n: int) -> Floats:
    return np.repeat(model.start(TRUTH)[None], n, axis=0)


def minuit(counts: Floats, use: npt.NDArray[np.bool_], signal: Floats | None = None) -> Minuit:
    """exp(a + b x + c x²) at the bin centres, and a signal, fitted with iminuit by itself."""
    x = (CENTRES - 140) / 100

    def nll(a: float, b: float, c: float, s: float) -> float:
        expected = np.exp(a + b * x + c * x**2)
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
    x = (CENTRES - 140) / 100
    basis = np.stack([np.ones(40), x, x**2], axis=1)
    for s in range(3):
        for w in range(2):
            window = np.arange(40)
            inside = (window >= first[w]) & (window < stop[w])
            fit = minuit(counts[s], ~inside)
            expected = np.exp(basis @ np.array(fit.values)[:3])
            slope = (expected[inside, None] * basis[inside]).sum(axis=0)
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


def test_a_spectrum_that_is_the_function_is_given_back() -> None:
    truth = 5 * np.exp(5 - 0.02 * CENTRES)
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
