"""Steps of an analysis on a batch pool without Dask: submit, and collect what jobs made.

A folder of its own holds everything: `batch.json` says what is done, and each round of jobs has a
folder with its submit file, event log, and a folder a job.
"""

from __future__ import annotations

import itertools
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from coffea.processor.executor import ExecutorBase
from pydantic import BaseModel, ConfigDict

from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.pipeline.folder import Run
from oddjet.analysis.pipeline.samples import ready_samples
from oddjet.analysis.pipeline.steps import score_skim, skim_events
from oddjet.analysis.scores.blinding import blinding_of
from oddjet.analysis.scores.sample import histogram_settings
from oddjet.condor.events import JobState, read_events, tail
from oddjet.condor.site import Cluster
from oddjet.condor.submit import (
    pack_package,
    remove_jobs,
    submission_lines,
    submit_jobs,
    write_submission,
)
from oddjet.datasets.disk.atomic import write_text
from oddjet.datasets.disk.secrets import private_file, read_with_secrets, write_with_secrets
from oddjet.datasets.disk.validation import validate
from oddjet.datasets.skims.manifest import Manifest
from oddjet.errors import ConfigError, OddjetError
from oddjet.processors.blinding import Blinding
from oddjet.processors.engine.keys import code_digest
from oddjet.processors.engine.progress import Reporter, SilentReporter
from oddjet.processors.engine.rounds import read_failures
from oddjet.processors.jobs import (
    INPUTS,
    JOB,
    AbsentExecutor,
    BatchChunk,
    BatchJob,
    BatchStep,
    gather_parts,
    pack_inputs,
    read_job,
    split_chunks,
)

__all__ = [
    "BATCH",
    "Batch",
    "Collected",
    "JobReport",
    "Step",
    "collect",
    "list_jobs",
    "list_rounds",
    "read_batch",
    "submit",
]

Step = Literal["skim", "score"]

BATCH = "batch.json"
"""What was submitted, in the folder of the jobs."""

_CLUSTER = "cluster.txt"
_MODULE = "oddjet.analysis.jobs.worker"


