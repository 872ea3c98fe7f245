from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, DetectorError, TooFewJetsError
from oddjet.ml import create, load
from oddjet.ml.detectors.gmm import (
    GaussianMixtureDetector,
    Mixture,
    fit_mixture,
    principal_axes,
)
from oddjet.ml.representations.energy_flow import EnergyFlow
from oddjet.ml.representations.jet_image import JetImage

EFPS: dict[str, Any] = {
    "covariance": "full",
    "components": 4,
    "pca": 8,
    "representation": EnergyFlow(beta=0.5, reweight="log"),
}


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    """Correlated 4-D points in three groups."""
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(4, 4))
    return np.concatenate([rng.normal(i, 0.5 + 0.2 * i, (200, 4)) @ mixing for i in range(3)])


@pytest.mark.parametrize("kind", ["spherical", "diag", "full"])
def test_density_is_scikit_learn_s(points: np.ndarray, kind: str) -> None:
    fitted = GaussianMixture(5, covariance_type=kind, random_state=1).fit(points)
    mixture = Mixture(fitted.weights_, fitted.means_, fitted.covariances_)
    away = np.concatenate([points, 100 * points[:5]])
    np.testing.assert_allclose(
        mixture.log_density(away), fitted.score_samples(away), rtol=1e-9, atol=1e-9
    )
    least = fitted.covariances_.min()
    if kind == "full":
        least = min(np.linalg.svd(c, compute_uv=False).min() for c in fitted.covariances_)
    assert mixture.smallest_variance == pytest.approx(least)


def test_density_of_one_gaussian_in_closed_form() -> None:
    mixture = Mixture(np.ones(1), np.zeros((1, 2)), np.array([[[4.0, 0.0], [0.0, 0.25]]]))
    expected = -np.log(2 * np.pi) - (2.0**2 / 4 + 0.5**2 / 0.25) / 2
    assert mixture.log_density(np.array([[2.0, 0.5]])) == pytest.approx(expected)


def test_beta_is_lowered_until_the_smallest_variance_is_a_thousand_times_as_large() -> None:
    rng = np.random.default_rng(1)
    # Groups of relative variance 1e-4: at the first β, 1e-3, it would make their widths.
    rows = np.concatenate([rng.normal(centre, 0.01, (100, 2)) for centre in (-1.0, 1.0)])
    mixture, beta, met = fit_mixture(rows, components=2, covariance="spherical", beta=None, seed=1)
    unit = rows.var(axis=0).mean()
    assert met
    assert beta == pytest.approx(1e-8)  # the first power of ten at most 1e-4 / 1e3, without β
    assert mixture.smallest_variance - beta * unit >= 1e3 * beta * unit
    assert mixture.smallest_variance == pytest.approx(1e-4, rel=0.3)
    _, kept, kept_met = fit_mixture(rows, components=2, covariance="spherical", beta=0.01, seed=1)
    assert (kept, kept_met) == (0.01, False)


def test_search_for_beta_gives_up_where_rows_coincide() -> None:
    rng = np.random.default_rng(1)
    rows = np.concatenate([rng.normal(0, 1, (100, 2)), np.full((20, 2), 9.0)])
    for kind, last in (("spherical", 1e-9), ("full", 1e-6)):
        mixture, beta, met = fit_mixture(rows, components=2, covariance=kind, beta=None, seed=1)
        assert not met
        assert beta == pytest.approx(last)
        assert np.isfinite(mixture.log_density(rows)).all()


def test_fit_does_not_depend_on_the_unit(points: np.ndarray) -> None:
    settings: dict[str, Any] = {"components": 3, "covariance": "spherical", "beta": None, "seed": 1}
    large, small = fit_mixture(points, **settings), fit_mixture(1e-4 * points, **settings)
    assert large[1:] == small[1:]
    np.testing.assert_allclose(
        small[0].log_density(1e-4 * points) + 4 * np.log(1e-4),
        large[0].log_density(points),
        rtol=1e-6,
    )


def test_principal_axes_whiten(points: np.ndarray) -> None:
    points = points - points.mean(axis=0)
    whitened = points @ principal_axes(points, 4).T
    np.testing.assert_allclose(np.cov(whitened, rowvar=False), np.eye(4), atol=1e-9)
    first = points @ principal_axes(points, 2).T
    np.testing.assert_allclose(first, whitened[:, :2])
    flat = np.concatenate([points, points[:, :1]], axis=1)  # a fifth number that is the first
    assert principal_axes(flat, 5).shape == (4, 5)
    with pytest.raises(DetectorError, match="all alike"):
        principal_axes(np.ones((10, 3)), 2)


def test_on_energy_flow_polynomials(
    background: Jets, other_background: Jets, signal: Jets, tmp_path: Any
) -> None:
    detector = create("gmm", **EFPS).fit(background, seed=1)
    ordinary, unlike = (detector.scores(jets)["gmmll"] for jets in (other_background, signal))
    assert np.mean(unlike[:, None] > ordinary) > 0.9
    assert isinstance(detector, GaussianMixtureDetector)
    assert detector.mixture_.covariances.shape == (4, 8, 8)
    detector.save(tmp_path / "gmm")
    np.testing.assert_allclose(load(tmp_path / "gmm").scores(signal)["gmmll"], unlike, rtol=1e-9)


def test_jets_all_alike_are_refused(background: Jets) -> None:
    same = background[np.zeros(200, dtype=np.int64)]
    for hyper_parameters in ({}, {"pca": 3}):
        with pytest.raises(DetectorError, match="all alike"):
            create("gmm", components=2, **hyper_parameters).fit(same, seed=1)


def test_settings_that_cannot_be_meant() -> None:
    for bad in (
        {"covariance": "tied"},
        {"components": 0},
        {"beta": 0.0},
        {"pca": 0},
        {"pca": 9, "representation": EnergyFlow()},
    ):
        with pytest.raises(ConfigError, match=f"gmm: {next(iter(bad))} must be"):
            create("gmm", **bad)


def test_more_components_than_jets(background: Jets) -> None:
    with pytest.raises(TooFewJetsError, match="Lower components"):
        create("gmm", components=200).fit(background[:150], seed=1)


def test_defaults_are_the_document_s() -> None:
    detector = create("gmm")
    assert detector.representation == JetImage.buss(power=1.0, sigma=3.0)
    assert detector.hyper_parameters() == {
        "components": 100,
        "covariance": "spherical",
        "beta": None,
        "pca": None,
    }


def test_fitting_warns_of_nothing(background: Jets) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create("gmm", **(EFPS | {"components": 30})).fit(background[:200], seed=1)
