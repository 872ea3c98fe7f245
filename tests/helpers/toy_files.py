"""Small ROOT files whose jets are known."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

TRUTH = re.compile(r"n|gen|Gen|LHE|\w*_gen")
"""Branches that data do not have, and counters, which are written anew."""


def write_pfnano(path: Path, *, weighted: bool, n_events: int = 30, jets: bool = True) -> Path:
    """AK4 jets of collinear candidates of 50, 30 and 20 GeV with the weights 1, ½ and 0; corrected by 1.25."""
    pt, weight = np.array([50.0, 30.0, 20.0]), np.array([1.0, 0.5, 0.0])
    raw = float(np.sum(pt * weight) if weighted else np.sum(pt))
    n_jets = int(jets)

    def repeat(values: Any, dtype: str = "float32") -> ak.Array:
        flat = np.tile(np.asarray(values, dtype), n_events)
        return ak.unflatten(flat, np.full(n_events, len(values)))

    branches = {
        "run": np.ones(n_events, np.uint32),
        "Jet_pt": repeat([1.25 * raw] * n_jets),
        "Jet_rawFactor": repeat([0.2] * n_jets),
        **{f"Jet_{name}": repeat([0.5] * n_jets) for name in ("eta", "phi", "mass")},
        "JetPFCands_jetIdx": repeat([0] * 3 * n_jets, "int32"),
        "JetPFCands_pFCandsIdx": repeat([0, 1, 2] * n_jets, "int32"),
        "PFCands_pt": repeat(pt),
        "PFCands_puppiWeight": repeat(weight),
        **{f"PFCands_{name}": repeat([0.5] * 3) for name in ("eta", "phi", "mass")},
        "PFCands_pdgId": repeat([211] * 3, "int32"),
    }
    with uproot.recreate(path) as file:
        file.mktree("Events", {n: ak.Array(b).type.content for n, b in branches.items()})
        file["Events"].extend(branches)
    return path


def without_truth(
    simulated: Path, data: Path, change: Callable[[ak.Array], ak.Array] | None = None
) -> None:
    """Write simulated events as data are: without the branches of generators, and of a run of CMS."""
    with uproot.open(simulated) as file:
        tree = file["Events"]
        names = tree.keys()
        events = tree.arrays([name for name in names if not TRUTH.match(name)])
    events["run"] = ak.full_like(events["run"], 361_001)
    events = events if change is None else change(events)
    collections: dict[str, dict[str, ak.Array]] = {}
    columns: dict[str, ak.Array] = {}
    for name in events.fields:
        collection, _, field = name.partition("_")
        if events[name].ndim > 1:
            collections.setdefault(collection, {})[field] = events[name]
        else:
            columns[name] = events[name]
    columns |= {name: ak.zip(fields) for name, fields in collections.items()}
    with uproot.recreate(data) as file:
        tree = file.mktree("Events", {name: array.type.content for name, array in columns.items()})
        tree.extend(columns)
