from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import OneClassSVM

from oddjet.errors import ConfigError, TooFewJetsError
from oddjet.ml.detectors import latent_scores
from oddjet.ml.detectors.latent_scores import NearestCodes, OneClassBoundary


def codes(n: int, seed: int, *, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 10)) * scale


@pytest.mark.parametrize("k", [1, 5])
def test_sums_of_distances_are_those_of_sklearn(k: int) -> None:
    stored, queries = codes(700, 1), codes(200, 2, scale=2.0)
    distances, _ = (
        NearestNeighbors(n_neighbors=k, algorithm="brute").fit(stored).kneighbors(queries)
    )
    sums = NearestCodes(stored, k).sum_of_distances(queries)
    assert sums.shape == (200,)
    np.testing.assert_allclose(sums, distances.sum(axis=1), rtol=1e-10)


def test_a_stored_code_is_its_own_nearest() -> None:
    stored = np.array([[0.0], [3.0], [4.0]])
    np.testing.assert_allclose(NearestCodes(stored, 2).sum_of_distances(stored), [3.0, 1.0, 1.0])
    assert NearestCodes(stored, 2).sum_of_distances(stored[:0]).shape == (0,)


def test_too_few_neighbours_are_refused() -> None:
    with pytest.raises(TooFewJetsError, match=r"5 neighbours .* Received: 4"):
        NearestCodes(codes(4, 1), 5)
    with pytest.raises(ConfigError, match="k must be at least 1"):
        NearestCodes(codes(4, 1), 0)


@pytest.mark.parametrize("nu", [0.1, 0.5])
def test_decision_is_that_of_sklearn(nu: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latent_scores, "KERNELS_AT_ONCE", 50_000)  # several batches
    stored = codes(1500, 1) * np.linspace(0.1, 2, 10) + 0.5
    queries = np.concatenate([stored[:300], codes(300, 2, scale=3.0), np.full((1, 10), 1e3)])
    machine = OneClassSVM(nu=nu, gamma="scale").fit(stored)
    boundary = OneClassBoundary.fit(stored, nu=nu)
    again = OneClassBoundary.from_arrays(boundary.to_arrays())
    for machine_of_ours in (boundary, again):
        np.testing.assert_allclose(
            machine_of_ours.decision(queries),
            machine.decision_function(queries),
            rtol=1e-10,
            atol=1e-10,
        )
    assert boundary.decision(queries[:0]).shape == (0,)
    # Most of the codes it was fitted on are inside as nu says.
    assert np.mean(boundary.decision(stored) < 0) == pytest.approx(nu, abs=0.02)


def test_codes_that_are_all_alike_have_a_boundary() -> None:
    decision = OneClassBoundary.fit(np.ones((50, 3)), nu=0.5).decision(np.zeros((2, 3)))
    assert np.isfinite(decision).all()


@pytest.mark.parametrize("nu", [0.0, 1.0])
def test_a_part_outside_that_is_none_is_refused(nu: float) -> None:
    with pytest.raises(ConfigError, match="nu must be in"):
        OneClassBoundary.fit(codes(50, 1), nu=nu)
