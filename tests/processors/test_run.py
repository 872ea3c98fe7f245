"""Whole runs of the skim: what is written, kept, made again."""

from __future__ import annotations

import json
import math
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
from oddjet.datasets.skims.manifest import read_manifest
from oddjet.datasets.skims.skim import open_skim
from oddjet.errors import (
    SkimError,
)
from oddjet.ml.representations.jet_image import JetImage
from oddjet.processors.engine import rounds as engine
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.events.selection import Selection
from oddjet.processors.run import run_skim

Rewrite = Callable[..., Path]


def files_of(folder: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_the_manifest_accounts_for_everything(
    fileset: Fileset, iterative: ExecutorBase, tmp_path: Path
) -> None:
    seen: list[tuple[int, int, int]] = []
    manifest = run_skim(
        fileset,
        output=tmp_path,
        representation=JetImage(pixels=16),
        executor=iterative,
        options=RunOptions(chunk_size=150, progress=lambda *done: seen.append(done)),
    )
    assert read_manifest(tmp_path) == manifest
    assert manifest.planned_entries == manifest.processed_entries == 600
    assert manifest.failed_entries == 0
    assert [(c.dataset, c.entry_start, c.entry_stop) for c in manifest.chunks] == [
        ("qcd", 0, 133),
        ("qcd", 133, 266),
        ("qcd", 266, 400),
        ("w", 0, 100),
        ("w", 100, 200),
    ]
    assert seen[0] == (0, 5, 0)
    assert seen[-1] == (5, 5, 600)
    for name, n_events in {"qcd": 400, "w": 200}.items():
        summary = manifest.datasets[name]
        assert summary.n_events == summary.sumw == summary.sumw2 == summary.sumw_runs == n_events
        chunks = [c for c in manifest.chunks if c.dataset == name]
        assert sum(c.n_jets for c in chunks) == manifest.cutflow[name][-1].n_jets > 50
        assert [s.name for s in manifest.cutflow[name]] == [
            "all", "jets", "pt", "eta", "jet ID", "lepton overlap", "generated match",
            "linked constituents",
        ]  # fmt: skip
    assert manifest.config["selection"]["pt_min"] == 200
    assert manifest.versions["coffea"]

    skim = open_skim(tmp_path)
    jets, images = skim.jets(), skim.images()
    assert images.shape == (skim.n_jets, 16, 16, 1) == (len(jets), 16, 16, 1)
    np.testing.assert_array_equal(images, JetImage(pixels=16)(jets))
    np.testing.assert_allclose(images.sum(axis=(1, 2, 3)), 1.0, atol=1e-5)
    first = manifest.chunks[0].n_jets
    assert ak.to_list(jets.image_index[:first]) == list(range(first))


@pytest.mark.samples
def test_real_files_in_one_skim(samples: Path, iterative: ExecutorBase, tmp_path: Path) -> None:
    fileset = Fileset(
        datasets={
            "tt": Dataset(files=[str(samples / "nano_tt_v15.root")], kind="signal", truth=(6,)),
            "pf": Dataset(files=[str(samples / "pfnano.root")], kind="background"),
        }
    )
    manifest = run_skim(fileset, output=tmp_path, executor=iterative)
    assert manifest.datasets["tt"].n_events == 200
    assert manifest.datasets["tt"].sumw_runs is None  # the file has no Runs tree
    skim = open_skim(tmp_path)
    assert len(skim.jets("tt")) == manifest.cutflow["tt"][-1].n_jets == 32
    assert len(skim.jets()) == skim.n_jets == 32 + manifest.cutflow["pf"][-1].n_jets
    assert ak.all(ak.num(skim.jets().constituents) > 0)


@pytest.mark.samples
def test_small_jets_of_a_real_file(samples: Path, iterative: ExecutorBase, tmp_path: Path) -> None:
    selection = Selection(jet="AK4", pt_min=50, eta_max=2.4)
    path = samples / "pfnano.root"
    run_skim(one(path), selection=selection, output=tmp_path, executor=iterative)
    jets = open_skim(tmp_path).jets()
    with uproot.open(path) as file:
        events = file["Events"].arrays(["Jet_pt", "Jet_eta", "Jet_jetId"])
    wide = (events.Jet_pt > 50) & (abs(events.Jet_eta) < 2.4) & (events.Jet_jetId & 2 > 0)
    assert 0.5 * ak.sum(wide) < len(jets) <= ak.sum(wide)
    spread = abs(jets.constituents.eta - jets.eta)
    assert ak.max(spread) < 0.6  # R = 0.4: these are not the large jets' constituents


def test_a_second_run_makes_nothing(
    qcd: Path, iterative: ExecutorBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_skim(
        one(qcd), output=tmp_path, executor=iterative, options=RunOptions(chunk_size=200)
    )
    before = files_of(tmp_path)
    monkeypatch.setattr(engine.Runner, "run", lambda *_a, **_k: pytest.fail("ran again"))
    second = run_skim(
        one(qcd), output=tmp_path, executor=iterative, options=RunOptions(chunk_size=200)
    )
    assert second == first
    changed = {p for p, t in files_of(tmp_path).items() if before.get(p) != t}
    assert changed == {tmp_path / "manifest.json"}


def test_a_changed_cut_has_other_keys_and_replaces_the_parts(
    qcd: Path, iterative: ExecutorBase, tmp_path: Path
) -> None:
    first = run_skim(one(qcd), output=tmp_path, executor=iterative)
    cut = Selection(pt_min=400)
    second = run_skim(one(qcd), selection=cut, output=tmp_path, executor=iterative)
    assert {c.key for c in first.chunks}.isdisjoint(c.key for c in second.chunks)
    jets = open_skim(tmp_path).jets()
    assert ak.min(jets.pt) > 400
    assert len(jets) < first.chunks[0].n_jets
    assert {p.stem for p in (tmp_path / "some").iterdir()} == {c.key for c in second.chunks}


def test_images_are_made_where_a_skim_had_none(
    qcd: Path, iterative: ExecutorBase, tmp_path: Path
) -> None:
    run_skim(one(qcd), output=tmp_path, executor=iterative)
    with pytest.raises(SkimError):
        open_skim(tmp_path).images()
    run_skim(one(qcd), output=tmp_path, representation=JetImage(), executor=iterative)
    skim = open_skim(tmp_path)
    assert len(skim.images()) == skim.n_jets


def test_a_lost_part_alone_is_made_again(
    qcd: Path, iterative: ExecutorBase, tmp_path: Path
) -> None:
    manifest = run_skim(
        one(qcd), output=tmp_path, executor=iterative, options=RunOptions(chunk_size=150)
    )
    expected = rows(open_skim(tmp_path).jets())
    lost = manifest.chunks[1].key
    (tmp_path / "some" / f"{lost}.parquet").unlink()
    (tmp_path / "some" / f".{lost}.abc.parquet").touch()  # of a writer that was killed
    before = files_of(tmp_path)
    run_skim(one(qcd), output=tmp_path, executor=iterative, options=RunOptions(chunk_size=150))
    changed = {p.name for p, t in files_of(tmp_path).items() if before.get(p) != t}
    assert changed == {"manifest.json", f"{lost}.parquet", f"{lost}.json"}
    assert rows(open_skim(tmp_path).jets()) == expected
    assert not list(tmp_path.rglob(".*"))


def test_trusted_code_does_not_change_keys(
    qcd: Path, iterative: ExecutorBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []
    for trust, digest in [(True, "a"), (True, "b"), (False, "a"), (False, "b")]:
        monkeypatch.setattr(
            "oddjet.processors.engine.keys.code_digest", lambda digest=digest: digest
        )
        folder = tmp_path / f"{trust}{digest}"
        manifest = run_skim(
            one(qcd), output=folder, executor=iterative, options=RunOptions(trust_code=trust)
        )
        assert manifest.config["trust_code"] is trust
        keys.append(manifest.chunks[0].key)
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def number_blocks(data: dict[str, Any]) -> None:
    data["luminosityBlock"] = ak.Array((np.arange(400) // 50 + 1).astype(np.uint32))


def test_data_need_no_generated_branches(
    qcd: Path, iterative: ExecutorBase, rewrite: Rewrite, tmp_path: Path
) -> None:
    path = rewrite(qcd, "data.root", change=number_blocks, as_data=True)
    mask = tmp_path / "mask.json"
    mask.write_text(json.dumps({"361001": [[2, 3], [5, 5]]}))
    manifest = run_skim(
        one(path, "data"),
        selection=Selection(lumi_mask=mask),
        output=tmp_path / "skim",
        executor=iterative,
        options=RunOptions(chunk_size=60),
    )
    jets = open_skim(tmp_path / "skim").jets()
    assert set(ak.to_numpy(jets.luminosityBlock)) == {2, 3, 5}
    assert set(ak.to_numpy(jets.label)) == {-1}
    assert set(ak.to_numpy(jets.weight)) == {1.0}
    flow = {s.name: s for s in manifest.cutflow["some"]}
    assert (flow["all"].n_events, flow["certified luminosity"].n_events) == (400, 150)
    assert manifest.datasets["some"].sumw == manifest.datasets["some"].sumw2 == 400
    assert manifest.datasets["some"].sumw_runs is None


def test_an_empty_file_leaves_a_record(
    qcd: Path, iterative: ExecutorBase, rewrite: Rewrite, tmp_path: Path
) -> None:
    path = rewrite(qcd, "empty.root", entries=0)
    manifest = run_skim(
        one(path), output=tmp_path / "skim", representation=JetImage(), executor=iterative
    )
    assert len(manifest.chunks) == 1
    assert manifest.planned_entries == manifest.processed_entries == 0
    skim = open_skim(tmp_path / "skim")
    assert len(skim.jets()) == len(skim.images()) == 0
    both = Fileset(
        datasets={
            "empty": Dataset(files=[str(path)], kind="background"),
            "qcd": Dataset(files=[str(qcd)], kind="background"),
        }
    )
    run_skim(both, output=tmp_path / "both", executor=iterative)
    assert len(open_skim(tmp_path / "both").jets()) > 0


@pytest.mark.slow
def test_executors_give_the_same_skim(
    executors: dict[str, ExecutorBase], fileset: Fileset, tmp_path: Path
) -> None:
    skims = {}
    for kind, executor in executors.items():
        manifest = run_skim(
            fileset,
            output=tmp_path / kind,
            representation=JetImage(),
            executor=executor,
            options=RunOptions(chunk_size=100),
        )
        skim = open_skim(tmp_path / kind)
        skims[kind] = (rows(skim.jets()), manifest.cutflow, manifest.datasets, skim.images())
    for kind in ("futures", "dask"):
        assert skims[kind][:3] == skims["iterative"][:3]
        np.testing.assert_array_equal(skims[kind][3], skims["iterative"][3])
    assert len(skims["iterative"][0]) > 500


def test_chunks_do_not_change_the_jets(
    fileset: Fileset, iterative: ExecutorBase, tmp_path: Path
) -> None:
    tables = []
    for size in (77, 1000):
        run_skim(
            fileset,
            output=tmp_path / str(size),
            executor=iterative,
            options=RunOptions(chunk_size=size),
        )
        tables.append(rows(open_skim(tmp_path / str(size)).jets()))
    assert tables[0] == tables[1]


def test_weights_of_both_signs_are_summed(
    qcd: Path, iterative: ExecutorBase, rewrite: Rewrite, tmp_path: Path
) -> None:
    weights = np.where(np.arange(200) % 3 == 0, -0.3, 1.7).astype(np.float32)

    def change(data: dict[str, Any]) -> None:
        data["genWeight"] = ak.Array(weights)

    path = rewrite(qcd, "signed.root", entries=200, change=change)
    manifest = run_skim(
        one(path), output=tmp_path / "skim", executor=iterative, options=RunOptions(chunk_size=70)
    )
    summary = manifest.datasets["some"]
    assert summary.sumw == pytest.approx(math.fsum(map(float, weights)), rel=1e-12)
    assert summary.sumw2 == pytest.approx(math.fsum(float(w) ** 2 for w in weights), rel=1e-12)
    jets = open_skim(tmp_path / "skim").jets()
    assert ak.to_numpy(jets.weight).tolist() == weights[ak.to_numpy(jets.entry)].tolist()
    assert ak.any(jets.weight < 0)
