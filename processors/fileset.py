"""One pass over the files of a fileset: planned, processed, checked, and accounted for in a manifest."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from coffea.processor.executor import ExecutorBase

from oddjet.datasets.files.fileset import Fileset
from oddjet.datasets.skims.manifest import Manifest
from oddjet.processors.engine.balance import check_balances
from oddjet.processors.engine.chunkwise import SelectingProcessor
from oddjet.processors.engine.duplicates import check_unique
from oddjet.processors.engine.keys import code_digest, with_key
from oddjet.processors.engine.missing import find_missing
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.engine.plan import Plan, make_plan
from oddjet.processors.engine.rounds import run_plan
from oddjet.processors.engine.summary import make_manifest, read_luminosity
from oddjet.processors.events.source import ChunkSource

__all__ = ["FilesetPass", "warn_missing"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FilesetPass:
    """The files of a fileset and what is made of them.

    Attributes:
        representation: Identity of the images that parts have; None for none.
    """

    plan: Plan
    chunks: list[ChunkSource]
    processor: SelectingProcessor
    output: Path
    options: RunOptions
    representation: dict[str, Any] | None = None

    @classmethod
    def prepare(
        cls,
        fileset: Fileset,
        processor: SelectingProcessor,
        settings: dict[str, Any],
        output: Path,
        options: RunOptions,
    ) -> FilesetPass:
        """Check all files; nothing is made yet.

        Args:
            fileset: With files everywhere.
            processor: What is done with each chunk.
            settings: What decides the content of a part beside its chunk, in JSON types.
            output: Folder of the parts.
            options: How chunks are made.

        Raises:
            InputError: If a file cannot be used; its class gives the reason.
        """
        plan = make_plan(
            fileset,
            selection=processor.selection,
            chunk_size=options.chunk_size,
            allow_missing=options.allow_missing,
        )
        trust_code = options.trust_code
        chunks = [with_key(c, settings=settings, trust_code=trust_code) for c in plan.chunks]
        return cls(plan, chunks, processor, output, options, settings.get("representation"))

    @property
    def keys(self) -> set[str]:
        """Keys of all parts; others in the folder are of other settings."""
        return {chunk.key for chunk in self.chunks}

    def run(
        self, executor: ExecutorBase, kind: Literal["skim", "scores"], config: dict[str, Any]
    ) -> Manifest:
        """Process what is missing, check the whole, and give a manifest, which is not written yet.

        Raises:
            ProcessingError: If chunks failed, entries do not add up, or Σ weight is not what files and
                fileset say.
            BalanceError: If constituents do not add up to their jets.
            ChunkTooLargeError: If a chunk needs more memory than a worker has.
        """
        plan, options = self.plan, self.options
        records, result = run_plan(
            plan,
            self.chunks,
            self.processor,
            self.output,
            executor=executor,
            images=self.representation is not None,
            options=options,
        )
        records, missing = find_missing(plan, self.chunks, records, result["failures"])
        tolerance = self.processor.selection.constituents_tolerance
        for name in plan.fileset.datasets:
            check_balances(name, (r for r in records if r.dataset == name), tolerance)
        datasets = plan.fileset.datasets
        repeating = [name for name, d in datasets.items() if "repeated_events" in d.accept]
        repeated = check_unique(self.output, records, kinds=plan.kinds, repeating=repeating)
        return make_manifest(
            plan,
            records,
            kind=kind,
            config={**config, **self._config()},
            representation=self.representation,
            missing=missing,
            repeated=repeated,
            lumi=read_luminosity(plan, records, mask=self.processor.lumi_mask),
        )

    def _config(self) -> dict[str, Any]:
        return {
            "selection": self.processor.selection.model_dump(mode="json"),
            "fileset": self.plan.fileset.model_dump(mode="json"),
            "chunk_size": self.options.chunk_size,
            "trust_code": self.options.trust_code,
            "code": code_digest(),
        }


def warn_missing(output: Path, manifest: Manifest) -> None:
    """Log what is missing of files, and what was accepted of them."""
    if text := manifest.describe_caveats(shown=0):
        logger.warning("%s: %s (manifest.json names all)", output, text)
