"""The chain: samples, skim, training, scores, hunt, report; each step done only where needed."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from oddjet.analysis.config import AnalysisConfig, load_config
from oddjet.analysis.hunt.hunt import Hunt, choose_sample, hunt
from oddjet.analysis.pipeline.passes import image_of, score_pass, skim_pass
from oddjet.analysis.pipeline.samples import ready_samples
from oddjet.analysis.pipeline.train import train_detector
from oddjet.analysis.scores.columns import main_scores
from oddjet.condor.cluster import open_executor
from oddjet.datasets.disk.atomic import write_text
from oddjet.datasets.disk.digest import content_key, source_digest
from oddjet.datasets.disk.lock import lock_folder
from oddjet.datasets.luminosity.recorded import data_luminosity
from oddjet.datasets.skims.manifest import read_manifest
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.errors import ConfigError, InputError, TooFewJetsError
from oddjet.ml.score_names import ScoreName
from oddjet.processors.engine.progress import Reporter, SilentReporter

if TYPE_CHECKING:
    from oddjet.analysis.sculpting.scores import SculptingResult
    from oddjet.ml.folds import FoldedDetector

__all__ = ["RunResult", "ready_skim", "report_again", "run_chain"]

CONFIG_FILE = "config.yaml"
TIMES_FILE = "seconds.json"
REPORT_FILE = "report.html"
KEPT_FILE = "report.key.json"


@dataclasses.dataclass(frozen=True)
class RunResult:
    """Where a run's results are, and the headline.

    Attributes:
        report: The HTML report; its numbers are in the JSON file beside it.
        summary: Name and value of the headline results.
    """

    report: Path
    summary: list[tuple[str, str]]


class _Clock:
    """Wall time of each step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def run_chain(
    config: AnalysisConfig, *, reporter: Reporter | None = None, allow_missing: bool = False
) -> RunResult:
    """Run a whole analysis; a second call redoes only what changed.

    Args:
        config: The analysis.
        reporter: Receives progress.
        allow_missing: Go on although files cannot be opened or chunks fail; as for `run_skim`.

    Raises:
        OddjetError: Of the step that failed; what was finished before is kept for the next call.
    """
    reporter = reporter or SilentReporter()
    clock = _Clock()
    fileset = config.resolve_fileset()
    with clock.step("samples"):
        fileset = ready_samples(
            fileset, config.samples, workers=config.cluster.workers, reporter=reporter
        )
    config = config.model_copy(update={"fileset": fileset})
    with lock_folder(config.output):
        _write_config(config)
        with clock.step("skim"):
            skim = _skim(config, reporter, allow_missing=allow_missing)
        data_luminosity(skim.manifest.datasets, config.lumi_ifb)  # before hours of training
        with clock.step("train"):
            trained = _train(config, skim, reporter)
        with clock.step("score"):
            _score(config, skim, reporter)
        key = _report_key(config, trained)
        if (kept := _kept_report(config, key)) is not None:
            reporter.log("nothing changed: the report is kept")
            return kept
        write_text(config.output / TIMES_FILE, json.dumps(clock.seconds) + "\n")
        return _finish(config, skim, trained, clock, reporter, key)


def ready_skim(config: AnalysisConfig, reporter: Reporter) -> Skim:
    """Give the skim of an analysis; samples are simulated and files skimmed where they were not yet.

    Args:
        config: The analysis.
        reporter: Receives progress.
    """
    fileset = ready_samples(
        config.resolve_fileset(), config.samples, workers=config.cluster.workers, reporter=reporter
    )
    config.output.mkdir(parents=True, exist_ok=True)
    return _skim(config.model_copy(update={"fileset": fileset}), reporter, allow_missing=False)


def report_again(
    folder: Path, *, unblind: bool = False, reporter: Reporter | None = None
) -> RunResult:
    """Hunt and report again from the outputs of a finished run.

    Args:
        folder: The run's output folder.
        unblind: Look into the signal window of data.
        reporter: Receives progress.

    Raises:
        ConfigError: The folder is not of a run.
        OddjetError: An output is missing or damaged.
    """
    if not (folder / CONFIG_FILE).exists():
        msg = f"{folder} is not the output of a run: it holds no {CONFIG_FILE}"
        raise ConfigError(msg)
    from oddjet.ml.folds import FoldedDetector  # noqa: PLC0415 (slow import)

    reporter = reporter or SilentReporter()
    config = load_config(folder / CONFIG_FILE).with_choices(unblind=unblind)
    config = config.model_copy(update={"output": folder})
    clock = _Clock()
    clock.seconds = json.loads((folder / TIMES_FILE).read_text(encoding="utf-8"))
    skim = open_skim(folder / "skim")
    if (image := image_of(config)) is not None:
        skim.check_representation(image.identity())
    # As they were trained: whether that would come out the same today is not asked here.
    trained = {d.key: FoldedDetector.load(folder / "models" / d.key) for d in config.detectors}
    return _finish(config, skim, trained, clock, reporter, "written again")


def _write_config(config: AnalysisConfig) -> None:
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text(config.output / CONFIG_FILE, text)


def _skim(config: AnalysisConfig, reporter: Reporter, *, allow_missing: bool) -> Skim:
    with open_executor(config.cluster) as executor, reporter.track("skim", 0, "events") as update:
        skim_pass(config, executor, progress=update, allow_missing=allow_missing)
    return open_skim(config.output / "skim")


