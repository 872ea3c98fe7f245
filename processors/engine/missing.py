"""What is missing of a run that may have parts missing, so that all that is left belongs together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oddjet.datasets.skims.manifest import ChunkRecord, MissingChunk
from oddjet.errors import ProcessingError
from oddjet.processors.engine.plan import Plan
from oddjet.processors.events.source import ChunkSource

__all__ = ["find_missing"]


def find_missing(
    plan: Plan,
    chunks: Sequence[ChunkSource],
    records: Sequence[ChunkRecord],
    failures: Mapping[str, Mapping[str, Any]],
) -> tuple[list[ChunkRecord], tuple[MissingChunk, ...]]:
    """List what failed, and leave out what cannot be used without it.

    Simulation is used chunk by chunk: Σw is over the same chunks. The luminosity of data is known
    by luminosity block, and these are whole within a file but not within a chunk; and the Σw of a file of
    simulation that was filtered is known for the file alone. So these files count whole or not at all.

    Returns:
        The records to use, and what is missing, in the order of the plan.

    Raises:
        ProcessingError: If nothing is left.
    """
    filtered = {
        file.uuid
        for file in plan.files.values()
        if file.history.is_known and not file.history.is_whole
    }
    broken = {
        c.file_uuid: c
        for c in chunks
        if c.key in failures and (c.is_data or c.file_uuid in filtered)
    }
    kept = [record for record in records if record.file_uuid not in broken]
    missing = [*plan.unusable]
    for chunk in chunks:
        failure = failures.get(chunk.key)
        if failure is not None:
            missing.append(_missing(chunk, failure["error"], failure["message"]))
        elif chunk.file_uuid in broken:
            failed = broken[chunk.file_uuid]
            why = (
                "a file of data counts whole or not at all: luminosity is known for whole luminosity blocks"
                if chunk.is_data
                else "a file of simulation that was filtered counts whole or not at all: the Σ weight of its"
                " generated events is known for the file"
            )
            message = f"entries [{failed.entry_start}, {failed.entry_stop}) of this file failed, and {why}"
            missing.append(_missing(chunk, "MissingDataError", message))
    if missing and not kept:
        msg = f"nothing is left: {missing[0].where}: {missing[0].error}: {missing[0].message}"
        raise ProcessingError(msg)
    return kept, tuple(missing)


def _missing(chunk: ChunkSource, error: str, message: str) -> MissingChunk:
    return MissingChunk(
        dataset=chunk.dataset,
        file=chunk.file,
        entry_start=chunk.entry_start,
        entry_stop=chunk.entry_stop,
        n_events=len(chunk),
        error=error,
        message=message,
    )
