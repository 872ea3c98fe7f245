from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.spatial.distance import cdist
from scipy.stats import multivariate_normal, spearmanr

from oddjet.errors import DetectorError
from oddjet.ml.detectors.cluster_scores import (
    Clusters,
    distances_in_batches,
    distances_to,
    effective_dimensions,
    log_likelihood,
    log_volume,
    mean_of_nearest,
    measure_clusters,
)
from oddjet.ml.detectors.kmeans import find_centroids


@pytest.fixture(scope="module")
def blobs() -> np.ndarray:
    """Four blobs of 3-D points, of unlike sizes and widths."""
    rng = np.random.default_rng(1)
    centres = np.array([[0, 0, 0], [3, 0, 0], [0, 2, 1], [-2, -2, 2.0]])
    blobs = [
        rng.normal(centre, width, (n, 3))
        for centre, width, n in zip(centres, (0.3, 0.8, 0.5, 0.2), (200, 50, 120, 30), strict=True)
    ]
    return np.concatenate(blobs)


@pytest.fixture(scope="module")
def clusters(blobs: np.ndarray) -> Clusters:
    centroids = find_centroids(blobs.astype(np.float32), k=6, starts=2, seed=1)
    return measure_clusters(blobs, centroids)


def one_cluster(*, size: float, radius: float, width: float) -> Clusters:
    return Clusters(
        np.zeros((1, 2)), *(np.array([x]) for x in (size, radius, width)), np.array([2.0])
    )


def test_distances_are_scipy_s() -> None:
    rng = np.random.default_rng(1)
    rows, centroids = rng.normal(100.0, 1.0, (50, 20)), rng.normal(100.0, 1.0, (7, 20))
    expected = cdist(rows, centroids)
    np.testing.assert_allclose(distances_to(rows, centroids), expected, rtol=1e-12)
    np.testing.assert_allclose(distances_to(centroids, centroids).diagonal(), 0.0, atol=1e-6)
    parts = list(distances_in_batches(rows, centroids, batch_rows=16))
    assert [part.stop - part.start for part, _ in parts] == [16, 16, 16, 2]
    np.testing.assert_allclose(np.concatenate([d for _, d in parts]), expected, rtol=1e-12)


def test_measures_and_scores_are_the_corrected_equations(
    blobs: np.ndarray, clusters: Clusters
) -> None:
    """A transcription, point by point and cluster by cluster, of the equations as corrected."""
    mu = clusters.centroids
    members: list[list[float]] = [[] for _ in mu]
    for r in blobs:
        to_each = [math.dist(r, centre) for centre in mu]
        members[int(np.argmin(to_each))].append(min(to_each))
    sizes = [len(of) for of in members]
    rho = [sum(of) / len(of) for of in members]
    sigma = [
        math.sqrt(sum((x - p) ** 2 for x in of) / len(of))
        for of, p in zip(members, rho, strict=True)
    ]
    dimensions = []
    for centre, p in zip(mu, rho, strict=True):
        within = [sum(math.dist(r, centre) <= radius for r in blobs) for radius in (p, 1.1 * p)]
        dimensions.append(math.log(within[1] / within[0]) / math.log(1.1))
    np.testing.assert_array_equal(clusters.sizes, sizes)
    np.testing.assert_allclose(clusters.radii, rho, rtol=1e-9)
    np.testing.assert_allclose(clusters.widths, sigma, rtol=1e-9)
    np.testing.assert_allclose(clusters.dimensions, dimensions, rtol=1e-9)
    assert clusters.dimension == pytest.approx(float(np.median(dimensions)))

    def score(r: np.ndarray, d: float, *, normalised: bool) -> float:
        total = 0.0
        for centre, n, p, s in zip(mu, sizes, rho, sigma, strict=True):
            volume = math.pi ** (d / 2) / math.gamma(d / 2 + 1)
            norm = n / (volume * p ** (d - 1) * (p + d * s * math.sqrt(math.pi / 2)))
            x = math.dist(r, centre)
            shape = 1.0
            if x > p:
                shape = (p / x) ** (d - 1) * math.exp(-((x - p) ** 2) / (2 * s**2))
            total += (norm if normalised else n) * shape
        return -math.log(total)

    points = np.random.default_rng(2).uniform(-1.5, 2.0, (40, 3))
    distances = distances_to(points, mu)
    for d, normalised in ((clusters.dimension, True), (1.0, True), (1.0, False), (0.4, True)):
        np.testing.assert_allclose(
            -log_likelihood(distances, clusters, dimension=d, normalised=normalised),
            [score(r, d, normalised=normalised) for r in points],
            rtol=1e-9,
        )


@pytest.mark.parametrize(("dimension", "surface"), [(1, 2.0), (2, 2 * math.pi), (3, 4 * math.pi)])
def test_a_cluster_s_density_integrates_to_its_size(dimension: int, surface: float) -> None:
    single = one_cluster(size=7.0, radius=0.6, width=0.25)

    def shell(r: float) -> float:
        density = np.exp(log_likelihood(np.array([[r]]), single, dimension=dimension))
        return float(surface * r ** (dimension - 1) * density[0])

    total = sum(quad(shell, lo, hi)[0] for lo, hi in ((0.0, 0.6), (0.6, 4.0)))
    assert total == pytest.approx(7.0, rel=1e-7)


