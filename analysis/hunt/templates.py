"""Signals of the fileset as templates: their jets by bin of pt, score bin and mass, those that fail among them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from oddjet.analysis.hunt.result import Hunt
from oddjet.analysis.hunt.spectra import ScoreHistograms
from oddjet.datasets.skims.manifest import DatasetSummary
from oddjet.errors import FitError
from oddjet.processors.histograms import ALL, working_point_name
from oddjet.typing import Floats

__all__ = ["SignalTemplate", "signal_templates"]


@dataclasses.dataclass(frozen=True)
class SignalTemplate:
    """A simulated signal at the luminosity that is hunted in.

    Attributes:
        name: Its dataset.
        spectra: Jets before any cut, then after each cut from the loosest to the tightest, shape (1 + n_cuts, n_regions,
            n_bins).
        cross_section_pb: Cross section that they belong to [pb]; None where it is not known.
        error: Relative statistical error of the jets that pass the tightest cut.
    """

    name: str
    spectra: Floats
    cross_section_pb: float | None
    error: float = 0.0

    @property
    def score_bins(self) -> Floats:
        """Jets by region and score bin: those that fail all cuts, that pass the loosest alone, and so on.

        Of shape (n_regions, 1 + n_cuts, n_bins). Of weights below zero more than there is to subtract is no jet.
        """
        inner = np.concatenate([self.spectra[1:], np.zeros_like(self.spectra[:1])])
        return np.asarray(np.maximum(np.moveaxis(self.spectra - inner, 0, 1), 0.0))


def signal_templates(
    histograms: ScoreHistograms,
    hunt: Hunt,
    datasets: Mapping[str, DatasetSummary],
    scales: Mapping[str, float],
) -> tuple[SignalTemplate, ...]:
    """Take the signals of a fileset out of the histograms of the main score.

    Args:
        histograms: The histograms of the scores table.
        hunt: Its hunt: the score, the cuts, and the share of the luminosity.
        datasets: What is known of each dataset; those of kind signal are taken.
        scales: Dataset to the events that a unit weight stands for at the luminosity of all data.

    Raises:
        FitError: The pt axis of the histograms has no edges where jets are divided.
    """
    pt_bins = histograms.settings.pt_bins
    cuts = [point.efficiency for point in hunt.main_points[1:]]
    points = [ALL, *(working_point_name(efficiency) for efficiency in cuts)]
    templates = []
    for dataset, known in datasets.items():
        if known.kind != "signal":
            continue
        scale = scales[dataset] * hunt.sample.lumi_share
        factor = scale / histograms.scales.get(dataset, 1.0)
        sigma = known.cross_section_pb
        # Without a luminosity nobody knows what cross section the jets of the template are of.
        is_known = hunt.sample.lumi_ifb is not None and sigma
        sigma_pb = sigma * known.k_factor if sigma and is_known else None
        spectra, errors = [], []
        for point in points:
            table: Any = histograms.histograms[hunt.column][dataset, "nominal", point, :, :]
            regions = _regions(table.axes["pt"].edges, pt_bins)
            # Under- and overflow of pt belong to the outer bins.
            contents = np.asarray(table.values(flow=True))[1:-1]
            variance = float(np.asarray(table.variances(flow=True))[1:-1].sum())
            errors.append(variance**0.5 / max(float(contents.sum()), 1e-300))
            spectra.append(
                np.stack([contents[:, regions == r].sum(axis=1) for r in range(len(pt_bins) + 1)])
            )
        templates.append(SignalTemplate(dataset, factor * np.stack(spectra), sigma_pb, errors[-1]))
    return tuple(templates)


def _regions(edges: Floats, pt_bins: tuple[float, ...]) -> Floats:
    """The bin of pt of each bin of a histogram's axis, flow included."""
    if missing := [pt for pt in pt_bins if not np.isclose(edges, pt).any()]:
        msg = (
            f"the histograms have no edge at a pt of {missing[0]:g} GeV, where jets are divided: add it to hunt.pt_edges, "
            "so that a signal can be divided there as well"
        )
        raise FitError(msg)
    low = np.concatenate([[-np.inf], edges])
    return np.asarray(np.searchsorted(pt_bins, low + 1e-9, side="right"))
