"""Which jets of a scores table an analysis hunts in, and how simulation is scaled to a luminosity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.analysis.config import HuntConfig, PseudoData
from oddjet.analysis.statistics.spectrum import whole_bins
from oddjet.datasets.skims.manifest import DatasetSummary
from oddjet.datasets.skims.skim import Skim
from oddjet.errors import ConfigError, FitError, MissingDataError
from oddjet.processors.blinding import Blinding
from oddjet.processors.histograms import HistogramSettings
from oddjet.processors.sample import HeldOut, HuntSample
from oddjet.typing import Bools, Floats

__all__ = [
    "HuntSample",
    "blinded_range",
    "choose_sample",
    "dataset_scales",
    "histogram_settings",
    "hunted_rows",
    "leading_mass",
    "peak_scales",
]

PB_TO_PER_IFB = 1000.0


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
        ConfigError: A simulated dataset has no cross section, or the Σw of its generated events is not known or
            not positive.
        MissingDataError: Σw is stated, and parts are missing.
    """
    scales = {}
    for name, dataset in datasets.items():
        if dataset.kind == "data" or lumi_ifb is None:
            scales[name] = 1.0
            continue
        sigma_pb, sumw = _cross_section(name, dataset, lumi_ifb)
        scales[name] = sigma_pb * lumi_ifb * PB_TO_PER_IFB / sumw
    return scales


def peak_scales(datasets: Mapping[str, DatasetSummary], sample: HuntSample) -> dict[str, float]:
    """Give the events that a unit weight of each peaking dataset stands for at 1/fb.

    Raises:
        ConfigError: The luminosity of the sample is not known; or as of `dataset_scales`.
    """
    peaking = {name: dataset for name, dataset in datasets.items() if dataset.kind == "peaking"}
    if peaking and sample.lumi_ifb is None:
        msg = (
            f"the luminosity of the jets that are hunted in is not known, so neither is how many of them "
            f"{', '.join(peaking)} should give, which are peaking: set lumi_ifb of the data, or leave these datasets out"
        )
        raise ConfigError(msg)
    return dataset_scales(peaking, 1.0)


def _cross_section(name: str, dataset: DatasetSummary, lumi_ifb: float) -> tuple[float, float]:
    """σ · k of simulation [pb], and the Σw of the generated events that it belongs to."""
    if dataset.cross_section_pb is None:
        msg = f"dataset '{name}' has no cross_section_pb: it cannot be scaled to {lumi_ifb:g}/fb"
        raise ConfigError(msg)
    sumw = dataset.generated_sumw
    if sumw is None and not dataset.is_whole:
        msg = (
            f"parts of dataset '{name}' are missing, so it is not known which part of the stated Σ weight the rest stands for:"
            " repeat the skim until nothing is missing, or list the files that can be read and state their sum"
        )
        raise MissingDataError(msg)
    if sumw is None:
        msg = (
            f"dataset '{name}' has a cross section, and the Σ weight of all its generated events is not known: skim its"
            " files again with sumw or n_events in the fileset, or with accept: [unknown_history]"
        )
        raise ConfigError(msg)
    if sumw <= 0:
        msg = f"dataset '{name}' has Σ genWeight = {sumw:g}: expected a positive sum"
        raise ConfigError(msg)
    return dataset.cross_section_pb * dataset.k_factor, sumw


def choose_sample(
    datasets: Mapping[str, DatasetSummary],
    *,
    pseudo_data: PseudoData | None = None,
    lumi_ifb: float | None = None,
    held_out: HeldOut | None = None,
) -> HuntSample:
    """Take the data if there are any, else draw pseudo-data from simulation.

    Of what something was learned on, only the events that were held out: of data that is a share of the
    luminosity, of all data alike.

    Args:
        datasets: What is known of each dataset.
        pseudo_data: Luminosity and seed of the drawing.
        lumi_ifb: Luminosity of all data [1/fb], for labels.
        held_out: The events that nothing was learned on; all where None.

    Raises:
        ConfigError: There are neither data nor a luminosity for pseudo-data, or both; or nothing was held out.
    """
    held_out = held_out or HeldOut()
    data = [name for name, dataset in datasets.items() if dataset.kind == "data"]
    if data and pseudo_data is not None:
        msg = (
            f"the fileset holds data ({', '.join(data)}) and pseudo_data are asked for: "
            "drop one, so that it is clear what is hunted in"
        )
        raise ConfigError(msg)
    if data:
        scales, fresh = dict.fromkeys(data, 1.0), held_out.only(data)
        if fresh.datasets:  # also of data that came later, so that there is one luminosity
            fresh = _checked(replace(fresh, datasets=tuple(data)))
            lumi_ifb = lumi_ifb and lumi_ifb * fresh.share
        caveats = _caveats(datasets, scales)
        return HuntSample("data", lumi_ifb, scales=scales, caveats=caveats, held_out=fresh)
    if pseudo_data is None:
        msg = (
            "there are no data to hunt in: add a dataset of kind 'data', or draw pseudo-data from "
            "the simulation with pseudo_data: {lumi_ifb: …, seed: …} (--pseudo-data LUMI SEED)"
        )
        raise ConfigError(msg)
    scales = dataset_scales(datasets, pseudo_data.lumi_ifb)
    caveats, fresh = _caveats(datasets, scales), _checked(held_out.only(scales))
    return HuntSample("pseudo-data", pseudo_data.lumi_ifb, pseudo_data.seed, scales, caveats, fresh)


