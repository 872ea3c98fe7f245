from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.nanoevents import NanoEventsFactory, schemas
from hypothesis import given, settings
from hypothesis import strategies as st

from oddjet.datasets.jets import sum_constituents
from oddjet.datasets.readers import READERS, find_reader
from oddjet.errors import InputError, LinkError, NonFiniteError

V15 = READERS["nanoaod_v15"]
PFNANO = READERS["pfnano_ak8"]


@st.composite
def linked_events(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Events of jets, candidates and links in any order; links may repeat and jets may have none."""
    number = st.floats(0, 100, width=32)
    events = []
    for _ in range(draw(st.integers(0, 5))):
        n_jets = draw(st.integers(0, 4))
        candidates = draw(st.lists(st.tuples(number, number, st.integers(0, 2)), max_size=8))
        links = []
        if n_jets and candidates:
            pair = st.tuples(st.integers(0, n_jets - 1), st.integers(0, len(candidates) - 1))
            links = draw(st.lists(pair, max_size=15))
        events.append({"n_jets": n_jets, "candidates": candidates, "links": links})
    return events


def as_branches(events: list[dict[str, Any]], reader: Any) -> dict[str, ak.Array]:
    def jagged(rows: list[list[Any]], dtype: str) -> ak.Array:
        flat = np.array([value for row in rows for value in row], dtype)
        return ak.unflatten(flat, np.array([len(row) for row in rows], np.int64))

    candidates = [event["candidates"] for event in events]
    links = [event["links"] for event in events]
    pt = jagged([[c[0] for c in row] for row in candidates], "float32")
    out = {
        f"{reader.jet}_pt": jagged([[1.0] * event["n_jets"] for event in events], "float32"),
        f"{reader.links}_jetIdx": jagged([[x[0] for x in row] for row in links], "int32"),
        f"{reader.links}_{reader.link_index}": jagged(
            [[x[1] for x in row] for row in links], "int32"
        ),
        f"{reader.candidates}_pt": pt,
        f"{reader.candidates}_mass": jagged([[c[1] for c in row] for row in candidates], "float32"),
        f"{reader.candidates}_eta": pt * 0 + 1,
        f"{reader.candidates}_phi": pt * 0 - 1,
        f"{reader.candidates}_pdgId": jagged(
            [list(range(len(row))) for row in candidates], "int32"
        ),
    }
    if reader.weight:
        weights = [[c[2] / 2 for c in row] for row in candidates]
        out[f"{reader.candidates}_{reader.weight}"] = jagged(weights, "float32")
    return out


def by_hand(event: dict[str, Any], jet: int, *, weighted: bool) -> list[tuple[float, float, int]]:
    """Plain Python: (pt, mass, candidate), stable by falling pt."""
    expected = []
    for link_jet, index in event["links"]:
        pt, mass, weight = event["candidates"][index]
        factor = weight / 2 if weighted else 1.0
        if link_jet == jet and factor:
            expected.append(
                (float(np.float32(pt * factor)), float(np.float32(mass * factor)), index)
            )
    return sorted(expected, key=lambda c: -c[0])


@settings(deadline=None, max_examples=150)
@given(linked_events(), st.sampled_from([V15, PFNANO]))
def test_linking_is_that_of_a_plain_loop(events: list[dict[str, Any]], reader: Any) -> None:
    linked = reader.constituents(as_branches(events, reader))
    weighted = reader.weight is not None
    expected = [[by_hand(e, j, weighted=weighted) for j in range(e["n_jets"])] for e in events]
    linked_jets = linked.constituents
    triples = [
        [
            list(zip(jet.pt.to_list(), jet.mass.to_list(), jet.pdgId.to_list(), strict=True))
            for jet in jets
        ]
        for jets in linked_jets
    ]
    assert triples == expected
    n_links = [[sum(x[0] == j for x in e["links"]) for j in range(e["n_jets"])] for e in events]
    assert linked.n_linked.to_list() == n_links
    flat = [n for row in n_links for n in row]
    assert linked.n_without == flat.count(0)
    assert linked.n_dropped == sum(flat) - sum(len(jet) for row in expected for jet in row)


@settings(deadline=None, max_examples=60)
@given(linked_events(), st.data())
def test_mask_selects_the_same_constituents(
    events: list[dict[str, Any]], data: st.DataObject
) -> None:
    branches = as_branches(events, V15)
    flat = [data.draw(st.booleans()) for e in events for _ in range(e["n_jets"])]
    counts = np.array([e["n_jets"] for e in events], np.int64)
    mask = ak.unflatten(np.array(flat, bool), counts)
    every = V15.constituents(branches)
    chosen = V15.constituents(branches, jet_mask=mask)
    assert chosen.constituents.to_list() == ak.flatten(every.constituents[mask], axis=1).to_list()
    assert chosen.n_linked.to_list() == ak.flatten(every.n_linked[mask]).to_list()


def test_many_constituents_sorted(v15: Any) -> None:
    pt = V15.constituents(v15.events).constituents.pt
    assert ak.count(pt) > 50
    assert ak.all(pt[:, :, 1:] <= pt[:, :, :-1])


def test_sliced_events_give_the_same(v15: Any) -> None:
    with uproot.open(v15.path) as file:
        tree = file["Events"]
        whole = V15.constituents(tree.arrays(V15.branches()))
        sliced = V15.constituents(tree.arrays(V15.branches())[10:30:2])
    assert sliced.constituents.to_list() == whole.constituents[10:30:2].to_list()


def test_coffea_virtual_arrays_give_the_same(v15: Any) -> None:
    events = NanoEventsFactory.from_root(
        {str(v15.path): "Events"}, schemaclass=schemas.BaseSchema, mode="virtual"
    ).events()
    read = V15.constituents(events)
    assert read.constituents.to_list() == V15.constituents(v15.events).constituents.to_list()


def broken(v15: Any, branch: str, event: int, value: int) -> dict[str, ak.Array]:
    events = dict(v15.events)
    rows = events[branch].to_list()
    rows[event][0] = value
    events[branch] = ak.values_astype(ak.Array(rows), "int32")
    return events


@pytest.mark.parametrize("value", [-1, 99])
@pytest.mark.parametrize(
    ("branch", "bound"),
    [("FatJetPFCand_jetIdx", "FatJet_pt"), ("FatJetPFCand_pfCandIdx", "PFCand_pt")],
)
def test_index_out_of_range_names_event_value_and_bound(
    v15: Any, branch: str, bound: str, value: int
) -> None:
    event = int(np.flatnonzero(ak.to_numpy(ak.num(v15.events[branch])) > 0)[3])
    n = len(v15.events[bound][event])
    events = broken(v15, branch, event, value)
    with pytest.raises(
        LinkError, match=rf"a\.root: {branch} is {value} in event {event}, which has {n} "
    ):
        V15.constituents(events, where="a.root")
    nothing = v15.events["FatJet_pt"] < 0
    with pytest.raises(LinkError, match=branch):
        V15.constituents(events, jet_mask=nothing)


@pytest.mark.parametrize("field", ["pt", "eta", "phi", "mass"])
def test_non_finite_candidate_is_refused_if_wanted(v15: Any, field: str) -> None:
    events = dict(v15.events)
    event = int(np.flatnonzero(ak.to_numpy(ak.num(events["FatJetPFCand_jetIdx"])) > 0)[0])
    candidate = events["FatJetPFCand_pfCandIdx"][event][0]
    flat = ak.to_numpy(ak.flatten(events[f"PFCand_{field}"])).copy()
    counts = ak.num(events["PFCand_pt"])
    flat[int(ak.sum(counts[:event])) + candidate] = np.nan
    events[f"PFCand_{field}"] = ak.unflatten(flat, counts)
    with pytest.raises(NonFiniteError, match=rf"event {event} is not finite: .*'{field}': nan"):
        V15.constituents(events)
    nothing = events["FatJet_pt"] < 0
    assert len(V15.constituents(events, jet_mask=nothing).constituents) == 0


def test_non_finite_weight_is_refused() -> None:
    events = as_branches([{"n_jets": 1, "candidates": [(1.0, 0.0, 2)], "links": [(0, 0)]}], PFNANO)
    events["PFCands_puppiWeight"] = events["PFCands_puppiWeight"] * np.nan
    with pytest.raises(NonFiniteError, match="'weight': nan"):
        PFNANO.constituents(events)


def test_damaged_lengths_are_refused(v15: Any) -> None:
    events = dict(v15.events)
    events["FatJetPFCand_pfCandIdx"] = events["FatJetPFCand_pfCandIdx"][:, 1:]
    with pytest.raises(LinkError, match="FatJetPFCand_jetIdx has"):
        V15.constituents(events)
    events = dict(v15.events)
    events["PFCand_eta"] = events["PFCand_eta"][:, 1:]
    with pytest.raises(LinkError, match="another length"):
        V15.constituents(events)


def test_mask_of_another_shape_is_refused(v15: Any) -> None:
    with pytest.raises(InputError, match="jet_mask must be"):
        V15.constituents(v15.events, jet_mask=v15.events["FatJet_pt"][:5] > 0)
    with pytest.raises(InputError, match="jet_mask must be"):
        V15.constituents(v15.events, jet_mask=v15.events["FatJet_pt"])


def test_no_events(v15: Any) -> None:
    events = {name: values[:0] for name, values in v15.events.items()}
    linked = V15.constituents(events)
    assert len(linked.constituents) == 0
    assert linked.constituents.fields == ["pt", "eta", "phi", "mass", "pdgId"]


@cache
def read(path: Path, jet: str) -> tuple[Any, Any]:
    """The reader of a real file of thousands of branches, and what it reads: once."""
    with uproot.open(path) as file:
        tree = file["Events"]
        names = set(tree.keys())
        reader = find_reader(names, jet=jet)
        return reader, tree.arrays(reader.branches(names))


@pytest.mark.samples
@pytest.mark.parametrize(
    ("name", "jet", "n_jets", "n_without"),
    [
        ("nano_tt_v15.root", "AK8", 64, 2),
        ("pfnano.root", "AK8", 24, 0),
        ("pfnano.root", "AK4", 64, 0),
    ],
)
def test_constituents_of_real_files_add_up_to_the_raw_jet(
    samples: Path, name: str, jet: str, n_jets: int, n_without: int
) -> None:
    reader, events = read(samples / name, jet)
    linked = reader.constituents(events)
    assert linked.n_without == n_without
    summed = sum_constituents(ak.flatten(linked.constituents, axis=1))
    raw = ak.flatten(events[f"{reader.jet}_pt"] * (1 - events[f"{reader.jet}_rawFactor"]))
    assert len(raw) == n_jets
    has = ak.flatten(linked.n_linked) > 0
    assert ak.sum(has) == n_jets - n_without
    # NanoAOD keeps ten bits or so of each candidate's pt.
    assert ak.max(abs(summed.pt / raw - 1)[has]) < 0.005
    for coordinate in ("eta", "phi"):
        axis = ak.flatten(events[f"{reader.jet}_{coordinate}"])
        assert ak.max(abs(summed[coordinate] - axis)[has]) < 0.01


@pytest.mark.samples
def test_counting_by_n_constituents_would_have_shifted_real_jets(samples: Path) -> None:
    reader, events = read(samples / "nano_tt_v15.root", "AK8")
    linked = reader.constituents(events)
    says = events["FatJet_nConstituents"]
    without = linked.n_linked == 0
    assert sorted(ak.flatten(says[without]).to_list()) == [5, 6]
    assert ak.all(ak.num(linked.constituents[without], axis=2) == 0)
    assert ak.all((linked.n_linked == says)[~without])


@pytest.mark.samples
@pytest.mark.parametrize(("jet", "wrong_weight"), [("AK8", None), ("AK4", "puppiWeight")])
def test_puppi_weights_belong_to_ak8_only(
    samples: Path, jet: str, wrong_weight: str | None
) -> None:
    reader, _ = read(samples / "pfnano.root", jet)
    wrong = replace(reader, weight=wrong_weight)
    with uproot.open(samples / "pfnano.root") as file:
        events = file["Events"].arrays([*wrong.branches(), f"{reader.jet}_rawFactor"])
    summed = sum_constituents(ak.flatten(wrong.constituents(events).constituents, axis=1))
    raw = ak.flatten(events[f"{reader.jet}_pt"] * (1 - events[f"{reader.jet}_rawFactor"]))
    assert ak.max(abs(summed.pt / raw - 1)) > 0.01


@pytest.mark.samples
def test_jet_columns_of_real_files(samples: Path) -> None:
    reader, events = read(samples / "nano_tt_v15.root", "AK8")
    columns = reader.jet_columns(events.fields)
    assert columns["genJetIdx"] == "FatJet_genJetAK8Idx"
    assert columns["chHEF"] == "FatJet_chHEF"
    assert "jetId" not in columns
    reader, events = read(samples / "pfnano.root", "AK4")
    columns = reader.jet_columns(events.fields)
    assert columns["genJetIdx"] == "Jet_genJetIdx"
    assert columns["jetId"] == "Jet_jetId"
    assert "msoftdrop" not in columns
