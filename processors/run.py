"""What a run is started with: `run_skim` for skims, `run_anomaly` for scores and histograms."""

from __future__ import annotations

from pathlib import Path

from coffea.processor.executor import ExecutorBase

from oddjet.datasets.disk.lock import lock_folder
from oddjet.datasets.files.fileset import Fileset
from oddjet.datasets.skims.manifest import Manifest, write_manifest
from oddjet.ml.representations import Representation
from oddjet.processors.engine.cleanup import remove_stale_parts
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.events.selection import Selection
from oddjet.processors.fileset import FilesetPass, warn_missing
from oddjet.processors.scoring import AnomalyResult, run_anomaly
from oddjet.processors.skim import SkimProcessor

__all__ = ["AnomalyResult", "RunOptions", "run_anomaly", "run_skim"]


def run_skim(
    fileset: Fileset,
    *,
    output: Path | str,
    executor: ExecutorBase,
    selection: Selection | None = None,
    representation: Representation | None = None,
    options: RunOptions | None = None,
) -> Manifest:
    """Skim a fileset into a folder: what is done already is kept, and only the rest is made.

    Nothing is made before all files are checked. The manifest appears when everything is done;
    parts of other settings are removed then.

    Args:
        fileset: With files everywhere.
        output: The skim's folder.
        executor: Where to run, see `oddjet.condor.open_executor`.
        selection: The cuts; Khanal's by default.
        representation: What images to write beside the jets, None for none.
        options: How files are cut into chunks, and what is refused.

    Returns:
        The manifest, as written.

    Raises:
        InputError: If a file cannot be used; its class gives the reason.
        ConfigError: If what a dataset declares is not what its files say.
        ProcessingError: If chunks failed, entries or Σ weight do not add up, or another process writes into the
            folder.
        ChunkTooLargeError: If a chunk needs more memory than a worker has.
    """
    output = Path(output)
    processor = SkimProcessor(selection or Selection.khanal(), output.absolute(), representation)
    files = FilesetPass.prepare(
        fileset, processor, processor.settings(), output, options or RunOptions()
    )
    with lock_folder(output):
        manifest = files.run(executor, "skim", {})
        write_manifest(output, manifest)
        warn_missing(output, manifest)
        # Parts that are left out now, such as those of a file of data of which a chunk failed, may be
        # used by the next run.
        remove_stale_parts(output, files.keys)
    return manifest