def _checked(held_out: HeldOut) -> HeldOut:
    if held_out.datasets and not held_out.share > 0:
        msg = (
            f"nothing of {', '.join(held_out.datasets)} was held out from learning, so there are no jets to hunt in: "
            "train with training.held_out above 0, or hunt in other datasets"
        )
        raise ConfigError(msg)
    return held_out


def _caveats(datasets: Mapping[str, DatasetSummary], names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{name}: {note}" for name in names for note in datasets[name].caveats)


def histogram_settings(
    settings: HuntConfig,
    scores: Sequence[str] = (),
    sample: HuntSample | None = None,
    *,
    blinding: Blinding | None = None,
    peaks: Mapping[str, float] | None = None,
) -> HistogramSettings:
    """Give the histograms that a hunt needs.

    Args:
        settings: Mass, binning, working points, choice of jets.
        scores: The scores that are hunted with, as histograms are named; the first is the main one.
        sample: The jets that are hunted in; None while they are not known.
        blinding: What of data is hidden, see `oddjet.analysis.scores.blinding`.
        peaks: Datasets of known peaks, see `peak_scales`.
    """
    return HistogramSettings(
        mass=settings.mass,
        n_bins=settings.n_bins,
        mass_range=settings.range,
        pt_edges=settings.pt_edges,
        pt_bins=settings.pt_bins,
        working_points=settings.working_points,
        leading_only=settings.jets == "leading",
        hunted=tuple(scores),
        sample=sample,
        peaks=dict(peaks or {}),
        blinding=blinding,
    )


def hunted_rows(
    jets: Any, settings: HuntConfig, *, blinded: bool = False, in_range: bool = True
) -> Bools:
    """Mark the jets that a hunt looks at: leading ones, in its mass range, not blinded.

    Args:
        jets: n jets, or columns of a scores table, with rank and the mass.
        settings: The hunt.
        blinded: Leave out all bins that overlap the signal window, as a blinded fit does.
        in_range: Leave out masses outside the range of the histogram.

    Returns:
        Mask of shape (n,).
    """
    mass = np.asarray(jets[settings.mass], dtype=np.float64)
    rows = np.ones(mass.size, dtype=np.bool_)
    if in_range:
        rows &= (mass >= settings.range[0]) & (mass < settings.range[1])
    if settings.jets == "leading":
        rows &= np.asarray(jets["rank"]) == 0
    if blinded:
        low, high = blinded_range(settings)
        rows &= (mass < low) | (mass >= high)
    return rows


def blinded_range(settings: HuntConfig) -> tuple[float, float]:
    """The masses that are hidden while data are blinded: all bins that overlap the window [GeV].

    >>> blinded_range(HuntConfig(range=(50, 250), bin_width=5, window=(66, 104)))
    (65.0, 105.0)
    """
    return whole_bins(histogram_settings(settings).edges, settings.window)


def leading_mass(
    skim: Skim,
    dataset: str,
    edges: npt.ArrayLike,
    *,
    mass: str = "msoftdrop",
    pt_min: float = 0.0,
) -> tuple[Floats, Floats]:
    """Weighted mass spectrum of the leading jets of one dataset.

    Args:
        skim: The skim.
        dataset: Name of the dataset.
        edges: Bin edges, n_bins + 1 of them [GeV].
        mass: Column of the mass.
        pt_min: Smallest transverse momentum [GeV].

    Returns:
        Σw and Σw² a bin, shape (n_bins,) each.

    Raises:
        SkimError: There is no such dataset or column.
        FitError: No jet is left in the range.
    """
    jets = skim.jets(dataset, columns=[mass, "pt", "rank", "weight"])
    pt = np.asarray(jets["pt"], dtype=np.float64)
    keep = (np.asarray(jets["rank"]) == 0) & (pt >= pt_min)
    values = np.asarray(jets[mass], dtype=np.float64)[keep]
    weights = np.asarray(jets["weight"], dtype=np.float64)[keep]
    bins = np.asarray(edges, dtype=np.float64)
    counts, _ = np.histogram(values, bins, weights=weights)
    variances, _ = np.histogram(values, bins, weights=weights**2)
    if not counts.sum() > 0:
        msg = (
            f"no leading jet of '{dataset}' above {pt_min:g} GeV has a {mass} in "
            f"[{bins[0]:g}, {bins[-1]:g}) GeV: lower the threshold or move the range"
        )
        raise FitError(msg)
    return counts, variances
