"""Running a processor over chunks: the one place that talks to coffea's Runner."""

from __future__ import annotations

import functools
import logging
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from coffea.nanoevents.schemas import BaseSchema
from coffea.processor import Runner, accumulate
from coffea.processor.executor import ExecutorBase, WorkItem

from oddjet import errors
from oddjet.datasets.disk.checksums import Verify, verify_checksum
from oddjet.datasets.disk.state import read_state, write_state
from oddjet.datasets.skims.manifest import ChunkRecord
from oddjet.datasets.skims.parts import damaged_files, part_path, read_part_record
from oddjet.errors import ChunkTooLargeError, InputError, OddjetError, ProcessingError
from oddjet.processors.engine.attempts import Attempts, attempt_item, failure_of, without_retries
from oddjet.processors.engine.chunkwise import ChunkProcessor, Failure
from oddjet.processors.engine.cleanup import remove_temporary_files
from oddjet.processors.engine.memory import check_memory, memory_limit
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.engine.plan import Plan
from oddjet.processors.engine.progress import watch_parts
from oddjet.processors.engine.workers import NoWorkersError, watch_workers
from oddjet.processors.events.source import ChunkSource

__all__ = ["FAILURES", "raise_failures", "read_failures", "run_chunks", "run_plan"]

logger = logging.getLogger(__name__)

FAILURES = "failures.json"
"""What the last run of a folder could not do, for `oddjet status`; gone once nothing fails."""

_SHOWN = 5
_IDLE_ROUNDS = 2
_CHECKSUM_THREADS = 4
_LOST_WORKER = ("KilledWorker", "TerminatedWorkerError", "BrokenProcessPool")


@dataclass
class _PatientRunner(Runner):  # type: ignore[misc]
    """coffea's Runner, whose work on a chunk is tried again and whose failures are results."""

    attempts: Attempts = field(default_factory=Attempts)

    @property
    def _work_function(self) -> Callable[..., dict[str, Any]]:
        return functools.partial(attempt_item, Runner._work_function, self.attempts)


def run_plan(
    plan: Plan,
    chunks: list[ChunkSource],
    processor: ChunkProcessor,
    output: Path,
    *,
    executor: ExecutorBase,
    options: RunOptions,
    images: bool = False,
) -> tuple[list[ChunkRecord], dict[str, Any]]:
    """Run a processor over the chunks of a plan that are not done yet; gives what `run_chunks` does.

    Raises:
        ProcessingError: If chunks failed or entries do not add up.
    """
    attempts = options.attempts or Attempts.from_executor(executor)
    attempts = replace(attempts, output=output.absolute(), images=images)

    def run(todo: list[ChunkSource]) -> dict[str, Any]:
        check_memory(todo, plan.entry_bytes, memory_limit(executor))
        todo, failures = _check_checksums(todo, plan.checksums)
        if not todo or (failures and not options.allow_missing):
            return {"failures": failures}
        runner = _PatientRunner(
            executor=without_retries(executor),
            schema=BaseSchema,
            skipbadfiles=False,
            savemetrics=False,
            attempts=attempts,
        )
        totals = _run_coffea(runner, todo, plan, processor)
        return {**totals, "failures": {**failures, **totals.get("failures", {})}}

    return run_chunks(chunks, output, run, executor=executor, options=options, images=images)


def _run_coffea(
    runner: Runner, todo: list[ChunkSource], plan: Plan, processor: ChunkProcessor
) -> dict[str, Any]:
    # Branches of no use here are not even looked at: real files have two thousand.
    names = sorted({"run", *(name for chunk in todo for name in plan.branches[chunk.file])})
    result = runner.run(
        [_work_item(chunk, plan.branches[chunk.file]) for chunk in todo],
        processor,
        iteritems_options={"filter_name": names},
        uproot_options={"array_cache": None},  # would keep 100 MB of chunks that are done
    )
    return dict(result["out"])


def _work_item(source: ChunkSource, branches: frozenset[str]) -> WorkItem:
    """Give a chunk in coffea's form; its branches are read together and once, but of RNTuples one by one."""
    return WorkItem(
        source.dataset,
        source.file,
        source.tree,
        source.entry_start,
        source.entry_stop,
        uuid.UUID(source.file_uuid).bytes,
        source.to_metadata(),
        None if source.is_rntuple else branches,
    )


