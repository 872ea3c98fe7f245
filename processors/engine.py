"""Running a processor over chunks: the one place that talks to coffea's Runner."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from coffea.nanoevents.schemas import BaseSchema
from coffea.processor import Runner
from coffea.processor.executor import ExecutorBase

from oddjet import errors
from oddjet.datasets.manifest import ChunkRecord
from oddjet.datasets.skim import read_part_record
from oddjet.errors import OddjetError, ProcessingError
from oddjet.processors.chunkwise import ChunkProcessor
from oddjet.processors.cleanup import remove_temporary_files
from oddjet.processors.plan import Plan
from oddjet.processors.progress import Progress, watch_parts
from oddjet.processors.source import ChunkSource

__all__ = ["raise_failures", "run_chunks", "run_plan"]

logger = logging.getLogger(__name__)

_SHOWN = 5


def run_plan(
    plan: Plan,
    chunks: list[ChunkSource],
    processor: ChunkProcessor,
    output: Path,
    *,
    executor: ExecutorBase,
    images: bool = False,
    progress: Progress | None,
) -> tuple[list[ChunkRecord], dict[str, Any]]:
    """Run a processor over the chunks of a plan that are not there yet.

    Args:
        plan: Where the chunks are from.
        chunks: All chunks, with keys.
        processor: What to do with them.
        output: Where it writes.
        executor: Where to run.
        images: Whether the processor writes images.
        progress: As for `run_skim`.

    Returns:
        Records of all chunks in order, and what coffea added up over those made now.

    Raises:
        ProcessingError: If chunks failed or entries do not add up.
    """

    def run(todo: list[ChunkSource]) -> dict[str, Any]:
        # Branches of no use here are not even looked at: real files have two thousand.
        names = sorted({name for chunk in todo for name in plan.branches[chunk.file]})
        runner = Runner(
            executor=executor.copy(),  # Runner leaves the processor in Dask executors
            schema=BaseSchema,
            skipbadfiles=False,
            savemetrics=False,
        )
        items = [plan.work_item(chunk) for chunk in todo]
        result = runner.run(
            items,
            processor,
            iteritems_options={"filter_name": names},
            uproot_options={"array_cache": None},  # would keep 100 MB of chunks that are done
        )
        return dict(result["out"])

    return run_chunks(chunks, output, run, images=images, progress=progress)


def run_chunks(
    chunks: list[ChunkSource],
    output: Path,
    run: Callable[[list[ChunkSource]], dict[str, Any]],
    *,
    images: bool = False,
    sizes: Mapping[str, int] | None = None,
    progress: Progress | None,
) -> tuple[list[ChunkRecord], dict[str, Any]]:
    """Run what is not there yet, and account for every entry.

    Args:
        chunks: All chunks, with keys.
        output: Where parts are written.
        run: Takes the chunks to do, gives the sum of the processor's results.
        images: Whether a part has to have images to be there.
        sizes: Key to what progress counts of a chunk; its entries unless given.
        progress: As for `run_skim`.

    Returns:
        Records of all chunks in order, and the sum over those made now.

    Raises:
        ProcessingError: If chunks failed or entries do not add up.
    """
    output.mkdir(parents=True, exist_ok=True)
    remove_temporary_files(output)
    done = {}
    for chunk in chunks:
        record = read_part_record(output, chunk.dataset, chunk.key)
        done[chunk.key] = record if record and record.images == images else None
    todo = [chunk for chunk in chunks if done[chunk.key] is None]
    logger.info(
        "%s: %d chunks, %d of them done before", output, len(chunks), len(chunks) - len(todo)
    )
    result: dict[str, Any] = {}
    try:
        with watch_parts(output, chunks, progress, sizes=sizes):
            if todo:
                result = run(todo)
    except OddjetError:
        raise
    except Exception as error:
        # coffea names the work item and what went wrong in the message, and keeps the cause.
        msg = f"processing stopped: {error}. Chunks done so far are kept; repeat the command"
        raise ProcessingError(msg) from error
    finally:
        remove_temporary_files(output)
    failures = result.get("failures", {})
    raise_failures(failures, n_chunks=len(chunks))
    made = {key: ChunkRecord.model_validate(v) for key, v in result.get("records", {}).items()}
    records = [record for chunk in chunks if (record := done[chunk.key] or made.get(chunk.key))]
    _account(chunks, records)
    return records, result


def raise_failures(failures: Mapping[str, Mapping[str, Any]], *, n_chunks: int) -> None:
    """Raise what went wrong in chunks, as the error it was.

    Args:
        failures: Key to `Failure`, as a dict.
        n_chunks: Chunks in all.

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


def _account(chunks: list[ChunkSource], records: list[ChunkRecord]) -> None:
    planned = sum(len(chunk) for chunk in chunks)
    processed = sum(record.n_events for record in records)
    if planned != processed or len(records) != len(chunks):
        msg = (
            f"planned {planned} entries in {len(chunks)} chunks, processed {processed} in"
            f" {len(records)}: results were lost on the way; repeat the command"
        )
        raise ProcessingError(msg)
