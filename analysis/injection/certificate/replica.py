"""One replica: background alone, its events divided anew, taken through the whole chain.

Which events are held out, in which fold an event is and which are drawn as pseudo-data follows from the
events' numbers. A replica gives all events other numbers, a hash of the old ones and its seed, so that the
chain itself divides them differently each time; nothing else is changed.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.analysis.config import ROLES, AnalysisConfig, DetectorConfig
from oddjet.analysis.hunt.hunt import Hunt, hunt
from oddjet.analysis.hunt.spectra import fill_spectra
from oddjet.analysis.scores.columns import main_scores
from oddjet.analysis.scores.learning import LearningSample, check_maps, learning_sample
from oddjet.analysis.scores.sample import dataset_scales, hunted_rows
from oddjet.analysis.sculpting.cut import JetSample
from oddjet.analysis.sculpting.fakes import HuntedIn
from oddjet.analysis.sculpting.judging import JudgeSettings, judge
from oddjet.analysis.sculpting.scores import judged_as_hunted
from oddjet.datasets.disk.checksums import Verify
from oddjet.datasets.disk.digest import content_key, dependency_digest
from oddjet.datasets.disk.numbers import jsonable
from oddjet.datasets.folds import event_hash, held_out, jets_hash, mix64
from oddjet.datasets.jets import Jets, Truth, concatenate
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.errors import InputError, TooFewJetsError
from oddjet.ml import detector_class
from oddjet.ml.decorrelation import DECORRELATIONS
from oddjet.ml.folds import FoldedDetector
from oddjet.ml.score_names import ScoreName, labelled
from oddjet.processors.replicas import replicas_of
from oddjet.processors.sample import HeldOut, HuntSample
from oddjet.typing import Table

__all__ = ["Replica", "chain_key", "renumbered", "replica_key", "run_replica"]

CODE = (
    "oddjet.ml.folds",
    "oddjet.analysis.injection.certificate.replica",
)
"""What decides a result, with everything these import."""
DRAWN = ("dataset", "run", "luminosityBlock", "event", "weight")


@dataclasses.dataclass(frozen=True)
class Replica:
    """One replica, with everything a worker needs to do it.

    Attributes:
        skim: Folder of the jets.
        background: Datasets of simulated background.
        config: The analysis.
        lumi_ifb: Luminosity of what the analysis hunts in [1/fb].
        seed: Of the division of events, the drawing, the training and the pseudo-experiments.
    """

    skim: Path
    background: tuple[str, ...]
    config: AnalysisConfig
    lumi_ifb: float
    seed: int

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return f"background alone, seed {self.seed}"


def chain_key(replica: Replica) -> str:
    """Hash everything that a replica depends on but its seed and the number of its pseudo-experiments."""
    config = replica.config
    skim = _open(replica.skim, config.verify)
    parts = sorted(c.key for c in skim.manifest.chunks if c.dataset in replica.background)
    settings = config.model_dump(
        mode="json",
        include={"detectors", "decorrelation", "training", "folds", "hunt", "unblinding"},
    )
    del settings["hunt"]["n_toys"], settings["hunt"]["seed"]
    modules = [detector_class(detector.name).__module__ for detector in config.detectors]
    methods = config.decorrelation.methods if config.decorrelation else {}
    modules += [DECORRELATIONS.get(method, method).partition(":")[0] for method in methods]
    code = dependency_digest(*dict.fromkeys([*modules, *CODE]))
    return content_key([parts, replica.background, settings, replica.lumi_ifb, code])


def replica_key(replica: Replica) -> str:
    """Hash everything that the result of a replica depends on."""
    n_toys = replica.config.certificate.n_toys
    return content_key([chain_key(replica), replica.seed, n_toys])


def renumbered(jets: Jets, seed: int) -> Jets:
    """Give the events of jets other numbers: a hash of run, luminosity block and event, and of a seed."""
    salt = mix64(np.uint64(seed) ^ np.uint64(0x6365727469667931))
    events = mix64(jets_hash(jets) ^ salt)
    return ak.with_field(jets, events, "event")


def run_replica(replica: Replica) -> dict[str, Any]:
    """Do one replica.

    Returns:
        Ready for JSON: seed; global p, or why there is none; that of the scan by functions, where it is the cross-check;
        verdict of each score; numbers of jets; which part of its jets it shares with another replica; seconds.

    Raises:
        ConfigError: The luminosity is too large for the simulation, or nothing can be learned on.
        OddjetError: A step of the analysis failed.
    """
    started = time.perf_counter()
    division = _divide(replica)
    trained = [_train(detector, division, replica) for detector in replica.config.detectors]
    table = _score(division.fresh, trained, replica)
    result = _hunt(table, trained, division, replica)
    scan = result.bump_hunt
    numbers: dict[str, Any] = {
        "seed": replica.seed,
        "global_p": None if scan is None else scan.global_p,
        "local_p": None if scan is None else scan.local_p,
        "window": None if scan is None else scan.window,
        "cross_check_p": None if result.cross_check is None else result.cross_check.global_p,
        "problem": result.problem,
        "verdicts": _verdicts(table, trained, result, replica),
        "n_hunted": int(result.working_points[0].counts.sum()),
        "n_learned": round(
            min(
                model.learned[role].n_effective
                for model in trained
                for role in model.learned
                if role != "detectors"
            )
        ),
        "n_toys": replica.config.certificate.n_toys,
        "hunted_overlap": division.hunted_overlap,
        "learned_overlap": division.learned_overlap,
        "seconds": time.perf_counter() - started,
    }
    return dict(jsonable(numbers))


@functools.lru_cache(maxsize=2)
def _open(folder: Path, verify: Verify) -> Skim:
    return open_skim(folder, verify=verify)


@functools.lru_cache(maxsize=4)
def _jets(folder: Path, datasets: tuple[str, ...], verify: Verify) -> Jets:
    """Jets are read once a worker; what a signal sample holds besides its signal is left out."""
    jets = _open(folder, verify).jets(datasets)
    return jets[np.asarray(jets.label != Truth.UNMATCHED)]


@dataclasses.dataclass(frozen=True, eq=False)
class _Division:
    """The jets of a replica by what they are there for.

    Attributes:
        learning: What each of `ROLES` is learned on, held-out events among them: detectors leave those out.
        calibrate: Whether thresholds are learned on other jets than detectors.
        signals: What a supervised detector is told; their weight is 0.
        fresh: Of what is hunted in, the jets whose events are held out.
        sample: Those of them that are hunted in.
        hunted_overlap: Share of the hunted jets that another replica hunts in as well, on average.
        learned_overlap: The same of those that are learned on.
    """

    learning: dict[str, Jets]
    calibrate: bool
    signals: Jets
    fresh: Jets
    sample: HuntSample
    hunted_overlap: float
    learned_overlap: float


def _divide(replica: Replica) -> _Division:
    """Divide the events anew, as the analysis divides them."""
    config, share = replica.config, replica.config.training.held_out
    datasets = _open(replica.skim, config.verify).manifest.datasets
    scales = dataset_scales({name: datasets[name] for name in replica.background}, replica.lumi_ifb)
    jets = renumbered(_jets(replica.skim, replica.background, config.verify), replica.seed)
    names = np.asarray(ak.to_numpy(jets["dataset"]), dtype=np.str_)
    expected = np.asarray(jets["weight"], np.float64) * np.array([scales[name] for name in names])
    jets = ak.with_field(jets, expected, "weight")
    ones = dict.fromkeys(replica.background, 1.0)
    kinds = {role: config.training.of(role).on or "simulation" for role in ROLES}
    if "data" in kinds.values():
        # As many events as data have; the rest is the simulation that other roles may learn on.
        sample = HuntSample("pseudo-data", replica.lumi_ifb, replica.seed, ones)
        drawn = sample.rows({name: np.asarray(jets[name]) for name in DRAWN})
        parts = {"simulation": jets[~drawn], "data": ak.with_field(jets[drawn], 1.0, "weight")}
        hunted = parts["data"]
        sample = HuntSample("pseudo-data", replica.lumi_ifb * share, replica.seed)
        learned = expected * (1 - share)
    else:
        parts, hunted = {"simulation": jets}, jets
        fresh_of = HeldOut(share, replica.background)
        sample = HuntSample("pseudo-data", replica.lumi_ifb, replica.seed, ones, held_out=fresh_of)
        learned = np.full(len(jets), 1 - share)
    look = hunted_rows(jets, config.hunt)
    pulled = expected[look] * (share if "data" in kinds.values() else 1.0)
    samples = {role: _learned_on(role, kind, replica) for role, kind in kinds.items()}
    return _Division(
        {role: parts[kinds[role]][of.rows(parts[kinds[role]])] for role, of in samples.items()},
        samples["thresholds"].sentence != samples["detectors"].sentence,
        _signals(replica),
        ak.to_packed(hunted[held_out(hunted, share)]),
        sample,
        float(np.sum(pulled**2) / pulled.sum()),
        float(np.sum(learned**2) / learned.sum()),
    )


def _learned_on(role: str, on: str, replica: Replica) -> LearningSample:
    """What one of `ROLES` is learned on, the background playing data where it is learned on data."""
    config = replica.config
    kinds = dict.fromkeys(replica.background, "data" if on == "data" else "background")
    sample = learning_sample(role, kinds, config.training, config.hunt)
    if role == "maps":
        mass = (config.decorrelation and config.decorrelation.mass) or config.hunt.mass
        check_maps(config.decorrelation, sample, mass)
    return sample


def _signals(replica: Replica) -> Jets:
    """Simulated signal for supervised detectors; it trains and does not calibrate."""
    config = replica.config
    datasets = _open(replica.skim, config.verify).manifest.datasets
    names = tuple(name for name, dataset in datasets.items() if dataset.kind == "signal")
    if not names or not any(detector_class(d.name).supervised for d in config.detectors):
        return ak.Array([])
    jets = renumbered(_jets(replica.skim, names, config.verify), replica.seed)
    return ak.with_field(jets, np.zeros(len(jets)), "weight")


def _train(detector: DetectorConfig, division: _Division, replica: Replica) -> FoldedDetector:
    """Train, calibrate and decorrelate as the analysis does."""
    config, learning = replica.config, division.learning
    jets = learning["detectors"]
    if detector_class(detector.name).supervised:
        jets = concatenate([jets, division.signals])
    trained = FoldedDetector.fit(
        jets,
        detector=(detector.name, detector.hyper_parameters),
        k=config.folds,
        seed=replica.seed,
        label=detector.key,
        held_out=config.training.held_out,
    )
    if division.calibrate:
        trained = trained.calibrated(learning["thresholds"])
    if config.decorrelation is None:
        return trained
    mass = config.decorrelation.mass or config.hunt.mass
    return trained.decorrelated(learning["maps"], methods=config.decorrelation.methods, mass=mass)


def _score(jets: Jets, trained: Sequence[FoldedDetector], replica: Replica) -> Table:
    """Every score of jets that nothing was learned on, beside what a hunt and a verdict need."""
    columns = dict.fromkeys(("dataset", *DRAWN, "rank", "pt", replica.config.hunt.mass))
    table: dict[str, npt.NDArray[Any]] = {n: np.asarray(ak.to_numpy(jets[n])) for n in columns}
    table["dataset"] = table["dataset"].astype(np.str_)
    for model in trained:
        scores = model.scores(jets)
        table |= {labelled(model.label, name): values for name, values in scores.items()}
    return table


def _columns(trained: Sequence[FoldedDetector], replica: Replica) -> list[ScoreName]:
    raw_scores = {model.label: model.raw_score_names for model in trained}
    return main_scores(replica.config.detectors, replica.config.decorrelation, raw_scores)


def _hunt(
    table: Table, trained: Sequence[FoldedDetector], division: _Division, replica: Replica
) -> Hunt:
    settings = replica.config.hunt
    columns = [name.column for name in _columns(trained, replica)]
    replicas = replicas_of({model.label: model for model in trained})
    spectra = fill_spectra(table, columns, division.sample, settings, replicas=replicas)
    changed = {"n_toys": replica.config.certificate.n_toys, "seed": replica.seed}
    return hunt(spectra, settings.model_copy(update=changed))


def _verdicts(
    table: Table, trained: Sequence[FoldedDetector], result: Hunt, replica: Replica
) -> dict[str, str]:
    """The verdict on each score that is cut on, on all fresh jets for as many as are hunted in; or why there is none."""
    settings = replica.config.hunt
    rows = hunted_rows(table, settings)
    events = event_hash(*(table[name][rows] for name in ("run", "luminosityBlock", "event")))
    counts = result.working_points[0].counts
    judging = JudgeSettings(hunted=HuntedIn(jets=counts), survival=True, seed=replica.seed)
    outcomes = {}
    for name in _columns(trained, replica):
        given = (table[column][rows] for column in (name.cut, settings.mass, "pt", "weight"))
        scores, mass, pt, weights = given
        try:
            jets = JetSample.from_arrays(scores, mass, pt, weights, events)
            own = judged_as_hunted(judging, settings, decorrelated=bool(name.method))
            outcomes[name.column] = judge(jets, own).outcome.value
        except (InputError, TooFewJetsError) as error:
            outcomes[name.column] = f"not judged: {error}"
    return outcomes
