from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import optimize, special

from oddjet.analysis.sculpting.fakes import (
    Contrasts,
    FakeBumps,
    HuntedIn,
    JudgedJets,
    fake_bumps,
    fit_logit,
)
from oddjet.analysis.statistics.background.fit import fit_sidebands
from oddjet.analysis.statistics.bumphunt.windows import make_windows
from oddjet.errors import ConfigError, FitError
from oddjet.typing import Floats

EDGES = np.linspace(40, 240, 41)
CENTRES = 0.5 * (EDGES[1:] + EDGES[:-1])
HUNT = HuntedIn(edges=EDGES, function="exppoly4")
FALLING = np.exp(-CENTRES / 60)


def _jets(n: int, efficiency: Floats, *, weight: float = 1.0) -> JudgedJets:
    numbers = n * FALLING / FALLING.sum()
    passing = (numbers * efficiency)[None] * weight
    return JudgedJets(n, EDGES, numbers * weight, numbers * weight**2, passing)


def _bumps(jets: JudgedJets, hunted: HuntedIn = HUNT, order: int = 2) -> FakeBumps:
    return fake_bumps(jets, hunted.windows(), 0, hunted, order=order)


def test_logistic_fits_are_the_likeliest() -> None:
    rng = np.random.default_rng(1)
    numbers = rng.integers(0, 40, (3, 40)).astype(float)
    shares = rng.binomial(30, 0.2, 40) / 30
    basis = np.vander((CENTRES - 140) / 100, 3, increasing=True)
    logit, _ = fit_logit(numbers, shares, basis)
    for row, fitted in zip(numbers, logit, strict=True):

        def loss(parameters: Floats, row: Floats = row) -> float:
            eta = basis @ parameters
            return float(np.sum(row * (np.logaddexp(0, eta) - shares * eta)))

        best = optimize.minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-9})
        # The wide prior shifts the fit by much less than its error.
        assert special.expit(fitted) == pytest.approx(special.expit(basis @ best.x), rel=0.02)


def test_what_never_passes_is_finite() -> None:
    logit, information = fit_logit(np.full((1, 40), 10.0), np.zeros(40), np.ones((40, 1)))
    assert np.isfinite(logit).all()
    assert np.isfinite(information).all()


def test_a_smooth_efficiency_fakes_nothing_and_a_bump_is_what_it_is() -> None:
    eta = -2.2 + 0.4 * (CENTRES - 140) / 100 - 0.3 * ((CENTRES - 140) / 100) ** 2
    smooth = special.expit(eta)
    jets = _jets(200_000, smooth)
    bumps = _bumps(jets)
    assert abs(bumps.fake).max() < 0.02 * bumps.errors.min()
    low, high = 160.0, 185.0
    inside = (low < CENTRES) & (high > CENTRES)
    raised = _bumps(_jets(200_000, smooth * (1 + 0.5 * inside)), HUNT)
    (place,) = np.flatnonzero((raised.windows.low == low) & (raised.windows.high == high))
    true = 0.5 * (jets.weights * smooth)[inside].sum()
    assert raised.fake[place] == pytest.approx(true, rel=1e-3)
    assert raised.fake[place] == pytest.approx(raised.fake.max(), rel=1e-3)
    # Weights that are all alike, and another luminosity of the hunt, change the unit alone.
    weighted = _bumps(_jets(200_000, smooth * (1 + 0.5 * inside), weight=0.2), HUNT)
    assert weighted.fake == pytest.approx(raised.fake)
    assert weighted.errors == pytest.approx(raised.errors)
    tenth = _bumps(_jets(200_000, smooth * (1 + 0.5 * inside)), dataclasses.replace(HUNT, jets=2e4))
    assert tenth.fake == pytest.approx(raised.fake / 10)
    assert tenth.resolutions == pytest.approx(raised.resolutions / 10**0.5, rel=1e-3)


def test_the_resolution_is_that_of_the_fit_beside_the_window() -> None:
    jets = _jets(20_000, np.full(40, 0.1))
    bumps = _bumps(jets)
    for place in (60, 130, 220):
        window = (float(bumps.windows.low[place]), float(bumps.windows.high[place]))
        spectrum = (np.round(jets.passing[0]), EDGES)
        fit = fit_sidebands(spectrum, window=window, function="exppoly4")
        wanted = np.hypot(fit.predicted_error, fit.predicted**0.5)
        assert bumps.resolutions[place] == pytest.approx(wanted, rel=0.02)


