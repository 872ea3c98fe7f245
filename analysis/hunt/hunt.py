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
from oddjet.analysis.statistics.background import DEFAULT, FAMILIES, fit_sidebands
from oddjet.analysis.statistics.background.methods import compare_methods
from oddjet.analysis.statistics.bumphunt import (
    BumpHunt,
    JointTable,
    scan,
    scan_jointly,
    scan_signals,
)
from oddjet.datasets.folds import event_hash
from oddjet.datasets.skims.manifest import DatasetSummary
from oddjet.errors import ConfigError, FitError
from oddjet.ml.score_names import ScoreName
from oddjet.typing import Table

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
    counts: npt.NDArray[np.float64],
    edges: npt.NDArray[np.float64],
    *,
    background: npt.NDArray[np.float64] | None = None,
    function: str = DEFAULT,
    widths: tuple[int, int] = (2, 8),
    signal_width: float | None = None,
    n_toys: int,
    seed: int,
    workers: int = 1,
    label: str = "",
) -> BumpHunt:
    """Scan a mass histogram of numbers of events, wherever it comes from.

    Args:
        counts: Numbers of events, shape (n_bins,).
        edges: Bin edges, n_bins + 1 of them [GeV].
        background: Expected events, shape (n_bins,), taken as known; a function is fitted beside each
            window without.
        function: The function, as in `HuntConfig`.
        widths: Narrowest and widest window [bins].
        signal_width: As in `HuntConfig`.
        n_toys: Background-only pseudo-experiments.
        seed: Their seed.
        workers: Threads.
        label: Its name, for tables.

    Raises:
        FitError: The histogram is not fit for it: see `check_counts`; or nothing can be fitted.
        ConfigError: A background and a signal width are given: one of them.
    """
    if background is not None:
        if signal_width is not None:
            msg = "a signal is fitted with a function of the background: give no --background"
            raise ConfigError(msg)
        return scan(
            counts, edges, background, n_toys=n_toys, seed=seed, widths=widths, label=label,
            workers=workers,
        )  # fmt: skip
    joint = JointTable.from_histogram(counts, edges, label=label)
    return _scan_table(
        joint, function=function, widths=widths, signal_width=signal_width, n_toys=n_toys,
        seed=seed, workers=workers,
    )  # fmt: skip


def _scan_table(
    joint: JointTable,
    *,
    function: str,
    widths: tuple[int, int],
    signal_width: float | None,
    n_toys: int,
    seed: int,
    workers: int,
) -> BumpHunt:
    if signal_width is None:
        return scan_jointly(
            joint, n_toys=n_toys, seed=seed, widths=widths, function=function, workers=workers
        )
    # A signal that the range cuts off at its core is the background's shape.
    edges = joint.edges
    masses = edges[(edges >= edges[0] + signal_width) & (edges <= edges[-1] - signal_width)]
    return scan_signals(
        joint, masses.tolist(), width=signal_width, n_toys=n_toys, seed=seed, function=function,
        workers=workers,
    )  # fmt: skip


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
        _log.warning("%s at %g: no fit: %s", column or "all jets", efficiency, error)
        hidden = np.where(overlap, np.nan, counts) if blinded else counts
        return WorkingPoint(column, efficiency, edges, hidden, None, None, f"no fit: {error}")
    problem = "blinded: not scanned" if blinded else ""
    return WorkingPoint(column, efficiency, edges, fit.counts, fit, None, problem)


def _with_methods(
    point: WorkingPoint, everything: WorkingPoint, settings: HuntConfig, *, blinded: bool
) -> WorkingPoint:
    """Add other families and, after a cut, the transfer from the jets that fail it."""
    if point.fit is None:
        return point
    families = [name for name in FAMILIES if not settings.function.startswith(name)]
    window = settings.window if blinded else None
    try:
        spread = compare_methods(
            np.where(np.isnan(point.counts), 0.0, point.counts),
            point.edges,
            window=settings.window,
            functions=(settings.function, *families),
            failing=np.nan_to_num(everything.counts - point.counts) if point.column else None,
            blind_window=window,
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
        found = _scan_table(
            joint,
            function=settings.function,
            widths=settings.widths,
            signal_width=settings.signal_width,
            n_toys=settings.n_toys,
            seed=settings.seed,
            workers=workers,
        )
    except FitError as error:
        _log.warning("no scan: %s", error)
        return None, f"no scan: {error}"
    return found, ""


def _with_scans(points: Sequence[WorkingPoint], found: BumpHunt | None) -> tuple[WorkingPoint, ...]:
    scans = {} if found is None else {channel.label: channel for channel in found.channels}
    return tuple(dataclasses.replace(point, scan=scans.get(point.name)) for point in points)


def _edges(settings: HuntConfig) -> npt.NDArray[np.float64]:
    return np.linspace(*settings.range, settings.n_bins + 1)
