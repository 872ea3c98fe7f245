"""The account of a run: luminosity, the Σ weight that cross sections belong to, and the manifest."""

from __future__ import annotations

import math
import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Literal

import numpy as np

from oddjet.datasets.balance import Balance
from oddjet.datasets.files.dataset import Dataset
from oddjet.datasets.files.doubts import doubts_of_blocks, doubts_of_runs, refuse
from oddjet.datasets.files.normalisation import Normalisation, Sums, normalise
from oddjet.datasets.luminosity.mask import LumiMask
from oddjet.datasets.luminosity.recorded import Luminosity, LumiTable, lumi_blocks, to_ranges
from oddjet.datasets.skims.manifest import (
    ChunkRecord,
    DatasetSummary,
    Manifest,
    MissingChunk,
    merge_cutflows,
)
from oddjet.errors import ProcessingError, without_queries
from oddjet.processors.engine.balance import balance_notes, balances_by_file
from oddjet.processors.engine.plan import Plan

__all__ = ["make_manifest", "package_versions", "read_luminosity"]

_IN_DATASETS: dict[str, Any] = {"cutflow": (), "balance": None, "notes": ()}
"""What a manifest has of each dataset, and therefore not of each chunk."""
_PACKAGES = ("oddjet", "coffea", "awkward", "uproot", "numpy", "numba", "pyarrow")


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
    read = _sums_of(records)
    luminosities = {}
    for name, dataset in plan.fileset.datasets.items():
        if dataset.kind != "data":
            continue
        listed = {
            file.path: lumi_blocks(
                file.place or file.path, file.tree, mask=mask, timeout=dataset.timeout
            )
            for file in plan.files_of(name)
            if read[file.uuid].n_events == file.n_entries
        }
        blocks = [np.empty((0, 2), np.uint64), *(known for known, _ in listed.values())]
        merged = np.unique(np.concatenate(blocks), axis=0)
        table = LumiTable.from_csv(dataset.lumi_table) if dataset.lumi_table else None
        luminosities[name] = Luminosity(
            to_ranges(merged),
            table.lumi_ifb(merged) if table else None,
            {path: unlisted for path, (_, unlisted) in listed.items()},
        )
    return luminosities


def make_manifest(
    plan: Plan,
    records: Sequence[ChunkRecord],
    *,
    kind: Literal["skim", "scores"],
    config: dict[str, Any],
    representation: dict[str, Any] | None,
    missing: Sequence[MissingChunk] = (),
    lumi: Mapping[str, Luminosity] | None = None,
    repeated: Mapping[str, int] | None = None,
) -> Manifest:
    """Put together the manifest of a run.

    Args:
        plan: The files.
        records: The processed chunks.
        kind: What the folder holds.
        config: The resolved configuration.
        representation: Identity of the images' representation, None without images.
        missing: What is planned and not processed.
        lumi: What `read_luminosity` gave, by dataset of data.
        repeated: Number of events whose numbers another one has too, by dataset where that is accepted.

    Raises:
        ProcessingError: If planned is not processed + failed, or Σ weight is not what files or fileset say.
    """
    processed = sum(record.n_events for record in records)
    failed = sum(part.n_events or 0 for part in missing)
    if plan.n_entries != processed + failed:
        msg = f"planned {plan.n_entries} entries, processed {processed}, failed {failed}: results were lost"
        raise ProcessingError(msg)
    norms, caveats = _normalise(plan, records, missing, lumi or {}, repeated or {})
    made = Manifest(
        kind=kind,
        config=config,
        versions=package_versions(),
        representation=representation,
        files=plan.file_records,
        datasets={
            name: _summary(
                dataset,
                [record for record in records if record.dataset == name],
                lumi=(lumi or {}).get(name),
                sumw_runs=_sumw_runs(plan, name, missing),
                norm=norms[name],
                caveats=caveats[name],
                is_whole=not any(part.dataset == name for part in missing),
            )
            for name, dataset in plan.fileset.datasets.items()
        },
        chunks=tuple(record.model_copy(update=_IN_DATASETS) for record in records),
        cutflow=merge_cutflows(records),
        planned_entries=plan.n_entries,
        processed_entries=processed,
        failed_entries=failed,
        missing=tuple(missing),
    )
    return _without_queries(made)