def _check_checksums(
    todo: list[ChunkSource], checksums: Mapping[str, str]
) -> tuple[list[ChunkSource], dict[str, Any]]:
    """Read the files that chunks are to be made of and that have a checksum; none is read twice."""
    timeouts = {chunk.file: chunk.timeout for chunk in todo if chunk.file in checksums}

    def verify(path: str) -> InputError | None:
        try:
            verify_checksum(path, checksums[path], timeout=timeouts[path])
        except InputError as error:
            return error
        return None

    with ThreadPoolExecutor(_CHECKSUM_THREADS) as threads:
        wrong = {p: e for p, e in zip(timeouts, threads.map(verify, timeouts), strict=True) if e}
    failures: dict[str, Any] = {}
    for chunk in todo:
        if chunk.file in wrong:
            failures |= failure_of(chunk, wrong[chunk.file])["failures"]
    return [chunk for chunk in todo if chunk.file not in wrong], failures


def run_chunks(
    chunks: list[ChunkSource],
    output: Path,
    run: Callable[[list[ChunkSource]], dict[str, Any]],
    *,
    executor: ExecutorBase,
    options: RunOptions,
    images: bool = False,
    sizes: Mapping[str, int] | None = None,
) -> tuple[list[ChunkRecord], dict[str, Any]]:
    """Run what is not done yet, and account for every entry.

    A part counts when its record is on disk: a worker that was lost after it wrote one has done its
    work. When workers are lost so often that the cluster gives up, the rest is submitted again as
    long as that makes progress.

    Args:
        chunks: All chunks, with keys.
        output: Where parts are written.
        run: Takes the chunks to do, gives the sum of the processor's results.
        executor: Where it runs them; watched while it runs.
        options: With `allow_missing`, failures are in the result and not raised, unless all failed.
        images: Whether a part is complete only with images.
        sizes: Key to what progress counts of a chunk; its entries unless given.

    Returns:
        Records of the processed chunks in order, and the sum over those made now; its `failures`
        are of the chunks that have no record.

    Raises:
        ProcessingError: If chunks failed or entries do not add up.
    """
    output.mkdir(parents=True, exist_ok=True)
    remove_temporary_files(output)

    def look() -> dict[str, ChunkRecord]:
        records = ((c.key, read_part_record(output, c.dataset, c.key)) for c in chunks)
        return {key: record for key, record in records if record and record.images == images}

    done = _intact(output, look(), options.verify)
    todo = [chunk for chunk in chunks if chunk.key not in done]
    logger.info("%s: %d chunks, %d of them done before", output, len(chunks), len(done))
    result: dict[str, Any] = {}
    try:
        with watch_parts(output, chunks, options.progress, sizes=sizes):
            if todo:
                result = _run_rounds(todo, run, look, executor, options.allow_missing)
    finally:
        remove_temporary_files(output)
    made = {key: ChunkRecord.model_validate(v) for key, v in result.get("records", {}).items()}
    # What a lost worker wrote is on disk alone.
    known = {**(look() if len(made) < len(todo) else {}), **done, **made}
    failures = {k: v for k, v in result.get("failures", {}).items() if k not in known}
    _note_failures(output, failures)
    if not options.allow_missing or not known:
        raise_failures(failures, n_chunks=len(chunks))
    records = [known[chunk.key] for chunk in chunks if chunk.key in known]
    _account(chunks, records, failures)
    return records, {**result, "failures": failures}


def _intact(
    output: Path, records: Mapping[str, ChunkRecord], verify: Verify
) -> dict[str, ChunkRecord]:
    """Compare the files of parts with their SHA-256; parts that are not what was written lose their record."""
    if verify == "never" or not records:
        return dict(records)
    if n_old := sum(not record.hashes for record in records.values()):
        logger.warning(
            "%s: %d parts are of an oddjet that wrote no checksums, and are used as they are: damage to them"
            " cannot be seen. Remove the folder to have them made again",
            output,
            n_old,
        )
    # One look at each file, though many parts may be in it; "first" is of a run, not of a process.
    firsts = {part_path(output, record, ".parquet"): record for record in records.values()}
    with ThreadPoolExecutor(_CHECKSUM_THREADS) as threads:
        found_bad = threads.map(lambda record: damaged_files(output, record), firsts.values())
        damaged = {path: bad for path, bad in zip(firsts, found_bad, strict=True) if bad}
    if not damaged:
        return dict(records)
    names = [str(path) for bad in damaged.values() for path in bad]
    kept = {k: r for k, r in records.items() if part_path(output, r, ".parquet") not in damaged}
    logger.warning(
        "%d files are not what was written (their SHA-256 differs): %s%s. Their %d parts are made again",
        len(names),
        ", ".join(names[:_SHOWN]),
        f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "",
        len(records) - len(kept),
    )
    for key in records.keys() - kept.keys():
        # Without its record a part does not count, for workers either.
        (output / records[key].dataset / f"{key}.json").unlink(missing_ok=True)
    return kept