class Batch(BaseModel):
    """`batch.json`: what is done, and how it is spread.

    Attributes:
        code: Digest of the code that planned it.
        config: The analysis, with absolute paths.
        chunks_per_job: Most chunks of a job.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: Step
    code: str
    config: AnalysisConfig
    chunks_per_job: int

    @property
    def output(self) -> Path:
        """Folder of the skim or the scores."""
        run = Run(self.config)
        return run.skim_folder if self.step == "skim" else run.scores_folder


@dataclass(frozen=True)
class JobReport:
    """A job of which chunks are missing.

    Attributes:
        name: Its folder.
        job: `CLUSTER.PROCESS`; empty where it was not submitted.
        reason: Why, with the last lines of its standard error.
        failures: Key to what failed, of chunks that it could not do.
    """

    name: str
    job: str
    state: JobState
    n_missing: int
    reason: str
    failures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Collected:
    """What is done of a submitted step.

    Attributes:
        n_jobs: Jobs submitted now.
        cluster: Number of their cluster, None where none was submitted.
        folder: Folder of their submit file, None where there was nothing to submit.
        missing: Jobs of which chunks are missing.
        manifest: Of the output, as written when all is done; None before.
        blinding: What of its data is hidden.
    """

    n_chunks: int
    n_done: int
    n_jobs: int = 0
    cluster: int | None = None
    folder: Path | None = None
    missing: tuple[JobReport, ...] = ()
    manifest: Manifest | None = None
    blinding: Blinding | None = None


def submit(
    config: AnalysisConfig,
    folder: Path,
    *,
    step: Step = "skim",
    jobs: int | None = None,
    chunks_per_job: int | None = None,
    site: str | None = None,
    dry_run: bool = False,
    reporter: Reporter | None = None,
) -> Collected:
    """Plan a step, and submit what is not done yet to HTCondor as jobs.

    Args:
        config: The analysis; its `cluster` describes the jobs.
        folder: For the jobs; on a file system that pool and this machine share, unless the site
            has none.
        step: skim, or score: of the skim with the trained detectors.
        jobs: Number of jobs.
        chunks_per_job: Most chunks a job, where `jobs` is not given.
        site: A site profile instead of the analysis'.
        dry_run: Write everything and submit nothing.
        reporter: Receives progress of the simulation of samples.

    Returns:
        What is done and what was submitted.

    Raises:
        ConfigError: If the folder has been used, or there is no HTCondor.
        OddjetError: If something is wrong with files or settings.
    """
    if jobs is not None and chunks_per_job is not None:
        msg = "expected a number of jobs or of chunks a job (--jobs or --chunks-per-job), received both"
        raise ConfigError(msg)
    if (folder / BATCH).exists():
        msg = (
            f"{folder} holds jobs already: use `oddjet collect {shlex.quote(str(folder))} --resubmit`,"
            " or another folder"
        )
        raise ConfigError(msg)
    config = _absolute(config, site, reporter or SilentReporter())
    submission_lines(folder, config.cluster)  # refuses before anything is done
    try:
        manifest = _merge(config, step, absent := AbsentExecutor())
    except OddjetError:
        if not absent.chunks:
            raise
    else:
        n, hidden = len(manifest.chunks), blinding_of(config, manifest.datasets)
        return Collected(n, n, manifest=manifest, blinding=hidden)
    groups = split_chunks(absent.chunks, jobs=jobs, chunks_per_job=chunks_per_job)
    batch = Batch(
        step=step,
        code=code_digest(),
        config=config,
        chunks_per_job=max(len(group) for group in groups),
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_with_secrets(folder / BATCH, batch.model_dump(mode="json"))
    return _start_round(batch, folder, groups, n_done=0, dry_run=dry_run)


def read_batch(folder: Path) -> Batch:
    """Read what was submitted.

    Raises:
        ConfigError: Nothing was submitted there, or it cannot be read.
    """
    return validate(Batch, read_with_secrets(folder / BATCH), str(folder / BATCH))


def collect(
    folder: Path, *, resubmit: bool = False, allow_missing: bool = False, dry_run: bool = False
) -> Collected:
    """Gather what jobs made; when everything is done, check and finish as `oddjet run` would.

    Args:
        folder: As given to `submit`.
        resubmit: Submit again what no job is going to do any more; jobs on hold are removed.
        allow_missing: Finish with what is there; the manifest lists what is missing.
        dry_run: With `resubmit`, write everything and submit nothing.

    Returns:
        What is done, what is missing and why, and the manifest.

    Raises:
        ConfigError: If nothing was submitted there, or the code has changed since.
        OddjetError: If the whole is wrong; see `run_skim` and `run_anomaly`.
    """
    folder = folder.absolute()
    batch = read_batch(folder)
    if batch.code != code_digest():
        msg = (
            f"{folder}: submitted with other code of oddjet than this (digest {batch.code[:12]}, now"
            f" {code_digest()[:12]}): collect with that version, or submit into another folder"
        )
        raise ConfigError(msg)
    reports: dict[str, JobReport] = {}
    chunks: dict[str, BatchChunk] = {}
    done: set[str] = set()
    for path in itertools.chain.from_iterable(map(list_jobs, list_rounds(folder))):
        job = read_job(path / JOB)
        chunks |= {item.chunk.key: item for item in job.chunks}
        done |= set(gather_parts(job, path / "parts", batch.output))
        # What later rounds report of a chunk replaces what earlier ones reported.
        reports |= dict.fromkeys((item.chunk.key for item in job.chunks), _report(folder, path))
    missing = {key: report for key, report in reports.items() if key not in done}
    if not missing or allow_missing:
        absent = AbsentExecutor(reason=lambda key: _reason(missing, key))
        manifest = _merge(batch.config, batch.step, absent, allow_missing=allow_missing)
        if not missing:
            for path in [folder / BATCH, *folder.glob(f"round-*/jobs/*/{JOB}")]:
                private_file(path).unlink(missing_ok=True)
        hidden, waiting = blinding_of(batch.config, manifest.datasets), _by_job(missing)
        return Collected(len(chunks), len(done), 0, None, None, waiting, manifest, hidden)
    if not resubmit:
        return Collected(len(chunks), len(done), missing=_by_job(missing))
    lost = {key: report for key, report in missing.items() if not report.state.is_active}
    remove_jobs(sorted({r.job for r in lost.values() if r.job and r.state.state == "held"}))
    groups = split_chunks([chunks[key] for key in lost], chunks_per_job=batch.chunks_per_job)
    return _start_round(batch, folder, groups, n_done=len(done), missing=missing, dry_run=dry_run)


def _absolute(config: AnalysisConfig, site: str | None, reporter: Reporter) -> AnalysisConfig:
    """Make everything absolute, since jobs and later commands may run in other folders."""
    cluster = config.cluster
    if site is not None:
        # Keys given in the configuration itself still win over the site's.
        given = cluster.model_dump(include=cluster.model_fields_set) if not cluster.site else {}
        cluster = validate(Cluster, {**given, "site": site}, "--site")
    fileset = ready_samples(
        config.resolve_fileset(), config.samples, verify=config.verify, reporter=reporter
    )
    mask = config.selection.lumi_mask
    return config.model_copy(
        update={
            "cluster": cluster,
            "fileset": fileset,
            "output": config.output.absolute(),
            "samples": config.samples.absolute(),
            "selection": config.selection.model_copy(
                update={"lumi_mask": mask.absolute() if mask else None}
            ),
        }
    )


def _merge(
    config: AnalysisConfig, step: Step, executor: ExecutorBase, *, allow_missing: bool = False
) -> Manifest:
    """Do a step as `oddjet run` does it, on an executor that has nothing left to do."""
    run, reporter = Run(config), SilentReporter()
    if step == "skim":
        return skim_events(run, reporter, executor=executor, allow_missing=allow_missing)
    return score_skim(run, reporter, executor=executor)


def _batch_step(batch: Batch) -> BatchStep:
    run = Run(batch.config)
    if batch.step == "skim":
        return BatchStep(
            step="skim",
            code=batch.code,
            selection=run.config.selection,
            representation=run.image.identity() if run.image else None,
            verify=run.config.verify,
        )
    return BatchStep(
        step="score",
        code=batch.code,
        skim=run.skim_folder,
        detectors=run.models,
        histograms=histogram_settings(run.config.hunt, blinding=run.blinding),
        classes=run.named_classes,
        verify=run.config.verify,
    )


def _start_round(
    batch: Batch,
    folder: Path,
    groups: Sequence[Sequence[BatchChunk]],
    *,
    n_done: int,
    missing: Mapping[str, JobReport] | None = None,
    dry_run: bool,
) -> Collected:
    """Write the jobs of a round, and submit them."""
    active = {k: r for k, r in (missing or {}).items() if r.state.is_active}
    n_chunks = n_done + len(active) + sum(len(group) for group in groups)
    if not groups:
        return Collected(n_chunks, n_done, missing=_by_job(active))
    number = 1 + len(list(folder.glob("round-*")))
    place = (folder / f"round-{number}").absolute()
    site = batch.config.cluster
    step, secret = _batch_step(batch), False
    for index, group in enumerate(groups):
        job = BatchJob(step=step, chunks=tuple(group))
        path = place / "jobs" / str(index)
        path.mkdir(parents=True)
        if not site.shared_files:
            job = pack_inputs(job, path)
        secret |= write_with_secrets(path / JOB, job.model_dump(mode="json"))
    inputs = () if site.shared_files else (INPUTS, *([private_file(Path(JOB)).name] * secret))
    if not site.shared_files:
        pack_package(place, site.package)
    submit_file = write_submission(place, site, module=_MODULE, n_jobs=len(groups), inputs=inputs)
    cluster = None if dry_run else submit_jobs(submit_file)
    if cluster is not None:
        write_text(place / _CLUSTER, f"{cluster}\n")
    return Collected(n_chunks, n_done, len(groups), cluster, place, missing=_by_job(active))


def list_rounds(folder: Path) -> list[Path]:
    """List the folders of the rounds of jobs, the latest last."""
    return sorted(folder.glob("round-*"), key=lambda path: int(path.name.partition("-")[2]))


def list_jobs(place: Path) -> list[Path]:
    """List the folders of the jobs of a round."""
    return sorted((place / "jobs").iterdir(), key=lambda path: int(path.name))


def _report(folder: Path, path: Path) -> JobReport:
    """Report the state of a job."""
    place = path.parents[1]
    events = read_events(place / "jobs.log")
    known = {process: (cluster, state) for (cluster, process), state in sorted(events.items())}
    cluster, state = known.get(int(path.name), (None, JobState("removed", "was never submitted")))
    failures = {key: failure.message for key, failure in read_failures(path / "parts").items()}
    output = "" if state.is_active else tail([path / "stderr", path / "stdout"])
    return JobReport(
        name=str(path.relative_to(folder)),
        job=f"{cluster}.{path.name}" if cluster is not None else "",
        state=state,
        n_missing=0,
        reason="\n".join(filter(None, [state.reason, output])),
        failures=failures,
    )


def _by_job(missing: Mapping[str, JobReport]) -> tuple[JobReport, ...]:
    counts = Counter(report.name for report in missing.values())
    unique = {report.name: report for report in missing.values()}
    return tuple(replace(report, n_missing=counts[name]) for name, report in unique.items())


def _reason(missing: Mapping[str, JobReport], key: str) -> str:
    if key not in missing:
        return "is in no job: the files or the settings have changed since; submit again"
    report = missing[key]
    return (
        report.failures.get(key)
        or f"job {report.job or report.name}: {report.reason or report.state.state}"
    )
