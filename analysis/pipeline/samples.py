"""Built-in samples: simulated where a fileset asks for them, kept for the next run."""

from __future__ import annotations

import logging
from pathlib import Path

from oddjet.datasets.disk.checksums import Verify, fits
from oddjet.datasets.disk.digest import content_key, source_digest
from oddjet.datasets.files.fileset import Dataset, Fileset, Simulate
from oddjet.datasets.simulation import PROCESSES, simulate
from oddjet.datasets.simulation.run import SimulationSummary, read_summary
from oddjet.processors.engine.progress import Reporter, SilentReporter

__all__ = ["ready_samples", "sample_path"]

_logger = logging.getLogger(__name__)

_CODE = ("oddjet.datasets.simulation", "oddjet.datasets.kinematics")


def sample_path(simulate: Simulate, folder: Path) -> Path:
    """Say where a simulated sample is kept.

    The name carries a digest of the request and of the simulation's source, so that a changed
    detector response is never mistaken for the old one.
    """
    key = content_key([simulate.model_dump(), source_digest(*_CODE)])
    return folder / f"{simulate.process}-{simulate.n_events}-{key[:10]}.root"


def ready_samples(
    fileset: Fileset,
    folder: Path,
    *,
    workers: int = 1,
    verify: Verify = "first",
    reporter: Reporter | None = None,
) -> Fileset:
    """Simulate what is not there yet, or is not what was simulated, and give a fileset of files.

    Args:
        fileset: Datasets, of which some are to be simulated.
        folder: Of the samples.
        workers: Processes that simulate.
        verify: When a sample is compared with its SHA-256.
        reporter: Receives progress.

    Returns:
        The same datasets; simulated ones with their file, the generator's cross section and
        the particles their jets are matched to, where the fileset does not give its own.
    """
    reporter = reporter or SilentReporter()
    for name, dataset in fileset.datasets.items():
        if dataset.simulate is not None:
            path = sample_path(dataset.simulate, folder)
            summary = _kept(path, verify)
            if summary is None:
                summary = _simulate(name, dataset.simulate, path, workers, reporter)
            fileset = fileset.replace(name, _ready(dataset, dataset.simulate, path, summary))
    return fileset


def _kept(path: Path, verify: Verify) -> SimulationSummary | None:
    """Give the summary of a sample that is there and whole."""
    summary = read_summary(path) if path.is_file() else None
    if summary is None:
        return None
    if summary.file_sha256 is None:
        why = "has no SHA-256 (older code simulated it)"
    elif not fits(path, summary.file_sha256, verify):
        why = "is not the file that was simulated (its SHA-256 differs)"
    else:
        return summary
    _logger.warning("%s %s: it is simulated again", path, why)
    return None


def _simulate(
    name: str, request: Simulate, path: Path, workers: int, reporter: Reporter
) -> SimulationSummary:
    path.parent.mkdir(parents=True, exist_ok=True)
    with reporter.track(f"simulate {name}", request.n_events, "events") as update:
        return simulate(
            request.process,
            request.n_events,
            seed=request.seed,
            output=path,
            pt_hat_min=request.pt_hat_min,
            pt_hat_max=request.pt_hat_max,
            workers=workers,
            progress=update,
        )


def _ready(dataset: Dataset, request: Simulate, path: Path, summary: SimulationSummary) -> Dataset:
    known: dict[str, object] = {}
    if dataset.cross_section_pb is None:
        known["cross_section_pb"] = summary.cross_section_pb
    if not dataset.truth and dataset.kind in {"signal", "peaking"}:
        known["truth"] = tuple(PROCESSES[request.process].truth)
    return dataset.with_files([path], **known)
