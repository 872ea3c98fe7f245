"""Adding a scores table up: groups of parts by workers, the groups by the caller, always in one order."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from coffea.processor.executor import ExecutorBase

from oddjet.datasets.skims.skim import Skim
from oddjet.errors import NonFiniteError, ProcessingError
from oddjet.processors.engine.workers import watch_workers
from oddjet.processors.histograms import Filler, Totals

__all__ = ["PartGroup", "add_group", "add_up", "group_parts"]


@dataclass(frozen=True)
class PartGroup:
    """Neighbouring parts of a scores table, for one worker."""

    index: int
    table: Skim


def add_up(filler: Filler, table: Skim, executor: ExecutorBase) -> Totals:
    """Fill histograms and count from a scores table, all of it.

    Workers read and add groups of √n parts, the caller adds √n groups: no process holds one histogram
    a part. Groups and their order follow from the table alone, so that the sums, rounding included,
    do not depend on the executor, nor on when parts were made.

    Returns:
        Histograms and counts. The weights of pseudo-data are summarised, not checked.

    Raises:
        ProcessingError: If a group is lost.
        NonFiniteError: If something to be filled is NaN or infinite.
    """
    groups = group_parts(table)
    work = functools.partial(add_group, filler=filler)
    with watch_workers(executor):
        result, _ = executor.copy()(groups, work, None) if groups else ({}, 0)
    sums = dict(result).get("groups", {})
    if lost := [group.index for group in groups if group.index not in sums]:
        msg = (
            f"{table.folder}: groups {lost} of {len(groups)} were not added up; repeat the command"
        )
        raise ProcessingError(msg)
    total = Totals(passed={name: {} for name in filler.cuts})
    for group in groups:
        total.add(sums[group.index])
    return total


def group_parts(table: Skim) -> list[PartGroup]:
    """Divide a table into groups of √n neighbouring parts.

    Returns:
        The groups, in the order of the parts.
    """
    chunks = table.manifest.chunks
    size = math.isqrt(max(len(chunks) - 1, 0)) + 1
    return [
        PartGroup(index, _part_of(table, chunks[start : start + size]))
        for index, start in enumerate(range(0, len(chunks), size))
    ]


def _part_of(table: Skim, chunks: Sequence[Any]) -> Skim:
    # What is about the whole, such as the configuration, need not travel.
    names = dict.fromkeys(chunk.dataset for chunk in chunks)
    manifest = type(table.manifest)(
        kind=table.manifest.kind,
        datasets={name: table.manifest.datasets[name] for name in names},
        chunks=tuple(chunks),
    )
    return replace(table, manifest=manifest)


def add_group(group: PartGroup, *, filler: Filler) -> dict[str, Any]:
    """Add the parts of a group; a function of one item, for coffea's executors.

    Returns:
        {"groups": {index: `Totals`}}.

    Raises:
        InputError: If rows cannot be filled; the message names the part.
    """
    total = Totals()
    for chunk in group.table.manifest.chunks:
        rows = group.table.only(chunk).jets(columns=filler.columns)
        try:
            total.add(filler.fill(rows, chunk.dataset))
        except NonFiniteError as error:
            msg = f"{group.table.folder}/{chunk.dataset}/{chunk.key}: {error}"
            raise NonFiniteError(msg) from error
    return {"groups": {group.index: total}}
