"""Histograms of jet mass and pt at working points of a score: made, filled, saved as UHI JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import awkward as ak
import hist
import numpy as np
import numpy.typing as npt
import uhi.io.json
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from oddjet.datasets.disk.atomic import write_text
from oddjet.datasets.jets import Jets, require_columns
from oddjet.errors import ConfigError, InputError, NonFiniteError
from oddjet.ml.score_names import ScoreName
from oddjet.typing import Floats

__all__ = [
    "ALL",
    "PT_EDGES",
    "Histogram",
    "HistogramSettings",
    "Histograms",
    "check_rows",
    "count_passed",
    "cut_columns",
    "fill_histograms",
    "load_histograms",
    "make_histogram",
    "save_histograms",
    "scale_histogram",
    "working_point_name",
]

Histogram: TypeAlias = "hist.Hist[Any]"
"""What `make_histogram` makes."""

Histograms: TypeAlias = dict[str, Histogram]
"""Column of a raw score (`label_score`), or of a decorrelated one (`label_score_method`), to its
histogram."""

ALL = "all"
"""Name of the working point without a cut."""

PT_EDGES = (150.0, 200.0, 300.0, 400.0, 500.0, 650.0, 800.0, 1000.0, 13000.0)
"""Edges of the pt axis [GeV] unless others are given."""


class HistogramSettings(BaseModel):
    """What is filled.

    Attributes:
        mass: Column of the mass axis, such as msoftdrop or mass.
        n_bins: Number of bins of the mass axis.
        mass_range: Its ends [GeV].
        pt_edges: Edges of the pt axis [GeV].
        working_points: Background efficiencies, each a cut on a calibrated or decorrelated score.
        leading_only: Fill the leading selected jet of each event alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mass: str = "msoftdrop"
    n_bins: int = Field(default=60, ge=1)
    mass_range: tuple[float, float] = (0.0, 300.0)
    pt_edges: tuple[float, ...] = PT_EDGES
    working_points: tuple[float, ...] = (0.1, 0.01)
    leading_only: bool = True

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


def working_point_name(efficiency: float) -> str:
    """Name a working point: `0.1` → `"0.1"`."""
    return f"{efficiency:g}"


def cut_columns(names: Iterable[str], decorrelated: Iterable[str] = ()) -> dict[str, str]:
    """Tell which columns can be cut on: those that hold −log10 of the background's survival.

    Args:
        names: Columns of raw scores; their calibrated forms can be cut on.
        decorrelated: Columns of decorrelated scores, which can be cut on as they are.

    Returns:
        Name of the histogram, or of the score in counts, to the column that is cut on.

    >>> cut_columns(["k_mse"], ["k_mse_ddt"])
    {'k_mse': 'k_mse_calibrated', 'k_mse_ddt': 'k_mse_ddt'}
    """
    calibrated = {name: ScoreName(name).calibrated for name in names}
    return {**calibrated, **{name: name for name in decorrelated}}


def make_histogram(datasets: Sequence[str], settings: HistogramSettings) -> Histogram:
    """Make an empty histogram.

    Args:
        datasets: Names on the dataset axis.
        settings: The other axes.

    Returns:
        dataset × variation × working_point × mass × pt, with sums of w and w².
    """
    points = [ALL, *(working_point_name(point) for point in settings.working_points)]
    return hist.Hist(
        hist.axis.StrCategory(datasets, growth=True, name="dataset"),
        hist.axis.StrCategory(["nominal"], growth=True, name="variation"),
        hist.axis.StrCategory(points, name="working_point"),
        hist.axis.Regular(
            settings.n_bins,
            *settings.mass_range,
            name=settings.mass,
            label=f"{settings.mass} [GeV]",
        ),
        hist.axis.Variable(settings.pt_edges, name="pt", label="pt [GeV]"),
        storage=hist.storage.Weight(),
    )


def fill_histograms(
    scores: Jets,
    *,
    dataset: str,
    names: Sequence[str],
    settings: HistogramSettings,
    datasets: Sequence[str],
    decorrelated: Sequence[str] = (),
) -> Histograms:
    """Fill one histogram a score with the jets of one dataset, weights as they are.

    Args:
        scores: Rows of a scores table.
        dataset: Their dataset.
        names: Columns of raw scores; `{name}_calibrated` is what is cut on.
        decorrelated: Columns of decorrelated scores, cut on as they are.
        settings: What to fill.
        datasets: Names on the dataset axis.

    Returns:
        The histograms by score.

    Raises:
        InputError: If a column is missing.
        NonFiniteError: If a weight, mass, pt or score is NaN or infinite.
    """
    cuts = cut_columns(names, decorrelated)
    rows = _rows(scores, cuts.values(), settings)
    mass = rows[settings.mass]
    histograms = {}
    for name, cut in cuts.items():
        histogram = make_histogram(datasets, settings)
        for point, mask in _passing(rows[cut], settings).items():
            histogram.fill(
                dataset, "nominal", point, mass[mask], rows["pt"][mask], weight=rows["weight"][mask]
            )
        histograms[name] = histogram
    return histograms


