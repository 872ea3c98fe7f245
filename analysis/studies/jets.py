"""The jets of a study: one background, signals by name, split by event into training and test."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.analysis.scores.blinding import blinding_of_folder
from oddjet.analysis.scores.quality import signal_jets
from oddjet.datasets.folds import fold_of, jets_hash
from oddjet.datasets.jets import Jets, Truth, concatenate
from oddjet.datasets.skims.skim import Skim
from oddjet.errors import ConfigError, TooFewJetsError
from oddjet.ml.detectors.base import Detector, Scores
from oddjet.ml.evaluation.roc import Evaluation, evaluate
from oddjet.typing import Bools, Floats

__all__ = ["SIGNAL_EFFICIENCY", "StudyJets", "joined", "read_jets", "select_score", "shuffled"]

SIGNAL_EFFICIENCY = 0.2

MIN_TEST_JETS = 10


@dataclasses.dataclass(frozen=True, eq=False)
class StudyJets:
    """Jets of one background and of signals, in folds by event.

    Fold 0 is for testing, the other k − 1 for training, whatever is trained on: so all trainings of
    a study are tested on the same jets, which none of them has seen. Every jet belongs to one
    fold, decided by its event alone.

    Attributes:
        background: Jets with run, luminosityBlock and event.
        signals: By name, the same.
        background_name: Name in tables and pictures.
        k: Number of folds, at least 2.
        is_data: Whether the background was measured, and not simulated.
        caveats: What is left out of the jets, a sentence each.
    """

    background: Jets
    signals: Mapping[str, Jets]
    background_name: str = "background"
    k: int = 3
    is_data: bool = False
    caveats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.background_name in self.signals:
            msg = f"study: '{self.background_name}' is the background and a signal too. Choose one."
            raise ConfigError(msg)
        if not self.signals:
            msg = "study: expected at least one signal. Received: none."
            raise ConfigError(msg)
        for name in self.names:
            for role, part in (("test", self.test(name)), ("training", self.training(name))):
                if len(part) < MIN_TEST_JETS:
                    msg = (
                        f"study: {len(part)} {role} jets of '{name}' (of {len(self.jets(name))}, "
                        f"in {self.k} folds). Expected at least {MIN_TEST_JETS}: give more jets."
                    )
                    raise TooFewJetsError(msg)

    @property
    def names(self) -> tuple[str, ...]:
        """The background's name, then the signals'."""
        return (self.background_name, *self.signals)

    def jets(self, name: str) -> Jets:
        """All jets of a sample."""
        return self.background if name == self.background_name else self.signals[name]

    def training(self, name: str) -> Jets:
        """The jets of a sample that may be trained on."""
        return self.jets(name)[self._folds[name] != 0]

    def test(self, name: str) -> Jets:
        """The jets of a sample that are never trained on."""
        return self.jets(name)[self._folds[name] == 0]

    def n_test(self) -> dict[str, int]:
        """Number of test jets by sample."""
        return {name: int(np.count_nonzero(self._folds[name] == 0)) for name in self.names}

    def column(self, name: str, column: str) -> Floats:
        """A column of a sample's test jets, shape (n,)."""
        return np.asarray(self.test(name)[column], dtype=np.float64)

    def weights(self, name: str) -> Floats:
        """Weights of a sample's test jets, shape (n,); 1 where the jets have none."""
        if "weight" in self.jets(name).fields:
            return self.column(name, "weight")
        return np.ones(self.n_test()[name])

    def pair(
        self, numbers: Mapping[str, Floats], signal: str, against: str | None = None
    ) -> tuple[Floats, Bools, Floats]:
        """Put the test jets' numbers of a sample after those of the background, or of another one.

        Returns:
            The numbers, whether each jet is signal, and the weights, each (n,).
        """
        against = self.background_name if against is None else against
        names = (against, signal)
        values = np.concatenate([numbers[name] for name in names])
        weights = np.concatenate([self.weights(name) for name in names])
        return values, np.arange(len(values)) >= len(numbers[against]), weights

    def events(self, signal: str, against: str | None = None) -> npt.NDArray[np.uint64]:
        """Number the events of the jets of `pair`, shape (n,): jets of one event fluctuate together."""
        names = (self.background_name if against is None else against, signal)
        return np.concatenate([jets_hash(self.test(name)) for name in names])

    def halves(self, name: str) -> tuple[Bools, Bools]:
        """Split a sample's test jets by event into two halves: two masks of shape (n,)."""
        first = fold_of(self.test(name), 2 * self.k) == 0
        return first, ~first

    def training_size(self, wanted: int | None) -> int:
        """Give the number of jets that every sample can train with, `wanted` at most."""
        available = min(len(self.training(name)) for name in self.names)
        return available if wanted is None else min(wanted, available)

    def scores(self, model: Detector) -> dict[str, Scores]:
        """Score the test jets of every sample: sample → score → (n,)."""
        return {name: model.scores(self.test(name)) for name in self.names}

    def evaluate(
        self,
        scores: Mapping[str, Scores],
        signal: str,
        *,
        against: str | None = None,
        seed: int,
        efficiencies: Sequence[float] = (SIGNAL_EFFICIENCY,),
    ) -> list[Evaluation]:
        """Evaluate every score of one signal against the background, or against another sample."""
        names = list(scores[signal])
        columns = {name: self.pair(select_score(scores, name), signal, against) for name in names}
        _, is_signal, weights = columns[names[0]]
        return evaluate(
            {name: values for name, (values, _, _) in columns.items()},
            is_signal,
            weights,
            signal_efficiencies=efficiencies,
            events=self.events(signal, against),
            seed=seed,
        )

    @functools.cached_property
    def _folds(self) -> dict[str, npt.NDArray[np.int64]]:
        return {name: fold_of(self.jets(name), self.k) for name in self.names}


