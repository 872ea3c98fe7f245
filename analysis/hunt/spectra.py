"""The histograms that are hunted in, as the second processor filled them, and the spectra in them."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from oddjet.analysis.config import HuntConfig
from oddjet.analysis.hunt.imprint import make_imprint
from oddjet.analysis.hunt.peaks import joint_table
from oddjet.analysis.hunt.result import score_bins_name, spectrum_name
from oddjet.analysis.scores.sample import HuntSample, histogram_settings
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.spectrum import Spectrum, Window, overlaps
from oddjet.condor.executors import SerialExecutor
from oddjet.datasets.disk.checksums import Verify
from oddjet.errors import ConfigError, SkimError
from oddjet.ml.replicas import CutReplicas
from oddjet.ml.score_names import ScoreName
from oddjet.processors.blinding import Blinding
from oddjet.processors.histogram_files import HISTOGRAMS, load_histograms
from oddjet.processors.histograms import (
    ALL,
    HUNTED,
    PEAKS,
    Filler,
    Histograms,
    HistogramSettings,
    working_point_name,
)
from oddjet.processors.replicas import REPLICAS, load_replicas
from oddjet.processors.sample import HeldOut
from oddjet.processors.scores import Scores, open_scores
from oddjet.processors.totals import add_up
from oddjet.typing import Floats, Table

__all__ = ["HuntedSpectra", "ScoreHistograms", "fill_spectra", "read_histograms"]

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class HuntedSpectra:
    """The mass spectra that are scanned together: of all jets, and after each cut on each score.

    Attributes:
        scores: The scores that are cut on, as histograms are named; the first is the main one.
        points: Score and background efficiency of each spectrum; the first is before any cut.
        joint: Jets by mass bin and by the spectra that they are in.
        blinding: What of the jets is not in it; None where nothing is hidden.
        tested: Names of the spectra that are scanned; all if None.
        decorrelated: Whether all scores are decorrelated from the mass.
        n_calibration: Effective jets, in the range and of those that are hunted for, that maps, or
            thresholds where there are none, were learned on; None where not known.
        simulated: Simulated background, by the name of the spectrum; empty where there is none.
    """

    scores: tuple[str, ...]
    mass: str
    sample: HuntSample
    points: tuple[tuple[str, float], ...]
    joint: JointTable
    decorrelated: bool
    blinding: Blinding | None = None
    tested: tuple[str, ...] | None = None
    n_calibration: float | None = None
    simulated: Mapping[str, Spectrum] = dataclasses.field(default_factory=dict)

    @property
    def ladders(self) -> dict[str, list[int]]:
        """Places of the cuts on each score that has more than one, by the name of its score bins."""
        ladders: dict[str, list[int]] = {}
        for place, (score, _) in enumerate(self.points):
            if score:
                ladders.setdefault(score_bins_name(score), []).append(place)
        return {name: places for name, places in ladders.items() if len(places) > 1}

    def only(self, labels: Collection[str]) -> HuntedSpectra:
        """Take these spectra alone to be scanned; that of all jets stays beside them.

        Args:
            labels: Names of spectra and score bins, see `spectrum_name` and `score_bins_name`.

        Raises:
            ConfigError: There is no such spectrum.
        """
        names = [spectrum_name(*point) for point in self.points]
        ladders = self.ladders
        if unknown := [label for label in labels if label not in {*names, *ladders}]:
            msg = f"no spectrum {unknown[0]!r} to test: there are {', '.join((*names, *ladders))}"
            raise ConfigError(msg)
        inside = {place for label in labels for place in ladders.get(label, ())}
        kept = [i for i, name in enumerate(names) if i == 0 or name in labels or i in inside]
        points = tuple(self.points[i] for i in kept)
        return dataclasses.replace(
            self, points=points, joint=self.joint.select(kept), tested=tuple(labels)
        )

    @classmethod
    def from_histogram(
        cls,
        histograms: Histograms,
        filled: HistogramSettings,
        wanted: HistogramSettings,
        sample: HuntSample,
        decorrelated: Collection[str],
        *,
        cuts: Mapping[str, str],
        replicas: Mapping[str, CutReplicas] | None,
    ) -> HuntedSpectra:
        """Take the spectra that are wanted out of a joint table: dataset × pattern × mass, × pt.

        Args:
            histograms: The joint table, and that of known peaks if there are any.
            filled: What it was filled with.
            wanted: What is wanted of it.
            sample: The jets in it.
            decorrelated: The scores that are so, among others.
            cuts: Score to the column that is cut on.
            replicas: Column to what is known of its calibration; None if nothing is.
        """
        joint = joint_table(histograms, filled)
        imprint = make_imprint(replicas or {}, filled.spectra, cuts, joint.edges)
        joint = dataclasses.replace(joint, imprint=imprint)
        places = [filled.spectra.index(point) for point in wanted.spectra]
        points = tuple(wanted.spectra)
        flat = set() < set(wanted.hunted) <= set(decorrelated)
        joint = joint.select(places)
        return cls(wanted.hunted, wanted.mass, sample, points, joint, flat, filled.blinding)

    def jets_by_mass(self, window: Window, *, unblind: bool) -> Floats:
        """Jets before any cut, shape (n_bins,); NaN where data are hidden, in the bins of the window [GeV]."""
        jets: Floats = self.joint.counts.sum(axis=0)
        if self.sample.kind == "data" and not unblind:
            jets = np.where(overlaps(self.joint.edges, window), np.nan, jets)
        return jets


@dataclasses.dataclass(frozen=True)
class ScoreHistograms:
    """The histograms of a scores table.

    Attributes:
        scales: Dataset to the factor that its weights were multiplied by; 1 for others.
        histograms: Score to dataset × variation × working_point × mass × pt; and the joint table.
        decorrelated: The scores of the table that are decorrelated from the mass.
        cuts: Score to the column that is cut on.
        replicas: Column that is cut on to what is known of its calibration; empty where nothing is.
        backgrounds: Datasets of simulated background.
    """

    settings: HistogramSettings
    scales: Mapping[str, float]
    histograms: Histograms
    decorrelated: frozenset[str]
    cuts: Mapping[str, str]
    replicas: Mapping[str, CutReplicas]
    backgrounds: tuple[str, ...] = ()

    def hunted(self, wanted: HistogramSettings) -> HuntedSpectra:
        """Take the spectra that are hunted in; see `read_histograms`.

        Raises:
            ConfigError: There is nothing to hunt in.
        """
        if wanted.sample is None or HUNTED not in self.histograms:
            msg = "these histograms hold no jets to hunt in"
            raise ConfigError(msg)
        spectra = HuntedSpectra.from_histogram(
            self.histograms,
            self.settings,
            wanted,
            wanted.sample,
            self.decorrelated,
            cuts=self.cuts,
            replicas=self.replicas,
        )
        simulated = self._simulated(wanted)
        n_calibration = self._n_calibration(wanted)
        return dataclasses.replace(spectra, n_calibration=n_calibration, simulated=simulated)

    def _simulated(self, wanted: HistogramSettings) -> dict[str, Spectrum]:
        """Simulated background in each spectrum; none where it is not known how datasets are to be added."""
        scales = (wanted.sample.scales if wanted.sample else None) or self.scales
        known = len(self.backgrounds) == 1 or all(name in scales for name in self.backgrounds)
        if not (self.backgrounds and known):
            return {}
        used = {name: scales.get(name, 1.0) for name in self.backgrounds}
        made: dict[str, Spectrum] = {}
        for score, efficiency in wanted.spectra:
            name = score or next(iter(wanted.hunted), "")
            if name in self.histograms:
                label = spectrum_name(score, efficiency)
                counts, variances = self.mass_spectrum(name, efficiency, used)
                edges = self.settings.edges
                made[label] = Spectrum(edges, counts, variances, name=label, is_data=False)
        return made

    def _n_calibration(self, wanted: HistogramSettings) -> float | None:
        """Effective jets in the range that the main score was calibrated on: (Σw)²/Σw² of learning events."""
        held_out = wanted.sample.held_out if wanted.sample else HeldOut()
        name = next(iter(wanted.hunted), "")
        known = list(self.histograms[name].axes["dataset"]) if name in self.histograms else []
        used = {n: self.scales.get(n, 1.0) for n in held_out.calibrating if n in known}
        if not used:
            return None
        counts, variances = self.mass_spectrum(name, 1.0, used)
        effective = counts.sum() ** 2 / variances.sum() if variances.sum() > 0 else 0.0
        return float(min(effective * (1 - held_out.share), held_out.n_calibrating))

    def mass_spectrum(
        self, score: str, efficiency: float, scales: Mapping[str, float]
    ) -> tuple[Floats, Floats]:
        """Mass of some datasets after a cut, all pt added; what `settings.blinding` hides of data is not in it.

        Args:
            score: The score, as histograms are named.
            efficiency: The working point; 1 for no cut.
            scales: The datasets to add, each with the events that a unit weight stands for.

        Returns:
            Σw and Σw² a bin, shape (n_bins,) each.
        """
        histogram = self.histograms[score]
        point = ALL if efficiency == 1 else working_point_name(efficiency)
        counts, variances = np.zeros((2, self.settings.n_bins))
        for dataset, scale in scales.items():
            factor = scale / self.scales.get(dataset, 1.0)
            spectrum: Any = histogram[dataset, "nominal", point, :, ::sum]
            counts += spectrum.values() * factor
            variances += spectrum.variances() * factor**2
        return counts, variances

    def fit_for(self, wanted: HistogramSettings) -> bool:
        """Whether everything that is wanted is among what was filled."""
        free = ("hunted", "working_points", "pt_edges")
        same = wanted.model_copy(update={name: getattr(self.settings, name) for name in free})
        return (
            same == self.settings
            and set(wanted.spectra) <= set(self.settings.spectra)
            and (wanted.sample is None or HUNTED in self.histograms)
            and (not wanted.peaks or PEAKS in self.histograms)
        )


def read_histograms(
    folder: Path | str, wanted: HistogramSettings, *, verify: Verify = "first"
) -> ScoreHistograms:
    """Read the histograms in the folder of a scores table; fill them if others are wanted.

    Those of another binning, other cuts or other jets are filled from the table as the second processor
    fills them; nothing is scored again, and the files stay as they are: so are those of data where other masses
    are hidden, or none any more. So are, with a warning, those whose
    file is not what was written; `verify` is as of `open_skim`.

    Raises:
        SkimError: There is no scores table.
        InputError: The histograms cannot be read, or the table has no such score.
        ConfigError: Pseudo-data cannot be drawn; see `ExpectedWeights.check`.
    """
    table = open_scores(folder, verify=verify)
    config = table.manifest.config
    path = Path(folder) / HISTOGRAMS
    cuts = {name.column: name.cut for name in ScoreName.find_all(table.names)}
    replicas = _replicas(path.parent, verify)
    if "histograms" in config and path.exists():
        try:
            stored = ScoreHistograms(
                HistogramSettings.model_validate(config["histograms"]),
                config.get("scales") or {},
                load_histograms(path, verify),
                _decorrelated(table.names),
                cuts,
                replicas,
                _backgrounds(table),
            )
        except SkimError as error:
            _log.warning("%s. Until then histograms are filled from the table", error)
        else:
            if stored.fit_for(wanted):
                return stored
    _log.info(
        "%s: histograms are filled from the table: the stored ones are of other settings, or damaged",
        folder,
    )
    return _fill(table, wanted, cuts, replicas)


def _replicas(folder: Path, verify: Verify) -> Mapping[str, CutReplicas]:
    """Read the replicas beside histograms; none, with a warning, where there are none."""
    try:
        if (folder / REPLICAS).exists():
            return load_replicas(folder / REPLICAS, verify)
        problem = f"{folder} has no {REPLICAS}: it was made by an oddjet that wrote none"
    except SkimError as error:
        problem = str(error)
    _log.warning(
        "%s. The error of the cuts' calibration is left out until jets are scored again", problem
    )
    return {}


def _fill(
    table: Scores,
    wanted: HistogramSettings,
    cuts: Mapping[str, str],
    replicas: Mapping[str, CutReplicas],
) -> ScoreHistograms:
    _check_mass(wanted.mass, table.names)
    totals = add_up(Filler(wanted, cuts, table.datasets), table, SerialExecutor(status=False))
    histograms = dict(totals.histograms)
    if wanted.sample is not None and totals.hunted is not None:
        totals.weights.check(wanted.sample.lumi_ifb or 0.0)
        histograms[HUNTED] = totals.hunted
    if totals.peaks is not None:
        histograms[PEAKS] = totals.peaks
    flat, backgrounds = _decorrelated(table.names), _backgrounds(table)
    return ScoreHistograms(wanted, {}, histograms, flat, cuts, replicas, backgrounds)


def _backgrounds(table: Scores) -> tuple[str, ...]:
    return tuple(name for name, d in table.manifest.datasets.items() if d.kind == "background")


def _decorrelated(columns: Collection[str]) -> frozenset[str]:
    return frozenset(name.column for name in ScoreName.find_all(columns) if name.is_decorrelated)


def fill_spectra(
    table: Table,
    scores: Sequence[str],
    sample: HuntSample,
    settings: HuntConfig,
    *,
    replicas: Mapping[str, CutReplicas] | None = None,
) -> HuntedSpectra:
    """Fill the spectra of a table in memory, as the second processor fills those of a table on disk.

    Args:
        table: Columns of a scores table, each of shape (n_jets,).
        scores: The scores to cut on, as histograms are named: a raw score, which is cut on where it is
            calibrated, or a decorrelated one. The first is the main one.
        sample: The jets to hunt in.
        settings: Mass, binning, working points, choice of jets.
        replicas: What is known of the calibration of columns; see `oddjet.processors.replicas.replicas_of`.

    Raises:
        ConfigError: The table has no such mass.
        InputError: The table has no such score.
    """
    wanted = histogram_settings(settings, scores)
    names = {score: ScoreName.find(score, table) for score in scores}
    cuts = {score: name.cut for score, name in names.items()}
    decorrelated = {score for score, name in names.items() if name.is_decorrelated}
    _check_mass(wanted.mass, table)
    used = sample.rows(table)
    by_pt = ("pt",) if wanted.pt_bins else ()
    columns = dict.fromkeys((wanted.mass, "rank", *by_pt, *cuts.values()))
    jets = ak.zip({name: np.asarray(table[name])[used] for name in columns}, depth_limit=1)
    filled, _ = Filler(wanted, cuts, ()).fill_joint_table(jets, sample.kind)
    return HuntedSpectra.from_histogram(
        {HUNTED: filled}, wanted, wanted, sample, decorrelated, cuts=cuts, replicas=replicas
    )


def _check_mass(mass: str, columns: Iterable[str]) -> None:
    if mass not in columns:
        msg = f"the scores table has no column '{mass}': it has {', '.join(sorted(columns))}"
        raise ConfigError(msg)
