"""Conditional quantiles by boosted trees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.errors import ConfigError
from oddjet.ml.decorrelation.base import Decorrelation
from oddjet.ml.decorrelation.profile import Profile
from oddjet.ml.decorrelation.quantiles import SURVIVALS, interpolate_survival
from oddjet.ml.networks.trees import Trees
from oddjet.typing import Floats

__all__ = ["QuantileBoosting"]


JETS_BEYOND = 5
"""Jets expected beyond the quantile in a leaf: with fewer a quantile cannot be told."""


class QuantileBoosting(Decorrelation):
    """Maps the score to its conditional survival, with quantiles from boosted trees.

    First the smooth mean and spread over mass and pt are taken off. Trees then learn each
    quantile of what is left, by the pinball loss of scikit-learn's
    `HistGradientBoostingRegressor`. Trees are step functions: what is left has no trend, so the
    steps are small. The trees are kept as arrays; scikit-learn is needed for fitting alone.

    Attributes:
        iterations: Trees a quantile.
        learning_rate: Weight of each.
        leaves: Most leaves a tree.
        knots: Most intervals of the spline in mass.
    """

    def __init__(
        self,
        *,
        iterations: int = 25,
        learning_rate: float = 0.15,
        leaves: int = 6,
        knots: int = 8,
    ) -> None:
        if iterations < 1 or leaves < 2 or knots < 1 or not 0 < learning_rate <= 1:
            msg = (
                "quantile_boosting: expected iterations and knots of at least 1, 2 leaves, and "
                f"0 < learning_rate <= 1. Received: {iterations}, {knots}, {leaves}, "
                f"{learning_rate}."
            )
            raise ConfigError(msg)
        self.iterations = iterations
        self.learning_rate = learning_rate
        self.leaves = leaves
        self.knots = knots

    def _fit(self, z: Floats, mass: Floats, pt: Floats, weights: Floats) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor  # noqa: PLC0415 (1 s)

        self._profile = Profile.fit(z, mass, np.log(pt), weights, n_knots=self.knots, scale=True)
        residual = self._profile.remove(z, mass, np.log(pt))
        rows = np.stack([mass, np.log(pt)], axis=1)
        self._trees = []
        for survival in SURVIVALS:
            rarer = min(survival, 1 - survival)
            booster = HistGradientBoostingRegressor(
                loss="quantile",
                quantile=1 - survival,
                max_iter=self.iterations,
                learning_rate=self.learning_rate,
                max_leaf_nodes=self.leaves,
                min_samples_leaf=max(20, round(JETS_BEYOND / rarer)),
                early_stopping=False,
                random_state=0,
            )
            booster.fit(rows, residual, sample_weight=weights)
            self._trees.append(Trees.of_booster(booster))

    def _normalised(self, z: Floats, mass: Floats, pt: Floats) -> Floats:
        residual = self._profile.remove(z, mass, np.log(pt))
        rows = np.stack([mass, np.log(pt)], axis=1)
        rungs = np.stack([trees.margins(rows) for trees in self._trees], axis=1)
        return interpolate_survival(residual, rungs)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays = dict(self._profile.arrays())
        for rung, trees in enumerate(self._trees):
            arrays |= {f"trees{rung}_{f.name}": getattr(trees, f.name) for f in fields(Trees)}
        return arrays

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._profile = Profile.restored(arrays)
        self._trees = [
            Trees(**{f.name: arrays[f"trees{rung}_{f.name}"] for f in fields(Trees)})
            for rung in range(len(SURVIVALS))
        ]
