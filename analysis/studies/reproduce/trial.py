"""A trial: one detector trained on one kind of jets of a window, and the scores of all its jets.

Trials are kept on disk under a key made of everything they depend on, the detector's code
included, so that a second call trains nothing again, and an interrupted one goes on.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.analysis.studies.jets import shuffled
from oddjet.analysis.studies.reproduce.windows import Role, Window, get_window
from oddjet.analysis.trials import read_json, resumable
from oddjet.datasets.disk.arrays import read_arrays
from oddjet.datasets.disk.atomic import atomic_write
from oddjet.datasets.disk.checksums import file_sha256, fits
from oddjet.datasets.disk.digest import content_key, dependency_digest
from oddjet.datasets.disk.state import write_state
from oddjet.datasets.folds import jets_hash
from oddjet.datasets.jets import Jets, Truth, concatenate
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.errors import BadFileError, ConfigError, OddjetError
from oddjet.ml import create, detector_class, load
from oddjet.ml.representations import Representation
from oddjet.typing import Floats

__all__ = ["CEILING", "Scored", "Trial", "TrialResult", "load_trial", "run_trial", "trial_key"]


CEILING = "supervised ceiling"
"""Label of the boosted trees that are trained on the signal they are tested on."""
COLUMNS = {"jet_pt": "pt", "jet_mass": "mass", "jet_msoftdrop": "msoftdrop"}
"""What is kept of the jets beside their scores, under names that no score has → their columns."""
EVENT = "jet_event"
"""The number of a jet's event within its dataset and role, beside them."""
SCORED: tuple[Role, ...] = ("validation", "test")
SCORES_FILE = "scores.npz"
INFO_FILE = "trial.json"
DETECTOR_FOLDER = "detector"

Scored: TypeAlias = tuple[Floats, npt.NDArray[np.bool_], Floats]
"""Values, whether of the signal, and the event of jets, (n,) each."""

Tables: TypeAlias = dict[tuple[str, Role], dict[str, Floats]]
"""(dataset, role) → column or score name → (n,)."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One training.

    Attributes:
        detector: Name of the detector, as `oddjet.ml.create` takes it.
        label: What tables call it.
        settings: Name of its settings, the same for the same detector on other jets.
        hyper_parameters: As `oddjet.ml.create` takes them; `representation` may be one.
        nominal: Dataset that is taken to be ordinary; the window's background by default.
        signal: Dataset that a supervised detector is trained on beside; None for the others.
        max_jets: Train on so many jets at most.
        max_scored: Score so many jets of a dataset and role at most, the first ones.
        contamination: Mixes so many jets of a signal into each nominal jet: (dataset, ratio).
        cost: Rough seconds, so that the longest begin first.
    """

    window: str
    detector: str
    label: str
    settings: str = ""
    hyper_parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    nominal: str | None = None
    signal: str | None = None
    max_jets: int | None = None
    max_scored: int | None = None
    contamination: tuple[str, float] | None = None
    seed: int = 1
    cost: float = 60.0

    @property
    def background(self) -> str:
        """The dataset that is taken to be ordinary."""
        return self.nominal or get_window(self.window).background

    @property
    def knows_signal(self) -> bool:
        """Whether signal jets are among those trained on."""
        return self.signal is not None or self.contamination is not None

    @property
    def others(self) -> tuple[str, ...]:
        """The datasets that count as signal, inverse tagging included."""
        window = get_window(self.window)
        return tuple(n for n in (window.background, *window.signals) if n != self.background)

    def identity(self) -> dict[str, Any]:
        """Give what decides the result, in JSON types."""
        fields = dataclasses.asdict(dataclasses.replace(self, hyper_parameters={}))
        hyper_parameters = {
            name: value.identity() if isinstance(value, Representation) else value
            for name, value in self.hyper_parameters.items()
        }
        for name in ("label", "settings", "cost"):
            del fields[name]
        if self.max_scored is None:
            del fields["max_scored"]
        return {**fields, "background": self.background, "hyper_parameters": hyper_parameters}


@dataclasses.dataclass(frozen=True, eq=False)
class TrialResult:
    """What a trial left behind.

    Attributes:
        folder: Where it is; `detector/` inside is the trained detector.
        n_train: Jets trained on.
        train_seconds: Wall time of the training.
        score_seconds: Wall time of scoring, representation included.
        n_scored: Jets scored in that time.
        tables: (dataset, role) → column or score name → (n,).
    """

    trial: Trial
    folder: Path
    n_train: int
    train_seconds: float
    score_seconds: float
    n_scored: int
    tables: Tables

    @property
    def score_names(self) -> tuple[str, ...]:
        """Names of the scores."""
        table = next(iter(self.tables.values()))
        return tuple(name for name in table if name not in (*COLUMNS, EVENT))

    def scored(self, signal: str, role: Role, name: str) -> Scored:
        """Give `pair`, and a number (n,) that jets of one event share: they fluctuate together."""
        return (*self.pair(signal, role, name), self.pair(signal, role, EVENT)[0])

    def pair(self, signal: str, role: Role, name: str) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Give a score or column of signal and nominal jets (n,), and which are of the signal (n,)."""
        anomalous = self.tables[signal, role][name]
        ordinary = self.tables[self.trial.background, role][name]
        is_signal = np.repeat([True, False], [len(anomalous), len(ordinary)])
        return np.concatenate([anomalous, ordinary]), is_signal

    def load_detector(self) -> Any:
        """Load the trained detector."""
        return load(self.folder / DETECTOR_FOLDER)


def trial_key(trial: Trial, skim: Skim) -> str:
    """Hash everything a trial depends on; the keys of the skim's parts stand for their contents."""
    names = (trial.background, *trial.others)
    parts = sorted(chunk.key for chunk in skim.manifest.chunks if chunk.dataset in names)
    module = detector_class(trial.detector).__module__
    code = dependency_digest(module, "oddjet.datasets.folds", "oddjet.datasets.jets")
    window = dataclasses.asdict(get_window(trial.window))
    window["selection"] = get_window(trial.window).selection.identity()
    return content_key([trial.identity(), window, parts, code])


