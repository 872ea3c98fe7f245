"""How the chunks of a run are made, tried again and checked."""

from __future__ import annotations

from dataclasses import dataclass

from oddjet.datasets.disk.checksums import Verify, check_verify
from oddjet.processors.engine.attempts import Attempts
from oddjet.processors.engine.progress import Progress

__all__ = ["RunOptions"]


@dataclass(frozen=True)
class RunOptions:
    """How files are cut into chunks, what is tried again, and what is refused.

    Attributes:
        chunk_size: Most entries a chunk, of files. A chunk is held in memory.
        progress: Called with chunks done, chunks in all, and events done; for a skim jets done.
        trust_code: Use parts that other versions of the code made; the manifest records it.
        allow_missing: Finish although files cannot be opened, lack branches, or chunks of them fail; the manifest lists
            them, Σw is over what was processed, and data keep their luminosity only with a
            `lumi_table`. Repeating the command tries what is missing again. What is missing of a skim
            stays missing, and is named in the manifest.
        verify: When parts that exist are compared with their SHA-256: ``always`` and ``first`` when the run
            begins, ``always`` also each time that they are read, ``never``. What does not fit is made again.
        attempts: How often a chunk is tried; the executor's `retries`, and at least 3, by default.
    """

    chunk_size: int = 100_000
    progress: Progress | None = None
    trust_code: bool = False
    allow_missing: bool = False
    verify: Verify = "first"
    attempts: Attempts | None = None

    def __post_init__(self) -> None:
        """Check when files are compared."""
        check_verify(self.verify)
