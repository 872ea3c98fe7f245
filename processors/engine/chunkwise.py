"""What the processors share: one chunk in, its record or its failure out."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from coffea.processor import ProcessorABC

from oddjet.datasets.disk.remote import open_root
from oddjet.datasets.files.fields import NtupleFields
from oddjet.datasets.jets import Jets
from oddjet.datasets.luminosity.mask import LumiMask
from oddjet.datasets.skims.manifest import ChunkRecord
from oddjet.errors import OddjetError, without_queries
from oddjet.processors.events.select import select_jets
from oddjet.processors.events.selection import Selection
from oddjet.processors.events.source import ChunkSource

__all__ = ["ChunkProcessor", "Failure", "SelectingProcessor", "guard"]


@dataclass(frozen=True)
class Failure:
    """A chunk that could not be processed.

    Attributes:
        error: Class of the error, one of `oddjet.errors`.
        where: File and entries.
        n_events: Entries in the chunk.
    """

    error: str
    message: str
    where: str
    n_events: int


def guard(source: ChunkSource, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do the work of a chunk; turn an error that was raised on purpose into a result.

    The other chunks go on, each error keeps its class and message on its way between processes
    (causes are lost on it), and all are reported together. Other errors, such as those of a disk
    or a network, are raised: executors may try those again.

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

        Returns:
            {"records": {key: the chunk's record}, …} or {"failures": {key: `Failure`}}.
        """
        source = ChunkSource.from_metadata(events.metadata)
        return guard(source, lambda: self._process(events, source))

    def _process(self, events: Any, source: ChunkSource) -> dict[str, Any]:
        """Process one chunk; of RNTuples, coffea would read whole collections for one field."""
        if not source.is_rntuple:
            return self.process_chunk(events, source)
        with open_root(events.metadata["filename"], timeout=source.timeout) as file:
            fields = NtupleFields(file[source.tree], source.entry_start, source.entry_stop)
            return self.process_chunk(fields, source)

    @abstractmethod
    def process_chunk(self, events: Any, source: ChunkSource) -> dict[str, Any]:
        """Process one chunk; errors may be raised.

        Returns:
            As `process`.
        """

    def postprocess(self, accumulator: Any) -> Any:
        """Leave the sum as it is."""
        return accumulator


class SelectingProcessor(ChunkProcessor):
    """Selects the jets of a chunk; what is done with them is up to others.

    Attributes:
        lumi_mask: Certified luminosity, for data.
    """

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.lumi_mask = LumiMask.from_json(selection.lumi_mask) if selection.lumi_mask else None

    def process_chunk(self, events: Any, source: ChunkSource) -> dict[str, Any]:
        """Select the jets of a chunk, and process them; as `process`."""
        started = time.perf_counter()
        selected = select_jets(
            events, selection=self.selection, source=source, lumi_mask=self.lumi_mask
        )
        record = record_of(
            source,
            n_jets=len(selected.jets),
            cutflow=selected.cutflow,
            sumw=selected.sumw,
            sumw2=selected.sumw2,
            counts=selected.counts,
            balance=selected.balance,
            notes=selected.notes,
            seconds=time.perf_counter() - started,
        )
        return self.process_jets(selected.jets, record)

    @abstractmethod
    def process_jets(self, jets: Jets, record: ChunkRecord) -> dict[str, Any]:
        """Make a part of the selected jets of a chunk.

        Returns:
            As `process`.
        """


def record_of(source: ChunkSource, **values: Any) -> ChunkRecord:
    """Start a chunk's record with where it comes from; `values` are its other fields."""
    return ChunkRecord(
        key=source.key,
        dataset=source.dataset,
        file=without_queries(source.file),
        file_uuid=source.file_uuid,
        tree=source.tree,
        entry_start=source.entry_start,
        entry_stop=source.entry_stop,
        n_events=len(source),
        **values,
    )
