"""Single observables as detectors: what a learned score has to beat.

References:
    T. Buss et al., What's Anomalous in LHC Jets? (2022), arXiv:2202.00686, section 2 (n_PF, mass,
    τ2/τ1); Anomalies in Hadronic Resonances using Autoencoders (τ3/τ2 beside an autoencoder).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from oddjet.datasets.disk.arrays import read_arrays
from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, DetectorError
from oddjet.ml.detectors.base import Detector, Scores
from oddjet.ml.detectors.cluster_scores import BATCH_ROWS
from oddjet.ml.detectors.hyper_parameters import represented_by
from oddjet.ml.networks.training import Progress
from oddjet.ml.representations.base import Representation
from oddjet.ml.representations.substructure import Substructure
from oddjet.typing import Floats

__all__ = ["ObservableDetector"]


OBSERVABLES_FILE = "multiplicity.npz"
COLUMNS = ("mass", "n_constituents", "tau1", "tau2", "tau21", "tau32")


@dataclass(kw_only=True, eq=False)
class ObservableDetector(Detector):
    """Single observables, each in a direction fixed beforehand.

    Scores: `tau21`, −τ2/τ1, and `tau32`, −τ3/τ2: more prongs are more anomalous. `mass` [GeV]:
    heavier is. `n_pf`: the distance of the number of constituents from the median of the training
    jets, in units of their interquartile range; neither more nor fewer is anomalous by itself.

    Only `n_pf` learns anything, its median and range; the seed changes nothing. A jet without two
    (three) separate particles has the least `tau21` (`tau32`), −1.

    Args:
        representation: `Substructure`, or another with the columns `mass`, `n_constituents`,
            `tau1`, `tau2`, `tau21` and `tau32` in its `names`.

    Attributes:
        median_: Constituents of the median training jet.
        range_: Interquartile range of their number, at least 1.
    """

    score_names: ClassVar[tuple[str, ...]] = ("tau21", "tau32", "mass", "n_pf")
    label: ClassVar[str] = "observables"
    scoring_batch: ClassVar[int | None] = BATCH_ROWS

    representation: Representation = represented_by(Representation, Substructure)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.median_ = self.range_ = float("nan")
        names = tuple(getattr(self.representation, "names", ()))
        if missing := [name for name in COLUMNS if name not in names]:
            msg = (
                f"observables: the representation must have the columns {', '.join(COLUMNS)}. "
                f"{type(self.representation).__name__} lacks {', '.join(missing)}: "
                f"use Substructure."
            )
            raise ConfigError(msg)
        self._places = {name: names.index(name) for name in COLUMNS}

    def _fit(
        self,
        jets: Jets,
        *,
        validation: Jets | None,  # noqa: ARG002 - nothing is stopped or chosen
        seed: int,  # noqa: ARG002 - nothing is random
        progress: Progress | None,
    ) -> None:
        n_constituents = np.asarray(self._in_batches(self._columns, jets)["n_constituents"])
        lower, median, upper = np.percentile(n_constituents, [25, 50, 75])
        self.median_, self.range_ = float(median), max(float(upper - lower), 1.0)
        if progress is not None:
            progress(1, 1, {"loss": 0.0})

    def _scores(self, jets: Jets) -> Scores:
        columns = self._columns(jets)
        return {
            "tau21": -np.where(columns["tau1"] > 0, columns["tau21"], 1.0),
            "tau32": -np.where(columns["tau2"] > 0, columns["tau32"], 1.0),
            "mass": columns["mass"],
            "n_pf": np.abs(columns["n_constituents"] - self.median_) / self.range_,
        }

    def _columns(self, jets: Jets) -> dict[str, Floats]:
        rows = self.representation(jets)
        return {name: rows[:, place].astype(np.float64) for name, place in self._places.items()}

    def _save(self, folder: Path) -> None:
        np.savez(folder / OBSERVABLES_FILE, median=self.median_, range=self.range_)

    def _load(self, folder: Path) -> None:
        shapes = {"median": "float", "range": "float"}
        data = read_arrays(folder / OBSERVABLES_FILE, shapes, error=DetectorError)
        self.median_, self.range_ = float(data["median"]), float(data["range"])
