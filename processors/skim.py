"""The skim processor: events in, selected jets with their constituents on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from oddjet.datasets.jets import Jets
from oddjet.datasets.skims.manifest import ChunkRecord
from oddjet.datasets.skims.parts import write_part
from oddjet.ml.representations import Representation
from oddjet.processors.engine.chunkwise import SelectingProcessor
from oddjet.processors.events.selection import Selection
from oddjet.processors.images import write_images

__all__ = ["SkimProcessor"]


class SkimProcessor(SelectingProcessor):
    """Selects jets and writes one part of a skim a chunk.

    Attributes:
        representation: What images to write beside, None for none.
    """

    def __init__(
        self, selection: Selection, output: Path, representation: Representation | None = None
    ) -> None:
        super().__init__(selection)
        self.output = output
        self.representation = representation

    def settings(self) -> dict[str, Any]:
        """Give what decides the content of a part beside its chunk, in JSON types."""
        identity = self.representation.identity() if self.representation else None
        return {"selection": self.selection.identity(), "representation": identity}

    def process_jets(self, jets: Jets, record: ChunkRecord) -> dict[str, Any]:
        """Write the jets of a chunk: images first, and the record that counts them last.

        Returns:
            {"records": {key: record}}.
        """
        rows = np.arange(len(jets)) if self.representation else np.full(len(jets), -1)
        jets = ak.with_field(jets, rows, "image_index")
        if self.representation is not None:
            path = self.output / record.dataset / f"{record.key}.npy"
            write_images(path, jets, self.representation)
            record = record.model_copy(update={"images": True})
        record = write_part(
            self.output, record.dataset, record.key, jets, images=None, record=record
        )
        return {"records": {record.key: record.model_dump(mode="json")}}
