"""What the processors share: one chunk in, its record or its failure out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from coffea.processor import ProcessorABC

from oddjet.datasets.skims.manifest import ChunkRecord
from oddjet.errors import OddjetError
from oddjet.processors.source import ChunkSource

__all__ = ["ChunkProcessor", "Failure", "guard"]


@dataclass(frozen=True)
class Failure:
    """A chunk that could not be processed.

    Attributes:
        error: Class of the error, one of `oddjet.errors`.
        message: What it said.
        where: File and entries.
        n_events: Entries in the chunk.
    """

    error: str
    message: str
    where: str
    n_events: int


def guard(source: ChunkSource, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do the work of a chunk; turn an error that was raised on purpose into a result.

    The other chunks go on, each error keeps its class and words on its way between processes
    (causes are lost there), and all are reported together. Other errors, such as those of a disk
    or a network, are raised: executors may try those again.

    Args:
        source: The chunk.
        work: What to do; gives coffea's accumulator.

    Returns:
        The accumulator, or one with nothing but the failure under `failures`.
    """
    try:
        return work()
    except OddjetError as error:
        failure = Failure(type(error).__name__, str(error), source.where, len(source))
        return {"failures": {source.key: asdict(failure)}}


class ChunkProcessor(ProcessorABC):  # type: ignore[misc]
    """A coffea processor whose results are files, one part a chunk.

    It keeps no state; what it returns to coffea is only which chunks are done.
    """

    def process(self, events: Any) -> dict[str, Any]:
        """Process one chunk.

        Args:
            events: coffea's `BaseSchema` events; their metadata say which chunk it is.

        Returns:
            {"records": {key: the chunk's record}, …} or {"failures": {key: `Failure`}}.
        """
        source = ChunkSource.from_metadata(events.metadata)
        return guard(source, lambda: self.process_chunk(events, source))

    @abstractmethod
    def process_chunk(self, events: Any, source: ChunkSource) -> dict[str, Any]:
        """Process one chunk; errors may be raised.

        Args:
            events: The events.
            source: Which chunk it is.

        Returns:
            As `process`.
        """

    def postprocess(self, accumulator: Any) -> Any:
        """Leave the sum as it is."""
        return accumulator


def record_of(source: ChunkSource, **values: Any) -> ChunkRecord:
    """Start a chunk's record with where it comes from.

    Args:
        source: The chunk.
        **values: The other fields of `ChunkRecord`.

    Returns:
        The record.
    """
    return ChunkRecord(
        key=source.key,
        dataset=source.dataset,
        file=source.file,
        file_uuid=source.file_uuid,
        tree=source.tree,
        entry_start=source.entry_start,
        entry_stop=source.entry_stop,
        n_events=len(source),
        **values,
    )
