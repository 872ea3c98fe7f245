"""Several methods for one window, and the bias of the central one."""

from __future__ import annotations

import numpy as np
import pytest

from oddjet.analysis.statistics.background.fit import fit_sidebands
from oddjet.analysis.statistics.background.functions import make_function
from oddjet.analysis.statistics.background.methods import WORST_P, MethodBias, compare_methods
from oddjet.analysis.statistics.background.transfer import fit_transfer
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.errors import FitError
from oddjet.typing import Floats

EDGES = np.linspace(40, 240, 41)
WINDOW = (65.0, 100.0)
INSIDE = (EDGES[:-1] >= WINDOW[0]) & (EDGES[1:] <= WINDOW[1])


def truth_of(n: float = 5_000) -> Floats:
    counts = make_function("dijet3", scale=480.0).on(EDGES).expected([0.0, 1.2, 8.0])
    return np.asarray(counts * n / counts.sum())


def toys(seed: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    return rng.poisson(truth_of()).astype(float), rng.poisson(9 * truth_of()).astype(float)


def compared(seed: int, other: str = "dijet", **settings: int) -> MethodBias:
    """The default function on a smooth truth, with a pass/fail ratio that is flat."""
    passing, failing = toys(seed)
    functions = ("exppoly6", other, "bernstein3")
    return compare_methods(
        (passing, EDGES),
        window=WINDOW,
        functions=functions,
        failing=(failing, EDGES),
        **settings,
    )


def test_methods_are_the_single_fits() -> None:
    passing, failing = toys(1)
    methods = compare_methods(
        (passing, EDGES), window=WINDOW, functions=["dijet3", "exppoly4"], failing=(failing, EDGES)
    )
    single = [
        fit_sidebands((passing, EDGES), window=WINDOW, function=f) for f in ("dijet3", "exppoly4")
    ]
    predictions = [
        *(fit.predicted for fit in single),
        fit_transfer((passing, EDGES), (failing, EDGES), window=WINDOW).predicted,
    ]
    assert [method.predicted for method in methods.used] == pytest.approx(predictions)
    assert methods.central == single[0].predicted
    assert methods.statistical == single[0].predicted_error
    assert np.isnan(methods.methods[-1].bias)  # failing jets fluctuate: no truth to draw from
    assert methods.systematic == max(abs(method.bias) for method in methods.methods[:-1])
    assert methods.total_error == pytest.approx(
        np.hypot(methods.statistical, methods.systematic or 0)
    )


def test_bias_is_the_mean_over_repeated_experiments() -> None:
    """A function that is too stiff, against its fits to many experiments that the test draws itself."""
    counts = np.rint(truth_of(3_000))
    methods = compare_methods((counts, EDGES), window=WINDOW, functions=["exppoly2", "dijet3"])
    assert [method.name for method in methods.used] == ["exppoly2", "dijet3"]
    truth = fit_sidebands((counts, EDGES), window=WINDOW, function="dijet3").expected
    rng = np.random.default_rng(7)
    errors = [
        fit_sidebands(
            (rng.poisson(truth).astype(float), EDGES), window=WINDOW, function="exppoly2"
        ).predicted
        - truth[INSIDE].sum()
        for _ in range(100)
    ]
    mean, error = np.mean(errors), np.std(errors) / 10
    worst = methods.worst
    assert worst is not None
    assert worst.name == "dijet3"
    assert worst.bias == pytest.approx(mean, abs=4 * error)
    assert worst.bias_error < error / 3  # the linear part of the fluctuations is taken away
    assert abs(worst.bias) > 3 * worst.bias_error
    assert abs(methods.methods[0].bias) < 0.2 * methods.statistical  # under its own truth


def test_bias_is_no_second_statistical_error() -> None:
    """The distance to other methods, the former systematic, is large where the central fit happens to be wrong."""
    truth = truth_of()[INSIDE].sum()
    errors, biases, spreads, statistical = [], [], [], []
    for seed in range(40):
        # With its order chosen anew, the other function would follow the same fluctuations as the central one.
        methods = compared(seed, "dijet3", n_toys=40)
        if not methods.methods[0].used or len(methods.used) < 2:
            continue  # a poor fit of a good function: one in a hundred
        errors.append(abs(methods.central - truth))
        statistical.append(methods.statistical)
        biases.append(methods.systematic)
        others = [method.predicted for method in methods.used[1:]]
        spreads.append(max(abs(predicted - methods.central) for predicted in others))
    assert len(errors) >= 36
    assert abs(np.corrcoef(errors, biases)[0, 1]) < 0.3
    assert np.corrcoef(errors, spreads)[0, 1] > 0.6
    assert np.median(biases) < 0.15 * np.median(statistical)
    assert np.median(spreads) > 0.5 * np.median(statistical)


def test_functions_without_compiled_fits_have_a_bias_too() -> None:
    """Bernstein polynomials are linear themselves, and weighted simulation is drawn in effective events."""
    counts = np.rint(400 * np.exp(-np.arange(40) / 16))
    biases = []
    for spectrum in (
        Spectrum(EDGES, counts),
        Spectrum(EDGES, counts, 0.25 * counts, is_data=False),
    ):
        methods = compare_methods(
            spectrum, window=WINDOW, functions=["bernstein3", "dijet3"], n_toys=100
        )
        truth = fit_sidebands(spectrum, window=WINDOW, function="dijet3").expected
        given = Spectrum(EDGES, truth, truth, is_data=False)
        mean = fit_sidebands(given, window=WINDOW, function="bernstein3").predicted
        first, worst = methods.used[0], methods.worst
        assert first.name == "bernstein3"
        assert worst is not None
        assert worst.name == "dijet3"
        wanted = mean - truth[INSIDE].sum()
        assert abs(wanted) > 0.2 * first.error
        assert worst.bias == pytest.approx(wanted, abs=4 * worst.bias_error + 0.05 * abs(wanted))
        biases.append(worst.bias)
    assert biases[0] == pytest.approx(biases[1], rel=0.2)


def test_method_that_does_not_fit_is_listed_and_not_used() -> None:
    passing, failing = toys(2)
    methods = compare_methods(
        (passing, EDGES), window=WINDOW, functions=["bernstein2", "dijet"], failing=(failing, EDGES)
    )
    first = methods.methods[0]
    assert first.p_value < WORST_P
    assert not first.used
    assert np.isnan(first.bias)
    assert "goodness of fit" in first.why_not
    assert [method.requested for method in methods.used] == ["dijet", "transfer"]
    assert methods.to_dict()["central_method"].startswith("dijet")


def test_the_window_of_blinded_data_is_not_needed() -> None:
    passing, _ = toys(3)
    hidden = Spectrum(EDGES, passing, blind_window=WINDOW)
    functions = ["exppoly4", "dijet3"]
    seen, blinded = (
        compare_methods(given, window=WINDOW, functions=functions)
        for given in ((passing, EDGES), hidden)
    )
    assert blinded.to_dict() == seen.to_dict()


def test_nothing_that_fits_is_an_error_that_says_why() -> None:
    passing, _ = toys(4)
    with pytest.raises(FitError, match="no method describes the sidebands") as caught:
        compare_methods((passing, EDGES), window=WINDOW, functions=["bernstein2"])
    assert "bernstein2: goodness of fit" in str(caught.value)
