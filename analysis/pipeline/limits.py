"""Limits in a scores table: from jets that pass and jets that fail, on Gaussians and on the signals of the table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.hunt.hunt import Hunt
from oddjet.analysis.hunt.limit import limit_hunt
from oddjet.analysis.hunt.spectra import read_histograms
from oddjet.analysis.hunt.templates import SignalTemplate, signal_templates
from oddjet.analysis.scores.blinding import blinding_of
from oddjet.analysis.scores.sample import dataset_scales, histogram_settings, peak_scales
from oddjet.analysis.statistics.limits.inputs import LimitSettings
from oddjet.analysis.statistics.limits.spectrum import SignalModel, SpectrumLimit
from oddjet.datasets.skims.manifest import read_manifest

__all__ = ["limit_scores"]


def limit_scores(
    config: AnalysisConfig,
    scores: Path,
    hunt: Hunt,
    *,
    gaussians: Sequence[SignalModel] = (),
    how: LimitSettings | None = None,
) -> tuple[tuple[SpectrumLimit, ...], tuple[str, ...]]:
    """Set the limits of a hunt in a scores table.

    Args:
        config: The analysis.
        scores: Folder of the scores.
        hunt: Its hunt, see `oddjet.analysis.pipeline.steps.hunt_scores`.
        gaussians: Gaussian signals; one in the signal window if none are given.
        how: Uncertainties, confidence level, toys.

    Returns:
        The limits, and why others are missing.

    Raises:
        SkimError: There is no scores table.
    """
    signals = partial(_templates, config, scores, hunt)
    return limit_hunt(hunt, config.hunt, signals, gaussians=gaussians, how=how)


def _templates(config: AnalysisConfig, scores: Path, hunt: Hunt) -> tuple[SignalTemplate, ...]:
    datasets, sample = read_manifest(scores).datasets, hunt.sample
    signals = {name: dataset for name, dataset in datasets.items() if dataset.kind == "signal"}
    if not signals:
        return ()
    wanted = histogram_settings(
        config.hunt,
        hunt.columns,
        sample,
        blinding=blinding_of(config, datasets),
        peaks=peak_scales(datasets, sample),
    )
    lumi = sample.lumi_ifb and sample.lumi_ifb / sample.lumi_share
    scales = {
        name: dataset_scales({name: d}, (lumi or 1.0) if d.cross_section_pb else None)[name]
        for name, d in signals.items()
    }
    histograms = read_histograms(scores, wanted, verify=config.verify)
    return signal_templates(histograms, hunt, signals, scales)
