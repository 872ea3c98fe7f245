"""Where a chunk of events comes from, and what is to be known of it to select its jets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from oddjet.datasets.disk.remote import TIMEOUT
from oddjet.datasets.files.dataset import Kind
from oddjet.datasets.readers import READERS, Reader
from oddjet.errors import without_queries

__all__ = ["ChunkSource"]


@dataclass(frozen=True)
class ChunkSource:
    """One range of entries of one file.

    Attributes:
        dataset: Name in the fileset.
        kind: data, background or signal.
        truth: |pdgId| of the resonances that label jets of a signal.
        file: Path or URL.
        file_uuid: The file's uuid.
        tree: Name of the tree.
        entry_start: First entry.
        entry_stop: One past the last entry.
        reader_name: Name of the reader.
        key: Name of what is written; hashes what it depends on.
        fallbacks: Other places of the file, in the order in which to try them.
        timeout: Seconds a server has for an answer.
        is_rntuple: Whether the tree is an RNTuple.
        year: Data-taking era as the fileset states it; empty if it does not.
        repeats_events: Whether different events may have the same numbers: then each gets a run number of
            its own, see `oddjet.processors.events.select`.
    """

    dataset: str
    kind: Kind
    truth: tuple[int, ...]
    file: str
    file_uuid: str
    tree: str
    entry_start: int
    entry_stop: int
    reader_name: str
    key: str = ""
    fallbacks: tuple[str, ...] = ()
    timeout: float = TIMEOUT
    is_rntuple: bool = False
    year: str = ""
    repeats_events: bool = False

    def __len__(self) -> int:
        """Number of entries."""
        return self.entry_stop - self.entry_start

    @property
    def is_data(self) -> bool:
        """Whether these are real events: no generated particles, weight 1."""
        return self.kind == "data"

    @property
    def reader(self) -> Reader:
        """The reader."""
        return READERS[self.reader_name]

    @property
    def places(self) -> tuple[str, ...]:
        """Where the file can be read, in the order in which to try."""
        return (self.file, *self.fallbacks)

    @property
    def where(self) -> str:
        """File and entries, for messages."""
        return f"{without_queries(self.file)}, entries [{self.entry_start}, {self.entry_stop})"

    def to_metadata(self) -> dict[str, Any]:
        """Give everything in JSON types, as coffea carries it to a processor."""
        lists = {"truth": list(self.truth), "fallbacks": list(self.fallbacks)}
        return {"oddjet": {**asdict(self), **lists}}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> ChunkSource:
        """Read what `to_metadata` gave."""
        fields = dict(metadata["oddjet"])
        tuples = {name: tuple(fields.get(name, ())) for name in ("truth", "fallbacks")}
        return cls(**{**fields, **tuples})
