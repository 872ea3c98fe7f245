"""Readers of public benchmarks of jets, from their published files into jets."""

from __future__ import annotations

from oddjet.datasets.public.lhc_olympics import read_lhc_olympics
from oddjet.datasets.public.top_tagging import read_top_tagging

__all__ = ["read_lhc_olympics", "read_top_tagging"]
