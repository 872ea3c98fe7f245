"""Histograms of jet mass: by score, working point and pt; and the joint table of what is hunted in."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import awkward as ak
import hist
import numpy as np
from pydantic import Field, field_validator, model_validator

from oddjet.datasets.jets import Jets, require_columns
from oddjet.errors import ConfigError, NonFiniteError
from oddjet.ml.score_names import ScoreName
from oddjet.problems import Settings
from oddjet.processors.blinding import Blinding
from oddjet.processors.pseudodata import ExpectedWeights
from oddjet.processors.sample import HuntSample
from oddjet.typing import Bools, Floats

__all__ = [
    "ALL",
    "HUNTED",
    "PEAKS",
    "PT_EDGES",
    "Counts",
    "Filler",
    "Histogram",
    "HistogramSettings",
    "Histograms",
    "Totals",
    "check_scales",
    "make_histogram",
    "scale_histogram",
    "working_point_name",
]

Histogram: TypeAlias = "hist.Hist[Any]"
"""What `make_histogram` makes."""

Histograms: TypeAlias = dict[str, Histogram]
"""Column of a raw score (`label_score`), or of a decorrelated one (`label_score_method`), to its
histogram."""

Counts: TypeAlias = dict[str, dict[str, dict[str, int]]]
"""Score to dataset to working point to number of jets."""

ALL = "all"
"""Name of the working point without a cut."""

HUNTED = "hunted"
"""Name of the joint table among the histograms in a file."""

PEAKS = "peaks"
"""Name of the same of known peaks, as expected at the luminosity that is hunted in."""

PT_EDGES = (150.0, 200.0, 300.0, 400.0, 500.0, 650.0, 800.0, 1000.0, 13000.0)
"""Edges of the pt axis [GeV] unless others are given."""


class HistogramSettings(Settings):
    """What is filled.

    Attributes:
        mass: Column of the mass axis, such as msoftdrop or mass.
        n_bins: Number of bins of the mass axis.
        mass_range: Its ends [GeV].
        pt_edges: Edges of the pt axis [GeV].
        pt_bins: Where the jets of the joint table are divided by pt [GeV]; not at all by default.
        working_points: Background efficiencies, each a cut on a calibrated or decorrelated score.
        leading_only: Fill the leading selected jet of each event alone.
        hunted: Scores whose spectra are hunted together, as histograms are named: they share the joint
            table. The first is the main one; none without a joint table.
        sample: The jets that are hunted in; None without a joint table.
        peaks: Datasets of known peaks, each with the events that a unit weight stands for at 1/fb.
        blinding: What of data is in no histogram; None where nothing is hidden.
    """

    mass: str = "msoftdrop"
    n_bins: int = Field(default=60, ge=1)
    mass_range: tuple[float, float] = (0.0, 300.0)
    pt_edges: tuple[float, ...] = PT_EDGES
    pt_bins: tuple[float, ...] = ()
    working_points: tuple[float, ...] = (0.1, 0.01)
    leading_only: bool = True
    hunted: tuple[str, ...] = ()
    sample: HuntSample | None = None
    peaks: dict[str, float] = Field(default_factory=dict)
    blinding: Blinding | None = None

    @field_validator("working_points")
    @classmethod
    def _check_working_points(cls, points: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < point < 1 for point in points):
            msg = "expected background efficiencies between 0 and 1, ends excluded"
            raise ValueError(msg)
        if len({working_point_name(point) for point in points}) != len(points):
            msg = "expected each efficiency once"
            raise ValueError(msg)
        return points

    @model_validator(mode="after")
    def _check_edges(self) -> HistogramSettings:
        if not self.mass_range[0] < self.mass_range[1]:
            msg = f"mass_range: expected two rising numbers; received {self.mass_range}"
            raise ValueError(msg)
        if len(self.pt_edges) < 2 or np.any(np.diff(self.pt_edges) <= 0):
            msg = f"pt_edges: expected at least two rising numbers; received {self.pt_edges}"
            raise ValueError(msg)
        return self

    @property
    def edges(self) -> Floats:
        """Edges of the mass axis [GeV]."""
        return np.linspace(*self.mass_range, self.n_bins + 1)

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the bins of pt of the joint table; an empty one where there is one bin.

        >>> HistogramSettings(pt_bins=(500, 600)).regions
        ('pt < 500', '500 < pt < 600', 'pt > 600')
        """
        pt = [f"{edge:g}" for edge in self.pt_bins]
        inner = [f"{low} < pt < {high}" for low, high in itertools.pairwise(pt)]
        return (f"pt < {pt[0]}", *inner, f"pt > {pt[-1]}") if pt else ("",)

    @property
    def spectra(self) -> list[tuple[str, float]]:
        """Score and background efficiency of each spectrum of the joint table; the first is uncut."""
        cuts = [(name, point) for name in self.hunted for point in self.working_points]
        return [("", 1.0), *cuts]


