"""The account of a run: Σ weight against the Runs trees, and the manifest."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Literal

import numpy as np

from oddjet.datasets.balance import Balance
from oddjet.datasets.files.rootfiles import runs_sumw
from oddjet.datasets.luminosity.mask import LumiMask
from oddjet.datasets.luminosity.recorded import Luminosity, LumiTable, lumi_blocks, to_ranges
from oddjet.datasets.skims.manifest import (
    ChunkRecord,
    DatasetSummary,
    Manifest,
    MissingChunk,
    merge_cutflows,
)
from oddjet.errors import ProcessingError
from oddjet.processors.engine.balance import balance_notes
from oddjet.processors.engine.plan import Plan

__all__ = ["check_sumw", "make_manifest", "package_versions", "read_luminosity", "read_sumw_runs"]

_TOLERANCE = 1e-6
_IN_DATASETS: dict[str, Any] = {"cutflow": (), "balance": None, "notes": ()}
"""What a manifest has of each dataset, and therefore not of each chunk."""
_PACKAGES = ("oddjet", "coffea", "awkward", "uproot", "numpy", "numba", "pyarrow")


def read_sumw_runs(plan: Plan) -> dict[str, float | None]:
    """Read Σ genWeight of the Runs trees of simulated files.

    Args:
        plan: The files.

    Returns:
        File's uuid to the sum, None for data and for files without the tree.
    """
    return {
        plan.files[path].uuid: None
        if dataset.kind == "data"
        else runs_sumw(plan.files[path].place or path, timeout=dataset.timeout)
        for dataset in plan.fileset.datasets.values()
        for path in dataset.files
        if path in plan.files
    }


def read_luminosity(
    plan: Plan, records: Iterable[ChunkRecord], *, mask: LumiMask | None = None
) -> dict[str, Luminosity]:
    """Account for the luminosity of processed data.

    Args:
        plan: The files.
        records: The processed chunks; of data, those of whole files.
        mask: Certified luminosity.

    Returns:
        Name of each dataset of data to its processed luminosity blocks, and their luminosity where
        the dataset has a table.

    Raises:
        BadFileError: If a file cannot be read.
        ConfigError: If a table cannot be read or lacks a block.
    """
    processed = {record.file_uuid for record in records}
    luminosities = {}
    for name, dataset in plan.fileset.datasets.items():
        if dataset.kind != "data":
            continue
        files = [plan.files[path] for path in dataset.files if path in plan.files]
        blocks = [
            lumi_blocks(file.place or file.path, file.tree, mask=mask, timeout=dataset.timeout)
            for file in files
            if file.uuid in processed
        ]
        merged = np.unique(np.concatenate([np.empty((0, 2), np.uint64), *blocks]), axis=0)
        table = LumiTable.from_csv(dataset.lumi_table) if dataset.lumi_table else None
        luminosities[name] = Luminosity(
            to_ranges(merged), table.lumi_ifb(merged) if table else None
        )
    return luminosities


def check_sumw(
    plan: Plan, records: Iterable[ChunkRecord], sumw_runs: Mapping[str, float | None]
) -> None:
    """Compare Σ weight of the processed entries with the sums of the Runs trees.

    Args:
        plan: The files.
        records: The processed chunks; a file of which some are missing is not compared.
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
        if sum(record.n_events for record in chunks) != file.n_entries:
            continue
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
    missing: Sequence[MissingChunk] = (),
    lumi: Mapping[str, Luminosity] | None = None,
) -> Manifest:
    """Put together the manifest of a run.

    Args:
        plan: The files.
        records: The processed chunks.
        kind: What the folder holds.
        config: The resolved configuration.
        representation: Identity of the images' representation, None without images.
        sumw_runs: What `read_sumw_runs` gave.
        missing: What is planned and not processed.
        lumi: What `read_luminosity` gave, by dataset of data.

    Returns:
        The manifest.

    Raises:
        ProcessingError: If planned is not processed + failed.
    """
    processed = sum(record.n_events for record in records)
    failed = sum(part.n_events or 0 for part in missing)
    if plan.n_entries != processed + failed:
        msg = f"planned {plan.n_entries} entries, processed {processed}, failed {failed}: results were lost"
        raise ProcessingError(msg)
    return Manifest(
        kind=kind,
        config=config,
        versions=package_versions(),
        representation=representation,
        files=plan.file_records,
        datasets={
            name: _summary(name, plan, records, sumw_runs, missing, (lumi or {}).get(name))
            for name in plan.fileset.datasets
        },
        chunks=tuple(record.model_copy(update=_IN_DATASETS) for record in records),
        cutflow=merge_cutflows(records),
        planned_entries=plan.n_entries,
        processed_entries=processed,
        failed_entries=failed,
        missing=tuple(missing),
    )


def _summary(
    name: str,
    plan: Plan,
    records: Sequence[ChunkRecord],
    sumw_runs: Mapping[str, float | None],
    missing: Sequence[MissingChunk],
    lumi: Luminosity | None,
) -> DatasetSummary:
    """Add up what was processed of a dataset."""
    dataset = plan.fileset.datasets[name]
    chunks = [record for record in records if record.dataset == name]
    runs = [sumw_runs[plan.files[path].uuid] for path in dataset.files if path in plan.files]
    known = [sumw for sumw in runs if sumw is not None]
    balance = Balance.add_up(record.balance for record in chunks)
    notes = [*(note for record in chunks for note in record.notes), *balance_notes(balance)]
    is_whole = not any(part.dataset == name for part in missing)
    return DatasetSummary(
        kind=dataset.kind,
        cross_section_pb=dataset.cross_section_pb,
        k_factor=dataset.k_factor,
        label=dataset.label,
        year=dataset.year,
        sumw=math.fsum(record.sumw for record in chunks),
        sumw2=math.fsum(record.sumw2 for record in chunks),
        n_events=sum(record.n_events for record in chunks),
        sumw_runs=math.fsum(known) if is_whole and len(known) == len(runs) else None,
        lumisections=lumi.lumisections if lumi else None,
        lumi_ifb=lumi.lumi_ifb if lumi else None,
        is_whole=is_whole,
        balance=balance,
        notes=tuple(dict.fromkeys(notes)),
    )


def package_versions() -> dict[str, str]:
    """Give the versions of Python and of the packages whose code is in the results."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
