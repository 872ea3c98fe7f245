"""One chunk of any layout in, the same jets out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import pytest
import uproot
from coffea.processor.executor import ExecutorBase

from oddjet.datasets.files.dataset import Dataset, Fileset
from oddjet.datasets.skims.skim import open_skim
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.run import run_skim


def skim(path: Path, output: Path, executor: ExecutorBase) -> list[Any]:
    fileset = Fileset(datasets={"some": Dataset(files=[str(path)], kind="background")})
    options = RunOptions(chunk_size=25)
    manifest = run_skim(fileset, output=output, executor=executor, options=options)
    assert len(manifest.chunks) == -(-manifest.processed_entries // 25)
    jets = open_skim(output).jets()
    columns = [name for name in jets.fields if name not in ("file_id", "image_index")]
    return ak.to_list(jets[columns])  # type: ignore[no-any-return]


@pytest.fixture
def flat_and_grouped(qcd: Path, tmp_path: Path) -> dict[str, Path]:
    """The same events as a TTree, an RNTuple of vectors and one of collections."""
    names = ("FatJet", "FatJetPFCand", "PFCand", "Electron", "Muon", "GenJetAK8")
    with uproot.open(qcd) as file:
        events = file["Events"].arrays(entry_stop=60)
    jagged = {n: events[n] for n in events.fields if events[n].ndim > 1}
    flat = {n: events[n] for n in ("run", "luminosityBlock", "event", "genWeight")}
    grouped = {
        name: ak.zip(
            {n.removeprefix(f"{name}_"): a for n, a in jagged.items() if n.startswith(f"{name}_")}
        )
        for name in names
    }
    paths = {kind: tmp_path / f"{kind}.root" for kind in ("tree", "vectors", "collections")}
    with uproot.recreate(paths["tree"]) as file:
        columns = {**flat, **{n: a for n, a in jagged.items() if n.split("_")[0] in names}}
        file.mktree("Events", {n: a.type.content for n, a in columns.items()})
        file["Events"].extend(columns)
    with uproot.recreate(paths["vectors"]) as file:
        file.mkrntuple("Events", ak.zip(columns, depth_limit=1))
    with uproot.recreate(paths["collections"]) as file:
        file.mkrntuple("Events", ak.zip({**flat, **grouped}, depth_limit=1))
    return paths


def test_rntuples_give_the_jets_of_trees(
    flat_and_grouped: dict[str, Path], iterative: ExecutorBase, tmp_path: Path
) -> None:
    jets = {
        kind: skim(path, tmp_path / f"skim-{kind}", iterative)
        for kind, path in flat_and_grouped.items()
    }
    assert len(jets["tree"]) > 50
    assert jets["vectors"] == jets["tree"]
    assert jets["collections"] == jets["tree"]


def test_a_reported_rntuple_with_collections_is_read(
    cases: Path, iterative: ExecutorBase, tmp_path: Path
) -> None:
    path = cases / "nanoaodv15_rntuple_collections.root"
    jets = skim(path, tmp_path / "a", iterative)
    with uproot.open(path) as file:
        events = file["Events"]
        pt, eta = events["FatJet.pt"].array(), events["FatJet.eta"].array()
    assert 0 < len(jets) <= ak.sum((pt > 200) & (abs(eta) < 2))
    assert {jet["pt"] for jet in jets} <= set(ak.flatten(pt).to_list())
    assert open_skim(tmp_path / "a").manifest.datasets["some"].sumw_runs == 60
