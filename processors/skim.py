"""The skim processor: events in, selected jets with their constituents on disk."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from oddjet.datasets.disk.atomic import write_text
from oddjet.datasets.jets import Jets
from oddjet.datasets.luminosity.mask import LumiMask
from oddjet.datasets.skims.manifest import ChunkRecord
from oddjet.datasets.skims.parts import write_part
from oddjet.ml.representations import Representation
from oddjet.processors.chunkwise import ChunkProcessor, record_of
from oddjet.processors.events.select import select_jets
from oddjet.processors.events.selection import Selection
from oddjet.processors.images import write_images
from oddjet.processors.source import ChunkSource

__all__ = ["SkimProcessor"]


class SkimProcessor(ChunkProcessor):
    """Selects jets and writes one part of a skim a chunk.

    Attributes:
        selection: The cuts.
        output: The skim's folder.
        representation: What images to write beside, None for none.
        lumi_mask: Certified luminosity, for data.
    """

    def __init__(
        self, selection: Selection, output: Path, representation: Representation | None = None
    ) -> None:
        self.selection = selection
        self.output = output
        self.representation = representation
        self.lumi_mask = LumiMask.from_json(selection.lumi_mask) if selection.lumi_mask else None

    def settings(self) -> dict[str, Any]:
        """Say what decides the content of a part beside its chunk, in JSON types."""
        identity = self.representation.identity() if self.representation else None
        return {"selection": self.selection.identity(), "representation": identity}

    def process_chunk(self, events: Any, source: ChunkSource) -> dict[str, Any]:
        """Select the jets of a chunk and write them.

        Args:
            events: The events.
            source: Which chunk it is.

        Returns:
            {"records": {key: record}}.
        """
        started = time.perf_counter()
        selected = select_jets(
            events, selection=self.selection, source=source, lumi_mask=self.lumi_mask
        )
        jets = selected.jets
        rows = np.arange(len(jets)) if self.representation else np.full(len(jets), -1)
        jets = ak.with_field(jets, rows, "image_index")
        record = record_of(
            source,
            n_jets=len(jets),
            cutflow=selected.cutflow,
            sumw=selected.sumw,
            sumw2=selected.sumw2,
            counts=selected.counts,
            seconds=time.perf_counter() - started,
        )
        record = self._write(jets, record)
        return {"records": {source.key: record.model_dump(mode="json")}}

    def _write(self, jets: Jets, record: ChunkRecord) -> ChunkRecord:
        """Write the part; images first, and the record that counts them last."""
        part = (self.output, record.dataset, record.key)
        if self.representation is None:
            write_part(*part, jets, images=None, record=record)
            return record
        stem = self.output / record.dataset / record.key
        write_images(stem.with_suffix(".npy"), jets, self.representation)
        write_part(*part, jets, images=None, record=record)
        record = record.model_copy(update={"images": True})
        write_text(stem.with_suffix(".json"), record.model_dump_json(indent=1) + "\n")
        return record
