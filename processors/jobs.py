"""Groups of chunks as jobs of a batch pool: written here, run in the pool, gathered here.

A job is a JSON file. It runs in one process and needs no connection; its parts are in a folder of
its own, named by content as everywhere, so that a job that ran twice does no harm.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from coffea.processor.executor import ExecutorBase, IterativeExecutor
from pydantic import BaseModel, ConfigDict, Field

from oddjet.datasets.disk.atomic import atomic_write
from oddjet.datasets.disk.checksums import Verify
from oddjet.datasets.disk.secrets import is_hidden, private_file, read_with_secrets
from oddjet.datasets.disk.validation import validate
from oddjet.datasets.files.dataset import Dataset, Fileset
from oddjet.datasets.skims.compaction import copy_stored_parts
from oddjet.datasets.skims.manifest import write_manifest
from oddjet.datasets.skims.parts import damaged_files, read_part_record
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.errors import ConfigError, ProcessingError
from oddjet.ml.plugins import allow_classes
from oddjet.ml.representations import representation_from_identity
from oddjet.processors.engine.attempts import failure_of
from oddjet.processors.engine.keys import code_digest
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.engine.plan import Plan
from oddjet.processors.engine.rounds import FAILURES, raise_failures, run_plan
from oddjet.processors.events.selection import Selection
from oddjet.processors.events.source import ChunkSource
from oddjet.processors.histograms import HistogramSettings
from oddjet.processors.scoring import run_anomaly
from oddjet.processors.skim import SkimProcessor
from oddjet.processors.totals import PartGroup

__all__ = [
    "INPUTS",
    "JOB",
    "AbsentExecutor",
    "BatchChunk",
    "BatchJob",
    "BatchStep",
    "gather_parts",
    "pack_inputs",
    "read_job",
    "run_job",
    "split_chunks",
]

logger = logging.getLogger(__name__)

INPUTS = "inputs.tar"
JOB = "job.json"


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BatchStep(_Settings):
    """What is done with chunks: events are skimmed, or parts of a skim are scored.

    Attributes:
        step: skim or score.
        code: Digest of the code that planned it; another code refuses to run it.
        selection: Of a skim.
        representation: Identity of a skim's images, None for none.
        skim: The skim that is scored; relative to the job's file.
        detectors: Label to folder of each detector, relative to the job's file.
        histograms: What is filled.
        classes: Classes of other packages that the configuration names, as `package.module:Class`: the
            detectors' folders may name them too.
        verify: When files of a skim and parts are compared with their SHA-256, as of `RunOptions`.
    """

    step: Literal["skim", "score"]
    code: str
    selection: Selection = Field(default_factory=Selection)
    representation: dict[str, Any] | None = None
    skim: Path | None = None
    detectors: dict[str, Path] = Field(default_factory=dict)
    histograms: HistogramSettings = Field(default_factory=HistogramSettings)
    classes: tuple[str, ...] = ()
    verify: Verify = "first"


class BatchChunk(_Settings):
    """A chunk of a job.

    Attributes:
        source: `ChunkSource.to_metadata`.
        branches: What to read of its file.
        part: Of a skim, the key of the part to score.
    """

    source: dict[str, Any]
    branches: tuple[str, ...] = ()
    part: str | None = None

    @property
    def chunk(self) -> ChunkSource:
        """Where it comes from, with its key."""
        return ChunkSource.from_metadata(self.source)


class BatchJob(_Settings):
    """What one job does.

    Attributes:
        step: What.
        chunks: With what.
    """

    step: BatchStep
    chunks: tuple[BatchChunk, ...]


@dataclass
class AbsentExecutor(ExecutorBase):  # type: ignore[misc]
    """Runs no chunk: it notes which are missing, and lets each fail with a reason.

    Parts that were made before are added up, here.

    Attributes:
        chunks: What it was asked to do.
        reason: Why a chunk is not done, by its key.
    """

    status: bool = False
    chunks: list[BatchChunk] = field(default_factory=list)
    reason: Callable[[str], str] = "not done yet".format

    def __call__(
        self, items: Sequence[Any], function: Callable[[Any], Any], accumulator: Any
    ) -> tuple[Any, Any]:
        """Note the chunks of coffea's work items, or of parts of a skim.

        Returns:
            Nothing but failures, in the form in which the caller expects them, and 0; of groups
            of parts what the function makes of them.
        """
        if all(isinstance(item, PartGroup) for item in items):
            total, left = IterativeExecutor(status=False)(items, function, accumulator)
            return total, left
        failures: dict[str, Any] = {}
        of_skim = False
        for item in items:
            if of_skim := isinstance(item, tuple):
                (skim, source), branches = item, ()
                part = skim.manifest.chunks[0].key
            else:
                source = ChunkSource.from_metadata(item.usermeta)
                branches, part = tuple(sorted(item.preload or ())), None
            metadata = source.to_metadata()
            self.chunks.append(BatchChunk(source=metadata, branches=branches, part=part))
            failures |= failure_of(source, ProcessingError(self.reason(source.key)))["failures"]
        result = {"failures": failures}
        return (result if of_skim else {"out": result, "processed": set()}), 0


def split_chunks(
    chunks: Sequence[BatchChunk], *, jobs: int | None = None, chunks_per_job: int | None = None
) -> list[list[BatchChunk]]:
    """Group chunks into jobs of nearly equal numbers, in order.

    These are `jobs`, at most one a chunk, or of `chunks_per_job` chunks at most, by default 1.
    """
    n_jobs = jobs or -(-len(chunks) // (chunks_per_job or 1))
    n_jobs = min(n_jobs, len(chunks))
    borders = [len(chunks) * i // n_jobs for i in range(n_jobs + 1)]
    return [list(chunks[a:b]) for a, b in itertools.pairwise(borders)]


def read_job(path: Path) -> BatchJob:
    """Read what a job does; its paths become absolute.

    Raises:
        ConfigError: If it cannot be read.
    """
    job = validate(BatchJob, read_with_secrets(path), str(path))
    folder = path.absolute().parent
    changes: dict[str, Any] = {
        "skim": folder / job.step.skim if job.step.skim else None,
        "detectors": {label: folder / place for label, place in job.step.detectors.items()},
    }
    if (mask := job.step.selection.lumi_mask) is not None:
        changes["selection"] = job.step.selection.model_copy(update={"lumi_mask": folder / mask})
    return job.model_copy(update={"step": job.step.model_copy(update=changes)})


def pack_inputs(job: BatchJob, folder: Path) -> BatchJob:
    """Pack what a job reads beside its files of events, for machines that do not see it.

    The job that is given has the paths that hold where the archive is unpacked.
    """
    step = job.step
    changes: dict[str, Any] = {}
    with tarfile.open(folder / INPUTS, "w", dereference=True) as archive:
        if step.selection.lumi_mask is not None:
            archive.add(step.selection.lumi_mask, "lumi_mask.json")
            changes["selection"] = step.selection.model_copy(
                update={"lumi_mask": Path("lumi_mask.json")}
            )
        if step.skim is not None:
            chosen = _some_parts(open_skim(step.skim, verify=step.verify), job)
            skim = copy_stored_parts(chosen, folder / "skim")
            write_manifest(folder / "skim", skim.manifest)
            archive.add(folder / "skim", "skim")
            for record in skim.manifest.chunks:
                for path in sorted((skim.folder / record.dataset).glob(f"{record.key}.*")):
                    archive.add(path, f"skim/{record.dataset}/{path.name}")
            shutil.rmtree(folder / "skim")
            changes["skim"] = Path("skim")
        for label, place in step.detectors.items():
            archive.add(place, f"models/{label}")
        changes["detectors"] = {label: Path("models") / label for label in step.detectors}
    return job.model_copy(update={"step": step.model_copy(update=changes)})


def run_job(path: Path, parts: Path, *, executor: ExecutorBase) -> None:
    """Do a job; parts that exist already are kept.

    Raises:
        ConfigError: If this is other code than that which planned the job.
        ProcessingError: If chunks failed; the parts of the others exist.
    """
    if (inputs := path.parent / INPUTS).is_file():
        with tarfile.open(inputs) as archive:
            archive.extractall(path.parent, filter="data")
    job = read_job(path)
    if job.step.code != code_digest():
        msg = (
            f"{path}: planned by other code (digest {job.step.code[:12]}) than this job's (digest"
            f" {code_digest()[:12]}): the job must have the same version of oddjet"
        )
        raise ConfigError(msg)
    if any(is_hidden(item.chunk.file) for item in job.chunks):
        msg = (
            f"{path}: the queries of its URLs are not in {private_file(path).name} beside it any more:"
            " submit into another folder"
        )
        raise ConfigError(msg)
    allow_classes(job.step.classes)
    parts.mkdir(parents=True, exist_ok=True)
    (parts / FAILURES).unlink(missing_ok=True)
    work = _skim if job.step.step == "skim" else _score
    work(job, parts.absolute(), executor)


def _skim(job: BatchJob, parts: Path, executor: ExecutorBase) -> None:
    chunks = [item.chunk for item in job.chunks]
    files: dict[str, dict[str, str]] = {}
    for chunk in chunks:
        files.setdefault(chunk.dataset, {})[chunk.file] = chunk.tree
    datasets = {
        chunk.dataset: Dataset(files=files[chunk.dataset], kind=chunk.kind, truth=chunk.truth)
        for chunk in chunks
    }
    plan = Plan(
        fileset=Fileset(datasets=datasets),
        files={},
        chunks=tuple(chunks),
        branches={item.chunk.file: frozenset(item.branches) for item in job.chunks},
    )
    identity = job.step.representation
    representation = representation_from_identity(identity) if identity else None
    processor = SkimProcessor(job.step.selection, parts, representation)
    _, result = run_plan(
        plan,
        chunks,
        processor,
        parts,
        executor=executor,
        images=representation is not None,
        options=RunOptions(allow_missing=True, verify=job.step.verify),
    )
    raise_failures(result["failures"], n_chunks=len(chunks))


def _some_parts(skim: Skim, job: BatchJob) -> Skim:
    wanted = {item.part for item in job.chunks}
    records = tuple(record for record in skim.manifest.chunks if record.key in wanted)
    if len(records) != len(wanted):
        msg = f"{skim.folder}: {len(wanted) - len(records)} parts of this job are not in this skim any more"
        raise ConfigError(msg)
    return replace(skim, manifest=skim.manifest.model_copy(update={"chunks": records}))


def _score(job: BatchJob, parts: Path, executor: ExecutorBase) -> None:
    if job.step.skim is None:
        msg = "expected a skim to score, received none"
        raise ConfigError(msg)
    result = run_anomaly(
        _some_parts(open_skim(job.step.skim, verify=job.step.verify), job),
        detectors=job.step.detectors,
        output=parts,
        executor=executor,
        histograms=job.step.histograms,
        options=RunOptions(verify=job.step.verify),
    )
    made = {record.key for record in result.manifest.chunks}
    if made != {item.chunk.key for item in job.chunks}:
        msg = "the detectors' code is not that which planned this job: it must be the same version"
        raise ConfigError(msg)


def gather_parts(job: BatchJob, parts: Path, output: Path) -> list[str]:
    """Copy the parts a job made to where they belong; gives the keys of those in the output.

    Parts whose files are not what was written do not count, here and there.
    """
    gathered = []
    for item in job.chunks:
        dataset, key = item.chunk.dataset, item.chunk.key
        record = read_part_record(output, dataset, key)
        if record is None or damaged_files(output, record):
            record = read_part_record(parts, dataset, key)
            if record is None:
                continue
            if damaged := damaged_files(parts, record):
                logger.warning(
                    "%s is not the file that was written (its SHA-256 differs): the part counts as missing",
                    damaged[0],
                )
                continue
            # The record last: with it the part counts.
            for suffix in [".npy"] * record.images + [".parquet", ".json"]:
                _place(parts / dataset / f"{key}{suffix}", output / dataset / f"{key}{suffix}")
        gathered.append(key)
    return gathered


def _place(source: Path, target: Path) -> None:
    """Link, or copy where that cannot be; atomically."""
    with atomic_write(target) as temporary:
        temporary.unlink()
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
