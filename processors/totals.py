"""Adding a scores table up: groups of parts by workers, the groups by the caller, always in one order."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from coffea.processor.executor import ExecutorBase

from oddjet.datasets.skims.skim import Skim
from oddjet.errors import NonFiniteError, ProcessingError
from oddjet.processors.anomaly import JetScorer, one_part
from oddjet.processors.engine.workers import watch_workers
from oddjet.processors.histograms import Histograms, add_histograms

__all__ = ["Counts", "PartGroup", "add_group", "add_up", "group_parts"]

Counts: TypeAlias = dict[str, dict[str, dict[str, int]]]
"""Score to dataset to working point to number of jets."""


@dataclass(frozen=True)
class PartGroup:
    """Neighbouring parts of a scores table, for one worker.

    Attributes:
        index: Its place among the groups.
        table: The parts.
    """

    index: int
    table: Skim


def add_up(scorer: JetScorer, table: Skim, executor: ExecutorBase) -> tuple[Histograms, Counts]:
    """Fill histograms and count from a scores table, all of it.

    Workers read and add groups of √n parts, the caller adds √n groups: nobody holds one histogram
    a part. Groups and their order follow from the table alone, so that the sums, rounding included,
    are the same whoever does the work and whenever its parts were made.

    Args:
        scorer: What to fill.
        table: The scores.
        executor: Where to run.

    Returns:
        Histograms by score, and counts.

    Raises:
        ProcessingError: If a group is lost.
        NonFiniteError: If something to be filled is NaN or infinite.
    """
    groups = group_parts(table)
    work = functools.partial(add_group, scorer=scorer)
    with watch_workers(executor):
        result, _ = executor.copy()(groups, work, None) if groups else ({}, 0)
    found = dict(result).get("groups", {})
    if lost := [group.index for group in groups if group.index not in found]:
        msg = (
            f"{table.folder}: groups {lost} of {len(groups)} were not added up; repeat the command"
        )
        raise ProcessingError(msg)
    total: Histograms = {}
    passed: Counts = {name: {} for name in scorer.cuts}
    for group in groups:
        histograms, counts = found[group.index]
        add_histograms(total, histograms)
        _add_counts(passed, counts)
    return total, passed


def group_parts(table: Skim) -> list[PartGroup]:
    """Divide a table into groups of √n neighbouring parts.

    Args:
        table: The scores.

    Returns:
        The groups, in the order of the parts.
    """
    chunks = table.manifest.chunks
    size = math.isqrt(max(len(chunks) - 1, 0)) + 1
    return [
        PartGroup(index, _some(table, chunks[start : start + size]))
        for index, start in enumerate(range(0, len(chunks), size))
    ]


def _some(table: Skim, chunks: Sequence[Any]) -> Skim:
    # What is about the whole, such as the configuration, need not travel.
    names = dict.fromkeys(chunk.dataset for chunk in chunks)
    manifest = type(table.manifest)(
        kind=table.manifest.kind,
        datasets={name: table.manifest.datasets[name] for name in names},
        chunks=tuple(chunks),
    )
    return Skim(folder=table.folder, manifest=manifest)


def add_group(group: PartGroup, *, scorer: JetScorer) -> dict[str, Any]:
    """Add the parts of a group; a function of one item, for coffea's executors.

    Args:
        group: The parts.
        scorer: What to fill.

    Returns:
        {"groups": {index: (histograms, counts)}}.

    Raises:
        NonFiniteError: If something to be filled is NaN or infinite.
    """
    total: Histograms = {}
    passed: Counts = {}
    for chunk in group.table.manifest.chunks:
        rows = one_part(group.table, chunk).jets(columns=scorer.filled_columns)
        try:
            histograms, counts = scorer.summarise(rows, chunk.dataset)
        except NonFiniteError as error:
            msg = f"{group.table.folder}/{chunk.dataset}/{chunk.key}: {error}"
            raise NonFiniteError(msg) from error
        add_histograms(total, histograms)
        _add_counts(passed, {name: {chunk.dataset: each} for name, each in counts.items()})
    return {"groups": {group.index: (total, passed)}}


def _add_counts(total: Counts, more: Counts) -> None:
    for name, datasets in more.items():
        for dataset, counts in datasets.items():
            sums = total.setdefault(name, {}).setdefault(dataset, dict.fromkeys(counts, 0))
            for point, number in counts.items():
                sums[point] += number
