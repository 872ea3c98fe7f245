from __future__ import annotations

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from oddjet.ml.networks.trees import Trees


def test_trees_of_a_quantile_are_evaluated_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(3000, 2))
    target = rows[:, 0] + rng.exponential(size=3000)
    booster = HistGradientBoostingRegressor(
        loss="quantile", quantile=0.9, max_iter=15, early_stopping=False, random_state=0
    ).fit(rows, target, sample_weight=rng.uniform(0.5, 2, 3000))
    np.testing.assert_allclose(Trees.of_booster(booster).margins(rows), booster.predict(rows))