def _note_failures(output: Path, failures: Mapping[str, Mapping[str, Any]]) -> None:
    if failures:
        write_state(output / FAILURES, failures)
    else:
        (output / FAILURES).unlink(missing_ok=True)


def read_failures(folder: Path) -> dict[str, Failure]:
    """Read what the last run into a folder could not do: key of a chunk to its failure; none if nothing is known."""
    return read_state(folder / FAILURES, dict[str, Failure]) or {}


def _run_rounds(
    todo: list[ChunkSource],
    run: Callable[[list[ChunkSource]], dict[str, Any]],
    look: Callable[[], Mapping[str, ChunkRecord]],
    executor: ExecutorBase,
    allow_missing: bool,
) -> dict[str, Any]:
    """Run, and again what is left when workers were lost, until that makes no progress twice.

    Then there is a chunk that kills every worker that takes it. When something may be missing it is found by
    halving, so that all others are done.
    """
    idle = 0
    while True:
        try:
            with watch_workers(executor):
                return run(todo)
        except NoWorkersError as error:
            raise _killed(_left(todo, look) or todo, error) from error
        except OddjetError:
            raise
        except Exception as error:
            if not _is_lost_worker(error):
                # coffea names the work item and what went wrong in the message, and keeps the cause.
                msg = (
                    f"processing stopped: {error}. Chunks done so far are kept; repeat the command"
                )
                raise ProcessingError(msg) from error
            left = _left(todo, look)
            if not left:
                return {}
            idle = idle + 1 if len(left) == len(todo) else 0
            if idle == _IDLE_ROUNDS:
                killed = _killed(left, error)
                if not allow_missing:
                    raise killed from error
                if len(left) == 1:
                    return failure_of(left[0], killed)
                break
            logger.warning("workers were lost; %d chunks are handed out again", len(left))
            todo = left
    logger.warning("one of %d chunks kills its worker: halving them to find it", len(left))
    middle = len(left) // 2
    halves = (left[:middle], left[middle:])
    return dict(accumulate([_run_rounds(half, run, look, executor, True) for half in halves]))


def _left(
    todo: list[ChunkSource], look: Callable[[], Mapping[str, ChunkRecord]]
) -> list[ChunkSource]:
    done = look()
    return [chunk for chunk in todo if chunk.key not in done]


def _is_lost_worker(error: BaseException) -> bool:
    return any(name in f"{type(error).__name__} {error}" for name in _LOST_WORKER)


def _killed(left: list[ChunkSource], error: Exception) -> ChunkTooLargeError:
    """Name the chunk that coffea's message names, else the largest."""
    text = str(error)
    named = [
        c
        for c in left
        if f"entrystart={c.entry_start}, entrystop={c.entry_stop}," in text and c.file in text
    ]
    chunk = max(named or left, key=len)
    is_known = bool(named) or len(left) == 1
    msg = (
        f"{chunk.where}: workers were killed again and again while they did {'this' if is_known else 'such'}"
        f" chunk of {len(chunk)} entries; most often it needs more memory than a worker has: give a smaller"
        " chunk_size, or workers with more memory. Chunks done so far are kept"
    )
    return ChunkTooLargeError(msg)


def raise_failures(failures: Mapping[str, Mapping[str, Any]], *, n_chunks: int) -> None:
    """Raise what went wrong in chunks, as the error it was.

    Raises:
        OddjetError: If there are any: of their class if they share one, else a `ProcessingError`.
    """
    if not failures:
        return
    lines = []
    for failure in list(failures.values())[:_SHOWN]:
        message, where = failure["message"], failure["where"]
        lines.append(message if where in message else f"{where}: {message}")
    if len(failures) > _SHOWN:
        lines.append(f"and {len(failures) - _SHOWN} more")
    head = f"{len(failures)} of {n_chunks} chunks failed; the others are kept"
    names = {failure["error"] for failure in failures.values()}
    error = getattr(errors, names.pop(), ProcessingError) if len(names) == 1 else ProcessingError
    raise error("\n".join([head, *lines]))


def _account(
    chunks: list[ChunkSource],
    records: list[ChunkRecord],
    failures: Mapping[str, Mapping[str, Any]],
) -> None:
    planned = sum(len(chunk) for chunk in chunks)
    processed = sum(record.n_events for record in records)
    failed = sum(failure["n_events"] for failure in failures.values())
    if planned != processed + failed or len(chunks) != len(records) + len(failures):
        msg = (
            f"planned {planned} entries in {len(chunks)} chunks, processed {processed} in {len(records)},"
            f" failed {failed} in {len(failures)}: results were lost on the way; repeat the command"
        )
        raise ProcessingError(msg)