def _train(config: AnalysisConfig, skim: Skim, reporter: Reporter) -> dict[str, FoldedDetector]:
    return {
        detector.key: train_detector(
            skim,
            detector,
            config.output / "models" / detector.key,
            folds=config.folds,
            seed=config.seed,
            decorrelation=config.decorrelation,
            mass=config.hunt.mass,
            reporter=reporter,
        )
        for detector in config.detectors
    }


def _score(config: AnalysisConfig, skim: Skim, reporter: Reporter) -> None:
    with (
        open_executor(config.cluster) as executor,
        reporter.track("score", skim.n_jets, "jets") as update,
    ):
        score_pass(config, executor, progress=update)


def _judge(
    config: AnalysisConfig, found: Hunt, columns_there: Collection[str]
) -> tuple[SculptingResult | None, str]:
    """Judge the hunted scores and, beside decorrelated ones, their raw forms; or say why not."""
    from oddjet.analysis.sculpting.scores import judge_scores  # noqa: PLC0415 (slow import)

    folder = config.output / "scores"
    names = [ScoreName.find(name, columns_there) for name in found.columns]
    columns = [name.cut for name in names]
    if config.decorrelation is not None:
        columns += [ScoreName(name.raw).cut for name in names]
    kinds = {name: dataset.kind for name, dataset in read_manifest(folder).datasets.items()}
    signals = [name for name, kind in kinds.items() if kind == "signal"]
    if "background" not in kinds.values():
        signals = []
    try:
        return judge_scores(
            folder, columns, signals=signals, settings=config.hunt, seed=config.seed
        ), ""
    except (InputError, TooFewJetsError, ConfigError) as error:
        return None, str(error)


def _finish(
    config: AnalysisConfig,
    skim: Skim,
    trained: dict[str, FoldedDetector],
    clock: _Clock,
    reporter: Reporter,
    key: str,
) -> RunResult:
    """Hunt, judge, limit and report; `key` says what the report follows from, for the next call."""
    from oddjet.analysis.hunt.limit import limit_hunt  # noqa: PLC0415
    from oddjet.analysis.injection.summary import read_injection  # noqa: PLC0415 (slow import)
    from oddjet.analysis.pipeline.report import RunOutputs, build_report  # noqa: PLC0415
    from oddjet.analysis.report.page import write_report  # noqa: PLC0415
    from oddjet.processors.scores import open_scores  # noqa: PLC0415

    table = open_scores(config.output / "scores").columns()
    raw_scores = {label: detector.raw_score_names for label, detector in trained.items()}
    with clock.step("hunt"):
        sample = choose_sample(
            table,
            skim.manifest.datasets,
            pseudo_data=config.pseudo_data,
            lumi_ifb=data_luminosity(skim.manifest.datasets, config.lumi_ifb),
        )
        found = hunt(
            table,
            [
                name.column
                for name in main_scores(config.detectors, config.decorrelation, raw_scores)
            ],
            sample,
            config.hunt,
            unblind=config.unblind,
            workers=config.cluster.workers,
        )
    with clock.step("sculpting"):
        sculpting, problem = _judge(config, found, table)
    with clock.step("limits"):
        limits, problems = limit_hunt(found, config.hunt.window, function=config.hunt.function)
    reporter.log("write the report …")
    outputs = RunOutputs(
        config=config,
        skim=skim,
        detectors=trained,
        table=table,
        hunt=found,
        seconds=clock.seconds,
        command=f"oddjet run {config.output / CONFIG_FILE}",
        sculpting=sculpting,
        sculpting_problem=problem,
        limits=limits,
        limit_problems=problems,
        injection=read_injection(config.output / "injection"),
    )
    report = build_report(outputs)
    path = config.output / REPORT_FILE
    write_report(path, report)
    summary = [
        (card.title, f"{card.value}  ({card.note})" if card.note else card.value)
        for card in report.cards
    ]
    write_text(config.output / KEPT_FILE, json.dumps({"key": key, "summary": summary}) + "\n")
    return RunResult(path, summary)


def _report_key(config: AnalysisConfig, trained: Mapping[str, FoldedDetector]) -> str:
    """Hash all that a report follows from; the same hash, the same report."""
    from oddjet.processors.engine.summary import package_versions  # noqa: PLC0415 (slow import)

    injection = config.output / "injection"
    found = sorted(injection.rglob("*.json")) if injection.is_dir() else []
    manifests = [read_manifest(config.output / name) for name in ("skim", "scores")]
    return content_key(
        {
            "config": config.model_dump(mode="json"),
            "code": source_digest("oddjet"),
            "versions": package_versions(),
            "manifests": [manifest.model_dump(mode="json") for manifest in manifests],
            "detectors": {name: each.fingerprint for name, each in trained.items()},
            "injection": {str(p.relative_to(injection)): p.read_text("utf-8") for p in found},
        }
    )


def _kept_report(config: AnalysisConfig, key: str) -> RunResult | None:
    """Give the report of an earlier call if nothing that it follows from changed."""
    report = config.output / REPORT_FILE
    try:
        kept = json.loads((config.output / KEPT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if kept.get("key") != key or not (report.exists() and report.with_suffix(".json").exists()):
        return None
    return RunResult(report, [(name, value) for name, value in kept["summary"]])
