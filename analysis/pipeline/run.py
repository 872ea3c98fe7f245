"""The chain: samples, skim, training, scores, hunt, report; each step done only where needed."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.hunt.ledger import record_damage
from oddjet.analysis.pipeline.certify import certificate_folder
from oddjet.analysis.pipeline.check import check_pseudo_data, problems_of_samples
from oddjet.analysis.pipeline.folder import Run
from oddjet.analysis.pipeline.report import build_report
from oddjet.analysis.pipeline.report_key import ReportKey
from oddjet.analysis.pipeline.steps import score_skim, skim_events, train_detectors, with_samples
from oddjet.analysis.report.page import write_report
from oddjet.analysis.report.write import write_models
from oddjet.datasets.disk.checksums import file_sha256
from oddjet.datasets.disk.digest import content_key, source_digest
from oddjet.datasets.disk.lock import lock_folder
from oddjet.datasets.disk.logs import write_log
from oddjet.datasets.disk.state import read_state, write_state
from oddjet.datasets.skims.manifest import read_manifest
from oddjet.errors import ConfigError
from oddjet.processors.engine.progress import Reporter, SilentReporter
from oddjet.processors.engine.summary import package_versions

__all__ = ["report_again", "run_chain"]

_logger = logging.getLogger(__name__)


_NOT_REPORTED: Any = {"outputs": True, "chunks": {"__all__": {"seconds"}}}


class _Clock:
    """Wall time of each step."""

    def __init__(self, seconds: dict[str, float] | None = None) -> None:
        self.seconds = seconds or {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
        _logger.info("%s: %.1f s", name, self.seconds[name])


def run_chain(
    config: AnalysisConfig, *, reporter: Reporter | None = None, allow_missing: bool = False
) -> Run:
    """Run a whole analysis; a second call redoes only what changed.

    Args:
        config: The analysis.
        reporter: Receives progress.
        allow_missing: Go on although files cannot be opened or chunks fail; as for `run_skim`.

    Returns:
        The outputs, with the report written.

    Raises:
        ConfigError: There is nothing to train on or to hunt in.
        OddjetError: Of the step that failed; what was finished before is kept for the next call.
    """
    reporter = reporter or SilentReporter()
    clock = _Clock()
    if problems := list(problems_of_samples(config, config.resolve_fileset())):
        raise ConfigError("\n".join(problems))
    with clock.step("samples"):
        run = Run(with_samples(config, reporter))
    with lock_folder(run.folder), write_log(run.folder):
        run.write_config()
        with clock.step("skim"):
            manifest = skim_events(run, reporter, allow_missing=allow_missing)
        run.scales(unknown_lumi_ifb=1.0)  # what cannot be scaled is known before hours of training
        check_pseudo_data(manifest, config)
        with clock.step("train"):
            run.detectors = train_detectors(run, reporter)
        with clock.step("score"):
            score_skim(run, reporter)
        key = _report_key(run)
        if _is_reported(run, key, reporter):
            reporter.log("nothing changed: the report is kept")
            return run
        write_state(run.seconds_file, clock.seconds)
        _report(run, clock, reporter)
    return run


def report_again(folder: Path, *, unblind: bool = False, reporter: Reporter | None = None) -> Run:
    """Hunt and report again from the outputs of a finished run.

    The detectors are used as they were trained: whether that would come out the same today is not
    asked here.

    Raises:
        ConfigError: The folder is not of a run.
        OddjetError: An output is missing or damaged.
    """
    run = Run.open(folder, unblind=unblind)
    with write_log(run.folder):
        _report(run, _Clock(run.seconds), reporter or SilentReporter(), key="written again")
    return run


def _report(run: Run, clock: _Clock, reporter: Reporter, *, key: str = "") -> None:
    """Hunt, judge, limit and report; `key` is what the report follows from, by default all that it does."""
    for result in ("hunt", "sculpting", "limits"):
        with clock.step(result):
            getattr(run, result)
    record_damage(run.ledger.path)
    reporter.log("write the report …")
    report = build_report(run, clock.seconds)
    write_report(run.report, report)
    _write_models(run)
    summary = [
        (card.title, f"{card.value}  ({card.note})" if card.note else card.value)
        for card in report.cards
    ]
    # With what the hunt has added to the ledger.
    ReportKey.write(run.report_key_file, run.report, key or _report_key(run), summary)


def _write_models(run: Run) -> None:
    """Write the models of the limits; those of an earlier report, of other signals, go."""
    folder = run.folder / "limits"
    for old in sorted(folder.rglob("*")):
        if old.name in {"workspace.json", "datacard.txt", "shapes.root"}:
            old.unlink()
    write_models(folder, run.limits)


def _report_key(run: Run) -> str:
    """Hash all that a report follows from; the same hash, the same report."""
    results = [
        path
        for folder in (run.injection_folder, certificate_folder(run))
        for path in sorted(folder.rglob("*.json"))
    ]
    manifests = [read_manifest(folder) for folder in (run.skim_folder, run.scores_folder)]
    return content_key(
        {
            "config": run.settings,
            "code": source_digest("oddjet"),
            "versions": package_versions(),
            # Histograms follow from the rest, and their ROOT file has a date; parts that are made again take
            # another time.
            "manifests": [m.model_dump(mode="json", exclude=_NOT_REPORTED) for m in manifests],
            "detectors": {label: model.fingerprint for label, model in run.detectors.items()},
            "ledger": [sorted({e.key for e in run.ledger.entries}), run.ledger.problems],
            "experiments": {str(p.relative_to(run.folder)): file_sha256(p) for p in results},
        }
    )


def _is_reported(run: Run, key: str, reporter: Reporter) -> bool:
    """Whether there is a whole report of an earlier call, and nothing that it follows from changed."""
    kept = read_state(run.report_key_file, ReportKey)
    if kept is None or kept.key != key:
        return False
    damaged = kept.damaged(run.report, "never" if run.config.verify == "never" else "always")
    for path in damaged:
        reporter.log(f"{path} is missing or not what was written: the report is made again")
    return not damaged
