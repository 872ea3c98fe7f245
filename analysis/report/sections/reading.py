"""How jets were read: constituents against their jets, and what every output repeats of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from oddjet.analysis.report.page import Cell, Table
from oddjet.datasets.skims.manifest import DatasetSummary

__all__ = ["reading_numbers", "reading_tables"]


def reading_tables(
    datasets: Mapping[str, DatasetSummary],
    labels: Mapping[str, str] | None = None,
    *,
    hidden: Collection[str] = (),
) -> list[Table]:
    """Make the tables of how jets were read: constituents against jets, and what is to be known.

    Numbers of jets of `hidden` datasets, of which some are blinded, are left out.
    """
    names = {name: (labels or {}).get(name) or name for name in datasets}
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            names[name],
            None if name in hidden else balance.n_jets,
            f"{balance.median:.3f}",
            *(f"{tail:.3f}" for tail in balance.tails),
            "raw pt" if balance.is_raw else "pt, maybe corrected: the files have no rawFactor",
        )
        for name, dataset in datasets.items()
        if (balance := dataset.balance) is not None
    )
    notes = tuple((names[name], note) for name, d in datasets.items() for note in d.notes)
    headers = ("Dataset", "Jets", "Median", "1 % below", "1 % above", "Compared with")
    caption = (
        "Σ constituents over the jet: 1 where what was linked to a jet is what it was made of."
    )
    tables = [Table(headers, rows, caption)] if rows else []
    return tables + (
        [Table(("Dataset", "Note"), notes, "How the jets were read.")] if notes else []
    )


def reading_numbers(dataset: DatasetSummary | None) -> dict[str, Any]:
    """Give the same numbers of a dataset for the JSON; nothing without a dataset."""
    if dataset is None:
        return {}
    balance = dataset.balance
    low, high = (None, None) if balance is None else balance.tails
    median = None if balance is None else balance.median
    ratio = {"median": median, "low_1_percent": low, "high_1_percent": high}
    return {"constituents_over_jet": ratio, "notes": list(dataset.notes)}