def working_point_name(efficiency: float) -> str:
    """Name a working point: `0.1` → `"0.1"`."""
    return f"{efficiency:g}"


def make_histogram(datasets: Sequence[str], settings: HistogramSettings) -> Histogram:
    """Make an empty histogram of one score.

    Returns:
        dataset × variation × working_point × mass × pt, with sums of w and w².
    """
    points = [ALL, *(working_point_name(point) for point in settings.working_points)]
    return hist.Hist(
        hist.axis.StrCategory(datasets, growth=True, name="dataset"),
        hist.axis.StrCategory(["nominal"], growth=True, name="variation"),
        hist.axis.StrCategory(points, name="working_point"),
        _mass_axis(settings),
        hist.axis.Variable(settings.pt_edges, name="pt", label="pt [GeV]"),
        storage=hist.storage.Weight(),
    )


def _make_joint_table(
    datasets: Sequence[str], settings: HistogramSettings, storage: Any
) -> Histogram:
    """Dataset × pattern × mass: numbers of jets by the spectra that they are in; × pt, if it is divided.

    A pattern has a 1 for each of `HistogramSettings.spectra` that holds the jet, and a 0 for the others.
    """
    pt = [hist.axis.StrCategory(settings.regions, name="pt", label="pt [GeV]")]
    names = [f"{name} {working_point_name(p)}" if name else ALL for name, p in settings.spectra]
    return hist.Hist(
        hist.axis.StrCategory(datasets, growth=True, name="dataset"),
        hist.axis.StrCategory([], growth=True, name="pattern", label=", ".join(names)),
        _mass_axis(settings),
        *(pt if settings.pt_bins else []),
        storage=storage,
    )


def _mass_axis(settings: HistogramSettings) -> Any:
    # Stored edges are equal to those of NumPy to the last bit; computed ones may not be.
    label = f"{settings.mass} [GeV]"
    return hist.axis.Variable(settings.edges, name=settings.mass, label=label)


@dataclass
class Totals:
    """What is added up over the parts of a scores table.

    Attributes:
        histograms: Score to histogram, see `make_histogram`.
        passed: Numbers of jets that pass each working point.
        hunted: The joint table: dataset × pattern × mass; None where nothing is hunted in.
        peaks: The same of known peaks, Σw and Σw² at the luminosity that is hunted in; None without any.
        weights: Summary of the weights that pseudo-data were drawn with.
    """

    histograms: Histograms = field(default_factory=dict)
    passed: Counts = field(default_factory=dict)
    hunted: Histogram | None = None
    peaks: Histogram | None = None
    weights: ExpectedWeights = field(default_factory=ExpectedWeights)

    def add(self, other: Totals) -> None:
        """Add those of other rows, in place."""
        for name, histogram in other.histograms.items():
            mine = self.histograms
            mine[name] = mine[name] + histogram if name in mine else histogram
        for name, datasets in other.passed.items():
            for dataset, counts in datasets.items():
                sums = self.passed.setdefault(name, {}).setdefault(
                    dataset, dict.fromkeys(counts, 0)
                )
                for point, number in counts.items():
                    sums[point] += number
        for name in ("hunted", "peaks"):
            own, more = getattr(self, name), getattr(other, name)
            if more is not None:
                setattr(self, name, more if own is None else own + more)
        self.weights += other.weights


