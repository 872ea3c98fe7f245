"""The account of a run: Σ weight against the Runs trees, and the manifest."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Literal

from oddjet.datasets.manifest import ChunkRecord, DatasetSummary, Manifest, merge_cutflows
from oddjet.datasets.rootfiles import runs_sumw
from oddjet.errors import ProcessingError
from oddjet.processors.plan import Plan

__all__ = ["check_sumw", "make_manifest", "package_versions", "read_sumw_runs"]

_TOLERANCE = 1e-6
_PACKAGES = ("oddjet", "coffea", "awkward", "uproot", "numpy", "numba", "pyarrow")


def read_sumw_runs(plan: Plan) -> dict[str, float | None]:
    """Read Σ genWeight of the Runs trees of simulated files.

    Args:
        plan: The files.

    Returns:
        File's uuid to the sum, None for data and for files without the tree.
    """
    return {
        plan.files[path].uuid: None if dataset.kind == "data" else runs_sumw(path)
        for dataset in plan.fileset.datasets.values()
        for path in dataset.files
    }


def check_sumw(
    plan: Plan, records: Iterable[ChunkRecord], sumw_runs: Mapping[str, float | None]
) -> None:
    """Compare Σ weight of the processed entries with what the Runs trees say.

    Args:
        plan: The files, of which all entries were processed.
        records: All chunks.
        sumw_runs: What `read_sumw_runs` gave.

    Raises:
        ProcessingError: If they differ in a file by more than 1e-6 of Σ|w|.
    """
    records = list(records)
    for path, file in plan.files.items():
        expected = sumw_runs[file.uuid]
        if expected is None:
            continue
        chunks = [record for record in records if record.file_uuid == file.uuid]
        sumw = math.fsum(record.sumw for record in chunks)
        sumw2 = math.fsum(record.sumw2 for record in chunks)
        # √(n Σw²) is Σ|w| for equal |w|, and no less in general.
        scale = max(abs(expected), math.sqrt(file.n_entries * sumw2))
        if abs(sumw - expected) > _TOLERANCE * scale:
            msg = (
                f"{path}: Σ genWeight over its {file.n_entries} entries is {sumw:.9g}, its Runs tree says"
                f" {expected:.9g}. Either entries are missing, or the file was filtered after it was"
                " made: then its cross section belongs to the Runs sum. If that is known and meant,"
                " set require_sumw to false; the manifest holds both sums"
            )
            raise ProcessingError(msg)


def make_manifest(
    plan: Plan,
    records: Sequence[ChunkRecord],
    *,
    kind: Literal["skim", "scores"],
    config: dict[str, Any],
    representation: dict[str, Any] | None,
    sumw_runs: Mapping[str, float | None],
) -> Manifest:
    """Put together the manifest of a run in which everything was processed.

    Args:
        plan: The files.
        records: All chunks.
        kind: What the folder holds.
        config: The resolved configuration.
        representation: Identity of the images' representation, None without images.
        sumw_runs: What `read_sumw_runs` gave.

    Returns:
        The manifest.
    """
    datasets = {}
    for name, dataset in plan.fileset.datasets.items():
        chunks = [record for record in records if record.dataset == name]
        runs = [sumw_runs[plan.files[path].uuid] for path in dataset.files]
        known = [sumw for sumw in runs if sumw is not None]
        datasets[name] = DatasetSummary(
            kind=dataset.kind,
            cross_section_pb=dataset.cross_section_pb,
            k_factor=dataset.k_factor,
            label=dataset.label,
            year=dataset.year,
            sumw=math.fsum(record.sumw for record in chunks),
            sumw2=math.fsum(record.sumw2 for record in chunks),
            n_events=sum(record.n_events for record in chunks),
            sumw_runs=math.fsum(known) if len(known) == len(runs) else None,
        )
    processed = sum(record.n_events for record in records)
    return Manifest(
        kind=kind,
        config=config,
        versions=package_versions(),
        representation=representation,
        files=plan.file_records,
        datasets=datasets,
        chunks=tuple(record.model_copy(update={"cutflow": ()}) for record in records),
        cutflow=merge_cutflows(records),
        planned_entries=plan.n_entries,
        processed_entries=processed,
        failed_entries=plan.n_entries - processed,
    )


def package_versions() -> dict[str, str]:
    """Give the versions of Python and of the packages whose code is in the results."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
