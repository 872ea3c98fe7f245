"""The hunt: jets of a scores table, cut on an anomaly score, fitted beside a window and scanned."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from oddjet.analysis.background import BackgroundFit, fit_sidebands
from oddjet.analysis.bumphunt import BumpHunt, scan
from oddjet.analysis.config import HuntConfig, PseudoData
from oddjet.analysis.pseudodata import draw_pseudodata
from oddjet.datasets.folds import event_hash
from oddjet.datasets.manifest import DatasetSummary
from oddjet.errors import ConfigError, FitError

__all__ = ["Hunt", "HuntSample", "WorkingPoint", "choose_sample", "dataset_scales", "hunt"]

PB_TO_PER_IFB = 1000.0

Table = Mapping[str, npt.NDArray[Any]]

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class HuntSample:
    """The jets that are hunted in.

    Attributes:
        kind: ``data``, or ``pseudo-data`` drawn from simulation.
        lumi_ifb: Their luminosity [1/fb], None where it is not stated.
        rows: Mask over the scores table, shape (n_jets,).
        seed: Of the drawing of pseudo-data.
    """

    kind: Literal["data", "pseudo-data"]
    lumi_ifb: float | None
    rows: npt.NDArray[np.bool_]
    seed: int | None = None


@dataclasses.dataclass(frozen=True)
class WorkingPoint:
    """The mass spectrum after one cut, its background and its scan.

    Attributes:
        efficiency: Background efficiency of the cut; 1 before any.
        edges: Mass bin edges, n_bins + 1 of them [GeV].
        counts: Jets a bin, shape (n_bins,); NaN where blinded.
        fit: The sideband fit, None where it failed.
        scan: The bump hunt, None without a fit or while blinded.
        problem: Why there is no fit or no scan; empty where there are both.
    """

    efficiency: float
    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.float64]
    fit: BackgroundFit | None
    scan: BumpHunt | None
    problem: str = ""

    @property
    def name(self) -> str:
        """How the cut is called in tables and legends."""
        return "all jets" if self.efficiency == 1 else f"{100 * self.efficiency:g} % background"

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        return {
            "background_efficiency": self.efficiency,
            "edges": self.edges.tolist(),
            "counts": [None if np.isnan(count) else count for count in self.counts.tolist()],
            "fit": None if self.fit is None else self.fit.to_dict(),
            "bump_hunt": None if self.scan is None else self.scan.to_dict(),
            "problem": self.problem,
        }


@dataclasses.dataclass(frozen=True)
class Hunt:
    """The hunts at all working points of one score.

    Attributes:
        column: The score that was cut on.
        mass: The mass that was histogrammed.
        sample: The jets.
        blinded: Whether the window was kept shut.
        working_points: From no cut to the tightest.
    """

    column: str
    mass: str
    sample: HuntSample
    blinded: bool
    working_points: tuple[WorkingPoint, ...]

    @property
    def tightest(self) -> WorkingPoint:
        """The tightest working point, chosen before looking: what the summary quotes."""
        return self.working_points[-1]

    def rows(self) -> list[tuple[str, ...]]:
        """One line a working point: cut, jets, function, its p, best window, local and global p."""
        rows: list[tuple[str, ...]] = []
        for point in self.working_points:
            jets = f"{np.nansum(point.counts):,.0f}"
            fit, found = point.fit, point.scan
            shape = (fit.name, f"{fit.p_value:.2g}") if fit else ("none", "–")
            if found is None:
                rows.append((point.name, jets, *shape, point.problem, "–", "–"))
                continue
            bound = "≤ " if found.global_p_is_bound else ""
            window = f"{found.window[0]:g}–{found.window[1]:g}"
            local_p = f"{found.local_p_fixed_background:.2g}"
            global_p = f"{bound}{found.global_p_fixed_background:.2g}"
            rows.append((point.name, jets, *shape, window, local_p, global_p))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        return {
            "score": self.column,
            "mass": self.mass,
            "sample": self.sample.kind,
            "lumi_ifb": self.sample.lumi_ifb,
            "blinded": self.blinded,
            "p_values": "fixed background; each working point by itself",
            "working_points": [point.to_dict() for point in self.working_points],
        }


def dataset_scales(
    datasets: Mapping[str, DatasetSummary], lumi_ifb: float | None
) -> dict[str, float]:
    """Give the factor σ · k · L / Σw that turns a weight into expected events.

    Args:
        datasets: What the skim knows of each dataset.
        lumi_ifb: Luminosity [1/fb]; None leaves simulation at weight 1.

    Returns:
        The factor of each dataset; 1 for data.

    Raises:
        ConfigError: A simulated dataset has no cross section, or its Σw is not positive.
    """
    scales = {}
    for name, dataset in datasets.items():
        if dataset.kind == "data" or lumi_ifb is None:
            scales[name] = 1.0
            continue
        if dataset.cross_section_pb is None:
            msg = (
                f"dataset '{name}' has no cross_section_pb: it cannot be scaled to {lumi_ifb:g}/fb"
            )
            raise ConfigError(msg)
        if dataset.sumw <= 0:
            msg = f"dataset '{name}' has Σ genWeight = {dataset.sumw:g}: expected a positive sum"
            raise ConfigError(msg)
        sigma_pb = dataset.cross_section_pb * dataset.k_factor
        scales[name] = sigma_pb * lumi_ifb * PB_TO_PER_IFB / dataset.sumw
    return scales


def choose_sample(
    table: Table,
    datasets: Mapping[str, DatasetSummary],
    *,
    pseudo_data: PseudoData | None = None,
    lumi_ifb: float | None = None,
) -> HuntSample:
    """Take the data where there are some, else draw pseudo-data from simulation.

    Args:
        table: Columns of the scores table, each of shape (n_jets,).
        datasets: What is known of each dataset.
        pseudo_data: Luminosity and seed of the drawing.
        lumi_ifb: Luminosity of the data [1/fb], for labels.

    Raises:
        ConfigError: There are neither data nor a luminosity for pseudo-data, or both.
    """
    names = np.asarray(table["dataset"])
    data = [name for name, dataset in datasets.items() if dataset.kind == "data"]
    if data and pseudo_data is not None:
        msg = (
            f"the fileset holds data ({', '.join(data)}) and pseudo_data are asked for: "
            "drop one, so that it is clear what is hunted in"
        )
        raise ConfigError(msg)
    if data:
        return HuntSample("data", lumi_ifb, np.isin(names, data))
    if pseudo_data is None:
        msg = (
            "there are no data to hunt in: add a dataset of kind 'data', or draw pseudo-data from "
            "the simulation with pseudo_data: {lumi_ifb: …, seed: …} (--pseudo-data LUMI SEED)"
        )
        raise ConfigError(msg)
    scales = dataset_scales(datasets, pseudo_data.lumi_ifb)
    scale = np.zeros(names.size)
    for name, factor in scales.items():
        scale[names == name] = factor
    rows = draw_pseudodata(
        np.asarray(table["weight"]) * scale,
        event_hash(table["run"], table["luminosityBlock"], table["event"]),
        names,
        lumi_ifb=pseudo_data.lumi_ifb,
        seed=pseudo_data.seed,
    )
    return HuntSample("pseudo-data", pseudo_data.lumi_ifb, rows, pseudo_data.seed)


def hunt(
    table: Table, column: str, sample: HuntSample, settings: HuntConfig, *, unblind: bool = False
) -> Hunt:
    """Cut, histogram, fit and scan at every working point.

    A fit that fails is reported with its reason, and nothing is scanned with it.

    Args:
        table: Columns of the scores table, each of shape (n_jets,).
        column: A raw score; the cut is on ``{column}_calibrated``.
        sample: The jets to hunt in.
        settings: Mass, binning, window, working points.
        unblind: Look into the window of data. Pseudo-data are never blinded.

    Raises:
        ConfigError: The table has no such score or mass.
    """
    for name in (f"{column}_calibrated", settings.mass):
        if name not in table:
            msg = f"the scores table has no column '{name}': it has {', '.join(sorted(table))}"
            raise ConfigError(msg)
    blinded = sample.kind == "data" and not unblind
    use = sample.rows.copy()
    if settings.jets == "leading":
        use &= np.asarray(table["rank"]) == 0
    mass = np.asarray(table[settings.mass], dtype=np.float64)[use]
    survival = np.asarray(table[f"{column}_calibrated"])[use]
    points = [
        _hunt_one(mass[survival >= -np.log10(efficiency)], efficiency, settings, blinded=blinded)
        for efficiency in (1.0, *settings.working_points)
    ]
    return Hunt(column, settings.mass, sample, blinded, tuple(points))


def _hunt_one(
    mass: npt.NDArray[np.float64], efficiency: float, settings: HuntConfig, *, blinded: bool
) -> WorkingPoint:
    edges = np.linspace(*settings.range, settings.n_bins + 1)
    if blinded:
        # Counts in the window never come to exist.
        overlap = (edges[1:] > settings.window[0]) & (edges[:-1] < settings.window[1])
        low, high = edges[:-1][overlap].min(), edges[1:][overlap].max()
        mass = mass[(mass < low) | (mass >= high)]
    counts = np.histogram(mass, edges)[0].astype(np.float64)
    try:
        fit = fit_sidebands(
            counts,
            edges,
            window=settings.window,
            function=settings.function,
            blind_window=settings.window if blinded else None,
        )
    except FitError as error:
        _log.warning("background efficiency %g: no fit: %s", efficiency, error)
        hidden = np.where(overlap, np.nan, counts) if blinded else counts
        return WorkingPoint(efficiency, edges, hidden, None, None, f"no fit: {error}")
    if blinded:
        return WorkingPoint(efficiency, edges, fit.counts, fit, None, "blinded: not scanned")
    try:
        found = scan(
            counts,
            edges,
            fit.expected,
            n_toys=settings.n_toys,
            seed=settings.seed,
            widths=settings.widths,
            label=f"background efficiency {efficiency:g}",
        )
    except FitError as error:
        return WorkingPoint(efficiency, edges, fit.counts, fit, None, f"no scan: {error}")
    return WorkingPoint(efficiency, edges, fit.counts, fit, found)
