"""The chain in memory: jets that are learned on and jets that are hunted in, from training to global p."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.analysis.config import ROLES, DecorrelationConfig, DetectorConfig, HuntConfig
from oddjet.analysis.hunt.hunt import Hunt, hunt
from oddjet.analysis.hunt.spectra import fill_spectra
from oddjet.analysis.scores.columns import main_scores
from oddjet.analysis.scores.sample import HuntSample, hunted_rows
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, InputError
from oddjet.ml import detector_class
from oddjet.ml.folds import FoldedDetector
from oddjet.ml.provenance import Provenance
from oddjet.ml.score_names import labelled
from oddjet.processors.replicas import replicas_of

__all__ = ["Chain", "Passage", "Table", "take_through"]

Table = dict[str, npt.NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class Chain:
    """How jets are taken through the chain.

    Attributes:
        decorrelation: How scores are decorrelated; None for not at all.
        hunt: Histogram, cuts and scan, with the number and seed of its pseudo-experiments.
        folds: Number of folds.
        seed: Of the training.
    """

    detector: DetectorConfig
    decorrelation: DecorrelationConfig | None
    hunt: HuntConfig
    folds: int
    seed: int

    def train(self, learning: Mapping[str, Jets]) -> FoldedDetector:
        """Train, calibrate and decorrelate on jets of which nothing is hunted in, each counted once.

        Args:
            learning: One of `ROLES` to the jets that it is learned on.

        Raises:
            ConfigError: The detector is supervised.
            TooFewJetsError: A fold has too few jets.
        """
        detector = self.detector
        if detector_class(detector.name).supervised:
            msg = f"injection: '{detector.key}' is supervised: signal in data has no label to learn from"
            raise ConfigError(msg)
        trained = FoldedDetector.fit(
            _counted_once(learning["detectors"]),
            detector=(detector.name, detector.hyper_parameters),
            k=self.folds,
            seed=self.seed,
            label=detector.key,
            held_out=0.0,  # they are divided already
        )
        return self.calibrate(trained, learning)

    def calibrate(self, trained: FoldedDetector, learning: Mapping[str, Jets]) -> FoldedDetector:
        """Learn thresholds and maps, as `train` does, with the models that there are."""
        if learning["thresholds"] is not learning["detectors"]:
            trained = trained.calibrated(_counted_once(learning["thresholds"]))
        if self.decorrelation is None:
            return trained
        mass = self.decorrelation.mass or self.hunt.mass
        methods = self.decorrelation.methods
        return trained.decorrelated(_counted_once(learning["maps"]), methods=methods, mass=mass)

    def score(self, jets: Jets, trained: FoldedDetector) -> Table:
        """Every score of jets, each by the model of its fold, beside rank and mass."""
        key = self.detector.key
        table = {labelled(key, name): values for name, values in trained.scores(jets).items()}
        return table | {name: np.asarray(jets[name]) for name in ("rank", self.hunt.mass)}

    def columns(self, trained: FoldedDetector) -> tuple[str, ...]:
        """The scores to hunt with: the decorrelated one, and the raw one."""
        raw_scores = {self.detector.key: trained.raw_score_names}
        (name,) = main_scores([self.detector], self.decorrelation, raw_scores)
        return tuple(dict.fromkeys((name.column, name.raw)))


@dataclasses.dataclass(frozen=True)
class Passage:
    """What came out of the chain.

    Attributes:
        trained: The detector with its thresholds and maps.
        table: Scores, rank and mass of the jets that are hunted in, (n_jets,) each.
        hunts: Score that is cut on to the hunt with it: the decorrelated one first, then the raw one.
        joint: The same to the spectra that are hunted in together.
        n_hunted: Jets that are hunted in.
        n_calibration: Jets, of those that a hunt would look at, that the maps were learned on, or the
            thresholds where there are no maps.
    """

    trained: FoldedDetector
    table: Table
    hunts: Mapping[str, Hunt]
    joint: Mapping[str, JointTable]
    n_hunted: int
    n_calibration: int


def take_through(chain: Chain, learning: Jets | Mapping[str, Jets], hunted: Jets) -> Passage:
    """Train, calibrate, decorrelate, score, fill and hunt.

    Args:
        chain: How.
        learning: Jets that detectors, thresholds and maps are learned on; or one of `ROLES` to its own.
        hunted: Jets that are hunted in, of other events.

    Raises:
        InputError: Events that are hunted in are learned on.
        ConfigError: The detector is supervised.
        TooFewJetsError: A fold has too few jets.
    """
    samples = learning if isinstance(learning, Mapping) else dict.fromkeys(ROLES, learning)
    _check_fresh(samples, hunted)
    trained = chain.train(samples)
    table = chain.score(hunted, trained)
    sample = HuntSample("pseudo-data", None, chain.seed)
    replicas = replicas_of({chain.detector.key: trained})
    calibrating = samples["thresholds" if chain.decorrelation is None else "maps"]
    n_calibration = int(np.count_nonzero(hunted_rows(calibrating, chain.hunt)))
    hunts, joint = {}, {}
    for column in chain.columns(trained):
        spectra = fill_spectra(table, [column], sample, chain.hunt, replicas=replicas)
        spectra = dataclasses.replace(spectra, n_calibration=n_calibration)
        hunts[column], joint[column] = hunt(spectra, chain.hunt), spectra.joint
    return Passage(
        trained,
        table,
        hunts,
        joint,
        int(np.count_nonzero(hunted_rows(hunted, chain.hunt))),
        n_calibration,
    )


def _check_fresh(learning: Mapping[str, Jets], hunted: Jets) -> None:
    for jets in {id(jets): jets for jets in learning.values()}.values():
        if n_seen := int(np.count_nonzero(Provenance.from_jets(jets).seen(hunted))):
            msg = (
                f"{n_seen} of {len(hunted)} jets to hunt in belong to events that are learned on, so that no p-value "
                "would hold: give jets of other events to learn on"
            )
            raise InputError(msg)


def _counted_once(jets: Jets) -> Jets:
    return ak.with_field(jets, np.ones(len(jets)), "weight")
