"""What is declared against what is there, through whole skims: yields, luminosity, kinds, odd files.

The inputs are those of public reports, made small; the right values stand in `shared/cases/CASES.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from chosen import OPEN

from oddjet.analysis.scores.sample import dataset_scales
from oddjet.datasets.luminosity.recorded import data_luminosity
from oddjet.datasets.skims.manifest import Manifest
from oddjet.errors import (
    ConfigError,
    DuplicateEventError,
    MissingBranchError,
    NoConstituentsError,
    ProcessingError,
)
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.events.selection import Selection
from oddjet.processors.events.triggers import Triggers

Rewrite = Callable[..., Path]
SIGMA, LUMI = 1_370_000.0, 2.0


Skimmed = Callable[..., Manifest]


def events_left(path: Path, pt_min: float) -> int:
    """Events with a central jet above a threshold, read by hand."""
    with uproot.open(path) as file:
        pt, eta = (file["Events"][f"FatJet_{name}"].array() for name in ("pt", "eta"))
    return int(ak.sum(ak.any((pt > pt_min) & (abs(eta) < 2.5), axis=1)))


def expected_events(manifest: Manifest, lumi_ifb: float = LUMI) -> float:
    """Σ scale × weight over events after the selection."""
    scale = dataset_scales(manifest.datasets, lumi_ifb)["d"]
    return scale * manifest.cutflow["d"][-1].sumw


def check_yields(skim: Skimmed, full: Path, bare: Path, kept: Path, n_generated: int) -> None:
    """The yield of a skim is that of the full file, or it is refused, or told everywhere."""
    selection = OPEN.model_copy(update={"pt_min": 400.0})
    known: dict[str, Any] = {"cross_section_pb": SIGMA, "selection": selection}
    right = SIGMA * LUMI * 1000 * events_left(full, 400.0) / n_generated
    for manifest in (
        skim(full, **known),
        skim(kept, **known),
        skim(bare, sumw=float(n_generated), **known),
        skim(bare, n_events=n_generated, **known),
        skim(kept, sumw=float(n_generated), **known),
    ):
        assert expected_events(manifest) == pytest.approx(right, rel=1e-6)
        assert manifest.caveats == ()
    with pytest.raises(ConfigError, match=r"no Runs tree .* State the sum \(sumw\)"):
        skim(bare, **known)
    with pytest.raises(ConfigError, match=rf"sumw states 900, and the Runs trees .* {n_generated}"):
        skim(kept, sumw=900.0, **known)
    with pytest.raises(ConfigError, match="n_events states 3, and more is known of its files"):
        skim(bare, n_events=3, **known)
    told = skim(bare, accept=["unknown_history"], **known)
    assert told.datasets["d"].norm is not None
    assert told.datasets["d"].norm.source == "events"
    assert "accepted (unknown_history)" in told.describe_caveats()
    without = skim(bare, selection=selection)
    with pytest.raises(ConfigError, match="no cross_section_pb"):
        expected_events(without)


def test_yields_of_skims(skim: Skimmed, qcd: Path, rewrite: Rewrite, tmp_path: Path) -> None:
    def keep_hard(data: dict[str, Any]) -> None:
        hard = ak.any(data["FatJet_pt"] > 400, axis=1)
        for name in data:
            data[name] = data[name][hard]

    bare = rewrite(qcd, "bare.root", change=keep_hard)
    kept = rewrite(qcd, "kept.root", change=keep_hard, keep_runs=True)
    check_yields(skim, qcd, bare, kept, 400)


def test_yields_of_reported_skims(skim: Skimmed, cases: Path) -> None:
    names = ("qcd_full", "qcd_skim_no_runs", "qcd_skim_with_runs")
    check_yields(skim, *(cases / f"{name}.root" for name in names), 1200)


def test_a_filtered_file_counts_whole_or_not_at_all(
    skim: Skimmed, qcd: Path, rewrite: Rewrite
) -> None:
    """One chunk fails: the part of the Runs sum that the others stand for is not known."""

    def break_links(data: dict[str, Any]) -> None:
        index = ak.to_list(data["FatJetPFCand_pfCandIdx"])
        index[30] = [100_000 for _ in index[30]]
        data["FatJetPFCand_pfCandIdx"] = ak.values_astype(ak.Array(index), "int32")

    broken = rewrite(qcd, "broken.root", entries=100, change=break_links, keep_runs=True)
    whole = rewrite(qcd, "whole.root", entries=150, keep_runs=True, change=shift_events)
    options = RunOptions(chunk_size=25, allow_missing=True)
    manifest = skim(broken, whole, options=options, cross_section_pb=2.0)
    assert [part.error for part in manifest.missing].count("LinkError") == 1
    assert manifest.failed_entries == 100
    summary = manifest.datasets["d"]
    assert (summary.n_events, summary.generated_sumw) == (150, 400)
    stated = skim(broken, whole, options=options, cross_section_pb=2.0, sumw=800.0)
    assert stated.datasets["d"].norm is None


def shift_events(data: dict[str, Any]) -> None:
    data["event"] = data["event"] + np.uint64(10**6)


def test_luminosity_needs_the_tree_of_blocks(skim: Skimmed, cases: Path, tmp_path: Path) -> None:
    table = cases / "lumi_table.csv"
    filtered = cases / "data_skim_with_lumis.root"
    for path in (cases / "data_full_with_lumis.root", filtered):
        manifest = skim(path, kind="data", lumi_table=table)
        assert data_luminosity(manifest.datasets, None) == pytest.approx(0.050, rel=1e-9)
        assert manifest.caveats == ()
    bare = tmp_path / "bare.root"
    with uproot.open(filtered) as file, uproot.recreate(bare) as copy:
        events = file["Events"].arrays()
        counters = {f"n{n.partition('_')[0]}" for n in events.fields if events[n].ndim > 1}
        columns = {n: events[n] for n in events.fields if n not in counters}
        tree = copy.mktree("Events", {n: a.type.content for n, a in columns.items()})
        tree.extend(columns)
    with pytest.raises(ConfigError, match=r"lumi_table cannot give its luminosity.*state lumi_ifb"):
        skim(bare, kind="data", lumi_table=table)
    stated = skim(bare, kind="data")
    assert data_luminosity(stated.datasets, 0.05) == 0.05
    assert "no tree LuminosityBlocks" in stated.describe_caveats()
    told = skim(bare, kind="data", lumi_table=table, accept=["unknown_luminosity"])
    assert data_luminosity(told.datasets, None) == pytest.approx(0.036, abs=1e-6)
    assert "too low if files were filtered" in told.describe_caveats()


def test_luminosity_of_a_tree_that_lost_blocks(
    skim: Skimmed, qcd: Path, rewrite: Rewrite, tmp_path: Path
) -> None:
    """Of eight blocks with events the tree lists the first two, as after a merger that kept one file's tree."""

    def number(data: dict[str, Any]) -> None:
        data["luminosityBlock"] = ak.Array((np.arange(80) // 10 + 1).astype("u4"))

    whole = rewrite(qcd, "whole.root", entries=80, change=number, as_data=True)
    table = tmp_path / "lumi.csv"
    head = "#run:fill,ls,time,beamstatus,E(GeV),delivered(/fb),recorded(/fb),avgpu,source"
    rows = [f"361001:9,{b}:{b},t,STABLE BEAMS,6800,0.2,0.1,30,HFOC" for b in range(1, 9)]
    table.write_text("\n".join([head, *rows]) + "\n")
    assert skim(whole, kind="data", lumi_table=table).datasets["d"].lumi_ifb == pytest.approx(0.8)
    lost = whole.with_name("lost.root")
    with uproot.open(whole) as file, uproot.recreate(lost) as copy:
        events = file["Events"].arrays()
        columns = {n: events[n] for n in events.fields if n[0] != "n"}
        copy.mktree("Events", {n: a.type.content for n, a in columns.items()}).extend(columns)
        copy["LuminosityBlocks"] = {
            n: a[:2] for n, a in file["LuminosityBlocks"].arrays(library="np").items()
        }
    with pytest.raises(ProcessingError, match=r"lost\.root\) has events in 6 luminosity blocks"):
        skim(lost, kind="data", lumi_table=table)
    told = skim(lost, kind="data", lumi_table=table, accept=["unknown_luminosity"])
    assert told.datasets["d"].lumi_ifb == pytest.approx(0.8)
    assert "accepted (unknown_luminosity)" in told.describe_caveats()
    bare = skim(lost, kind="data")
    assert bare.datasets["d"].lumisections == {"361001": [(1, 8)]}
    assert "events in 6 luminosity blocks" in bare.describe_caveats()


def test_files_without_events_and_branches(skim: Skimmed, cases: Path) -> None:
    good, empty = cases / "mc_good.root", cases / "mc_empty_few_branches.root"
    manifest = skim(good, empty, cross_section_pb=2.0)
    alone = skim(good, cross_section_pb=2.0)
    assert [file.n_entries for file in manifest.files] == [60, 0]
    assert manifest.cutflow == alone.cutflow
    assert manifest.datasets["d"].generated_sumw == 60
    (note,) = manifest.caveats
    assert "mc_empty_few_branches.root: 0 events of it" in note


def test_runs_and_blocks_of_files_without_events_count(
    skim: Skimmed, qcd: Path, rewrite: Rewrite, tmp_path: Path
) -> None:
    """A file of which no event is left stands for generated events, or for luminosity, all the same."""
    empty, blocks = tmp_path / "empty.root", tmp_path / "blocks.root"
    numbers = {name: np.empty(0, "u4") for name in ("run", "luminosityBlock", "event")}
    with uproot.recreate(empty) as file:
        file.mktree("Events", dict.fromkeys(numbers, "u4")).extend(numbers)
        file["Runs"] = {"genEventCount": np.array([100]), "genEventSumw": np.array([100.0])}
    with uproot.recreate(blocks) as file:
        file.mktree("Events", dict.fromkeys(numbers, "u4")).extend(numbers)
        file["LuminosityBlocks"] = {
            "run": np.array([361_001], "u4"),
            "luminosityBlock": np.array([7], "u4"),
        }
    assert skim(qcd, empty, cross_section_pb=2.0).datasets["d"].generated_sumw == 500
    real = rewrite(qcd, "data.root", as_data=True)
    listed = skim(real, blocks, kind="data").datasets["d"].lumisections
    assert listed is not None
    assert (7, 7) in listed["361001"]
    wrong = rewrite(qcd, "wrong.root", entries=5, drop=["PFCand_eta"])
    with pytest.raises(MissingBranchError):
        skim(real, wrong, kind="data", accept=["simulation_as_data"])


def test_a_file_that_lacks_branches_can_be_left_out(
    skim: Skimmed, qcd: Path, rewrite: Rewrite
) -> None:
    odd = rewrite(qcd, "odd.root", entries=5, drop=["PFCand_eta"], change=shift_events)
    none = rewrite(qcd, "none.root", entries=5, drop=["FatJetPFCand_jetIdx"], change=shift_events)
    with pytest.raises((MissingBranchError, NoConstituentsError)):
        skim(qcd, odd, none)
    manifest = skim(qcd, odd, none, options=RunOptions(allow_missing=True))
    assert {Path(part.file).name for part in manifest.missing} == {"odd.root", "none.root"}
    assert manifest.datasets["d"].n_events == 400
    with pytest.raises(MissingBranchError, match="PFCand_eta"):
        skim(odd, options=RunOptions(allow_missing=True))


def check_generated(skim: Skimmed, path: Path) -> None:
    with pytest.raises(ConfigError, match=r"declared as data.* has genWeight.*kind: background"):
        skim(path, kind="data")
    manifest = skim(path, kind="data", accept=["simulation_as_data"])
    assert manifest.datasets["d"].sumw == manifest.datasets["d"].n_events > 0
    assert "accepted (simulation_as_data)" in manifest.describe_caveats()


def test_simulation_is_no_data(skim: Skimmed, qcd: Path, rewrite: Rewrite) -> None:
    check_generated(skim, qcd)
    with pytest.raises(MissingBranchError, match=r"genWeight.*kind: data"):
        skim(rewrite(qcd, "real.root", as_data=True))


def test_simulation_without_its_weights_is_no_data(
    skim: Skimmed, qcd: Path, rewrite: Rewrite
) -> None:
    """What else is generated tells, and where all of that was dropped, the run number."""

    def drop_weights(data: dict[str, Any]) -> None:
        del data["genWeight"]

    def drop_generated(data: dict[str, Any]) -> None:
        for name in [name for name in data if "gen" in name.lower()]:
            del data[name]

    with pytest.raises(ConfigError, match=r"has \w*[gG]en\w+, which real events do not have"):
        skim(rewrite(qcd, "weightless.root", entries=50, change=drop_weights), kind="data")
    bare = rewrite(qcd, "bare.root", entries=50, change=drop_generated)
    with pytest.raises(ProcessingError, match="holds run 1, which is that of simulation"):
        skim(bare, kind="data")
    told = skim(bare, kind="data", accept=["simulation_as_data"])
    assert "accepted (simulation_as_data)" in told.describe_caveats()


def test_a_stated_sum_below_the_known_part_is_refused(
    skim: Skimmed, qcd: Path, rewrite: Rewrite
) -> None:
    kept = rewrite(qcd, "kept.root", entries=100, keep_runs=True)
    bare = rewrite(qcd, "bare.root", entries=60, change=shift_events)
    known: dict[str, Any] = {"cross_section_pb": 2.0}
    for stated in ({"sumw": 399.0}, {"n_events": 459}):
        with pytest.raises(
            ConfigError, match=r"more is known of its files, 4[06]0, .* 1 of 2 files"
        ):
            skim(kept, bare, **stated, **known)
    assert skim(kept, bare, n_events=800, **known).datasets["d"].generated_sumw == 800


def test_reported_simulation_is_no_data(skim: Skimmed, cases: Path) -> None:
    check_generated(skim, cases / "mc_good.root")
    assert skim(cases / "data_good.root", kind="data").caveats == ()


def test_the_year_is_that_of_the_runs(skim: Skimmed, qcd: Path, rewrite: Rewrite) -> None:
    def number(data: dict[str, Any]) -> None:
        data["run"] = ak.Array(np.full(len(data["run"]), 362_000, np.uint32))

    path = rewrite(qcd, "data.root", entries=50, change=number, as_data=True)
    assert skim(path, kind="data", year="2022EE").caveats == ()
    for year in ("2018", "2022preEE"):
        with pytest.raises(
            ConfigError, match=rf"year is {year} .*holds run 362000, which is of 2022"
        ):
            skim(path, kind="data", year=year)
    assert (
        "accepted (other_year)"
        in skim(path, kind="data", year="2018", accept=["other_year"]).describe_caveats()
    )
    # Without the trees, the runs are known once events are read.
    with uproot.open(path) as file, uproot.recreate(path.with_name("bare.root")) as copy:
        events = file["Events"].arrays()
        columns = {n: events[n] for n in events.fields if n[0] != "n"}
        copy.mktree("Events", {n: a.type.content for n, a in columns.items()}).extend(columns)
    with pytest.raises(ProcessingError, match="holds run 362000"):
        skim(path.with_name("bare.root"), kind="data", year="2018")


def test_a_path_that_part_of_the_files_lack(skim: Skimmed, cases: Path) -> None:
    files = (cases / "hlt_file1.root", cases / "hlt_file2_lacks_path.root")
    paths = ("HLT_AK8PFJet500", "HLT_PFHT800")
    refused = OPEN.model_copy(update={"triggers": Triggers(paths=paths)})
    with pytest.raises(MissingBranchError, match="missing: not_fired"):
        skim(*files, kind="data", selection=refused)
    fired = 0
    for path in files:
        with uproot.open(path) as file:
            events = file["Events"].arrays([name for name in paths if name in file["Events"]])
        fired += sum(any(event.values()) for event in events.to_list())
    allowed = Selection.model_validate(
        {**OPEN.model_dump(), "triggers": {"paths": paths, "missing": "not_fired"}}
    )
    manifest = skim(*files, kind="data", selection=allowed)
    step = next(s for s in manifest.cutflow["d"] if s.name.startswith("trigger"))
    assert (step.name, step.n_events) == ("trigger (missing paths: not fired)", fired)
    assert sum(c.counts.get("events_without_HLT_PFHT800", 0) for c in manifest.chunks) == 50
    assert "HLT_PFHT800 is not in 1 of 2 files" in manifest.describe_caveats()
    mistyped = Triggers(paths=(*paths, "HLT_PFHT80"), missing="not_fired")
    with pytest.raises(MissingBranchError, match="no file has the trigger: HLT_PFHT80"):
        skim(*files, kind="data", selection=OPEN.model_copy(update={"triggers": mistyped}))


def test_reported_private_simulation_repeats_its_numbers(skim: Skimmed, cases: Path) -> None:
    files = (cases / "private_mc_1.root", cases / "private_mc_2.root")
    with pytest.raises(DuplicateEventError, match=r"accept: \[repeated_events\]"):
        skim(*files)
    manifest = skim(*files, accept=["repeated_events"])
    assert manifest.datasets["d"].n_events == 100
    assert "selected events have the numbers of others" in manifest.describe_caveats()
