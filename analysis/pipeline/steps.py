"""Steps of the chain one by one: samples, skim, train, score, hunt, on any executor."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from coffea.processor.executor import ExecutorBase

from oddjet.analysis.config import (
    CONFIG_FILE,
    AnalysisConfig,
    load_config,
    read_settings,
)
from oddjet.analysis.hunt.hunt import Hunt
from oddjet.analysis.hunt.spectra import HuntedSpectra, read_histograms
from oddjet.analysis.pipeline.folder import Run
from oddjet.analysis.pipeline.looks import look, staged
from oddjet.analysis.pipeline.samples import ready_samples
from oddjet.analysis.pipeline.train import TrainingPlan, train_detector
from oddjet.analysis.scores.blinding import blinding_of, check_blinding
from oddjet.analysis.scores.sample import choose_sample, histogram_settings, peak_scales
from oddjet.condor.cluster import open_executor
from oddjet.datasets.disk.atomic import write_text
from oddjet.datasets.disk.logs import write_log
from oddjet.datasets.disk.numbers import jsonable
from oddjet.datasets.files.fileset import load_fileset
from oddjet.datasets.luminosity.recorded import data_luminosity
from oddjet.datasets.skims.manifest import MANIFEST, Manifest, read_manifest
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.errors import ConfigError
from oddjet.ml.folder import move_unusable
from oddjet.ml.folds import INFO_FILE, FoldedDetector
from oddjet.processors.blinding import Blinding
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.engine.progress import Reporter, SilentReporter, Update
from oddjet.processors.histograms import HistogramSettings
from oddjet.processors.run import run_skim
from oddjet.processors.sample import HeldOut
from oddjet.processors.scoring import run_anomaly

__all__ = [
    "UNUSED_BY_HUNT",
    "UNUSED_BY_SKIM",
    "UNUSED_BY_TRAINING",
    "UNUSED_BY_VERDICT",
    "hunt_scores",
    "open_of_run",
    "ready_skim",
    "score_jets",
    "score_skim",
    "skim_events",
    "skim_files",
    "train_detectors",
    "training_plan",
    "unused_by_score",
    "verdict_settings",
    "with_samples",
]


_OF_TRAINING = (
    *("name", "output", "detectors", "decorrelation", "training", "folds", "seed", "injection"),
    "certificate",
)
_OF_HUNT = ("lumi_ifb", "pseudo_data")
_OF_FILES = ("fileset", "samples", "selection", "image", "chunk_size", "cluster")

UNUSED_BY_SKIM = (*_OF_TRAINING, *_OF_HUNT, "hunt")
UNUSED_BY_TRAINING = (
    *("name", "output", "detectors", "decorrelation", "injection", "verify", "unblind"),
    *("unblinding", *_OF_HUNT, *_OF_FILES),
)
UNUSED_BY_HUNT = (*_OF_TRAINING, *_OF_FILES)
UNUSED_BY_VERDICT = (*UNUSED_BY_HUNT, *_OF_HUNT, "unblind", "unblinding")
"""Settings that each step alone does not look at, so that to set them is refused."""


def unused_by_score(source: str | Path) -> tuple[str, ...]:
    """Name the settings that scoring does not look at; of a skim it has no events to select."""
    of_events = ("selection", "chunk_size") if (Path(source) / MANIFEST).exists() else ()
    return (*_OF_TRAINING, *_OF_HUNT, "fileset", "samples", "image", *of_events)


def open_of_run(folder: Path | str) -> Skim:
    """Open a skim for a command without a configuration: compared as the run says that it belongs to."""
    of_run = Path(folder).absolute().parent / CONFIG_FILE
    return open_skim(folder, verify=load_config(of_run).verify if of_run.is_file() else "first")


def skim_files(
    config: AnalysisConfig,
    output: Path,
    *,
    allow_missing: bool = False,
    report: Path | None = None,
    reporter: Reporter | None = None,
) -> Manifest:
    """Skim the fileset of an analysis.

    Args:
        config: The analysis: fileset, selection, image, cluster and size of chunks are used.
        output: The skim's folder.
        allow_missing: Finish although files cannot be opened or chunks fail.
        report: HTML file for Dask's performance report.
        reporter: Receives progress.

    Raises:
        ConfigError: The fileset is not valid.
        InputError: A file cannot be used.
        ProcessingError: A chunk failed.
    """
    reporter = reporter or SilentReporter()
    run = Run(with_samples(config, reporter))
    with write_log(output), open_executor(config.cluster, report=report) as executor:
        return skim_events(
            run, reporter, output=output, executor=executor, allow_missing=allow_missing
        )


def score_jets(
    config: AnalysisConfig,
    source: str | Path,
    models: Sequence[Path],
    output: Path,
    *,
    allow_missing: bool = False,
    report: Path | None = None,
    reporter: Reporter | None = None,
) -> Manifest:
    """Score every jet of a skim, or of files without a skim in between: the manifest.

    Args:
        config: An analysis: the histogram's settings, the cluster and, for files, the selection.
        source: A skim's folder; or a ROOT file, a folder or glob of them, or a fileset.
        models: Folders of trained detectors; each folder's name is the prefix of its columns.
        output: Folder of the scores.
        allow_missing: Finish although files cannot be opened or chunks of files fail.
        report: HTML file for Dask's performance report.
        reporter: Receives progress.

    Raises:
        DetectorError: A folder holds no trained detector.
        ConfigError: Two models have the same name, or the source is no skim and no fileset.
        InputError: A file cannot be used.
    """
    reporter = reporter or SilentReporter()
    names = [model.name for model in models]
    if len(set(names)) != len(names):
        msg = f"the folders of the models name their columns and must differ, received {names}"
        raise ConfigError(msg)
    is_skim = (Path(source) / MANIFEST).exists()
    opened = open_skim(source, verify=config.verify) if is_skim else load_fileset(source)
    datasets = opened.manifest.datasets if isinstance(opened, Skim) else opened.datasets
    blinding = blinding_of(config, datasets)
    with (
        write_log(output),
        open_executor(config.cluster, report=report) as pool,
        _track_scoring(reporter, 0, "jets" if is_skim else "events", blinding) as update,
    ):
        scored = run_anomaly(
            opened,
            detectors={model.name: model for model in models},
            output=output,
            executor=pool,
            histograms=histogram_settings(config.hunt, blinding=blinding),
            selection=None if is_skim else config.selection,
            options=RunOptions(
                chunk_size=config.chunk_size,
                progress=update,
                allow_missing=allow_missing,
                verify=config.verify,
            ),
        )
    return scored.manifest


def hunt_scores(
    config: AnalysisConfig,
    scores: Path,
    columns: Sequence[str],
    *,
    output: Path | None = None,
    workers: int = 1,
) -> Hunt:
    """Hunt in a scores table; a hunt in data is written into the ledger, see `oddjet.analysis.hunt.ledger`.

    Args:
        config: An analysis: range, window, working points, luminosity, pseudo-data, unblinding.
        scores: Folder of the scores.
        columns: The scores to cut on, such as ``khanal_mse`` or, decorrelated, ``khanal_mse_ddt``; all
            are scanned together.
        output: JSON file for every number; none by default.
        workers: Threads of the scan.

    Raises:
        ConfigError: No column is named, or there is nothing to hunt in; or data of a run would be shown
            that the run hides.
        InputError: A column does not exist.
        SkimError: There is no scores table, or its detectors held nothing out.
    """
    if not columns:
        msg = (
            f"{scores} is a scores table: name the scores to cut on, such as khanal_mse (--column)"
        )
        raise ConfigError(msg)
    manifest = read_manifest(scores)
    datasets = manifest.datasets
    blinding = blinding_of(config, datasets)
    sample = choose_sample(
        datasets,
        pseudo_data=config.pseudo_data,
        lumi_ifb=data_luminosity(datasets, config.lumi_ifb),
        held_out=HeldOut.from_manifest(manifest, scores),
    )
    if blinding is not None:
        check_blinding(config, scores, "--unblind (unblind=True)")
    with nullcontext() if output is None else write_log(output.parent):
        sample = staged(sample, config)
        peaks = peak_scales(datasets, sample)
        wanted = histogram_settings(config.hunt, columns, sample, blinding=blinding, peaks=peaks)

        def read(settings: HistogramSettings) -> HuntedSpectra:
            return read_histograms(scores, settings, verify=config.verify).hunted(settings)

        result = look(config, scores, wanted, read, workers=workers)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_text(output, json.dumps(jsonable(result.to_dict()), indent=1) + "\n")
    return result


def verdict_settings(
    scores: Path, config: Path | None, changes: Mapping[str, Any], datasets: Sequence[str] = ()
) -> AnalysisConfig:
    """Give the settings, `hunt` and `verify`, by which scores are judged: those of the table's run.

    Args:
        scores: Folder of the scores.
        config: An analysis; by default the run's, or the default settings where there is none.
        changes: Values by dotted key.
        datasets: What is judged; by default simulated background and data.

    Returns:
        The settings; `unblind` is the run's own, whatever else is given.

    Raises:
        ConfigError: A setting is wrong; or data of a run would be shown that the run hides.
    """
    of_run = scores.absolute().parent / CONFIG_FILE
    if config is None and of_run.is_file():
        config = of_run
    settings = read_settings(config, changes, output=scores, unused=UNUSED_BY_VERDICT)
    known = read_manifest(scores).datasets
    if any(known[name].kind == "data" for name in datasets or known if name in known):
        check_blinding(settings, scores)
    unblind = of_run.is_file() and load_config(of_run).unblind
    return settings.model_copy(update={"unblind": unblind})


def with_samples(config: AnalysisConfig, reporter: Reporter) -> AnalysisConfig:
    """Simulate the samples of an analysis that do not exist yet.

    Returns:
        The analysis with a fileset of files.
    """
    fileset = ready_samples(
        config.resolve_fileset(),
        config.samples,
        workers=config.cluster.workers,
        verify=config.verify,
        reporter=reporter,
    )
    return config.model_copy(update={"fileset": fileset})


def skim_events(
    run: Run,
    reporter: Reporter,
    *,
    output: Path | None = None,
    executor: ExecutorBase | None = None,
    allow_missing: bool = False,
) -> Manifest:
    """Skim the files of an analysis, whose samples exist: the manifest."""
    config = run.config
    with (
        _executor_of(run, executor) as workers,
        reporter.track("skim", 0, "events") as update,
    ):
        return run_skim(
            config.resolve_fileset(),
            selection=config.selection,
            output=output or run.skim_folder,
            representation=run.image,
            executor=workers,
            options=RunOptions(
                chunk_size=config.chunk_size,
                progress=update,
                allow_missing=allow_missing,
                verify=config.verify,
            ),
        )


def score_skim(run: Run, reporter: Reporter, *, executor: ExecutorBase | None = None) -> Manifest:
    """Score an analysis's skim with its trained detectors, fill histograms; gives the manifest."""
    with (
        _executor_of(run, executor) as workers,
        _track_scoring(reporter, run.skim.n_jets, "jets", run.blinding) as update,
    ):
        return run_anomaly(
            run.skim,
            detectors=run.models,
            output=run.scores_folder,
            scales=run.scales(),
            executor=workers,
            histograms=run.histogram_settings,
            options=RunOptions(progress=update, verify=run.config.verify),
        ).manifest


