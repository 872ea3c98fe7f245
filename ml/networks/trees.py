"""Boosted decision trees as arrays: kept in `.npz` files and evaluated without scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from oddjet.typing import Bools, Floats, Ints

__all__ = ["Trees"]


EVALUATION_ROWS = 4096
NODES = ("feature", "threshold", "left", "right", "missing_left", "is_leaf", "value")


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
    def load(cls, path: Path) -> Trees:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            return cls(**{field.name: data[field.name] for field in fields(cls)})

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
