"""Single steps of the chain, as the command line offers them: skim, score, hunt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from oddjet.analysis.config import AnalysisConfig, HuntConfig, PseudoData, load_config
from oddjet.analysis.hunt.hunt import Hunt, choose_sample, hunt
from oddjet.analysis.pipeline.performance import performance_report
from oddjet.analysis.pipeline.samples import ready_samples
from oddjet.condor.cluster import open_executor
from oddjet.condor.site import Cluster
from oddjet.datasets.disk.atomic import write_text
from oddjet.datasets.disk.numbers import jsonable
from oddjet.datasets.disk.validation import validate
from oddjet.datasets.files.fileset import Fileset, load_fileset
from oddjet.datasets.luminosity.recorded import data_luminosity
from oddjet.datasets.skims.manifest import MANIFEST, Manifest, read_manifest
from oddjet.datasets.skims.skim import open_skim
from oddjet.errors import ConfigError
from oddjet.ml.representations.jet_image import JetImage
from oddjet.processors.engine.progress import Reporter, SilentReporter
from oddjet.processors.events.selection import Selection

__all__ = ["hunt_scores", "score_jets", "skim_files"]

CHUNK_SIZE = 100_000


def skim_files(
    output: Path,
    *,
    files: Sequence[str] = (),
    fileset: str | None = None,
    config: Path | None = None,
    executor: str | None = None,
    workers: int | None = None,
    chunk_size: int | None = None,
    images: bool = True,
    allow_missing: bool = False,
    report: Path | None = None,
    reporter: Reporter | None = None,
) -> Manifest:
    """Skim files, a fileset, or the fileset of an analysis.

    Args:
        output: The skim's folder.
        files: ROOT files, folders or globs; they make one background dataset called ``files``.
        fileset: A fileset's file, or ``catalog:NAME``.
        config: An analysis, for its selection and images, and for its fileset where none is given.
        executor: ``iterative``, ``futures`` or ``dask``; by default the analysis', or iterative.
        workers: Worker processes.
        chunk_size: Events a chunk.
        images: Whether to keep 32 × 32 images.
        allow_missing: Finish although files cannot be opened or chunks fail.
        report: HTML file for Dask's performance report.
        reporter: Receives progress.

    Raises:
        ConfigError: There is not exactly one source of files, or it is not valid.
        InputError: A file cannot be used.
        ProcessingError: A chunk failed.
    """
    from oddjet.processors.run import run_skim  # noqa: PLC0415 (slow import)

    reporter = reporter or SilentReporter()
    analysis = None if config is None else load_config(config)
    samples = _chosen_fileset(files, fileset, analysis)
    base = analysis.cluster if analysis else Cluster()
    changes = {"executor": executor, "workers": workers}
    settings = base.model_dump() | {k: v for k, v in changes.items() if v is not None}
    cluster = validate(Cluster, settings, where="command line")
    folder = analysis.samples if analysis else output.parent / "samples"
    samples = ready_samples(samples, folder, workers=cluster.workers, reporter=reporter)
    image: JetImage | None = None
    if images:
        kept = analysis.image if analysis else None
        image = JetImage() if kept is None else JetImage(**kept.model_dump())
    size = chunk_size or (analysis.chunk_size if analysis else CHUNK_SIZE)
    with (
        open_executor(cluster) as pool,
        performance_report(pool, report),
        reporter.track("skim", 0, "events") as update,
    ):
        return run_skim(
            samples,
            selection=analysis.selection if analysis else Selection.khanal(),
            output=output,
            representation=image,
            executor=pool,
            chunk_size=size,
            progress=update,
            allow_missing=allow_missing,
        )


def _chosen_fileset(
    files: Sequence[str], fileset: str | None, analysis: AnalysisConfig | None
) -> Fileset:
    if files and fileset:
        msg = f"expected files or --fileset, received both: {', '.join(files)} and {fileset}"
        raise ConfigError(msg)
    if files:
        return load_fileset(files[0] if len(files) == 1 else list(files))
    if fileset:
        return load_fileset(fileset)
    if analysis:
        return analysis.resolve_fileset()
    msg = "nothing to skim: name ROOT files, a --fileset, or a --config with one"
    raise ConfigError(msg)


def score_jets(
    source: str,
    models: Sequence[Path],
    output: Path,
    *,
    config: Path | None = None,
    executor: str = "iterative",
    workers: int = 1,
    allow_missing: bool = False,
    report: Path | None = None,
    reporter: Reporter | None = None,
) -> int:
    """Score every jet of a skim, or of files without a skim in between.

    Args:
        source: A skim's folder; or a ROOT file, a folder or glob of them, or a fileset.
        models: Folders of trained detectors; each folder's name is the prefix of its columns.
        output: Folder of the scores.
        config: An analysis, for the histogram's settings, and for the selection of files.
        executor: ``iterative``, ``futures`` or ``dask``.
        workers: Worker processes.
        allow_missing: Finish although files cannot be opened or chunks of files fail.
        report: HTML file for Dask's performance report.
        reporter: Receives progress.

    Returns:
        Number of jets scored.

    Raises:
        DetectorError: A folder holds no trained detector.
        ConfigError: Two models have the same name, or the source is no skim and no fileset.
        InputError: A file cannot be used.
    """
    from oddjet.processors.scoring import run_anomaly  # noqa: PLC0415 (slow import)

    reporter = reporter or SilentReporter()
    analysis = None if config is None else load_config(config)
    settings = analysis.hunt if analysis else HuntConfig()
    names = [model.name for model in models]
    if len(set(names)) != len(names):
        msg = f"the folders of the models name their columns and must differ, received {names}"
        raise ConfigError(msg)
    is_skim = (Path(source) / MANIFEST).exists()
    jets = open_skim(source) if is_skim else load_fileset(source)
    selection = analysis.selection if analysis else Selection.khanal()
    choices = {"executor": executor, "workers": workers}
    cluster = validate(Cluster, choices, where="command line")
    unit = "jets" if is_skim else "events"
    with (
        open_executor(cluster) as pool,
        performance_report(pool, report),
        reporter.track("score", 0, unit) as update,
    ):
        found = run_anomaly(
            jets,
            detectors={model.name: model for model in models},
            output=output,
            working_points=settings.working_points,
            mass=settings.mass,
            mass_range=settings.range,
            n_bins=settings.n_bins,
            pt_edges=settings.pt_edges,
            leading_only=settings.jets == "leading",
            selection=None if is_skim else selection,
            executor=pool,
            progress=update,
            allow_missing=allow_missing,
        )
    return sum(chunk.n_jets for chunk in found.manifest.chunks)


def hunt_scores(
    scores: Path,
    columns: Sequence[str],
    *,
    config: Path | None = None,
    output: Path | None = None,
    unblind: bool = False,
    pseudo_data: tuple[float, int] | None = None,
    workers: int = 1,
) -> Hunt:
    """Hunt in a scores table.

    Args:
        scores: Folder of the scores.
        columns: The scores to cut on, such as ``khanal_mse`` or, decorrelated, ``khanal_mse_ddt``; all
            are scanned together.
        config: An analysis, for range, window, working points and luminosity.
        output: JSON file for every number; none by default.
        unblind: Look into the signal window of data.
        pseudo_data: Luminosity [1/fb] and seed of pseudo-data drawn from simulation.
        workers: Threads of the scan.

    Raises:
        ConfigError: No column is named, or there is nothing to hunt in.
        InputError: A column does not exist.
    """
    from oddjet.processors.scores import open_scores  # noqa: PLC0415 (slow import)

    if not columns:
        msg = f"{scores} is a scores table: name the scores to cut on (--column khanal_mse)"
        raise ConfigError(msg)
    analysis = None if config is None else load_config(config)
    drawn = analysis.pseudo_data if analysis else None
    if pseudo_data is not None:
        values = {"lumi_ifb": pseudo_data[0], "seed": pseudo_data[1]}
        drawn = validate(PseudoData, values, where="--pseudo-data")
    datasets = read_manifest(scores).datasets
    table = open_scores(scores).columns()
    sample = choose_sample(
        table,
        datasets,
        pseudo_data=drawn,
        lumi_ifb=data_luminosity(datasets, analysis.lumi_ifb if analysis else None),
    )
    settings = analysis.hunt if analysis else HuntConfig()
    found = hunt(
        table,
        columns,
        sample,
        settings,
        unblind=unblind or bool(analysis and analysis.unblind),
        workers=workers,
    )
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_text(output, json.dumps(jsonable(found.to_dict()), indent=1) + "\n")
    return found