def load_trial(trial: Trial, skim: Skim, output: Path) -> TrialResult | None:
    """Read the result of a trial that was run; None if it was not, or is not whole."""
    folder = output / trial_key(trial, skim)
    info = read_json(folder / INFO_FILE)
    if info is None or not fits(folder / SCORES_FILE, info.pop("scores_sha256", "")):
        return None
    tables: Tables = {}
    try:
        for key, scores in read_arrays(folder / SCORES_FILE).items():
            place: Any = key.split("/")
            dataset, role, name = place
            tables.setdefault((dataset, role), {})[name] = scores
    except (BadFileError, ValueError):
        return None
    if not all(EVENT in table for table in tables.values()):
        return None
    return TrialResult(trial=trial, folder=folder, tables=tables, **info)


def run_trial(trial: Trial, skim: Skim | Path, output: Path) -> TrialResult:
    """Train, score and keep; or read what an earlier call kept.

    Raises:
        OddjetError: If the training fails; the message names the trial.
    """
    skim = skim if isinstance(skim, Skim) else open_skim(skim)
    kept = load_trial(trial, skim, output)
    if kept is not None:
        return kept
    folder = output / trial_key(trial, skim)
    folder.mkdir(parents=True, exist_ok=True)
    with resumable(folder / "training") as state:
        try:
            info, tables = _train_and_score(trial, skim, folder, state)
        except OddjetError as error:
            error.args = (f"trial '{trial.label}' ({trial.window}, {trial.background}): {error}",)
            raise
        with atomic_write(folder / SCORES_FILE) as temporary:
            arrays: dict[str, Any] = {
                f"{dataset}/{role}/{name}": values
                for (dataset, role), table in tables.items()
                for name, values in table.items()
            }
            np.savez(temporary, **arrays)
    write_state(folder / INFO_FILE, {**info, "scores_sha256": file_sha256(folder / SCORES_FILE)})
    return TrialResult(trial=trial, folder=folder, tables=tables, **info)


def _train_and_score(
    trial: Trial, skim: Skim, folder: Path, state: Path | None
) -> tuple[dict[str, Any], Tables]:
    window = get_window(trial.window)
    jets = _training_jets(trial, window, skim)
    detector = create(trial.detector, **trial.hyper_parameters)
    started = time.perf_counter()
    detector.fit(jets, seed=trial.seed, resume_in=state)
    trained = time.perf_counter()
    detector.save(folder / DETECTOR_FOLDER)
    tables: Tables = {}
    n_scored, score_seconds = 0, 0.0
    for dataset, role in itertools.product((trial.background, *trial.others), SCORED):
        scored = window.jets(skim, dataset, role, nominal=dataset == trial.background)
        scored = scored[: trial.max_scored]
        before = time.perf_counter()
        # With signal in the training, the validation jets are among those trained on.
        allow_trained = role == "validation" and trial.knows_signal
        scores = detector.scores(scored, allow_trained=allow_trained)
        score_seconds += time.perf_counter() - before
        n_scored += len(scored)
        columns = {
            name: np.asarray(scored[column], dtype=np.float64) for name, column in COLUMNS.items()
        }
        columns[EVENT] = np.unique(jets_hash(scored), return_inverse=True)[1].astype(np.float64)
        tables[dataset, role] = columns | scores
    info = {
        "n_train": len(jets),
        "train_seconds": trained - started,
        "score_seconds": score_seconds,
        "n_scored": n_scored,
    }
    return info, tables


def _training_jets(trial: Trial, window: Window, skim: Skim) -> Jets:
    """Read the jets to train on, in random order, cut to the wanted number."""
    jets = window.jets(skim, trial.background, "train", nominal=True)
    jets = shuffled(jets, trial.max_jets, seed=trial.seed)
    if trial.signal is not None:
        more = window.jets(skim, trial.signal, "train", nominal=False)
        # What a supervised detector goes by; in inverse tagging the roles are exchanged.
        jets = ak.with_field(jets, np.full(len(jets), Truth.BACKGROUND, np.int8), "label")
        more = ak.with_field(more, np.full(len(more), Truth.MERGED, np.int8), "label")
        jets = shuffled(concatenate([jets, more]), seed=trial.seed)
    if trial.contamination is not None:
        signal, ratio = trial.contamination
        more = window.jets(skim, signal, "train", nominal=False)
        wanted = round(ratio * len(jets))
        if wanted > len(more):
            # Fewer jets of both kinds, so that their ratio is as wanted.
            jets = shuffled(jets, int(len(more) / ratio), seed=trial.seed)
            wanted = min(round(ratio * len(jets)), len(more))
        jets = concatenate([jets, shuffled(more, wanted, seed=trial.seed)])
        jets = shuffled(jets, seed=trial.seed)
    if not len(jets):
        msg = f"window '{trial.window}' has no jets of {trial.background} to train on"
        raise ConfigError(msg)
    return jets
