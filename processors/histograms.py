"""Histograms of jet mass: by score, working point and pt; and the joint table of what is hunted in."""

from __future__ import annotations

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

PT_EDGES = (150.0, 200.0, 300.0, 400.0, 500.0, 650.0, 800.0, 1000.0, 13000.0)
"""Edges of the pt axis [GeV] unless others are given."""


class HistogramSettings(Settings):
    """What is filled.

    Attributes:
        mass: Column of the mass axis, such as msoftdrop or mass.
        n_bins: Number of bins of the mass axis.
        mass_range: Its ends [GeV].
        pt_edges: Edges of the pt axis [GeV].
        working_points: Background efficiencies, each a cut on a calibrated or decorrelated score.
        leading_only: Fill the leading selected jet of each event alone.
        hunted: Scores whose spectra are hunted together, as histograms are named: they share the joint
            table. The first is the main one; none without a joint table.
        sample: The jets that are hunted in; None without a joint table.
        blinding: What of data is in no histogram; None where nothing is hidden.
    """

    mass: str = "msoftdrop"
    n_bins: int = Field(default=60, ge=1)
    mass_range: tuple[float, float] = (0.0, 300.0)
    pt_edges: tuple[float, ...] = PT_EDGES
    working_points: tuple[float, ...] = (0.1, 0.01)
    leading_only: bool = True
    hunted: tuple[str, ...] = ()
    sample: HuntSample | None = None
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


def _make_joint_table(datasets: Sequence[str], settings: HistogramSettings) -> Histogram:
    """Dataset × pattern × mass: numbers of jets by the spectra that they are in.

    A pattern has a 1 for each of `HistogramSettings.spectra` that holds the jet, and a 0 for the others.
    """
    names = [f"{name} {working_point_name(p)}" if name else ALL for name, p in settings.spectra]
    return hist.Hist(
        hist.axis.StrCategory(datasets, growth=True, name="dataset"),
        hist.axis.StrCategory([], growth=True, name="pattern", label=", ".join(names)),
        _mass_axis(settings),
        storage=hist.storage.Double(),
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
        weights: Summary of the weights that pseudo-data were drawn with.
    """

    histograms: Histograms = field(default_factory=dict)
    passed: Counts = field(default_factory=dict)
    hunted: Histogram | None = None
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
        if other.hunted is not None:
            self.hunted = other.hunted if self.hunted is None else self.hunted + other.hunted
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
        return totals

    def fill_joint_table(self, scores: Jets, dataset: str) -> tuple[Histogram, ExpectedWeights]:
        """Fill the joint table with the jets of one dataset that are hunted in.

        Returns:
            dataset × pattern × mass, and a summary of the weights that pseudo-data were drawn with:
            their sum over all parts has to be checked.

        Raises:
            InputError: If a column is missing, or jets of one event differ in weight.
            NonFiniteError: If a mass or score is NaN or infinite.
        """
        settings, weights = self.settings, ExpectedWeights()
        cuts = self._hunted_cuts()
        rows = self._read(scores, (settings.mass, *cuts.values()))
        mass = rows[settings.mass]
        passes = [np.ones(mass.size, np.bool_)]
        passes += [rows[cuts[name]] >= -np.log10(p) for name, p in settings.spectra[1:]]
        inside = np.stack(passes, axis=1)
        if settings.sample is not None:
            drawn, weights = settings.sample.rows_of_part(scores, dataset)
            drawn = drawn[self._used(scores)]
            mass, inside = mass[drawn], inside[drawn]
        table = _make_joint_table(self.datasets, settings)
        patterns, places = np.unique(inside, axis=0, return_inverse=True)
        for place, pattern in enumerate(patterns):
            name = "".join("1" if passed else "0" for passed in pattern)
            table.fill(dataset, name, mass[places.reshape(-1) == place])
        return table, weights

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
