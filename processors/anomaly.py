"""The anomaly processor: events or skimmed jets in, scores on disk out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oddjet.datasets.jets import Jets
from oddjet.datasets.skims.manifest import ChunkRecord
from oddjet.datasets.skims.parts import write_part
from oddjet.datasets.skims.skim import Skim
from oddjet.processors.detection import DetectorReference, score_jets
from oddjet.processors.engine.chunkwise import SelectingProcessor, guard
from oddjet.processors.events.selection import Selection
from oddjet.processors.events.source import ChunkSource
from oddjet.processors.histograms import Filler, HistogramSettings

__all__ = ["AnomalyProcessor", "JetScorer", "score_part"]


@dataclass(frozen=True)
class JetScorer:
    """Scores the jets of a chunk of events, or of a part of a skim.

    Attributes:
        output: Folder of the scores table.
        datasets: Names on the histograms' dataset axis.
    """

    detectors: tuple[DetectorReference, ...]
    output: Path
    histograms: HistogramSettings
    datasets: tuple[str, ...]

    @property
    def filler(self) -> Filler:
        """What fills the histograms: those of raw scores first."""
        names = [name for detector in self.detectors for name in detector.names]
        names.sort(key=lambda name: bool(name.method))
        cuts = {name.column: name.cut for name in names}
        return Filler(self.histograms, cuts, self.datasets)

    def process_jets(self, jets: Jets, record: ChunkRecord) -> dict[str, Any]:
        """Score the jets of a chunk, and write them as one part of the table.

        Raises:
            NonFiniteError: If a row could not be filled into the histograms.
        """
        started = time.perf_counter()
        scores = score_jets(jets, self.detectors)
        self.filler.check(scores)
        seconds = record.seconds + time.perf_counter() - started
        record = record.model_copy(update={"seconds": seconds, "images": False})
        record = write_part(
            self.output, record.dataset, record.key, scores, images=None, record=record
        )
        return {"records": {record.key: record.model_dump(mode="json")}}


class AnomalyProcessor(SelectingProcessor):
    """Selects jets as the skim does, and scores them, without a skim in between."""

    def __init__(self, selection: Selection, scorer: JetScorer) -> None:
        super().__init__(selection)
        self.scorer = scorer

    def process_jets(self, jets: Jets, record: ChunkRecord) -> dict[str, Any]:
        """Score the jets of a chunk; see `JetScorer.process_jets`."""
        return self.scorer.process_jets(jets, record)


def score_part(item: tuple[Skim, ChunkSource], *, scorer: JetScorer) -> dict[str, Any]:
    """Score one part of a skim, as `Skim.only` gives it; a function of one item, for executors."""
    part, source = item

    def work() -> dict[str, Any]:
        (record,) = part.manifest.chunks
        fresh = {"key": source.key, "seconds": 0.0, "stored_in": None, "first_row": 0, "hashes": {}}
        record = record.model_copy(update=fresh)
        return scorer.process_jets(part.jets(), record)

    return guard(source, work)
