from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, TooFewJetsError
from oddjet.ml import create, load
from oddjet.ml.detectors.kmeans import KMeansDetector, find_centroids
from oddjet.ml.representations.energy_flow import EnergyFlow
from oddjet.ml.representations.jet_image import JetImage


@pytest.fixture(scope="module")
def fitted(background: Jets) -> KMeansDetector:
    return KMeansDetector(k=8, starts=2).fit(background, seed=1)


def test_defaults_are_the_document_s() -> None:
    detector = create("kmeans")
    assert detector.representation == JetImage.buss(power=1.0, sigma=3.0)
    assert detector.representation.shape == (40, 40, 1)
    assert detector.hyper_parameters() == {"k": 100, "starts": 10}
    assert detector.score_names == ("min_d", "knc5", "mlled", "mll1d", "mlln")


def test_centroids_are_the_means_of_their_jets(fitted: KMeansDetector, background: Jets) -> None:
    rows = fitted.representation(background).reshape(len(background), -1)
    distances = cdist(rows, fitted.clusters_.centroids)
    nearest = distances.argmin(axis=1)
    for i, centroid in enumerate(fitted.clusters_.centroids):
        np.testing.assert_allclose(centroid, rows[nearest == i].mean(axis=0), atol=1e-5)
    np.testing.assert_array_equal(fitted.clusters_.sizes, np.bincount(nearest))
    assert fitted.clusters_.inertia == pytest.approx((distances.min(axis=1) ** 2).sum(), rel=1e-4)


def test_distance_scores_are_those_of_the_images(
    fitted: KMeansDetector, other_background: Jets
) -> None:
    rows = fitted.representation(other_background).reshape(len(other_background), -1)
    distances = np.sort(cdist(rows, fitted.clusters_.centroids), axis=1)
    scores = fitted.scores(other_background)
    np.testing.assert_allclose(scores["min_d"], distances[:, 0], rtol=1e-6)
    np.testing.assert_allclose(scores["knc5"], distances[:, :5].mean(axis=1), rtol=1e-6)


def test_likelihoods_are_the_corrected_equations_of_the_images(
    fitted: KMeansDetector, background: Jets, other_background: Jets
) -> None:
    """From images to scores without any of the detector's functions."""
    few, centroids = other_background[:30], fitted.clusters_.centroids
    rows, distances = (
        cdist(fitted.representation(jets).reshape(len(jets), -1).astype(float), centroids)
        for jets in (few, background)
    )
    nearest = distances.argmin(axis=1)
    k = range(len(centroids))
    members = [distances[nearest == i, i] for i in k]
    sizes = [len(of) for of in members]
    rho, sigma = [of.mean() for of in members], [of.std() for of in members]
    within = [[(distances[:, i] <= c * rho[i]).sum() for c in (1.0, 1.1)] for i in k]
    d = float(np.median([math.log(outer / inner) / math.log(1.1) for inner, outer in within]))

    def score(row: np.ndarray, d: float, *, normalised: bool) -> float:
        total = 0.0
        for i in k:
            volume = math.pi ** (d / 2) / math.gamma(d / 2 + 1)
            ball = rho[i] ** (d - 1) * (rho[i] + d * sigma[i] * math.sqrt(math.pi / 2))
            norm = sizes[i] / (volume * ball) if normalised else sizes[i]
            tail = (rho[i] / row[i]) ** (d - 1)
            tail *= math.exp(-((row[i] - rho[i]) ** 2) / (2 * sigma[i] ** 2))
            total += norm * (tail if row[i] > rho[i] else 1.0)
        return -math.log(total)

    scores = fitted.scores(few)
    for name, dimension, normalised in (
        ("mlled", d, True),
        ("mll1d", 1.0, True),
        ("mlln", 1.0, False),
    ):
        expected = [score(row, dimension, normalised=normalised) for row in rows]
        np.testing.assert_allclose(scores[name], expected, rtol=1e-4, err_msg=name)


def test_every_score_tells_two_prongs_from_one(
    fitted: KMeansDetector, other_background: Jets, signal: Jets
) -> None:
    ordinary, unlike = fitted.scores(other_background), fitted.scores(signal)
    for name in fitted.score_names:
        assert np.mean(unlike[name][:, None] > ordinary[name]) > 0.95, name


def test_batches_of_jets_change_nothing(
    fitted: KMeansDetector, other_background: Jets, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = fitted.scores(other_background)
    monkeypatch.setattr(KMeansDetector, "scoring_batch", 37)
    for name, values in fitted.scores(other_background).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-9)


def test_saved_clusters_are_read_back(fitted: KMeansDetector, tmp_path: Path) -> None:
    fitted.save(tmp_path / "kmeans")
    loaded = load(tmp_path / "kmeans")
    assert isinstance(loaded, KMeansDetector)
    for name in ("centroids", "sizes", "radii", "widths", "dimensions"):
        np.testing.assert_array_equal(
            getattr(loaded.clusters_, name), getattr(fitted.clusters_, name)
        )


def test_on_other_representations(background: Jets, other_background: Jets, signal: Jets) -> None:
    detector = create("kmeans", k=5, starts=1, representation=EnergyFlow(reweight="log"))
    detector.fit(background, seed=1)
    ordinary, unlike = (detector.scores(jets)["min_d"] for jets in (other_background, signal))
    assert np.median(unlike) > np.median(ordinary)


def test_progress_is_told_once(background: Jets) -> None:
    progress_calls = []
    KMeansDetector(k=3, starts=1).fit(
        background[:200], seed=1, progress=lambda *arguments: progress_calls.append(arguments)
    )
    assert [(epoch, n) for epoch, n, _ in progress_calls] == [(1, 1)]
    assert progress_calls[0][2]["loss"] > 0


def test_settings_that_cannot_be_meant(background: Jets) -> None:
    for name in ("k", "starts"):
        with pytest.raises(ConfigError, match=f"kmeans: {name} must be at least 1"):
            create("kmeans", **{name: 0})
    with pytest.raises(TooFewJetsError, match="Lower k"):
        create("kmeans", k=200).fit(background[:150], seed=1)


def test_turning_images_to_their_axes_loses_nothing(background: Jets) -> None:
    """Same starts or not, as low an inertia as scikit-learn's on the images themselves."""
    rows = JetImage.buss(sigma=3.0)(background).reshape(len(background), -1)
    centroids = find_centroids(rows, k=4, starts=5, seed=1)
    plain = KMeans(4, n_init=5, random_state=2).fit(rows)
    inertia = (cdist(rows, centroids).min(axis=1) ** 2).sum()
    assert inertia == pytest.approx(plain.inertia_, rel=0.01)
    nearest = cdist(rows, centroids).argmin(axis=1)
    for i, centroid in enumerate(centroids):
        np.testing.assert_allclose(centroid, rows[nearest == i].mean(axis=0), atol=1e-5)


def test_fewer_different_rows_than_clusters() -> None:
    rows = np.repeat(np.eye(3, 100, dtype=np.float32), 20, axis=0)
    centroids = find_centroids(rows, k=5, starts=1, seed=1)
    assert sorted(centroids.argmax(axis=1)) == [0, 1, 2]
