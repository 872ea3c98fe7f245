"""What replicas of a calibration say of mass spectra."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.imprint import Imprint
from oddjet.errors import FitError

EDGES = np.array([40.0, 60.0, 100.0])


def imprint(n_replicas: int = 500) -> Imprint:
    """Two cuts that share one error of 0.1, which is 0 in the first bin, beside all jets."""
    shared = np.random.default_rng(1).normal(0, 0.1, n_replicas)
    changes = np.zeros((n_replicas, 3, 2))
    changes[:, 1, 1], changes[:, 2, 1] = shared, 2 * shared
    n_calibration = np.array([np.inf, 1000.0, 1000.0])
    return Imprint(("all", "10 %", "1 %"), EDGES, changes, n_calibration, unknown=("1 %",))


def test_selected_spectra_keep_what_is_known_of_them() -> None:
    chosen = imprint().select([2, 0])
    assert chosen.labels == ("1 %", "all")
    assert chosen.unknown == ("1 %",)
    np.testing.assert_array_equal(chosen.changes[:, 0], imprint().changes[:, 2])
    np.testing.assert_array_equal(chosen.n_calibration, [1000.0, np.inf])
    assert not chosen.trivial
    assert imprint().select([0]).trivial
    members = np.array([[True, True, True], [False, True, True], [False, False, True]])
    table = JointTable(imprint().labels, EDGES, members, np.ones((3, 2)), imprint())
    inside = table.select([1]).imprint
    assert inside is not None
    np.testing.assert_array_equal(inside.changes, imprint().changes[:, [1]])


def test_the_covariance_is_that_of_the_errors() -> None:
    covariance = imprint(50_000).covariance()
    assert covariance.shape == (3, 2, 3, 2)
    assert covariance[1, 1, 1, 1] == pytest.approx(0.01, rel=0.05)
    assert covariance[1, 1, 2, 1] == pytest.approx(0.02, rel=0.05)
    assert not covariance[:, 0].any()


def test_what_does_not_fit_together_is_refused() -> None:
    good = imprint().checked()
    with pytest.raises(FitError, match=r"expected changes of shape \(replicas, 2, 2\)"):
        dataclasses.replace(good, labels=("all", "10 %")).checked()
    with pytest.raises(FitError, match="above -1, received -1"):
        dataclasses.replace(good, changes=np.minimum(good.changes, -1.0)).checked()
