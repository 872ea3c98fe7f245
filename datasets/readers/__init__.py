"""Readers of public formats: from branches to jets with their constituents."""

from __future__ import annotations

from oddjet.datasets.readers.formats import READERS, find_reader
from oddjet.datasets.readers.reader import LinkedConstituents, Reader

__all__ = ["READERS", "LinkedConstituents", "Reader", "find_reader"]
