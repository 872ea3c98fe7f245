"""Histories of files, and a simulated dataset."""

from __future__ import annotations

from typing import Any

from oddjet.datasets.files.dataset import Dataset
from oddjet.datasets.files.history import FileHistory

WHOLE = FileHistory(n_entries=4, n_generated=4, sumw=4.0)
FILTERED = FileHistory(n_entries=3, n_generated=10, sumw=12.0)
UNKNOWN = FileHistory(n_entries=5)
MERGED = FileHistory(n_entries=5, n_generated=3, sumw=3.0)


def simulation(**known: Any) -> Dataset:
    return Dataset(files=["a.root"], kind="background", **{"cross_section_pb": 2.0, **known})
