"""Built-in samples: simulated where a fileset asks for them, kept for the next run."""

from __future__ import annotations

import json
from pathlib import Path

from oddjet.datasets.disk.digest import content_key, source_digest
from oddjet.datasets.files.fileset import Dataset, Fileset, Simulate
from oddjet.datasets.simulation import PROCESSES, simulate
from oddjet.processors.engine.progress import Reporter, SilentReporter

__all__ = ["ready_samples", "sample_path"]

_CODE = ("oddjet.datasets.simulation", "oddjet.datasets.kinematics")


def sample_path(simulate: Simulate, folder: Path) -> Path:
    """Say where a simulated sample is kept.

    The name carries a digest of the request and of the simulation's source, so that a changed
    detector response is never mistaken for the old one.
    """
    key = content_key([simulate.model_dump(), source_digest(*_CODE)])
    return folder / f"{simulate.process}-{simulate.n_events}-{key[:10]}.root"


def ready_samples(
    fileset: Fileset, folder: Path, *, workers: int = 1, reporter: Reporter | None = None
) -> Fileset:
    """Simulate what is not there yet, and give a fileset of files.

    Returns:
        The same datasets; simulated ones with their file, the generator's cross section and
        the particles their jets are matched to, where the fileset does not give its own.
    """
    reporter = reporter or SilentReporter()
    for name, dataset in fileset.datasets.items():
        if dataset.simulate is not None:
            ready = _simulated(name, dataset, dataset.simulate, folder, workers, reporter)
            fileset = fileset.replace(name, ready)
    return fileset


def _simulated(
    name: str, dataset: Dataset, request: Simulate, folder: Path, workers: int, reporter: Reporter
) -> Dataset:
    path = sample_path(request, folder)
    summary_path = path.with_suffix(".summary.json")
    if not (path.exists() and summary_path.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        with reporter.track(f"simulate {name}", request.n_events, "events") as update:
            simulate(
                request.process,
                request.n_events,
                seed=request.seed,
                output=path,
                pt_hat_min=request.pt_hat_min,
                pt_hat_max=request.pt_hat_max,
                workers=workers,
                progress=update,
            )
    summary = json.loads(summary_path.read_text(encoding="utf-8"))
    known: dict[str, object] = {}
    if dataset.cross_section_pb is None:
        known["cross_section_pb"] = summary["cross_section_pb"]
    if not dataset.truth and dataset.kind == "signal":
        known["truth"] = tuple(PROCESSES[request.process].truth)
    return dataset.with_files([path], **known)
