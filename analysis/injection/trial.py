"""One experiment: jets drawn, and taken through the whole chain as if they were data.

What is learned on simulation is learned on the background's other events, which are not in the
experiment; what is learned on data, on a share of the experiment itself, background and signal together,
and then only the rest is hunted in. Which jets are signal is used only at the end.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from oddjet.analysis.config import (
    ROLES,
    DecorrelationConfig,
    DetectorConfig,
    HuntConfig,
    InjectionConfig,
    TrainingConfig,
)
from oddjet.analysis.injection.chain import Chain, take_through
from oddjet.analysis.injection.cuts import Experiment, cuts_of
from oddjet.analysis.injection.mixture import draw_mixture, left_out
from oddjet.analysis.scores.learning import LearningSample, check_maps
from oddjet.analysis.scores.sample import blinded_range, hunted_rows
from oddjet.datasets.disk.checksums import Verify
from oddjet.datasets.disk.digest import content_key, dependency_digest
from oddjet.datasets.disk.numbers import jsonable
from oddjet.datasets.folds import held_out
from oddjet.datasets.jets import Jets
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.ml import detector_class
from oddjet.ml.decorrelation import DECORRELATIONS
from oddjet.typing import Bools

__all__ = ["InjectionTrial", "divided_jets", "run_trial", "trial_key"]

CODE = (
    "oddjet.ml.folds",
    "oddjet.analysis.injection.chain",
    "oddjet.analysis.injection.cuts",
    "oddjet.analysis.injection.mixture",
    "oddjet.analysis.injection.trial",
)
"""What decides a result, with everything these import."""


@dataclasses.dataclass(frozen=True)
class InjectionTrial:
    """One experiment, with everything a worker needs to do it.

    Attributes:
        fraction: Signal jets over background jets among those hunted in.
        seed: Of the drawing, the training and the pseudo-experiments.
        decorrelation: How its score is decorrelated; None for not at all.
        hunt: Histogram, cuts and scan.
        training: What is learned on simulation and what on the experiment, which stands for data.
        verify: When the skim is compared with its SHA-256.
    """

    skim: Path
    background: tuple[str, ...]
    injection: InjectionConfig
    fraction: float
    seed: int
    detector: DetectorConfig
    decorrelation: DecorrelationConfig | None
    hunt: HuntConfig
    folds: int
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)
    verify: Verify = "first"

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return f"{self.detector.key}, {100 * self.fraction:g} % signal, seed {self.seed}"

    @property
    def chain(self) -> Chain:
        """How its jets are taken through the chain."""
        changed = {"n_toys": self.injection.n_toys, "seed": self.seed}
        hunt = self.hunt.model_copy(update=changed)
        return Chain(self.detector, self.decorrelation, hunt, self.folds, self.seed)

    def sample(self, role: str) -> LearningSample:
        """What one of `ROLES` is learned on: other background, or the experiment itself as data."""
        learning = self.training.of(role)
        if learning.on != "data":
            return LearningSample(self.background, "background", learning)
        hidden = None if role == "detectors" else (self.hunt.mass, blinded_range(self.hunt))
        return LearningSample((*self.background, self.injection.signal), "data", learning, hidden)

    def fresh(self, jets: Jets) -> Bools:
        """Mark the jets of the experiment (n) that are hunted in: held-out ones if anything is learned on it."""
        if any(self.sample(role).kind == "data" for role in ROLES):
            return held_out(jets, self.training.held_out)
        return np.ones(len(jets), np.bool_)


def trial_key(trial: InjectionTrial) -> str:
    """Hash everything a trial depends on: jets, settings and code."""
    skim = _open(trial.skim, trial.verify)
    used = (*trial.background, trial.injection.signal)
    parts = sorted(chunk.key for chunk in skim.manifest.chunks if chunk.dataset in used)
    settings = [
        trial.background,
        trial.injection.signal,
        trial.injection.background_share,
        trial.injection.n_toys,
        trial.fraction,
        trial.seed,
        trial.detector.model_dump(mode="json"),
        trial.decorrelation.model_dump(mode="json") if trial.decorrelation else None,
        trial.hunt.model_dump(mode="json"),
        trial.folds,
        trial.training.model_dump(mode="json"),
    ]
    methods = trial.decorrelation.methods if trial.decorrelation else {}
    maps = [DECORRELATIONS.get(m, m).partition(":")[0] for m in methods]
    code = dependency_digest(detector_class(trial.detector.name).__module__, *CODE, *maps)
    return content_key([parts, settings, code])


def run_trial(trial: InjectionTrial) -> dict[str, Any]:
    """Do one experiment.

    Returns:
        Ready for JSON: detector, fraction, seed, the numbers of jets, what each score found, and the
        wall time in seconds.

    Raises:
        ConfigError: The detector is supervised.
        OddjetError: A step of the analysis failed.
    """
    started = time.perf_counter()
    result = _experiment(trial)
    result["seconds"] = time.perf_counter() - started
    return dict(jsonable(result))


@functools.lru_cache(maxsize=2)
def _open(folder: Path, verify: Verify) -> Skim:
    return open_skim(folder, verify=verify)


@functools.lru_cache(maxsize=4)
def _jets(folder: Path, datasets: tuple[str, ...], verify: Verify) -> Jets:
    """Jets are read once a worker."""
    return _open(folder, verify).jets(datasets)


def _experiment(trial: InjectionTrial) -> dict[str, Any]:
    settings, chain = trial.hunt, trial.chain
    jets, learning = divided_jets(trial)
    passage = take_through(chain, learning, jets)
    pure = {role: those[~_is_signal(those, trial)] for role, those in learning.items()}
    taught = any(len(pure[role]) < len(learning[role]) for role in ("thresholds", "maps"))
    reference = chain.calibrate(passage.trained, pure) if taught else passage.trained
    signal = _jets(trial.skim, (trial.injection.signal,), trial.verify)
    signal = ak.to_packed(signal[hunted_rows(signal, settings)])
    experiment = Experiment(
        table=passage.table,
        pure=chain.score(jets, reference) if taught else passage.table,
        use=hunted_rows(jets, settings),
        is_signal=_is_signal(jets, trial),
        signals=chain.score(signal, passage.trained),
        joint=passage.joint,
        settings=settings,
    )
    use, is_signal = experiment.use, experiment.is_signal
    return {
        "detector": trial.detector.key,
        "fraction": trial.fraction,
        "seed": trial.seed,
        "n_background": int(np.count_nonzero(use & ~is_signal)),
        "n_signal": int(np.count_nonzero(use & is_signal)),
        "n_calibration": passage.n_calibration,
        "learned_on": {role: trial.sample(role).sentence for role in learning},
        "scores": [
            {
                "score": column,
                "global_p": None if result.bump_hunt is None else result.bump_hunt.global_p,
                "local_p": None if result.bump_hunt is None else result.bump_hunt.local_p,
                "window": None if result.bump_hunt is None else result.bump_hunt.window,
                "problem": result.problem,
                "cuts": cuts_of(experiment, result),
            }
            for column, result in passage.hunts.items()
        ],
    }


def divided_jets(trial: InjectionTrial) -> tuple[Jets, dict[str, Jets]]:
    """Draw the jets that are hunted in, and those that detectors, thresholds and maps are learned on."""
    background = _jets(trial.skim, trial.background, trial.verify)
    signal = _jets(trial.skim, (trial.injection.signal,), trial.verify)
    share, seed = trial.injection.background_share, trial.seed
    mixture = draw_mixture(
        (background, hunted_rows(background, trial.hunt) & trial.fresh(background)),
        (signal, hunted_rows(signal, trial.hunt) & trial.fresh(signal)),
        share=share,
        fraction=trial.fraction,
        seed=seed,
    )
    fresh = trial.fresh(mixture)
    others = left_out(background, share=share, seed=seed)
    learning: dict[str, Jets] = {}
    for role in ROLES:
        sample = trial.sample(role)
        check_maps(trial.decorrelation if role == "maps" else None, sample, _mass(trial))
        same = next((r for r in learning if trial.sample(r) == sample), None)
        those = mixture[~fresh] if sample.kind == "data" else others
        learning[role] = learning[same] if same else those[sample.rows(those)]
    return mixture[fresh], learning


def _mass(trial: InjectionTrial) -> str:
    return (trial.decorrelation and trial.decorrelation.mass) or trial.hunt.mass


def _is_signal(jets: Jets, trial: InjectionTrial) -> Bools:
    return np.asarray(np.asarray(ak.to_list(jets["dataset"])) == trial.injection.signal)