@contextmanager
def _track_scoring(
    reporter: Reporter, total: int, unit: str, blinding: Blinding | None
) -> Iterator[Update]:
    """Follow the scoring; of blinded data by parts, since the number of all jets tells what is hidden."""
    if blinding is None or unit != "jets":
        with reporter.track("score", total, unit) as update:
            yield update
        return
    with reporter.track("score", 0, "parts") as update:
        yield lambda done, total=None, units=None: update(done, total)  # noqa: ARG005


def _executor_of(run: Run, executor: ExecutorBase | None) -> AbstractContextManager[ExecutorBase]:
    return open_executor(run.config.cluster) if executor is None else nullcontext(executor)


def ready_skim(config: AnalysisConfig, reporter: Reporter, *, instead: Path | None = None) -> Skim:
    """Give the skim of an analysis, or another `instead`; what is not simulated and skimmed yet is so first."""
    if instead is not None:
        return open_skim(instead, verify=config.verify)
    run = Run(with_samples(config, reporter))
    skim_events(run, reporter)
    return run.skim


def training_plan(
    skim: Path, config: Path | None, changes: Mapping[str, Any], *, output: Path
) -> TrainingPlan:
    """Say how a detector is trained on a skim: `training`, `hunt`, `folds` and `seed` of settings.

    Args:
        skim: Folder of the skim.
        config: An analysis, whose `decorrelation` counts too; by default the run's that the skim belongs
            to, or the default settings where there is none.
        changes: Values by dotted key.
        output: Folder of the detector.

    Raises:
        ConfigError: A setting is wrong.
    """
    of_run = skim.absolute().parent / CONFIG_FILE
    if config is not None or not of_run.is_file():
        analysis = read_settings(config, changes, output=output, unused=UNUSED_BY_TRAINING)
        return TrainingPlan.from_config(analysis)
    analysis = read_settings(of_run, changes, output=output, unused=UNUSED_BY_TRAINING)
    return replace(TrainingPlan.from_config(analysis), decorrelation=None)


def train_detectors(run: Run, reporter: Reporter) -> dict[str, FoldedDetector]:
    """Train those detectors of an analysis, label to detector, that do not hold any more."""
    config = run.config
    for folder in run.models.values():  # the run's own: nothing of anybody's is there
        move_unusable(folder, marker=INFO_FILE)
    return {
        detector.key: train_detector(
            run.skim,
            detector,
            run.models[detector.key],
            TrainingPlan.from_config(config),
            reporter=reporter,
        )
        for detector in config.detectors
    }
