from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from oddjet.errors import DetectorError
from oddjet.ml.networks.trees import MAX_VALUES, Trees, coarsened


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    """Rows with missing and infinite values, whose absence tells something."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(3000, 5))
    target = rows[:, 0] * rows[:, 1] + rng.normal(0, 0.3, 3000) > 0
    rows[rng.uniform(size=3000) < np.where(target, 0.3, 0.05), 2] = np.nan
    rows[:50, 3] = np.inf
    rows[50:99, 3] = -np.inf
    rows[:, 4] = np.round(rows[:, 4])
    return rows, target


@pytest.fixture(scope="module")
def booster(data: tuple[np.ndarray, np.ndarray]) -> Any:
    with warnings.catch_warnings():
        # scikit-learn before 1.8 subtracts infinities when it bins.
        warnings.simplefilter("ignore", RuntimeWarning)
        return HistGradientBoostingClassifier(
            max_iter=20, early_stopping=False, class_weight="balanced", random_state=1
        ).fit(*data)


def test_margins_are_scikit_learn_s(data: tuple[np.ndarray, np.ndarray], booster: Any) -> None:
    trees = Trees.of_booster(booster)
    assert len(trees) == 20
    rng = np.random.default_rng(2)
    unseen = rng.normal(0, 2, (5000, 5))
    unseen[rng.uniform(size=unseen.shape) < 0.1] = np.nan
    for rows in (data[0], unseen, unseen.astype(np.float32)):
        np.testing.assert_allclose(
            trees.margins(rows), booster.decision_function(rows), rtol=1e-12, atol=1e-12
        )


def test_rows_on_a_threshold_go_left(booster: Any) -> None:
    trees = Trees.of_booster(booster)
    split = ~trees.is_leaf & np.isfinite(trees.threshold)
    rows = np.zeros((int(split.sum()), 5))
    rows[np.arange(len(rows)), trees.feature[split]] = trees.threshold[split]
    np.testing.assert_allclose(trees.margins(rows), booster.decision_function(rows), rtol=1e-12)


def test_margins_after_each_tree(data: tuple[np.ndarray, np.ndarray], booster: Any) -> None:
    trees = Trees.of_booster(booster)
    staged = trees.staged_margins(data[0])
    assert staged.shape == (3000, 20)
    for n, expected in enumerate(booster.staged_decision_function(data[0]), start=1):
        np.testing.assert_allclose(staged[:, n - 1], expected.ravel(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(trees.first(n).margins(data[0]), staged[:, n - 1], rtol=1e-12)


def test_saved_trees_are_read_back(
    data: tuple[np.ndarray, np.ndarray], booster: Any, tmp_path: Path
) -> None:
    trees = Trees.of_booster(booster)
    trees.save(tmp_path / "trees.npz")
    loaded = Trees.load(tmp_path / "trees.npz", n_features=data[0].shape[1])
    np.testing.assert_array_equal(loaded.margins(data[0]), trees.margins(data[0]))


def test_no_rows(booster: Any) -> None:
    trees = Trees.of_booster(booster)
    assert trees.margins(np.zeros((0, 5))).shape == (0,)
    assert trees.staged_margins(np.zeros((0, 5))).shape == (0, 20)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("left", np.zeros_like),  # a way that never ends
        ("right", lambda array: array + 10**6),
        ("feature", lambda array: array + 10**6),
        ("feature", lambda array: array - 10**6),
        ("offsets", lambda array: array[::-1]),
        ("offsets", lambda array: array[:-1]),
        ("offsets", lambda array: array[:0]),
        ("is_leaf", np.zeros_like),
        ("is_leaf", lambda array: array[:-1]),
        ("value", lambda array: array[:5]),
        ("left", lambda array: array.astype(float)),
    ],
)
def test_trees_that_lead_nowhere_are_refused(
    booster: Any, tmp_path: Path, name: str, change: Any
) -> None:
    """Compiled code would read beyond the arrays, or never end."""
    trees = Trees.of_booster(booster)
    changed = dataclasses.replace(trees, **{name: change(getattr(trees, name))})
    changed.save(tmp_path / "trees.npz")
    with pytest.raises(DetectorError, match=r"trees\.npz"):
        Trees.load(tmp_path / "trees.npz", n_features=5)


def test_trees_of_coarse_rows_are_those_of_scikit_learn_s_own_quantiles() -> None:
    """Its thresholds lie on quantiles, ours half-way between: the same trees but for the rows between."""
    rng = np.random.default_rng(3)
    rows, weights = rng.normal(size=(4000, 2)) ** 3, rng.uniform(0.2, 3, 4000)
    rows[:, 1] = rows[:, 1].round(1)
    rows[:100, 0] = np.nan
    target = np.nan_to_num(rows[:, 0]) + rng.normal(size=4000) > rows[:, 1]
    coarse = coarsened(rows, weights)
    np.testing.assert_array_equal(np.isnan(coarse), np.isnan(rows))
    values = np.unique(coarse[100:, 0])
    assert len(values) == MAX_VALUES
    assert set(values) <= set(rows[:, 0])
    share = [weights[100:][coarse[100:, 0] == value].sum() for value in values]
    assert max(share) < 4 * weights[100:].sum() / MAX_VALUES
    settings: dict[str, Any] = {"max_iter": 20, "early_stopping": False, "random_state": 1}
    margins = []
    for given in (rows, coarse):
        grown = HistGradientBoostingClassifier(**settings).fit(given, target, sample_weight=weights)
        margins.append(grown.decision_function(rows))
    # What coarse rows were grown on decides for the rows themselves.
    np.testing.assert_array_equal(grown.decision_function(coarse), margins[1])
    assert np.std(margins[0] - margins[1]) < 0.15 * np.std(margins[0])


def test_few_values_are_all_kept() -> None:
    rows = np.random.default_rng(4).integers(0, MAX_VALUES, (3000, 1)).astype(float)
    np.testing.assert_array_equal(coarsened(rows, np.ones(3000)), rows)
    assert coarsened(np.full((3, 1), np.nan), np.ones(3)).shape == (3, 1)
