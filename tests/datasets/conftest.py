"""Small files of the formats, with what is in them known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

Jagged = list[list[Any]]


@dataclass(frozen=True)
class Written:
    """Branches as nested lists, and the file that holds them."""

    path: Path
    branches: dict[str, Any]

    @property
    def events(self) -> dict[str, ak.Array]:
        return {name: ak.Array(values) for name, values in self.branches.items()}


def random_v15(n_events: int, seed: int) -> dict[str, Any]:
    """Branches of NanoAODv15's names; links in random order, some candidates in two jets, some jets with none."""
    rng = np.random.default_rng(seed)
    n_jets = rng.integers(0, 4, n_events)
    n_candidates = rng.integers(0, 12, n_events)
    n_links = np.where((n_jets > 0) & (n_candidates > 0), rng.integers(0, 20, n_events), 0)

    def jagged(counts: np.ndarray, draw: Any, dtype: str) -> ak.Array:
        return ak.unflatten(np.asarray(draw(counts.sum()), dtype), counts)

    branches: dict[str, Any] = {
        "run": np.ones(n_events, np.uint32),
        "luminosityBlock": np.full(n_events, 3, np.uint32),
        "event": np.arange(n_events, dtype=np.uint64) + 1000 * seed,
        "genWeight": np.ones(n_events, np.float32),
    }
    for prefix, counts in (("FatJet", n_jets), ("PFCand", n_candidates)):
        branches[f"{prefix}_pt"] = jagged(counts, lambda n: rng.exponential(20, n) + 0.1, "float32")
        branches[f"{prefix}_eta"] = jagged(counts, lambda n: rng.normal(0, 1, n), "float32")
        branches[f"{prefix}_phi"] = jagged(counts, lambda n: rng.uniform(-3, 3, n), "float32")
        branches[f"{prefix}_mass"] = jagged(counts, lambda n: rng.uniform(0, 1, n), "float32")
    branches["PFCand_pdgId"] = jagged(
        n_candidates, lambda n: rng.choice([211, 22, 130], n), "int32"
    )
    bound = np.repeat(n_jets, n_links)
    branches["FatJetPFCand_jetIdx"] = ak.unflatten(
        rng.integers(0, np.maximum(bound, 1)).astype("int32"), n_links
    )
    bound = np.repeat(n_candidates, n_links)
    branches["FatJetPFCand_pfCandIdx"] = ak.unflatten(
        rng.integers(0, np.maximum(bound, 1)).astype("int32"), n_links
    )
    return branches


def write_root(path: Path, branches: dict[str, Any], tree: str = "Events") -> Path:
    with uproot.recreate(path) as file:
        file[tree] = branches
    return path


@pytest.fixture(scope="session")
def v15(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A file of NanoAODv15's layout."""
    branches = random_v15(40, seed=1)
    path = write_root(tmp_path_factory.mktemp("v15") / "events.root", branches)
    return Written(path, branches)
