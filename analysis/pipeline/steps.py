"""Steps of the chain one by one: samples, skim, train, score, hunt, on any executor."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from coffea.processor.executor import ExecutorBase

from oddjet.analysis.config import AnalysisConfig, HuntConfig, PseudoData, load_config
from oddjet.analysis.hunt.hunt import Hunt, choose_sample, hunt
from oddjet.analysis.pipeline.folder import Run, histogram_settings
from oddjet.analysis.pipeline.samples import ready_samples
from oddjet.analysis.pipeline.train import train_detector
from oddjet.condor.cluster import open_executor
from oddjet.condor.site import Cluster
from oddjet.datasets.disk.atomic import write_text
from oddjet.datasets.disk.numbers import jsonable
from oddjet.datasets.disk.validation import validate
from oddjet.datasets.files.fileset import Fileset, load_fileset
from oddjet.datasets.luminosity.recorded import data_luminosity
from oddjet.datasets.skims.manifest import MANIFEST, Manifest, read_manifest
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.errors import ConfigError
from oddjet.ml.folds import FoldedDetector
from oddjet.ml.representations.jet_image import JetImage
from oddjet.processors.engine.progress import Reporter, SilentReporter
from oddjet.processors.events.selection import Selection
from oddjet.processors.run import run_skim
from oddjet.processors.scores import open_scores
from oddjet.processors.scoring import run_anomaly

__all__ = [
    "hunt_scores",
    "performance_report",
    "ready_skim",
    "score_jets",
    "score_skim",
    "skim_events",
    "skim_files",
    "train_detectors",
    "with_samples",
]

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


def with_samples(config: AnalysisConfig, reporter: Reporter) -> AnalysisConfig:
    """Simulate the samples of an analysis that do not exist yet.

    Args:
        config: The analysis.
        reporter: Receives progress.

    Returns:
        The analysis with a fileset of files.
    """
    fileset = ready_samples(
        config.resolve_fileset(), config.samples, workers=config.cluster.workers, reporter=reporter
    )
    return config.model_copy(update={"fileset": fileset})


def skim_events(
    run: Run,
    reporter: Reporter,
    *,
    executor: ExecutorBase | None = None,
    allow_missing: bool = False,
) -> Manifest:
    """Skim the files of an analysis.

    Args:
        run: With samples that exist.
        reporter: Receives progress.
        executor: Where to run; by default where the analysis' cluster says.
        allow_missing: As for `run_skim`.

    Returns:
        The skim's manifest.
    """
    config = run.config
    with (
        _executor_of(run, executor) as workers,
        reporter.track("skim", 0, "events") as update,
    ):
        return run_skim(
            config.resolve_fileset(),
            selection=config.selection,
            output=run.skim_folder,
            representation=run.image,
            executor=workers,
            chunk_size=config.chunk_size,
            progress=update,
            allow_missing=allow_missing,
        )


def score_skim(run: Run, reporter: Reporter, *, executor: ExecutorBase | None = None) -> Manifest:
    """Score the skim of an analysis with its trained detectors, and fill histograms.

    Args:
        run: With a skim and trained detectors.
        reporter: Receives progress.
        executor: Where to run; by default where the analysis' cluster says.

    Returns:
        The scores table's manifest.
    """
    with (
        _executor_of(run, executor) as workers,
        reporter.track("score", run.skim.n_jets, "jets") as update,
    ):
        return run_anomaly(
            run.skim,
            detectors=run.models,
            output=run.scores_folder,
            scales=run.scales(),
            executor=workers,
            progress=update,
            **histogram_settings(run.config.hunt),
        ).manifest


def _executor_of(run: Run, executor: ExecutorBase | None) -> AbstractContextManager[ExecutorBase]:
    return open_executor(run.config.cluster) if executor is None else nullcontext(executor)


def ready_skim(config: AnalysisConfig, reporter: Reporter) -> Skim:
    """Give the skim of an analysis; samples are simulated and files skimmed where they were not yet.

    Args:
        config: The analysis.
        reporter: Receives progress.
    """
    run = Run(with_samples(config, reporter))
    skim_events(run, reporter)
    return run.skim


def train_detectors(run: Run, reporter: Reporter) -> dict[str, FoldedDetector]:
    """Train the detectors of an analysis on its skim, those whose training does not hold any more.

    Args:
        run: With a skim.
        reporter: Receives progress.

    Returns:
        Label to detector.
    """
    config = run.config
    return {
        detector.key: train_detector(
            run.skim,
            detector,
            run.models[detector.key],
            folds=config.folds,
            seed=config.seed,
            decorrelation=config.decorrelation,
            mass=config.hunt.mass,
            reporter=reporter,
        )
        for detector in config.detectors
    }


@contextmanager
def performance_report(executor: ExecutorBase, path: Path | None) -> Iterator[None]:
    """Write Dask's own report of what runs in the block: what every worker did when.

    Args:
        executor: Where it runs.
        path: The HTML file; None for no report.

    Yields:
        Nothing; the run is the block.

    Raises:
        ConfigError: The executor is not a Dask cluster, or Bokeh, which draws it, is missing.
    """
    if path is None:
        yield
        return
    client = getattr(executor, "client", None)
    if client is None:
        msg = "performance report: expected a Dask executor (dask, htcondor, slurm or address)"
        raise ConfigError(msg)
    if importlib.util.find_spec("bokeh") is None:
        msg = "performance report: Bokeh draws it: pip install 'oddjet[batch]'"
        raise ConfigError(msg)
    from distributed import performance_report as dask_report  # noqa: PLC0415 (slow import)

    path.parent.mkdir(parents=True, exist_ok=True)
    with client.as_current(), dask_report(filename=str(path)):
        yield