def test_a_conditional_hunt_resolves_what_its_own_comparison_leaves() -> None:
    jets = _jets(20_000, np.full(40, 0.1))
    bumps = _bumps(jets, dataclasses.replace(HUNT, conditional=True))
    # With as many jets judged as hunted in, the verdict is such a comparison itself.
    enough = bumps.expected > 3
    assert bumps.resolutions[enough] == pytest.approx(bumps.errors[enough], rel=0.02)
    assert (bumps.resolutions[enough] < _bumps(jets).resolutions[enough]).mean() > 0.9


def test_contrasts_see_no_polynomial_and_have_the_noise_that_they_say() -> None:
    jets = _jets(20_000, np.full(40, 0.1))
    contrasts = Contrasts.make(jets, HUNT.windows(), 2)
    x = (CENTRES - 140) / 100
    polynomial = jets.weights * (0.1 + 0.03 * x - 0.02 * x**2)
    assert abs(contrasts.matrix @ polynomial).max() < 1e-6
    rng = np.random.default_rng(2)
    numbers = np.round(jets.weights).astype(int)
    jets = dataclasses.replace(jets, weights=numbers.astype(float), squares=numbers.astype(float))
    contrasts = Contrasts.make(jets, HUNT.windows(), 2)
    drawn = rng.binomial(numbers, 0.1, (4000, 40)).astype(float)
    z = contrasts.significances(drawn, float(numbers.sum()))
    assert z.mean(axis=0) == pytest.approx(np.zeros(z.shape[1]), abs=0.07)
    assert z.std(axis=0) == pytest.approx(np.ones(z.shape[1]), abs=0.06)


def test_the_bound_covers_a_bump_of_its_size_also_where_few_pass() -> None:
    rng = np.random.default_rng(3)
    hunted = dataclasses.replace(HUNT, widths=(5, 5))
    inside = (CENTRES > 160) & (CENTRES < 185)
    for n, efficiency in ((60_000, 0.1), (4_000, 0.01)):
        numbers = np.round(n * FALLING / FALLING.sum()).astype(int)
        true = efficiency * (1 + 0.4 * inside)
        wanted = 0.4 * efficiency * numbers[inside].sum()
        below = []
        for _ in range(150):
            passing = rng.binomial(numbers, true).astype(float)
            jets = JudgedJets(n, EDGES, numbers.astype(float), numbers.astype(float), passing[None])
            bumps = _bumps(jets, dataclasses.replace(hunted, jets=float(numbers.sum())))
            (place,) = np.flatnonzero(bumps.windows.low == 160)
            below.append(bumps.upper[place] < wanted)
        assert np.mean(below) < 0.1


def test_hunted_jets_are_smoothed_and_filled_in_where_they_are_hidden() -> None:
    jets = _jets(50_000, np.full(40, 0.1))
    assert HUNT.expected(jets).sum() == pytest.approx(50_000)
    assert dataclasses.replace(HUNT, jets=700).expected(jets).sum() == pytest.approx(700)
    numbers = 0.03 * jets.weights
    numbers[10:18] = np.nan
    expected = dataclasses.replace(HUNT, jets=numbers).expected(jets)
    assert expected == pytest.approx(0.03 * jets.weights, rel=1e-3)
    drawn = np.random.default_rng(4).poisson(0.03 * jets.weights).astype(float)
    smooth = dataclasses.replace(HUNT, jets=drawn).expected(jets)
    assert smooth.sum() == pytest.approx(drawn.sum(), rel=1e-3)
    assert (smooth > 0).all()
    hidden = dataclasses.replace(HUNT, hidden=((90.0, 120.0), (500.0, 600.0)))
    assert hidden.hidden_bins.sum() == 6
    assert not (hidden.windows().mask & hidden.hidden_bins).any()


@pytest.mark.parametrize(
    ("jets", "words"),
    [(0.0, "positive number"), (np.ones(3), r"40 bins.*shape \(3,\)"), (np.zeros(40), "0 jets")],
)
def test_hunted_jets_that_are_none_are_refused(jets: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        dataclasses.replace(HUNT, jets=jets).expected(_jets(100, np.ones(40)))


def test_windows_without_jets_are_not_judged() -> None:
    jets = _jets(20_000, np.full(40, 0.1))
    filled = CENTRES < 200
    jets = dataclasses.replace(jets, weights=jets.weights * filled, squares=jets.squares * filled)
    kept = Contrasts.make(jets, HUNT.windows(), 2).windows
    assert 0 < kept.n_windows < HUNT.windows().n_windows
    assert kept.low.max() < 200
    empty = dataclasses.replace(jets, weights=0 * jets.weights, squares=0 * jets.squares)
    with pytest.raises(FitError):
        Contrasts.make(empty, make_windows(EDGES, (2, 8)), 2)