def _without_queries(manifest: Manifest) -> Manifest:
    """Leave out the queries of URLs, which may hold tokens; nothing is opened by a manifest's names."""
    text = manifest.model_dump_json()
    shown = without_queries(text)
    return manifest if shown == text else Manifest.model_validate_json(shown)


def _sums_of(records: Iterable[ChunkRecord]) -> defaultdict[str, Sums]:
    """What was read of each file, by uuid; nothing of others."""
    chunks: defaultdict[str, list[ChunkRecord]] = defaultdict(list)
    for record in records:
        chunks[record.file_uuid].append(record)
    return defaultdict(Sums, {uuid: Sums.of(listed) for uuid, listed in chunks.items()})


def _normalise(
    plan: Plan,
    records: Sequence[ChunkRecord],
    missing: Sequence[MissingChunk],
    lumi: Mapping[str, Luminosity],
    repeated: Mapping[str, int],
) -> tuple[dict[str, Normalisation | None], dict[str, tuple[str, ...]]]:
    """Give what cross sections belong to, and what every output has to say; refuse what does not fit."""
    read = _sums_of(records)
    chunked = {chunk.file_uuid for chunk in plan.chunks}
    norms, doubts = {}, {}
    notes: dict[str, list[str]] = {}
    for name, dataset in plan.fileset.datasets.items():
        files = [
            (file.path, file.history, read[file.uuid])
            for file in plan.files_of(name)
            if file.uuid in read or file.uuid not in chunked
        ]
        is_complete = not any(part.dataset == name for part in missing)
        norms[name], doubts[name] = normalise(dataset, files, is_complete=is_complete)
        notes[name] = []
        if name in lumi:
            odd, notes[name] = doubts_of_blocks(dataset, lumi[name].unlisted)
            doubts[name] += [*doubts_of_runs(dataset, map(int, lumi[name].lumisections)), *odd]
    caveats = refuse(doubts, plan.fileset.datasets, ProcessingError)
    for name, number in repeated.items():
        text = f"{number} selected events have the numbers of others; accepted (repeated_events): run numbers are made of file and entry instead"
        caveats[name] += (text,)
    return norms, {
        name: tuple(dict.fromkeys((*plan.caveats.get(name, ()), *listed, *notes[name])))
        for name, listed in caveats.items()
    }


def _sumw_runs(plan: Plan, name: str, missing: Sequence[MissingChunk]) -> float | None:
    known = [file.history.sumw for file in plan.files_of(name)]
    if any(part.dataset == name for part in missing) or plan.kinds[name] == "data":
        return None
    return None if None in known else math.fsum(sumw or 0.0 for sumw in known)


def _summary(
    dataset: Dataset, chunks: Sequence[ChunkRecord], *, lumi: Luminosity | None, **known: Any
) -> DatasetSummary:
    """Add up what was processed of a dataset."""
    balance = Balance.add_up(record.balance for record in chunks)
    caveats = (*known.pop("caveats", ()), *balance_notes(balance, balances_by_file(chunks)))
    return DatasetSummary(
        kind=dataset.kind,
        cross_section_pb=dataset.cross_section_pb,
        k_factor=dataset.k_factor,
        label=dataset.label,
        year=dataset.year,
        sumw=math.fsum(record.sumw for record in chunks),
        sumw2=math.fsum(record.sumw2 for record in chunks),
        n_events=sum(record.n_events for record in chunks),
        lumisections=lumi.lumisections if lumi else None,
        lumi_ifb=lumi.lumi_ifb if lumi else None,
        balance=balance,
        caveats=caveats,
        notes=tuple(dict.fromkeys(note for record in chunks for note in record.notes)),
        **known,
    )


def package_versions() -> dict[str, str]:
    """Give the versions of Python and of the packages whose code is in the results."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
