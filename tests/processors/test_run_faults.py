"""Whole runs of the skim that fail: what is named, what stays, what is not written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from chunks import one, rows
from coffea.processor.executor import ExecutorBase

from oddjet.datasets.files.dataset import Dataset, Fileset
from oddjet.datasets.skims.skim import open_skim
from oddjet.errors import (
    ConfigError,
    LinkError,
    MissingBranchError,
    NoConstituentsError,
    ProcessingError,
)
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.events.selection import Selection
from oddjet.processors.run import run_skim

Rewrite = Callable[..., Path]


@pytest.mark.samples
@pytest.mark.parametrize(
    "name", ["nano_tt_v12.root", "nano_dy.root", "nanoAOD_2015_CMS_Open_Data_ttbar.root"]
)
def test_files_without_constituents_are_refused(
    samples: Path, iterative: ExecutorBase, tmp_path: Path, name: str
) -> None:
    with pytest.raises(NoConstituentsError, match=name):
        run_skim(one(samples / name), output=tmp_path / "skim", executor=iterative)
    assert not (tmp_path / "skim").exists()


def break_links(data: dict[str, Any]) -> None:
    index = ak.to_list(data["FatJetPFCand_pfCandIdx"])
    for event in range(100, 110):
        index[event] = [100_000 for _ in index[event]]
    data["FatJetPFCand_pfCandIdx"] = ak.values_astype(ak.Array(index), "int32")


@pytest.mark.parametrize("kind", ["iterative", "futures", "dask"])
def test_a_failing_chunk_leaves_no_manifest_and_is_named(
    executors: dict[str, ExecutorBase], kind: str, qcd: Path, rewrite: Rewrite, tmp_path: Path
) -> None:
    path = rewrite(qcd, "broken.root", entries=200, change=break_links)
    folder = tmp_path / "skim"
    with pytest.raises(LinkError, match=r"1 of 4 chunks failed(.|\n)*broken\.root, entries \[100"):
        run_skim(
            one(path), output=folder, executor=executors[kind], options=RunOptions(chunk_size=50)
        )
    assert not (folder / "manifest.json").exists()
    assert not list(folder.rglob(".*"))
    # the healthy chunks are kept
    assert len(list(folder.glob("some/*.json"))) == 3
    assert len(list(folder.glob("some/*.parquet"))) == 3


@pytest.mark.parametrize("kind", ["iterative", "futures", "dask"])
def test_an_unreadable_basket_is_named(
    executors: dict[str, ExecutorBase], kind: str, qcd: Path, rewrite: Rewrite, tmp_path: Path
) -> None:
    path = rewrite(qcd, "damaged.root", entries=100)
    with uproot.open(path) as file:
        seek = int(file["Events"]["PFCand_eta"].member("fBasketSeek")[0])
    content = bytearray(path.read_bytes())
    content[seek + 200 : seek + 260] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(ProcessingError, match=r"damaged\.root"):
        run_skim(one(path), output=tmp_path / "skim", executor=executors[kind])
    assert not (tmp_path / "skim" / "manifest.json").exists()


def test_an_old_manifest_stays_while_a_new_run_fails(
    qcd: Path, iterative: ExecutorBase, rewrite: Rewrite, tmp_path: Path
) -> None:
    folder = tmp_path / "skim"
    run_skim(one(qcd), output=folder, executor=iterative)
    before = rows(open_skim(folder).jets())
    path = rewrite(qcd, "broken.root", entries=200, change=break_links)
    with pytest.raises(LinkError):
        run_skim(one(path), output=folder, executor=iterative, options=RunOptions(chunk_size=50))
    assert rows(open_skim(folder).jets()) == before


def test_missing_branches_of_all_files_come_in_one_error(
    qcd: Path, iterative: ExecutorBase, rewrite: Rewrite, tmp_path: Path
) -> None:
    first = rewrite(qcd, "first.root", entries=5, drop=["Muon_pt", "genWeight"])
    second = rewrite(qcd, "second.root", entries=6, drop=["FatJet_chHEF"])
    third = rewrite(qcd, "third.root", entries=7, drop=["PFCand_eta"])
    fileset = Fileset(
        datasets={"some": Dataset(files=[str(first), str(second), str(third)], kind="background")}
    )
    selection = Selection(triggers=("HLT_PFJet500",))
    with pytest.raises(MissingBranchError) as caught:
        run_skim(fileset, selection=selection, output=tmp_path / "skim", executor=iterative)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    for line, words in zip(
        lines,
        [
            ("first.root", "Muon_pt", "genWeight", "kind: data", "HLT_PFJet500"),
            ("second.root", "FatJet_chHEF", "jet_id: false", "HLT_PFJet500"),
            ("third.root", "PFCand_eta"),
        ],
        strict=True,
    ):
        assert all(word in line for word in words), line
    assert not (tmp_path / "skim").exists()


def test_a_wrong_sum_of_weights_is_refused(
    qcd: Path, iterative: ExecutorBase, rewrite: Rewrite, tmp_path: Path
) -> None:
    def halve(data: dict[str, Any]) -> None:
        data["genWeight"] = data["genWeight"] * np.float32(0.5)

    path = rewrite(qcd, "changed.root", change=halve, keep_runs=True)
    with pytest.raises(ProcessingError, match=r"changed\.root: .*is 200, its Runs tree says 400"):
        run_skim(one(path), output=tmp_path / "skim", executor=iterative)
    assert not (tmp_path / "skim" / "manifest.json").exists()
    accepted = Dataset(files=[str(path)], kind="background", accept=("unknown_history",))
    manifest = run_skim(
        Fileset(datasets={"some": accepted}), output=tmp_path / "skim", executor=iterative
    )
    summary = manifest.datasets["some"]
    assert (summary.sumw, summary.sumw_runs, summary.generated_sumw) == (200, 400, 200)
    assert "accepted (unknown_history)" in summary.caveats[0]


def test_chunk_size_has_to_be_positive(qcd: Path, iterative: ExecutorBase, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="chunk_size"):
        run_skim(one(qcd), output=tmp_path, executor=iterative, options=RunOptions(chunk_size=0))