def count_passed(
    scores: Jets,
    *,
    names: Sequence[str],
    settings: HistogramSettings,
    decorrelated: Sequence[str] = (),
) -> dict[str, dict[str, int]]:
    """Count jets that pass each working point.

    Args:
        scores: Rows of a scores table.
        names: Columns of raw scores.
        decorrelated: Columns of decorrelated scores.
        settings: What is filled.

    Returns:
        Score to working point to number of jets.

    Raises:
        InputError: If a column is missing.
        NonFiniteError: If a score is NaN or infinite.
    """
    cuts = cut_columns(names, decorrelated)
    rows = _rows(scores, cuts.values(), settings)
    return {
        name: {
            point: int(np.count_nonzero(mask))
            for point, mask in _passing(rows[cut], settings).items()
        }
        for name, cut in cuts.items()
    }


def scale_histogram(histogram: Histogram, scales: Mapping[str, float]) -> Histogram:
    """Multiply each dataset by its factor, w² by its square.

    Args:
        histogram: As `make_histogram` makes it; left as it is.
        scales: Dataset to factor; 1 for datasets that are not named.

    Returns:
        A new histogram.
    """
    scaled = histogram.copy()
    view: Any = scaled.view(flow=True)
    for index, name in enumerate(scaled.axes["dataset"]):
        factor = scales.get(name, 1.0)
        view.value[index] *= factor
        view.variance[index] *= factor**2
    return scaled


def save_histograms(path: Path | str, histograms: Histograms) -> None:
    """Write histograms as JSON in the UHI form, atomically.

    Args:
        path: The file.
        histograms: Any histograms by name.
    """
    write_text(path, json.dumps(histograms, default=uhi.io.json.default) + "\n")


def load_histograms(path: Path | str) -> Histograms:
    """Read what `save_histograms` wrote.

    Args:
        path: The file.

    Returns:
        The histograms by name.

    Raises:
        InputError: If the file is missing or holds something else.
    """
    try:
        content = json.loads(
            Path(path).read_text(encoding="utf-8"), object_hook=uhi.io.json.object_hook
        )
        return {name: hist.Hist(histogram) for name, histogram in content.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f"{path} holds no histograms in UHI JSON: {error}"
        raise InputError(msg) from error


def check_scales(scales: Mapping[str, float], kinds: Mapping[str, str]) -> None:
    """Check that every simulated dataset has a scale, once there are scales at all.

    Args:
        scales: Dataset to σ·k·L·1000/Σw.
        kinds: Dataset to kind.

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


def check_rows(scores: Jets, cuts: Iterable[str], settings: HistogramSettings) -> None:
    """Check that rows of a scores table can be filled.

    Args:
        scores: The rows.
        cuts: Columns that are cut on.
        settings: What is filled.

    Raises:
        InputError: If a column is missing.
        NonFiniteError: If a weight, mass, pt or score is NaN or infinite.
    """
    _rows(scores, cuts, settings)


def _rows(scores: Jets, cuts: Iterable[str], settings: HistogramSettings) -> dict[str, Floats]:
    """Columns to fill from, of the rows to fill; all finite."""
    columns = [settings.mass, "pt", "weight", *cuts]
    require_columns(scores, [*columns, "rank"], where="histograms")
    chosen = np.asarray(scores["rank"]) == 0 if settings.leading_only else slice(None)
    rows = {}
    for name in columns:
        values = np.asarray(ak.to_numpy(scores[name]), np.float64)[chosen]
        if n_bad := int(np.count_nonzero(~np.isfinite(values))):
            msg = (
                f"histograms: {n_bad} of {len(values)} values of {name} are NaN or infinite; a bin"
                " would become one too: repair the source of this column"
            )
            raise NonFiniteError(msg)
        rows[name] = values
    return rows


def _passing(rarity: Floats, settings: HistogramSettings) -> dict[str, npt.NDArray[np.bool_]]:
    masks = {ALL: np.ones(len(rarity), bool)}
    for point in settings.working_points:
        masks[working_point_name(point)] = rarity >= -np.log10(point)
    return masks


def add_histograms(total: Histograms, more: Mapping[str, Any]) -> None:
    """Add histograms to others in place, or put them there.

    Args:
        total: Histograms by name.
        more: Histograms with the same axes.
    """
    for name, histogram in more.items():
        total[name] = total[name] + histogram if name in total else histogram
