"""What exists: filesets, readers of public formats, luminosity, simulation, skims on disk."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oddjet.datasets.catalog import catalog_names, catalog_path
    from oddjet.datasets.files.fileset import (
        Dataset,
        Fileset,
        Simulate,
        check_fileset,
        load_fileset,
        to_coffea,
    )
    from oddjet.datasets.files.rootfiles import RootFile, inspect_root, runs_sumw
    from oddjet.datasets.folds import event_hash, fold_of
    from oddjet.datasets.jets import Jets, Truth, concatenate, empty_jets, make_jets
    from oddjet.datasets.luminosity.mask import LumiMask
    from oddjet.datasets.public import read_lhc_olympics, read_top_tagging
    from oddjet.datasets.readers import READERS, Reader, find_reader
    from oddjet.datasets.skims.manifest import Manifest, read_manifest, write_manifest
    from oddjet.datasets.skims.parts import write_part
    from oddjet.datasets.skims.skim import Skim, open_skim

_HOMES = {
    "catalog": ("catalog_names", "catalog_path"),
    "files.fileset": (
        "Dataset",
        "Fileset",
        "Simulate",
        "check_fileset",
        "load_fileset",
        "to_coffea",
    ),
    "folds": ("event_hash", "fold_of"),
    "jets": ("Jets", "Truth", "concatenate", "empty_jets", "make_jets"),
    "luminosity.mask": ("LumiMask",),
    "skims.manifest": ("Manifest", "read_manifest", "write_manifest"),
    "public": ("read_lhc_olympics", "read_top_tagging"),
    "readers": ("READERS", "Reader", "find_reader"),
    "files.rootfiles": ("RootFile", "inspect_root", "runs_sumw"),
    "skims.skim": ("Skim", "open_skim", "write_part"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "READERS",
    "Dataset",
    "Fileset",
    "Jets",
    "LumiMask",
    "Manifest",
    "Reader",
    "RootFile",
    "Simulate",
    "Skim",
    "Truth",
    "catalog_names",
    "catalog_path",
    "check_fileset",
    "concatenate",
    "empty_jets",
    "event_hash",
    "find_reader",
    "fold_of",
    "inspect_root",
    "load_fileset",
    "make_jets",
    "open_skim",
    "read_lhc_olympics",
    "read_manifest",
    "read_top_tagging",
    "runs_sumw",
    "to_coffea",
    "write_manifest",
    "write_part",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for, when it is: numba, uproot and pyarrow take a second together."""
    if name in _HOME:
        return getattr(import_module(f"oddjet.datasets.{_HOME[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
