"""Boosted decision trees as arrays: kept in `.npz` files and evaluated without scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from oddjet.datasets.disk.arrays import read_arrays
from oddjet.errors import DetectorError
from oddjet.typing import Bools, Floats, Ints

__all__ = ["Trees", "coarsened"]


EVALUATION_ROWS = 4096
_SHAPES = {
    "offsets": "int t",
    "feature": "int n",
    "threshold": "float n",
    "left": "int n",
    "right": "int n",
    "missing_left": "bool n",
    "is_leaf": "bool n",
    "value": "float n",
    "base": "float",
}
MAX_VALUES = 255
"""Values of a feature that scikit-learn's histogram boosting tells apart."""
NODES = ("feature", "threshold", "left", "right", "missing_left", "is_leaf", "value")


def coarsened(rows: Floats, weights: Floats) -> Floats:
    """Replace the values of each column by the nearest of at most 255 of them, its weighted quantiles.

    scikit-learn does as much for every booster, and looks for weighted quantiles one by one: that takes
    longer than growing the trees. Of 255 values or fewer it takes all, and splits half-way between
    two, so trees grown on what is given here hold for the rows themselves. NaN stays NaN.

    Args:
        rows: Shape (n, features).
        weights: Shape (n,), positive.
    """
    coarse = np.full(rows.shape, np.nan)
    for column, values in enumerate(rows.T):
        known = np.flatnonzero(~np.isnan(values))
        order = known[np.argsort(values[known], kind="stable")]
        kept = np.unique(values[order])
        if len(kept) > MAX_VALUES:
            total = np.cumsum(weights[order])
            at = np.searchsorted(total, np.linspace(0, total[-1], MAX_VALUES + 2)[1:-1])
            kept = np.unique(values[order[at]])
        if len(kept):
            nearest = np.searchsorted((kept[1:] + kept[:-1]) / 2, values[known])
            coarse[known, column] = kept[nearest]
    return coarse


@dataclass(frozen=True)
class Trees:
    """T trees of binary splits, their nodes one after the other, N in all.

    A row goes left at a node if its feature is at most the threshold. The margin of a row is the
    base value plus the values of the T leaves it ends in.

    Attributes:
        offsets: Nodes of tree t are `offsets[t]:offsets[t + 1]`, its root first; shape (T + 1,).
        feature: Column to split by, shape (N,).
        threshold: Shape (N,); may be infinite.
        left, right: Children within the tree, shape (N,).
        missing_left: Whether a NaN goes left, shape (N,).
        base: Base value, shape ().
    """

    offsets: Ints
    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    missing_left: Bools
    is_leaf: Bools
    value: Floats
    base: Floats

    @classmethod
    def of_booster(cls, booster: Any) -> Trees:
        """Take the trees out of a fitted, binary `HistGradientBoostingClassifier`.

        Its nodes are private to scikit-learn: a test compares the margins with its own.
        """
        nodes = [stage[0].nodes for stage in booster._predictors]
        joined = np.concatenate(nodes)
        return cls(
            offsets=np.cumsum([0, *(len(tree) for tree in nodes)], dtype=np.int64),
            feature=joined["feature_idx"].astype(np.int64),
            threshold=joined["num_threshold"].astype(np.float64),
            left=joined["left"].astype(np.int64),
            right=joined["right"].astype(np.int64),
            missing_left=joined["missing_go_to_left"].astype(bool),
            is_leaf=joined["is_leaf"].astype(bool),
            value=joined["value"].astype(np.float64),
            base=np.asarray(booster._baseline_prediction, dtype=np.float64).reshape(()),
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def first(self, n: int) -> Trees:
        """Keep the first n trees."""
        nodes = slice(0, int(self.offsets[n]))
        kept = {name: getattr(self, name)[nodes] for name in NODES}
        return Trees(offsets=self.offsets[: n + 1], base=self.base, **kept)

    def margins(self, rows: npt.NDArray[np.floating[Any]]) -> Floats:
        """Sum up each row's leaves: (n, features) → (n,)."""
        return self._evaluated(rows, staged=False)[:, 0]

    def staged_margins(self, rows: npt.NDArray[np.floating[Any]]) -> Floats:
        """Give the margins after 1, 2, … T trees: (n, features) → (n, T)."""
        return self._evaluated(rows, staged=True)

    def save(self, path: Path) -> None:
        """Write an `.npz` file."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path: Path, *, n_features: int) -> Trees:
        """Read what `save` wrote of trees that look at so many features.

        Raises:
            DetectorError: If the file cannot be read, or holds no such trees.
        """
        data = read_arrays(path, _SHAPES, error=DetectorError)
        return cls(**data).checked(n_features, where=str(path))

    def checked(self, n_features: int, *, where: str) -> Trees:
        """Give the trees, if each row of so many features comes to a leaf of them.

        What evaluates them is compiled, and looks no more whether a node or feature is there.

        Raises:
            DetectorError: If a node, a child or a feature is where none can be.
        """
        sizes = np.diff(self.offsets)
        n_nodes = len(self.is_leaf)
        is_whole = (
            len(sizes) and (sizes > 0).all() and self.offsets[[0, -1]].tolist() == [0, n_nodes]
        )
        if is_whole:
            place = np.arange(n_nodes) - np.repeat(self.offsets[:-1], sizes)
            size = np.repeat(sizes, sizes)
            inner = ~self.is_leaf
            # Children come after their parent, so that every way down ends.
            is_whole = all(
                ((child > place) & (child < size))[inner].all() for child in (self.left, self.right)
            )
            features = self.feature[inner]
            is_whole &= bool(((features >= 0) & (features < n_features)).all())
        if not is_whole:
            msg = (
                f"{where} holds no trees of {n_features} features: nodes or features are where none can be."
                " Copy the file again, or train anew."
            )
            raise DetectorError(msg)
        return self

    def _evaluated(self, rows: npt.NDArray[np.floating[Any]], *, staged: bool) -> Floats:
        margins = np.zeros((len(rows), len(self) if staged else 1))
        nodes = tuple(getattr(self, name) for name in NODES)
        for start in range(0, len(rows), EVALUATION_ROWS):
            part = slice(start, min(start + EVALUATION_ROWS, len(rows)))
            batch = np.ascontiguousarray(rows[part], dtype=np.float64)
            _add_leaves(batch, self.offsets, nodes, float(self.base), margins[part])
        return margins


@numba.njit(cache=True, nogil=True)
def _add_leaves(rows, offsets, nodes, base, margins):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Fill margins (n, T), after each tree, or (n, 1), after all; nodes are the arrays `NODES`."""
    feature, threshold, left, right, missing_left, is_leaf, value = nodes
    last = margins.shape[1] - 1
    for row in range(rows.shape[0]):
        total = base
        for tree in range(offsets.size - 1):
            root = offsets[tree]
            node = root
            while not is_leaf[node]:
                x = rows[row, feature[node]]
                go_left = missing_left[node] if np.isnan(x) else x <= threshold[node]
                node = root + (left[node] if go_left else right[node])
            total += value[node]
            margins[row, min(tree, last)] = total
