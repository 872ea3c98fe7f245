"""The hunt: jets of a scores table, cut on anomaly scores, fitted beside a window, scanned together."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from oddjet.analysis.config import HuntConfig, PseudoData
from oddjet.analysis.hunt.result import Hunt, HuntSample, WorkingPoint
from oddjet.analysis.scores.pseudodata import draw_pseudodata
from oddjet.analysis.statistics.background.fit import fit_sidebands
from oddjet.analysis.statistics.background.functions import FAMILIES
from oddjet.analysis.statistics.background.methods import compare_methods
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.result import BumpHunt
from oddjet.analysis.statistics.bumphunt.scan import scan, scan_table
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.spectrum import Histogram, Spectrum, whole_bins
from oddjet.datasets.folds import event_hash
from oddjet.datasets.skims.manifest import DatasetSummary
from oddjet.errors import ConfigError, FitError
from oddjet.ml.score_names import ScoreName
from oddjet.typing import Floats, Table

__all__ = [
    "Hunt",
    "HuntSample",
    "WorkingPoint",
    "choose_sample",
    "dataset_scales",
    "hunt",
    "hunt_histogram",
]

PB_TO_PER_IFB = 1000.0


_log = logging.getLogger(__name__)


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
    table: Table,
    columns: str | Sequence[str],
    sample: HuntSample,
    settings: HuntConfig,
    *,
    unblind: bool = False,
    workers: int = 1,
) -> Hunt:
    """Cut, histogram, fit and scan at every working point of every score.

    All spectra are scanned together, so that the global p is corrected for having looked at all of
    them. A fit that fails is reported with its reason, and its spectrum is not scanned.

    Args:
        table: Columns of the scores table, each of shape (n_jets,).
        columns: Scores as histograms are named: a raw score, which is cut on where it is calibrated,
            or a decorrelated one. The first is the main one.
        sample: The jets to hunt in.
        settings: Mass, binning, window, working points.
        unblind: Look into the window of data. Pseudo-data are never blinded.
        workers: Threads of the scan.

    Raises:
        ConfigError: The table has no such mass.
        InputError: The table has no such score.
    """
    scores = (columns,) if isinstance(columns, str) else tuple(columns)
    cuts = {name: ScoreName.find(name, table).cut for name in scores}
    if settings.mass not in table:
        msg = f"the scores table has no column '{settings.mass}': it has {', '.join(sorted(table))}"
        raise ConfigError(msg)
    blinded = sample.kind == "data" and not unblind
    use = sample.rows.copy()
    if settings.jets == "leading":
        use &= np.asarray(table["rank"]) == 0
    mass = np.asarray(table[settings.mass], dtype=np.float64)[use]
    passes = {("", 1.0): np.ones(mass.size, dtype=np.bool_)}
    for name, column in cuts.items():
        survival = np.asarray(table[column])[use]
        for efficiency in settings.working_points:
            passes[name, efficiency] = survival >= -np.log10(efficiency)
    points = [
        _fit_one(mass[passed], name, efficiency, settings, blinded=blinded)
        for (name, efficiency), passed in passes.items()
    ]
    points = [_with_methods(point, points[0], settings, blinded=blinded) for point in points]
    found, problem = None, "blinded: not scanned" if blinded else ""
    if not blinded:
        found, problem = _scan(mass, list(passes.values()), points, settings, workers)
    return Hunt(scores, settings.mass, sample, blinded, _with_scans(points, found), found, problem)


def hunt_histogram(
    histogram: Histogram,
    settings: ScanSettings,
    *,
    background: Floats | None = None,
    workers: int = 1,
) -> BumpHunt:
    """Scan a mass histogram of numbers of events, wherever it comes from.

    Args:
        histogram: A `Spectrum`, or any UHI histogram of numbers of events.
        settings: How to scan; its range is not applied here.
        background: Expected events, shape (n_bins,), taken as known; a function is fitted beside each
            window without.
        workers: Threads.

    Raises:
        FitError: The histogram is not fit for it: see `Spectrum.checked`; or nothing can be fitted.
        ConfigError: A background and a signal width are given: one of them.
    """
    if background is None:
        return scan_table(JointTable.from_histogram(histogram), settings, workers=workers)
    if settings.signal_width is not None:
        msg = "a signal is fitted with a function of the background: give no --background"
        raise ConfigError(msg)
    return scan(histogram, background, settings, workers=workers)


def _fit_one(
    mass: npt.NDArray[np.float64],
    column: str,
    efficiency: float,
    settings: HuntConfig,
    *,
    blinded: bool,
) -> WorkingPoint:
    """Histogram the jets that pass a cut and fit them beside the signal window."""
    edges = _edges(settings)
    if blinded:
        # Counts in the window never come to exist.
        low, high = whole_bins(edges, settings.window)
        mass = mass[(mass < low) | (mass >= high)]
    spectrum = Spectrum.from_histogram(
        np.histogram(mass, edges), blind_window=settings.window if blinded else None
    )
    counts = spectrum.counts
    try:
        fit = fit_sidebands(spectrum, window=settings.window, function=settings.function)
    except FitError as error:
        _log.warning("%s at %g: no fit: %s", column or "all jets", efficiency, error)
        return WorkingPoint(column, efficiency, edges, counts, None, None, f"no fit: {error}")
    problem = "blinded: not scanned" if blinded else ""
    return WorkingPoint(column, efficiency, edges, counts, fit, None, problem)


def _with_methods(
    point: WorkingPoint, everything: WorkingPoint, settings: HuntConfig, *, blinded: bool
) -> WorkingPoint:
    """Add other families and, after a cut, the transfer from the jets that fail it."""
    if point.fit is None:
        return point
    families = [name for name in FAMILIES if not settings.function.startswith(name)]
    failing = np.nan_to_num(everything.counts - point.counts)
    try:
        spread = compare_methods(
            Spectrum(point.edges, point.counts, blind_window=settings.window if blinded else None),
            window=settings.window,
            functions=(settings.function, *families),
            failing=(failing, point.edges) if point.column else None,
        )
    except FitError as error:
        _log.info("%s: no spread of methods: %s", point.name, error)
        return point
    return dataclasses.replace(point, methods=spread)


def _scan(
    mass: npt.NDArray[np.float64],
    passes: Sequence[npt.NDArray[np.bool_]],
    points: Sequence[WorkingPoint],
    settings: HuntConfig,
    workers: int,
) -> tuple[BumpHunt | None, str]:
    """Scan all spectra that could be fitted; or say why there is no scan."""
    used = [i for i, point in enumerate(points) if point.fit is not None]
    if not used:
        return None, "no scan: no spectrum could be fitted"
    try:
        joint = JointTable.from_jets(
            mass,
            np.stack([passes[i] for i in used], axis=1),
            _edges(settings),
            labels=[points[i].name for i in used],
        )
        found = scan_table(joint, settings, workers=workers)
    except FitError as error:
        _log.warning("no scan: %s", error)
        return None, f"no scan: {error}"
    return found, ""


def _with_scans(points: Sequence[WorkingPoint], found: BumpHunt | None) -> tuple[WorkingPoint, ...]:
    scans = {} if found is None else {channel.label: channel for channel in found.channels}
    return tuple(dataclasses.replace(point, scan=scans.get(point.name)) for point in points)


def _edges(settings: HuntConfig) -> npt.NDArray[np.float64]:
    return np.linspace(*settings.range, settings.n_bins + 1)
