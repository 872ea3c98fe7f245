"""What the selection refuses, masks if asked, and tells of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from chunks import source_of

from oddjet.errors import LinkError, NonFiniteError
from oddjet.processors.events.select import SelectedJets, select_jets
from oddjet.processors.events.selection import Selection


def test_a_wrong_link_names_file_and_entries(qcd: Path, open_events: Any, rewrite: Any) -> None:
    def change(data: dict[str, Any]) -> None:
        index = data["FatJetPFCand_pfCandIdx"]
        data["FatJetPFCand_pfCandIdx"] = ak.where(ak.local_index(index) == 3, 100_000, index)

    path = rewrite(qcd, entries=20, change=change)
    with pytest.raises(LinkError, match=r"changed\.root, entries \[0, 20\)"):
        select_jets(open_events(path)[0], selection=Selection(), source=source_of(path))


def test_a_weight_that_is_not_finite_names_its_entry(
    qcd: Path, open_events: Any, rewrite: Callable[..., Path]
) -> None:
    def change(data: dict[str, Any]) -> None:
        weights = ak.to_numpy(data["genWeight"]).copy()
        weights[7] = np.nan
        data["genWeight"] = ak.Array(weights)

    path = rewrite(qcd, entries=20, change=change)
    with pytest.raises(NonFiniteError, match="genWeight of entry 7 is nan"):
        select_jets(open_events(path)[0], selection=Selection(), source=source_of(path))
    data = select_jets(open_events(path)[0], selection=Selection(), source=source_of(path, "data"))
    assert data.sumw == 20


def one_candidate(branch: str, value: float, *, event: int) -> Any:
    """Change the first number of an event."""

    def change(data: dict[str, Any]) -> None:
        rows = data[branch].to_list()
        rows[event][0] = value
        data[branch] = ak.values_astype(ak.Array(rows), "float32")

    return change


def select(
    path: Path, open_events: Any, *, entries: int | None = None, **settings: Any
) -> SelectedJets:
    events, _ = open_events(path, 0, entries)
    return select_jets(events, selection=Selection(**settings), source=source_of(path))


def rows_of(selected: SelectedJets) -> list[Any]:
    columns = ["event", "jet_index", "pt", "constituents"]
    return ak.to_list(selected.jets[columns])  # type: ignore[no-any-return]


@pytest.mark.parametrize("branch", ["FatJet_msoftdrop", "FatJet_tau1", "FatJet_pt", "PFCand_pt"])
def test_a_jet_that_is_not_finite_is_masked_and_counted_if_asked(
    qcd: Path, open_events: Any, rewrite: Callable[..., Path], branch: str
) -> None:
    good = select(qcd, open_events, entries=40)
    event = int(np.flatnonzero(np.asarray(good.jets.jet_index) == 0)[2])
    entry = int(good.jets.entry[event])
    if branch.startswith("FatJet"):
        affected = [(good.jets.event[event], 0)]
        path = rewrite(qcd, entries=40, change=one_candidate(branch, np.nan, event=entry))
    else:  # a candidate of that event's leading jet
        with uproot.open(qcd) as file:
            links = file["Events"].arrays(["FatJetPFCand_jetIdx", "FatJetPFCand_pfCandIdx"])[entry]
        index = int(links.FatJetPFCand_pfCandIdx[links.FatJetPFCand_jetIdx == 0][0])

        def change(data: dict[str, Any]) -> None:
            rows = data[branch].to_list()
            rows[entry][index] = np.inf
            data[branch] = ak.values_astype(ak.Array(rows), "float32")

        affected = [(good.jets.event[event], 0)]
        path = rewrite(qcd, entries=40, change=change)
    with pytest.raises(NonFiniteError):
        select(path, open_events)
    masked = select(path, open_events, on_bad_jet="mask")
    left = [r for r in rows_of(good) if (r["event"], r["jet_index"]) not in affected]
    assert rows_of(masked) == left
    assert masked.counts["jets_not_finite"] == 1
    steps = {step.name: step.n_jets for step in masked.cutflow}
    before = "generated match" if branch != "FatJet_pt" else "finite numbers"
    assert steps["finite numbers"] == steps["linked constituents"] == len(left)
    assert steps[before] == len(left) + (branch != "FatJet_pt")


def test_messages_of_what_is_not_finite_name_the_way_on(
    qcd: Path, open_events: Any, rewrite: Callable[..., Path]
) -> None:
    path = rewrite(qcd, entries=20, change=one_candidate("FatJet_eta", np.nan, event=5))
    with pytest.raises(NonFiniteError, match=r"first in entry 5; .*selection\.on_bad_jet to mask"):
        select(path, open_events)


@pytest.mark.parametrize("branch", ["FatJet_chHEF", "FatJet_neEmEF"])
def test_a_nan_that_the_jet_id_compares_is_refused_or_counted(
    qcd: Path, open_events: Any, rewrite: Callable[..., Path], branch: str
) -> None:
    good = select(qcd, open_events, entries=40)
    event = next(r["event"] for r in rows_of(good) if r["jet_index"] == 0)
    entry = int(good.jets.entry[int(np.flatnonzero(good.jets.event == event)[0])])
    path = rewrite(qcd, entries=40, change=one_candidate(branch, np.nan, event=entry))
    with pytest.raises(NonFiniteError, match=r"chHEF.*selection\.on_bad_jet to mask"):
        select(path, open_events)
    masked = select(path, open_events, on_bad_jet="mask")
    assert masked.counts["jets_not_finite"] == 1
    assert len(masked.jets) == len(good.jets) - 1


@pytest.mark.parametrize(
    ("branch", "key"),
    [
        ("Electron_pt", "lepton_delta_r"),
        ("Muon_eta", "lepton_delta_r"),
        ("GenJetAK8_eta", "gen_match_delta_r"),
    ],
)
def test_a_nan_of_what_jets_are_held_against_is_refused(
    qcd: Path, open_events: Any, rewrite: Callable[..., Path], branch: str, key: str
) -> None:
    with uproot.open(qcd) as file:
        entry = int(np.flatnonzero(ak.num(file["Events"][branch].array()))[0])
    path = rewrite(qcd, entries=entry + 20, change=one_candidate(branch, np.nan, event=entry))
    for setting in ("refuse", "mask"):
        with pytest.raises(NonFiniteError, match=rf"entry {entry}; .*set selection\.{key} to null"):
            select(path, open_events, on_bad_jet=setting)
    assert len(select(path, open_events, **{key: None}).jets)


def test_nothing_is_counted_where_all_is_finite(qcd: Path, open_events: Any) -> None:
    plain, masked = select(qcd, open_events), select(qcd, open_events, on_bad_jet="mask")
    assert rows_of(plain) == rows_of(masked)
    assert masked.counts["jets_not_finite"] == 0
    assert "jets_not_finite" not in plain.counts


def test_one_nan_candidate_of_a_reported_file(cases: Path, open_events: Any) -> None:
    path = cases / "nan_candidate.root"
    with pytest.raises(NonFiniteError, match=r"selection\.on_bad_jet to mask"):
        select_jets(open_events(path)[0], selection=Selection(), source=source_of(path, "data"))
    selection = Selection(on_bad_jet="mask")
    masked = select_jets(open_events(path)[0], selection=selection, source=source_of(path, "data"))
    assert masked.counts["jets_not_finite"] == 1
    steps = {step.name: step.n_jets for step in masked.cutflow}
    assert steps["lepton overlap"] - steps["finite numbers"] == 1
    assert len(masked.jets) == steps["linked constituents"] == steps["finite numbers"]


def test_constituents_are_compared_with_every_jet(qcd: Path, open_events: Any) -> None:
    selected = select(qcd, open_events, leading_only=True)
    assert selected.balance.n_jets == selected.cutflow[-2].n_jets > len(selected.jets)
    assert selected.balance.is_raw
    assert (selected.balance.median, *selected.balance.tails) == pytest.approx((1, 1, 1), abs=0.01)


def test_how_jets_are_read_is_noted(qcd: Path, open_events: Any) -> None:
    read_as, jet_id = select(qcd, open_events).notes
    assert read_as.startswith("read as nanoaod_v15")
    assert "no year is stated, so Run 3 is assumed" in jet_id
    assert len(select(qcd, open_events, jet_id=False).notes) == 1


@pytest.mark.parametrize(("run", "era"), [(319_991, "2018"), (1, "Run 3")])
def test_data_without_a_year_have_the_jet_id_of_their_runs(
    qcd: Path, open_events: Any, rewrite: Callable[..., Path], run: int, era: str
) -> None:
    def change(data: dict[str, Any]) -> None:
        data["run"] = np.full(len(data["run"]), run, np.uint32)

    path = rewrite(qcd, entries=20, change=change)
    source = source_of(path, "data")
    selected = select_jets(open_events(path)[0], selection=Selection(), source=source)
    assert any(f"computed for PUPPI jets of {era}" in note for note in selected.notes)
    stated = replace(source, year="2016APV")
    selected = select_jets(open_events(path)[0], selection=Selection(), source=stated)
    assert any("computed for PUPPI jets of 2016" in note for note in selected.notes)
