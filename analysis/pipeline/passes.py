"""The two passes of an analysis over its events and jets, as any executor does them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coffea.processor.executor import ExecutorBase

from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.hunt.hunt import dataset_scales
from oddjet.datasets.luminosity.recorded import data_luminosity
from oddjet.datasets.skims.manifest import Manifest
from oddjet.datasets.skims.skim import open_skim
from oddjet.ml.representations.jet_image import JetImage
from oddjet.processors.engine.progress import Progress

__all__ = ["detector_folders", "histogram_settings", "image_of", "score_pass", "skim_pass"]


def image_of(config: AnalysisConfig) -> JetImage | None:
    """Give the representation whose images the skim keeps, None for none."""
    return None if config.image is None else JetImage(**config.image.model_dump())


def detector_folders(config: AnalysisConfig) -> dict[str, Path]:
    """Give each detector's label and folder."""
    return {d.key: config.output / "models" / d.key for d in config.detectors}


def histogram_settings(config: AnalysisConfig) -> dict[str, Any]:
    """Give the histograms' axes and cuts, as arguments of `run_anomaly`."""
    settings = config.hunt
    return {
        "working_points": settings.working_points,
        "mass": settings.mass,
        "mass_range": settings.range,
        "n_bins": settings.n_bins,
        "pt_edges": settings.pt_edges,
        "leading_only": settings.jets == "leading",
    }


def skim_pass(
    config: AnalysisConfig,
    executor: ExecutorBase,
    *,
    progress: Progress | None = None,
    allow_missing: bool = False,
) -> Manifest:
    """Skim the files of an analysis.

    Args:
        config: With samples that are there.
        executor: Where to run.
        progress: As for `run_skim`.
        allow_missing: As for `run_skim`.

    Returns:
        The skim's manifest.
    """
    from oddjet.processors.run import run_skim  # noqa: PLC0415 (slow import)

    return run_skim(
        config.resolve_fileset(),
        selection=config.selection,
        output=config.output / "skim",
        representation=image_of(config),
        executor=executor,
        chunk_size=config.chunk_size,
        progress=progress,
        allow_missing=allow_missing,
    )


def score_pass(
    config: AnalysisConfig, executor: ExecutorBase, *, progress: Progress | None = None
) -> Manifest:
    """Score the skim of an analysis with its trained detectors, and fill histograms.

    Args:
        config: The analysis.
        executor: Where to run.
        progress: As for `run_anomaly`.

    Returns:
        The scores table's manifest.
    """
    from oddjet.processors.scoring import run_anomaly  # noqa: PLC0415 (slow import)

    skim = open_skim(config.output / "skim")
    datasets = skim.manifest.datasets
    known = all(d.kind == "data" or d.cross_section_pb for d in datasets.values())
    drawn = config.pseudo_data
    lumi_ifb = drawn.lumi_ifb if drawn else data_luminosity(datasets, config.lumi_ifb)
    return run_anomaly(
        skim,
        detectors=detector_folders(config),
        output=config.output / "scores",
        scales=dataset_scales(datasets, lumi_ifb if known else None),
        executor=executor,
        progress=progress,
        **histogram_settings(config),
    ).manifest