def read_jets(
    skim: Skim,
    *,
    background: str,
    signals: Sequence[str],
    k: int = 3,
    max_jets: int | None = None,
) -> StudyJets:
    """Read the jets of a study from a skim.

    Of a dataset with truth, the merged jets are taken, or the matched where none is merged; of
    others all. So a signal of one study can be the background of another. What a run hides of its data while
    they are blinded is left out.

    `max_jets` of each are read at most, the first ones.

    Raises:
        SkimError: If there is no such dataset.
        ConfigError: If a dataset is named twice.
        TooFewJetsError: If a dataset has next to no jets that count.
    """
    if len(set(signals)) != len(signals):
        msg = f"study: a signal is named twice: {', '.join(signals)}."
        raise ConfigError(msg)
    samples = {}
    blinding = blinding_of_folder(skim.folder, skim.manifest)
    for name in (background, *signals):
        jets = skim.jets(name)
        if blinding is not None and name in blinding.datasets:
            jets = jets[blinding.visible(jets, name)]
        label = np.asarray(jets.label)
        if (label >= Truth.UNMATCHED).any():
            jets = jets[signal_jets(label)[0]]
        samples[name] = jets[:max_jets]
    is_data = skim.manifest.datasets[background].kind == "data"
    caveats = () if blinding is None else blinding.caveats_of(samples)
    return StudyJets(samples.pop(background), samples, background, k, is_data, caveats)


def shuffled(jets: Jets, n: int | None = None, *, seed: int) -> Jets:
    """Take n jets, or all, in random order.

    The first of a shuffle are the same for any n.
    """
    return jets[np.random.default_rng(seed).permutation(len(jets))[:n]]


def joined(background: Iterable[Jets], signals: Iterable[Jets] = ()) -> Jets:
    """Label `background` as background and `signals` as merged, for a supervised detector.

    Returns:
        The jets, with the columns that all have.
    """
    parts = [
        ak.with_field(part, np.full(len(part), truth, dtype=truth.dtype), "label")
        for truth, group in ((Truth.BACKGROUND, background), (Truth.MERGED, signals))
        for part in group
    ]
    common = [name for name in parts[0].fields if all(name in part.fields for part in parts)]
    return concatenate([part[common] for part in parts])


def select_score(scores: Mapping[str, Scores], score: str) -> dict[str, Floats]:
    """Pick one score: sample → (n,)."""
    return {sample: columns[score] for sample, columns in scores.items()}