def test_a_density_in_the_plane_integrates_to_the_sizes() -> None:
    """On a grid, of two clusters that overlap."""
    pair = Clusters(
        np.array([[0.0, 0.0], [1.0, 0.5]]),
        np.array([10.0, 4.0]),
        np.array([0.5, 0.7]),
        np.array([0.2, 0.3]),
        np.array([2.0, 2.0]),
    )
    step = 0.01
    axis = np.arange(-4, 5, step)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    density = np.exp(log_likelihood(distances_to(grid, pair.centroids), pair, dimension=2.0))
    assert density.sum() * step**2 == pytest.approx(14.0, rel=1e-3)


def test_volume_of_the_ball() -> None:
    for dimension, volume in enumerate((1.0, 2.0, math.pi, 4 / 3 * math.pi, math.pi**2 / 2)):
        assert math.exp(log_volume(dimension)) == pytest.approx(volume)


def test_likelihoods_are_finite_far_away(clusters: Clusters) -> None:
    far = np.full((1, len(clusters.radii)), 1e6)
    for dimension in (clusters.dimension, 1.0):
        value = log_likelihood(far, clusters, dimension=dimension)
        assert np.isfinite(value).all()
        assert value < -1e9
        assert (log_likelihood(0.5 * far, clusters, dimension=dimension) > value).all()


def test_likelihood_falls_without_a_step_at_the_radius() -> None:
    single = one_cluster(size=5.0, radius=1.0, width=0.3)
    r = np.array([[0.0], [0.5], [1.0], [1.0 + 1e-9], [1.2], [2.0]])
    values = log_likelihood(r, single, dimension=4.0)
    assert values[0] == values[1] == values[2] == pytest.approx(values[3], abs=1e-6)
    assert values[3] > values[4] > values[5]


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_effective_dimension_of_uniform_balls(dimension: int) -> None:
    rng = np.random.default_rng(dimension)
    n = 200_000
    rows = rng.normal(size=(n, dimension))
    rows *= (rng.uniform(size=n) ** (1 / dimension) / np.linalg.norm(rows, axis=1))[:, None]
    # In a space of more numbers, as images are: only the subspace counts.
    rows = rows @ np.linalg.qr(rng.normal(size=(8, dimension)))[0].T
    dimensions = effective_dimensions(rows, np.zeros((1, 8)), np.array([0.8]))
    assert dimensions == pytest.approx(dimension, rel=0.03)


def test_effective_dimension_counts_all_rows_not_only_members() -> None:
    line = np.linspace(-1, 1, 2001)[:, None]
    clusters = measure_clusters(line, np.array([[-0.5], [0.5]]))
    # Each cluster is half of the line; balls of radius c ρ = 0.275 stay inside it.
    np.testing.assert_allclose(clusters.dimensions, 1.0, rtol=0.05)
    np.testing.assert_allclose(clusters.radii, 0.25, rtol=0.01)
    beyond = effective_dimensions(line, np.array([[-0.5]]), np.array([1.2]))
    # 1.7 of the line is within 1.2, 1.82 within 1.32: the other half counts.
    assert beyond == pytest.approx(math.log(1.82 / 1.7) / math.log(1.1), rel=0.01)


def test_clusters_without_an_extent_are_left_out() -> None:
    rng = np.random.default_rng(1)
    lonely, pair, alike = np.full((1, 2), 50.0), np.array([[90.0, 0], [91.0, 0]]), [[-70.0, 3]] * 9
    rows = np.concatenate([rng.normal(0, 1, (100, 2)), lonely, pair, alike])
    centroids = np.array([[0.0, 0], [50.0, 50], [90.5, 0], [-70.0, 3], [1000.0, 0]])
    clusters = measure_clusters(rows, centroids)
    assert clusters.sizes.tolist() == [100, 1, 2, 9, 0]
    assert clusters.is_measurable.tolist() == [True, False, False, False, False]
    assert clusters.dimension == clusters.dimensions[0]
    scores = log_likelihood(distances_to(rows, centroids), clusters, dimension=clusters.dimension)
    assert np.isfinite(scores).all()
    assert scores[100:].max() < scores[:100].min()


def test_rows_all_alike_are_refused() -> None:
    with pytest.raises(DetectorError, match="all alike"):
        measure_clusters(np.ones((200, 3)), np.ones((2, 3)))


def test_nearest_centroids() -> None:
    distances = np.array([[5.0, 1.0, 3.0, 2.0, 9.0, 4.0]])
    assert mean_of_nearest(distances, n=1) == 1.0
    assert mean_of_nearest(distances) == 3.0
    assert mean_of_nearest(distances, n=100) == 4.0


def test_knc5_follows_the_density_of_a_gaussian_better_than_min_d() -> None:
    """The document's figure 6, with fewer points."""
    rows = np.random.default_rng(1).normal(size=(5_000, 5))
    centroids = find_centroids(rows.astype(np.float32), k=100, starts=1, seed=1)
    distances = distances_to(rows, centroids)
    log_p = multivariate_normal(np.zeros(5)).logpdf(rows)
    min_d = spearmanr(-mean_of_nearest(distances, n=1), log_p).statistic
    knc5 = spearmanr(-mean_of_nearest(distances), log_p).statistic
    assert 0.5 < min_d < 0.75
    assert knc5 > 0.9
