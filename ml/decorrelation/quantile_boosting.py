"""Conditional quantiles by boosted trees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from oddjet.constraints import Interval, constrained
from oddjet.ml.decorrelation.base import Decorrelation
from oddjet.ml.decorrelation.profile import Profile
from oddjet.ml.decorrelation.quantiles import (
    SURVIVALS,
    interpolate_survival,
    values_of_survival,
)
from oddjet.ml.networks.trees import Trees, coarsened
from oddjet.typing import Floats

__all__ = ["QuantileBoosting"]


JETS_BEYOND = 5
"""Jets expected beyond the quantile in a leaf: with fewer a quantile is not known."""


@dataclass(eq=False, kw_only=True)
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

    n_replicas: ClassVar[int] = 30

    iterations: int = constrained(25, Interval(int, 1))
    learning_rate: float = constrained(0.15, Interval(float, 0, 1, closed="right"))
    leaves: int = constrained(6, Interval(int, 2))
    knots: int = constrained(8, Interval(int, 1))

    def _fit(self, z: Floats, mass: Floats, pt: Floats, weights: Floats) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor  # noqa: PLC0415 (1 s)

        self._profile = Profile.fit(z, mass, np.log(pt), weights, n_knots=self.knots, scale=True)
        residual = self._profile.remove(z, mass, np.log(pt))
        rows = coarsened(np.stack([mass, np.log(pt)], axis=1), weights)
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
        return interpolate_survival(residual, self._quantiles(mass, pt))

    def _scores_at(self, values: Floats, mass: Floats, pt: Floats) -> Floats:
        residual = values_of_survival(values, self._quantiles(mass, pt))
        return self._profile.restore(residual, mass, np.log(pt))

    def _quantiles(self, mass: Floats, pt: Floats) -> Floats:
        rows = np.stack([mass, np.log(pt)], axis=1)
        return np.stack([trees.margins(rows) for trees in self._trees], axis=1)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays = dict(self._profile.arrays())
        for number, trees in enumerate(self._trees):
            arrays |= {f"trees{number}_{f.name}": getattr(trees, f.name) for f in fields(Trees)}
        return arrays

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._profile = Profile.restored(arrays)
        self._trees = [
            Trees(**{f.name: arrays[f"trees{number}_{f.name}"] for f in fields(Trees)}).checked(
                2, where="quantile_boosting"
            )
            for number in range(len(SURVIVALS))
        ]
