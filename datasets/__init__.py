"""What exists: filesets, readers of public formats, luminosity, simulation, skims on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oddjet.lazy import lazy_names

if TYPE_CHECKING:
    from oddjet.datasets.files.fileset import load_fileset
    from oddjet.datasets.folds import fold_of
    from oddjet.datasets.jets import Jets, Truth, make_jets
    from oddjet.datasets.public.lhc_olympics import read_lhc_olympics
    from oddjet.datasets.public.top_tagging import read_top_tagging
    from oddjet.datasets.readers.formats import find_reader
    from oddjet.datasets.skims.lazy import lazy_jets
    from oddjet.datasets.skims.skim import Skim, open_skim

__all__ = [
    "Jets",
    "Skim",
    "Truth",
    "find_reader",
    "fold_of",
    "lazy_jets",
    "load_fileset",
    "make_jets",
    "open_skim",
    "read_lhc_olympics",
    "read_top_tagging",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Jets": "jets",
        "Skim": "skims.skim",
        "Truth": "jets",
        "find_reader": "readers.formats",
        "fold_of": "folds",
        "lazy_jets": "skims.lazy",
        "load_fileset": "files.fileset",
        "make_jets": "jets",
        "open_skim": "skims.skim",
        "read_lhc_olympics": "public.lhc_olympics",
        "read_top_tagging": "public.top_tagging",
    },
)
