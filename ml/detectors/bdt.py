"""A boosted decision tree trained on labelled jets: the supervised reference, not an anomaly detector."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from oddjet.constraints import Interval, constrained
from oddjet.datasets.disk.documents import read_json
from oddjet.datasets.jets import Jets, Truth, require_columns
from oddjet.errors import DetectorError, TooFewJetsError
from oddjet.ml.detectors.base import Detector, Scores
from oddjet.ml.detectors.cluster_scores import BATCH_ROWS
from oddjet.ml.detectors.hyper_parameters import represented_by
from oddjet.ml.detectors.sklearn_fits import import_sklearn
from oddjet.ml.networks.training import Progress, split_rows
from oddjet.ml.networks.trees import Trees, coarsened
from oddjet.ml.representations.base import Representation
from oddjet.ml.representations.energy_flow import EnergyFlow
from oddjet.ml.representations.substructure import Substructure
from oddjet.typing import Bools, Floats

__all__ = ["BoostedTreesDetector", "SupervisedFeatures"]

log = logging.getLogger(__name__)


TREES_FILE = "trees.npz"
HISTORY_FILE = "training.json"
VALIDATION_FRACTION = 0.2
MIN_CLASS_JETS = 20
SHAPES = (
    *("n_constituents", "girth", "tau1", "tau2", "tau3", "tau4", "tau5"),
    *("tau21", "tau32"),
)


@dataclasses.dataclass(frozen=True)
class SupervisedFeatures(Representation):
    """Energy flow polynomials at several β, multiplicity, girth and N-subjettiness, float64.

    The recipe of the ceiling that unsupervised scores are compared with.

    Attributes:
        betas: β of the eight polynomials, one block of columns each.
    """

    version: ClassVar[int] = 1

    betas: tuple[float, ...] = (0.5, 1.0, 2.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(float(beta) for beta in self.betas))
        for beta in self.betas:
            EnergyFlow(beta=beta)  # refuses what cannot be

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        efps = (f"{name}_beta{beta:g}" for beta in self.betas for name in EnergyFlow.names)
        return (*efps, *SHAPES)

    @property
    def shape(self) -> tuple[int]:
        """Shape of one jet's row."""
        return (len(self.names),)

    def identity(self) -> dict[str, Any]:
        """Give the recipe in JSON types."""
        return {**super().identity(), "fields": {"betas": list(self.betas)}}

    def __call__(self, jets: Jets) -> Floats:
        """Compute the features of n jets, (n, 8 betas + 9), with the jets' own τ1 to τ4 if present.

        Raises:
            NonFiniteError: If an axis, a constituent or a column used has a NaN or an infinity.
        """
        places = [Substructure.names.index(name) for name in SHAPES]
        blocks = [EnergyFlow(beta=beta)(jets) for beta in self.betas]
        return np.concatenate([*blocks, Substructure()(jets)[:, places]], axis=1)


