"""What a run is started with: `run_skim` for skims, `run_anomaly` for scores and histograms."""

from __future__ import annotations

import logging
from pathlib import Path

from coffea.processor.executor import ExecutorBase

from oddjet.datasets.disk.lock import lock_folder
from oddjet.datasets.files.fileset import Fileset
from oddjet.datasets.skims.manifest import Manifest, write_manifest
from oddjet.ml.representations import Representation
from oddjet.processors.engine.attempts import Attempts
from oddjet.processors.engine.cleanup import remove_stale_parts
from oddjet.processors.engine.duplicates import check_unique
from oddjet.processors.engine.keys import code_digest, with_key
from oddjet.processors.engine.missing import find_missing
from oddjet.processors.engine.plan import make_plan
from oddjet.processors.engine.progress import Progress
from oddjet.processors.engine.rounds import run_plan
from oddjet.processors.engine.summary import (
    check_sumw,
    make_manifest,
    read_luminosity,
    read_sumw_runs,
)
from oddjet.processors.events.selection import Selection
from oddjet.processors.scoring import AnomalyResult, run_anomaly
from oddjet.processors.skim import SkimProcessor

__all__ = ["AnomalyResult", "run_anomaly", "run_skim"]

logger = logging.getLogger(__name__)


def run_skim(
    fileset: Fileset,
    *,
    selection: Selection | None = None,
    output: Path | str,
    representation: Representation | None = None,
    executor: ExecutorBase,
    chunk_size: int = 100_000,
    progress: Progress | None = None,
    trust_code: bool = False,
    require_sumw: bool = True,
    require_unique: bool = True,
    allow_missing: bool = False,
    attempts: Attempts | None = None,
) -> Manifest:
    """Skim a fileset into a folder: what is done already is kept, and only the rest is made.

    Nothing is made before all files are checked. The manifest appears when everything is done;
    parts of other settings are removed then.

    Args:
        fileset: With files everywhere.
        selection: The cuts; Khanal's by default.
        output: The skim's folder.
        representation: What images to write beside the jets, None for none.
        executor: Where to run, see `oddjet.condor.open_executor`.
        chunk_size: Most entries a chunk. A chunk is held in memory.
        progress: Called with chunks done, chunks in all, events done.
        trust_code: Use parts that other versions of the code made; the manifest says so.
        require_sumw: Refuse files whose Σ genWeight is not that of their Runs tree.
        require_unique: Refuse events that are there twice, see `oddjet.processors.engine.duplicates`.
        allow_missing: Finish although files cannot be opened or chunks fail; the manifest lists
            them, Σw is over what was processed, and data keep their luminosity only with a
            `lumi_table`. Repeating the command tries what is missing again.
        attempts: How often a chunk is tried; as `run_plan` by default.

    Returns:
        The manifest, as written.

    Raises:
        InputError: If a file cannot be used; of the kind that says why.
        ProcessingError: If chunks failed, entries do not add up, Σ weight is not that of the Runs trees, or
            another process writes into the folder.
        ChunkTooLargeError: If a chunk needs more memory than a worker has.
    """
    selection = selection or Selection.khanal()
    output = Path(output)
    plan = make_plan(
        fileset, selection=selection, chunk_size=chunk_size, allow_missing=allow_missing
    )
    processor = SkimProcessor(selection, output.absolute(), representation)
    settings = processor.settings()
    chunks = [with_key(chunk, settings=settings, trust_code=trust_code) for chunk in plan.chunks]
    with lock_folder(output):
        records, result = run_plan(
            plan,
            chunks,
            processor,
            output,
            executor=executor,
            images=representation is not None,
            progress=progress,
            allow_missing=allow_missing,
            attempts=attempts,
        )
        records, missing = find_missing(plan, chunks, records, result["failures"])
        if require_unique:
            check_unique(output, records, kinds=plan.kinds)
        sumw_runs = read_sumw_runs(plan)
        if require_sumw:
            check_sumw(plan, records, sumw_runs)
        manifest = make_manifest(
            plan,
            records,
            kind="skim",
            config={
                "selection": selection.model_dump(mode="json"),
                "fileset": fileset.model_dump(mode="json"),
                "chunk_size": chunk_size,
                "trust_code": trust_code,
                "code": code_digest(),
                "unique_events": require_unique,
            },
            representation=settings["representation"],
            sumw_runs=sumw_runs,
            missing=missing,
            lumi=read_luminosity(plan, records, mask=processor.lumi_mask),
        )
        write_manifest(output, manifest)
        if missing:
            logger.warning(
                "%s: %s (manifest.json names all)", output, manifest.describe_missing(shown=0)
            )
        # Parts that are left out now, such as those of a file of data of which a chunk failed, may be
        # used by the next run.
        remove_stale_parts(output, {chunk.key for chunk in chunks})
    return manifest