@dataclass(frozen=True)
class Filler:
    """Fills histograms from rows of a scores table.

    Attributes:
        cuts: Name of each histogram to the column that is cut on, see `ScoreName`.
        datasets: Names on the dataset axes.

    Raises:
        InputError: A score that is hunted in is none of these.
    """

    settings: HistogramSettings
    cuts: Mapping[str, str]
    datasets: tuple[str, ...]

    def __post_init__(self) -> None:
        """Look up the scores that are hunted together."""
        self._hunted_cuts()

    def _hunted_cuts(self) -> dict[str, str]:
        columns = [*self.cuts, *self.cuts.values()]
        return {
            name: self.cuts.get(name) or ScoreName.find(name, columns).cut
            for name in self.settings.hunted
        }

    @property
    def columns(self) -> list[str]:
        """What has to be read of a scores table."""
        sample, blinding = self.settings.sample, self.settings.blinding
        more = (*(sample.columns if sample else ()), *(blinding.columns if blinding else ()))
        return list(dict.fromkeys((*self._filled_columns, "rank", *more)))

    @property
    def _filled_columns(self) -> tuple[str, ...]:
        return (self.settings.mass, "pt", "weight", *self.cuts.values())

    def check(self, scores: Jets) -> None:
        """Check that rows can be filled.

        Raises:
            InputError: If a column is missing.
            NonFiniteError: If a weight, mass, pt or score is NaN or infinite.
        """
        self._read(scores, self._filled_columns)

    def fill(self, scores: Jets, dataset: str) -> Totals:
        """Fill histograms with the jets of one dataset, weights as they are, and count jets.

        What is blinded of data is neither filled nor counted.

        Raises:
            InputError: If a column is missing, or jets of one event differ in weight.
            NonFiniteError: If a weight, mass, pt or score is NaN or infinite.
        """
        if (blinding := self.settings.blinding) and dataset in blinding.datasets:
            self.check(scores)
            scores = scores[blinding.visible(scores, dataset)]
        rows = self._read(scores, self._filled_columns)
        totals = Totals()
        for name, cut in self.cuts.items():
            histogram = make_histogram(self.datasets, self.settings)
            counts = {}
            for point, mask in self._passing(rows[cut]).items():
                values = (rows[column][mask] for column in (self.settings.mass, "pt"))
                histogram.fill(dataset, "nominal", point, *values, weight=rows["weight"][mask])
                counts[point] = int(np.count_nonzero(mask))
            totals.histograms[name] = histogram
            totals.passed[name] = {dataset: counts}
        if self.settings.sample is not None:
            totals.hunted, totals.weights = self.fill_joint_table(scores, dataset)
            if dataset in self.settings.peaks:
                totals.peaks = self._fill_peak(scores, dataset)
        return totals

    def fill_joint_table(self, scores: Jets, dataset: str) -> tuple[Histogram, ExpectedWeights]:
        """Fill the joint table with the jets of one dataset that are hunted in.

        Returns:
            dataset × pattern × mass, × pt if it is divided; and a summary of the weights that pseudo-data were
            drawn with: their sum over all parts has to be checked.

        Raises:
            InputError: If a column is missing, or jets of one event differ in weight.
            NonFiniteError: If a mass or score is NaN or infinite.
        """
        drawn, weights = None, ExpectedWeights()
        if self.settings.sample is not None:
            drawn, weights = self.settings.sample.rows_of_part(scores, dataset)
        return self._by_pattern(scores, dataset, hist.storage.Double(), rows=drawn), weights

    def _fill_peak(self, scores: Jets, dataset: str) -> Histogram:
        """Fill what is expected of a known peak, from events that pseudo-data were not drawn from."""
        assert self.settings.sample is not None
        scale = self.settings.peaks[dataset]
        weights = self.settings.sample.expected_of_part(scores, dataset, scale)
        return self._by_pattern(scores, dataset, hist.storage.Weight(), weights=weights)

    def _by_pattern(
        self,
        scores: Jets,
        dataset: str,
        storage: Any,
        *,
        rows: Bools | None = None,
        weights: Floats | None = None,
    ) -> Histogram:
        """Fill a joint table with some rows, or with weights."""
        settings, cuts = self.settings, self._hunted_cuts()
        by_pt = ("pt",) if settings.pt_bins else ()
        jets = self._read(scores, (settings.mass, *by_pt, *cuts.values()))
        mass = jets[settings.mass]
        passes = [np.ones(mass.size, np.bool_)]
        passes += [jets[cuts[name]] >= -np.log10(p) for name, p in settings.spectra[1:]]
        region = np.digitize(jets["pt"], settings.pt_bins) if by_pt else np.zeros(mass.size, int)
        kinds = np.column_stack([region, *passes])
        used = np.ones(mass.size, np.bool_) if rows is None else rows[self._used(scores)]
        own = np.ones(mass.size) if weights is None else weights[self._used(scores)]
        table = _make_joint_table(self.datasets, settings, storage)
        patterns, places = np.unique(kinds[used], axis=0, return_inverse=True)
        for place, (at, *pattern) in enumerate(patterns):
            name = "".join("1" if passed else "0" for passed in pattern)
            chosen = np.flatnonzero(used)[places.reshape(-1) == place]
            where = (settings.regions[at],) if by_pt else ()
            table.fill(dataset, name, mass[chosen], *where, weight=own[chosen])
        return table

    def _used(self, scores: Jets) -> Any:
        """The rows that are filled, those of leading jets alone if only these are asked for."""
        return np.asarray(scores["rank"]) == 0 if self.settings.leading_only else slice(None)

    def _read(self, scores: Jets, columns: Iterable[str]) -> dict[str, Floats]:
        """Columns to fill from, of the rows to fill; all finite."""
        columns = dict.fromkeys(columns)
        require_columns(scores, [*columns, "rank"], where="histograms")
        used = self._used(scores)
        rows = {}
        for name in columns:
            values = np.asarray(ak.to_numpy(scores[name]), np.float64)[used]
            if n_bad := int(np.count_nonzero(~np.isfinite(values))):
                msg = (
                    f"histograms: {n_bad} of {len(values)} values of {name} are NaN or infinite; a bin"
                    " would become one too: repair the source of this column"
                )
                raise NonFiniteError(msg)
            rows[name] = values
        return rows

    def _passing(self, rarity: Floats) -> dict[str, Bools]:
        points = self.settings.working_points
        passes = {working_point_name(point): rarity >= -np.log10(point) for point in points}
        return {ALL: np.ones(len(rarity), np.bool_), **passes}


def scale_histogram(histogram: Histogram, scales: Mapping[str, float]) -> Histogram:
    """Multiply each dataset by its factor (1 if it has none) and w² by its square, in a new one."""
    scaled = histogram.copy()
    view: Any = scaled.view(flow=True)
    for index, name in enumerate(scaled.axes["dataset"]):
        factor = scales.get(name, 1.0)
        view.value[index] *= factor
        view.variance[index] *= factor**2
    return scaled


def check_scales(scales: Mapping[str, float], kinds: Mapping[str, str]) -> None:
    """Check that every simulated dataset has a scale σ·k·L·1000/Σw, once there are scales at all.

    Raises:
        ConfigError: If a simulated dataset has none, an unknown one has one, or one is not finite.
    """
    missing = [name for name, kind in kinds.items() if kind != "data" and name not in scales]
    wrong = [name for name in scales if name not in kinds or not np.isfinite(scales[name])]
    if missing or wrong:
        msg = (
            f"scales: expected a finite factor for each simulated dataset of {', '.join(kinds)};"
            f" missing: {', '.join(missing) or 'none'}; unknown or not finite: {', '.join(wrong) or 'none'}"
        )
        raise ConfigError(msg)
