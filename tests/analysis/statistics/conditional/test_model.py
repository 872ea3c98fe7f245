"""Compiled fits of shares against scipy, and the modes of a map."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, special, stats

from oddjet.analysis.statistics.background.signal import gaussian_fractions
from oddjet.analysis.statistics.background.transfer import fit_transfer
from oddjet.analysis.statistics.bumphunt.windows import Windows
from oddjet.analysis.statistics.conditional.model import KNOWN_JETS, LOOSE, ShareModel
from oddjet.analysis.statistics.conditional.scan import PassedBeside, SignalPassed, passed_p
from oddjet.typing import Floats

EDGES = np.linspace(40.0, 240.0, 21)
CENTRES = 0.5 * (EDGES[:-1] + EDGES[1:])
TOTALS = np.rint(9000 * np.exp(-(CENTRES - 40) / 40)) + 1
SHARE = special.expit(-2.2 + 0.3 * (CENTRES - 140) / 100)


def drawn(seed: int, scale: float = 1.0) -> tuple[Floats, Floats]:
    """Totals and passing jets."""
    totals = np.maximum(np.rint(scale * TOTALS), 1.0)
    passing = np.random.default_rng(seed).binomial(totals.astype(int), SHARE).astype(float)
    return totals, passing


def one_window(first: int, stop: int) -> Windows:
    return Windows(EDGES, np.array([first]), np.array([stop]))


def by_hand(
    model: ShareModel, passing: Floats, keep: Floats, order: int
) -> optimize.OptimizeResult:
    """Maximum of the binomial likelihood with the priors, of some bins."""
    design = np.delete(model.designs[0], np.s_[1 + model.n_modes + order :], axis=1)
    precision = model.precision[: design.shape[1]]
    share = passing.sum() / model.totals.sum()

    def value(p: Floats) -> float:
        logit = design @ p
        part = np.sum(keep * (model.totals * np.logaddexp(0, logit) - passing * logit))
        known = KNOWN_JETS * (np.logaddexp(0, p[0]) / share - p[0])
        return float(part + known + 0.5 * np.sum(precision * p**2))

    start = np.r_[special.logit(share), np.zeros(design.shape[1] - 1)]
    return optimize.minimize(value, start, method="BFGS", options={"gtol": 1e-7})


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_fits_beside_a_window_are_those_of_scipy(scale: float) -> None:
    totals, passing = drawn(1, scale)
    model = ShareModel.make(EDGES, totals, (2, 2), SHARE[None])
    window = one_window(8, 11)
    fits = PassedBeside(model, window).fits(passing[None])
    keep = np.ones(20)
    keep[8:11] = 0
    best = by_hand(model, passing, keep, 2)
    share = special.expit(model.designs[0] @ best.x)[8:11]
    slope = (totals[8:11] * share * (1 - share)) @ model.designs[0][8:11]
    everywhere = special.expit(model.designs[0] @ best.x)
    weight = keep * totals * everywhere * (1 - everywhere)
    information = np.einsum("b,bi,bj->ij", weight, model.designs[0], model.designs[0])
    information += np.diag(model.precision)
    mean = special.expit(best.x[0])
    information[0, 0] += KNOWN_JETS * totals.sum() / passing.sum() * mean * (1 - mean)
    assert fits.background[0, 0] == pytest.approx(np.sum(totals[8:11] * share), rel=1e-4)
    assert fits.variance[0, 0] == pytest.approx(
        slope @ np.linalg.solve(information, slope), rel=1e-3
    )
    logs = keep * (stats.binom.logpmf(passing, totals, passing / totals))
    logs -= keep * stats.binom.logpmf(passing, totals, everywhere)
    assert fits.deviance[0, 0] == pytest.approx(2 * logs.sum(), rel=1e-3)


def test_with_many_jets_it_is_the_transfer_factor() -> None:
    totals, passing = drawn(2, 30.0)
    model = ShareModel.make(EDGES, totals, (2, 2), SHARE[None])
    fits = PassedBeside(model, one_window(8, 11)).fits(passing[None])
    other = fit_transfer(
        (passing, EDGES), (totals - passing, EDGES), window=(EDGES[8], EDGES[11]), order=2
    )
    share = fits.background[0, 0] / totals[8:11].sum()
    ratio = other.predicted / (totals - passing)[8:11].sum()
    assert share / (1 - share) == pytest.approx(ratio, rel=1e-3)


def test_the_order_follows_the_likelihood() -> None:
    x = (CENTRES - 140) / 100
    totals = 20 * TOTALS
    for true, least, most in ((-2.0 + 0.2 * x, 0.8, 1.0), (-2.0 + 0.6 * (5 * x**3 - 3 * x), 0, 0)):
        passing = np.random.default_rng(3).binomial(
            totals.astype(int), special.expit(true), (200, 20)
        )
        model = ShareModel.make(EDGES, totals, (2, 4), special.expit(true)[None])
        fits = PassedBeside(model, one_window(9, 11)).fits(passing[:, None].astype(float))
        lowest = np.mean(fits.chosen[:, 0] == 0)
        assert least <= lowest <= most
    # One in twenty takes a power more for nothing.
    assert model.names == ("transfer2", "transfer3", "transfer4", "")


def test_a_signal_is_fitted_as_pass_and_fail_with_free_bins() -> None:
    totals, passing = drawn(4, 0.1)
    passing[12:15] = np.minimum(passing[12:15] + np.array([4, 7, 4]), totals[12:15])
    shape = gaussian_fractions(EDGES, mass=175.0, width=12.0)
    model = ShareModel.make(EDGES, totals, (2, 2), SHARE[None])
    tested = SignalPassed(model, one_window(12, 15), shape[None]).test(passing[None, None])

    def value(p: Floats) -> float:
        """Poisson pass and fail; the jets that are no signal are parameters of their own, as logarithms."""
        q, number, jets = p[:3], p[3], np.exp(p[4:])
        share = special.expit(model.designs[0] @ q)
        logs = stats.poisson.logpmf(passing, share * jets + number * shape)
        logs += stats.poisson.logpmf(totals - passing, (1 - share) * jets)
        mean = passing.sum() / totals.sum()
        known = KNOWN_JETS * (np.logaddexp(0, q[0]) / mean - q[0])
        return float(known - logs.sum() + 0.5 * np.sum(q[1:] ** 2) / LOOSE**2)

    start = np.r_[-2.2, 0.3, 0.0, 8.0, np.log(totals)]
    bounds = [(None, None)] * 3 + [(0, None)] + [(None, None)] * 20
    options = {"maxfun": 10**6, "maxiter": 10**4, "ftol": 1e-13}
    free = optimize.minimize(value, start, method="L-BFGS-B", bounds=bounds, options=options)
    bounds[3] = (0, 0)
    none = optimize.minimize(value, start, method="L-BFGS-B", bounds=bounds, options=options)
    assert free.x[3] > 5
    assert tested.local_p[0, 0, 0] == pytest.approx(
        stats.norm.sf(np.sqrt(2 * (none.fun - free.fun))), rel=0.01
    )
    core = shape[12:15].sum()
    excess = tested.observed[0, 0, 0] - tested.expected[0, 0, 0]
    assert excess == pytest.approx(free.x[3] * core, rel=0.01)


def test_a_deficit_is_no_excess_and_empty_bins_are_harmless() -> None:
    totals, passing = drawn(5, 0.05)
    totals[17:] = passing[17:] = 0
    passing[12:15] = 0
    model = ShareModel.make(EDGES, totals, (2, 4), SHARE[None])
    shapes = np.stack([gaussian_fractions(EDGES, mass=m, width=12.0) for m in (175.0, 225.0)])
    cores = Windows(EDGES, np.array([12, 17]), np.array([15, 20]))
    for test in (SignalPassed(model, cores, shapes), PassedBeside(model, cores)):
        tested = test.test(passing[None, None])
        np.testing.assert_array_equal(tested.local_p, 1.0)
        assert np.isfinite(tested.expected).all()


def test_local_p_of_a_window_is_the_binomial_one_where_the_share_is_known() -> None:
    jets, share = np.array([2000.0, 60.0, 1.0]), np.array([0.02, 0.1, 0.01])
    observed = np.array([60.0, 12.0, 1.0])
    p = passed_p(observed, jets, jets * share, np.zeros(3))
    exact = stats.binom.sf(observed - 1, jets.astype(int), share)
    np.testing.assert_allclose(p, exact, rtol=0.1)
    # With Fisher's exact test where a sideband as rich as the window tells the share.
    off = stats.hypergeom.sf(11, 12_000, 1200, 60)
    known = passed_p(
        np.array([12.0]), np.array([60.0]), np.array([6.0]), np.array([6.0 * 6 / 1200])
    )
    assert known[0] == pytest.approx(off, rel=0.1)


def test_modes_are_what_polynomials_do_not_follow() -> None:
    rng = np.random.default_rng(6)
    x = (CENTRES - 140) / 100
    wave, size = np.sin(9 * x), 0.2
    smooth = rng.normal(0, 0.3, (400, 1)) * x + rng.normal(0, 0.3, (400, 1))
    changes = (smooth + size * rng.normal(0, 1, (400, 1)) * wave) * (1 - SHARE)
    model = ShareModel.make(EDGES, TOTALS, (2, 2), SHARE[None], changes[:, None])
    assert model.n_modes == 1
    powers = np.delete(model.designs[0], 1, axis=1)
    left = wave - powers @ np.linalg.lstsq(
        powers * np.sqrt(TOTALS * SHARE * (1 - SHARE))[:, None],
        wave * np.sqrt(TOTALS * SHARE * (1 - SHARE)),
        rcond=None,
    )[0]  # fmt: skip
    mode = model.designs[0][:, 1]
    assert abs(mode @ left) / np.sqrt(mode @ mode * (left @ left)) == pytest.approx(1, abs=1e-6)
    assert np.abs(mode).max() == pytest.approx(size * np.abs(left).max(), rel=0.1)
    assert ShareModel.make(EDGES, TOTALS, (2, 2), SHARE[None], 0 * changes[:, None]).n_modes == 0


def test_the_error_of_a_map_is_part_of_what_is_expected() -> None:
    totals, passing = drawn(7, 50.0)
    rng = np.random.default_rng(8)
    bump = np.exp(-0.5 * ((CENTRES - 135) / 12) ** 2)
    changes = 0.1 * rng.normal(size=(300, 1, 1)) * bump * (1 - SHARE)
    window = one_window(8, 11)
    alone, with_map = (
        PassedBeside(ShareModel.make(EDGES, totals, (2, 2), SHARE[None], of), window).fits(
            passing[None]
        )
        for of in (None, changes)
    )
    in_window = (0.1 * bump * totals * SHARE * (1 - SHARE))[8:11].sum()
    assert with_map.variance[0, 0] > 2 * alone.variance[0, 0]
    assert np.sqrt(with_map.variance[0, 0]) < in_window


def test_a_share_that_rounds_to_one_is_no_trouble() -> None:
    jets = np.array([1e10, 1e17])
    p = passed_p(jets, jets, jets * (1 - np.array([1e-10, 0.0])), np.zeros(2))
    assert np.all((p > 0.1) & (p <= 1))