@dataclasses.dataclass(kw_only=True, eq=False)
class BoostedTreesDetector(Detector):
    """Boosted decision trees trained on labelled signal jets (supervised reference).

    Not an anomaly detector: `fit` takes signal and background jets together and separates them by
    `label`. Jets with `label >= Truth.MATCHED` are signal, all others background; both classes
    weigh the same in total. Trained on the signal it is tested on, it gives a ceiling for what
    unsupervised scores can reach; on a wrong signal, what a supervised search loses when nature
    chose another. In a `FoldedDetector` the calibrated scores would count the signal jets as
    background: give them weight 0 for that.

    Score: `log_odds`, the logarithm of the ratio of the classes' densities as the trees have it.

    scikit-learn's `HistGradientBoostingClassifier` grows the trees; the number kept is the one with
    the least loss on validation jets. Saved as arrays, and evaluated without scikit-learn.

    Args:
        iterations: Most trees.
        learning_rate: Shrinkage of each tree.
        max_leaf_nodes: Leaves of a tree.
        min_samples_leaf: Jets in a leaf, at least.
        l2_regularization: Of the leaves' values.
        representation: By default `SupervisedFeatures`.

    Attributes:
        history_: `loss` and `val_loss`, the class-balanced logistic loss after each tree.
    """

    score_names: ClassVar[tuple[str, ...]] = ("log_odds",)
    label: ClassVar[str] = "bdt"
    supervised: ClassVar[bool] = True
    scoring_batch: ClassVar[int | None] = BATCH_ROWS

    iterations: int = constrained(300, Interval(int, 1))
    learning_rate: float = constrained(0.05, Interval(float, 0, closed="neither"))
    max_leaf_nodes: int = constrained(15, Interval(int, 2))
    min_samples_leaf: int = constrained(20, Interval(int, 1))
    l2_regularization: float = constrained(1.0, Interval(float, 0))
    representation: Representation = represented_by(Representation, SupervisedFeatures)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.history_: dict[str, list[float]] = {}

    def _fit(
        self, jets: Jets, *, validation: Jets | None, seed: int, progress: Progress | None
    ) -> None:
        signal = _is_signal(jets)
        for what, count in (("signal", signal.sum()), ("background", (~signal).sum())):
            if count < MIN_CLASS_JETS:
                msg = (
                    f"bdt: needs at least {MIN_CLASS_JETS} {what} jets to train on, by "
                    f"their label (signal: >= {int(Truth.MATCHED)}). Received: {int(count)} of "
                    f"{len(jets)}. Give background and signal jets together."
                )
                raise TooFewJetsError(msg)
        rows = self._rows(jets)
        if validation is None:
            chosen, other = _split_by_class(signal, seed=seed)
            (rows, val_rows), (signal, val_signal) = (
                (values[chosen], values[other]) for values in (rows, signal)
            )
        else:
            val_rows, val_signal = self._rows(validation), _is_signal(validation)
        weights = _class_weights(signal)
        coarse = coarsened(rows, np.where(signal, weights[1], weights[0]))
        trees = Trees.of_booster(self._booster(seed).fit(coarse, signal))
        self.history_ = {
            "loss": _staged_loss(trees, rows, signal, weights),
            "val_loss": _staged_loss(trees, val_rows, val_signal, weights),
        }
        n_kept = int(np.argmin(self.history_["val_loss"])) + 1
        log.info("bdt: %d of %d trees kept", n_kept, len(trees))
        self.trees_ = trees.first(n_kept)
        if progress is not None:
            for tree in range(len(trees)):
                logs = {name: values[tree] for name, values in self.history_.items()}
                progress(tree + 1, len(trees), logs)

    def _booster(self, seed: int) -> Any:
        return import_sklearn("ensemble").HistGradientBoostingClassifier(
            max_iter=self.iterations,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2_regularization,
            class_weight="balanced",
            early_stopping=False,
            random_state=seed,
        )

    def _scores(self, jets: Jets) -> Scores:
        return {"log_odds": self.trees_.margins(self._flat(jets))}

    def _rows(self, jets: Jets) -> Floats:
        """Represent jets, some at a time, and flatten: (n, features)."""
        rows = self._in_batches(lambda batch: {"rows": self._flat(batch)}, jets)["rows"]
        return np.asarray(rows, dtype=np.float64)

    def _save(self, folder: Path) -> None:
        self.trees_.save(folder / TREES_FILE)
        text = json.dumps({"history": self.history_}, indent=2) + "\n"
        (folder / HISTORY_FILE).write_text(text, encoding="utf-8")

    def _load(self, folder: Path) -> None:
        self.trees_ = Trees.load(
            folder / TREES_FILE, n_features=math.prod(self.representation.shape)
        )
        self.history_ = read_json(folder / HISTORY_FILE, error=DetectorError)["history"]


def _is_signal(jets: Jets) -> Bools:
    require_columns(jets, ("label",), where="bdt")
    return np.asarray(jets["label"]) >= int(Truth.MATCHED)


def _split_by_class(signal: Bools, *, seed: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Split rows into training and validation, each class in the same proportion."""
    parts: tuple[list[npt.NDArray[Any]], list[npt.NDArray[Any]]] = ([], [])
    for wanted in (signal, ~signal):
        members = np.flatnonzero(wanted)
        for part, rows in zip(
            parts, split_rows(len(members), fraction=VALIDATION_FRACTION, seed=seed), strict=True
        ):
            part.append(members[rows])
    return np.sort(np.concatenate(parts[0])), np.sort(np.concatenate(parts[1]))


def _class_weights(signal: Bools) -> tuple[float, float]:
    """Weights of background and signal jets that give both classes the same total."""
    fraction = float(signal.mean())
    return 0.5 / (1 - fraction), 0.5 / fraction


def _staged_loss(
    trees: Trees, rows: Floats, signal: Bools, weights: tuple[float, float]
) -> list[float]:
    """Weighted mean logistic loss after each tree."""
    sums, total = np.zeros(len(trees)), 0.0
    for start in range(0, len(rows), BATCH_ROWS):
        part = slice(start, start + BATCH_ROWS)
        margins = trees.staged_margins(rows[part])  # (rows, trees)
        weight = np.where(signal[part], weights[1], weights[0])
        toward = np.where(signal[part], -1.0, 1.0)[:, np.newaxis]
        sums += weight @ np.logaddexp(0.0, toward * margins)
        total += float(weight.sum())
    return [float(loss) for loss in sums / total]
