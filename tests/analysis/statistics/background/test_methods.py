"""The spread of the methods."""

from __future__ import annotations

import numpy as np
import pytest

from oddjet.analysis.statistics.background.fit import fit_sidebands
from oddjet.analysis.statistics.background.functions import make_function
from oddjet.analysis.statistics.background.methods import WORST_P, compare_methods
from oddjet.analysis.statistics.background.transfer import fit_transfer
from oddjet.errors import FitError

EDGES = np.linspace(40, 240, 41)
WINDOW = (65.0, 100.0)


def toys(seed: int) -> tuple[np.ndarray, np.ndarray]:
    counts = make_function("dijet3", scale=480.0).on(EDGES).expected([0.0, 1.2, 8.0])
    truth = counts * 5_000 / counts.sum()
    rng = np.random.default_rng(seed)
    return rng.poisson(truth).astype(float), rng.poisson(9 * truth).astype(float)


def test_spread_is_that_of_the_single_fits() -> None:
    passing, failing = toys(1)
    spread = compare_methods(
        (passing, EDGES), window=WINDOW, functions=["dijet3", "exppoly4"], failing=(failing, EDGES)
    )
    single = [
        fit_sidebands((passing, EDGES), window=WINDOW, function=f) for f in ("dijet3", "exppoly4")
    ]
    predictions = [
        *(fit.predicted for fit in single),
        fit_transfer((passing, EDGES), (failing, EDGES), window=WINDOW).predicted,
    ]
    assert [method.predicted for method in spread.used] == pytest.approx(predictions)
    assert spread.central == single[0].predicted
    assert spread.statistical == single[0].predicted_error
    assert spread.systematic == pytest.approx(max(abs(p - predictions[0]) for p in predictions))
    assert spread.total_error == pytest.approx(np.hypot(spread.statistical, spread.systematic or 0))


def test_method_that_does_not_fit_is_listed_and_not_used() -> None:
    passing, failing = toys(2)
    spread = compare_methods(
        (passing, EDGES), window=WINDOW, functions=["bernstein2", "dijet"], failing=(failing, EDGES)
    )
    first = spread.methods[0]
    assert first.p_value < WORST_P
    assert not first.used
    assert "goodness of fit" in first.why_not
    assert [method.requested for method in spread.used] == ["dijet", "transfer"]
    assert spread.to_dict()["central_method"].startswith("dijet")


def test_one_method_has_no_spread() -> None:
    passing, _ = toys(3)
    spread = compare_methods((passing, EDGES), window=WINDOW, functions=["dijet3"])
    assert spread.systematic is None
    assert spread.total_error == spread.statistical


def test_nothing_that_fits_is_an_error_that_says_why() -> None:
    passing, _ = toys(4)
    with pytest.raises(FitError, match="no method describes the sidebands") as caught:
        compare_methods((passing, EDGES), window=WINDOW, functions=["bernstein2"])
    assert "bernstein2: goodness of fit" in str(caught.value)
