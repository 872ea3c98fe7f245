"""Quantile regression by Newton's method, against linear programming and against itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import QuantileRegressor

from oddjet.ml.decorrelation.regression import fit_again, fit_quantiles, pinball_losses
from oddjet.ml.replicas import bootstrap_weights
from oddjet.typing import Floats

LEVELS = np.array([0.2, 0.5, 0.9, 0.98])


def sample(n: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """A design of 1, x and x², scores whose mean and spread change with x, and weights."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, n)
    z = 0.4 * x - 0.2 * x**2 + (1 + 0.3 * x) * rng.normal(size=n)
    return np.stack([np.ones(n), x, x**2], axis=1), z, rng.uniform(0.5, 1.5, n)


def test_quantiles_are_those_of_linear_programming() -> None:
    design, z, weights = sample(2000, 1)
    ours = fit_quantiles(design, z, weights, LEVELS)
    for level, coefficients in zip(LEVELS, ours.T, strict=True):
        exact = QuantileRegressor(quantile=level, alpha=0.0, fit_intercept=False, solver="highs")
        exact.fit(design, z, sample_weight=weights)
        # Within the error of the quantile itself, at the ends of the range.
        density = stats.norm.pdf(stats.norm.ppf(level)) / 1.3
        error = 3 * np.sqrt(level * (1 - level) / 2000) / density
        assert np.abs(design @ (coefficients - exact.coef_)).max() < error
        losses = [
            weights @ pinball_losses(design, z, np.array([level]), c[:, None])
            for c in (coefficients, exact.coef_)
        ]
        assert losses[1] <= losses[0] < losses[1] * 1.003


def test_the_wanted_fraction_lies_below_each() -> None:
    design, z, weights = sample(20_000, 2)
    below = z[:, None] < design @ fit_quantiles(design, z, weights, LEVELS)
    np.testing.assert_allclose(weights @ below / weights.sum(), LEVELS, atol=0.006)
    at_high = design[:, 1] > 0.5
    fraction = weights[at_high] @ below[at_high] / weights[at_high].sum()
    np.testing.assert_allclose(fraction, LEVELS, atol=0.02)


def test_one_step_is_a_fit_to_a_bootstrap() -> None:
    design, z, weights = sample(2000, 3)
    whole = fit_quantiles(design, z, weights, LEVELS)
    counts = bootstrap_weights(np.arange(2000, dtype=np.uint64), 40)
    stepped = fit_again(design, z, weights, LEVELS, whole, counts)
    again = [fit_quantiles(design, z, weights * row + 1e-12, LEVELS) for row in counts]
    ends = np.array([[1.0, -1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.8, 0.64]])
    moved, refitted = ends @ (stepped - whole), ends @ (np.stack(again) - whole)
    np.testing.assert_allclose(moved.std(axis=0), refitted.std(axis=0), rtol=0.15)
    for one, other in zip(moved.reshape(40, -1).T, refitted.reshape(40, -1).T, strict=True):
        assert np.corrcoef(one, other)[0, 1] > 0.95


@pytest.mark.parametrize("constant", [True, False])
def test_scores_without_spread_and_jets_without_lever_are_no_trouble(constant: bool) -> None:
    design, z, weights = sample(300, 4)
    design[:, 1:] = 0.5
    fitted = fit_quantiles(design, np.zeros(300) if constant else z, weights, LEVELS)
    assert np.isfinite(fitted).all()
