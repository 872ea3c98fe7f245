"""The selection against a loop over events that uses nothing of the package but the labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from chunks import source_of

from oddjet.datasets.files.dataset import Kind
from oddjet.datasets.jets import Truth
from oddjet.datasets.luminosity.mask import LumiMask
from oddjet.ml.representations.jet_image import JetImage
from oddjet.processors.events.branches import list_branches
from oddjet.processors.events.select import SelectedJets, select_jets
from oddjet.processors.events.selection import Selection

FORMATS: dict[str, dict[str, Any]] = {
    "nano_tt_v15.root": {"links": "FatJetPFCand", "index": "pfCandIdx", "candidates": "PFCand"},
    "pfnano.root": {
        "links": "FatJetPFCands",
        "index": "pFCandsIdx",
        "candidates": "PFCands",
        "weight": "puppiWeight",
    },
}


V15 = FORMATS["nano_tt_v15.root"]


@cache
def read_events(path: Path, links: str, candidates: str) -> list[dict[str, Any]]:
    """All that a loop may ask of a file, as Python numbers."""
    with uproot.open(path) as file:
        tree = file["Events"]
        bits = [*TRIGGERED.triggers.paths, *TRIGGERED.noise_filters]
        wanted = [*list_names(tree, links, candidates), *bits]
        return list(tree.arrays([name for name in wanted if name in tree]).to_list())


def run_loop(path: Path, layout: dict[str, Any], selection: Selection, kind: str) -> dict[str, Any]:
    """Select jets one by one, with Python numbers."""
    events = read_events(path, layout["links"], layout["candidates"])
    left: dict[str, list[tuple[int, int]]] = {}
    events_left: dict[str, list[int]] = {}
    rows, unlinked = [], 0
    for number, event in enumerate(events):
        n_jets = len(event["FatJet_pt"])
        everything = [(number, jet) for jet in range(n_jets)]
        events_left.setdefault("all", []).append(number)
        left.setdefault("all", []).extend(everything)
        if selection.noise_filters:
            if not all(event[name] for name in selection.noise_filters):
                continue
            events_left.setdefault("noise filters", []).append(number)
            left.setdefault("noise filters", []).extend(everything)
        if selection.triggers.paths:
            if not any(event[name] for name in selection.triggers.paths):
                continue
            events_left.setdefault("trigger", []).append(number)
            left.setdefault("trigger", []).extend(everything)
        for jet in range(n_jets):
            passed = ["jets"]
            for name, ok in jet_steps(event, jet, selection, kind):
                if not ok:
                    break
                passed.append(name)
            else:
                constituents = linked(event, jet, layout)
                if constituents:
                    passed.append("linked constituents")
                    rows.append((number, jet, constituents, event))
                else:
                    unlinked += 1
            for name in passed:
                left.setdefault(name, []).append((number, jet))
                if number not in events_left.setdefault(name, []):
                    events_left[name].append(number)
    weights = [event.get("genWeight", 1.0) if kind != "data" else 1.0 for event in events]
    flow = {
        name: (
            len(events_left[name]),
            len(left.get(name, [])),
            math.fsum(weights[n] for n in events_left[name]),
        )
        for name in events_left
    }
    return {"flow": flow, "rows": rows, "unlinked": unlinked, "weights": weights}


def list_names(tree: Any, links: str, candidates: str) -> list[str]:
    prefixes = ("FatJet_", "Electron_", "Muon_", "GenJetAK8_", f"{links}_", f"{candidates}_")
    ends = (
        "_pt", "_eta", "_phi", "_mass", "_jetId", "EF", "Multiplicity", "Idx", "_puppiWeight",
    )  # fmt: skip
    names = [n for n in tree.keys(recursive=False) if n.startswith(prefixes) and n.endswith(ends)]
    return [*names, "run", "luminosityBlock", "event", "genWeight"]


def distance(eta1: float, phi1: float, eta2: float, phi2: float) -> float:
    return math.hypot(eta1 - eta2, math.remainder(phi1 - phi2, 2 * math.pi))


def jet_steps(
    event: dict[str, Any], jet: int, selection: Selection, kind: str
) -> list[tuple[str, bool]]:
    pt, eta, phi = (event[f"FatJet_{name}"][jet] for name in ("pt", "eta", "phi"))
    steps = [("pt", pt > selection.pt_min), ("eta", abs(eta) < selection.eta_max)]
    steps.append(("jet ID", tight_id(event, jet)))
    steps.append(
        (
            "lepton overlap",
            not any(
                event[f"{lepton}_pt"][i] > selection.lepton_pt_min
                and distance(eta, phi, event[f"{lepton}_eta"][i], event[f"{lepton}_phi"][i]) < 0.4
                for lepton in ("Electron", "Muon")
                for i in range(len(event[f"{lepton}_pt"]))
            ),
        )
    )
    if kind != "data":
        near = [
            distance(eta, phi, event["GenJetAK8_eta"][i], event["GenJetAK8_phi"][i])
            for i in range(len(event["GenJetAK8_pt"]))
        ]
        steps.append(("generated match", bool(near) and min(near) < 0.4))
    return steps


def tight_id(event: dict[str, Any], jet: int) -> bool:
    if "FatJet_jetId" in event:
        return bool(event["FatJet_jetId"][jet] & 2)
    value = {
        name: event[f"FatJet_{name}"][jet]
        for name in ("eta", "chHEF", "neHEF", "neEmEF", "chMultiplicity", "neMultiplicity")
    }
    eta = abs(value["eta"])
    if eta <= 2.6:
        return bool(
            value["neHEF"] < 0.99
            and value["neEmEF"] < 0.9
            and value["chMultiplicity"] + value["neMultiplicity"] > 1
            and value["chHEF"] > 0.01
            and value["chMultiplicity"] > 0
        )
    if eta <= 2.7:
        return bool(value["neHEF"] < 0.9 and value["neEmEF"] < 0.99)
    if eta <= 3.0:
        return bool(value["neHEF"] < 0.99)
    return bool(value["neMultiplicity"] >= 2 and value["neEmEF"] < 0.4)


def linked(event: dict[str, Any], jet: int, layout: dict[str, Any]) -> list[tuple[float, ...]]:
    """pt, eta, phi, mass of the jet's constituents, hardest first."""
    links, candidates = layout["links"], layout["candidates"]
    linked_candidates = []
    for which, index in zip(
        event[f"{links}_jetIdx"], event[f"{links}_{layout['index']}"], strict=True
    ):
        if which == jet:
            scale = event[f"{candidates}_{layout['weight']}"][index] if "weight" in layout else 1.0
            if scale != 0:
                pt, eta, phi, mass = (
                    event[f"{candidates}_{name}"][index] for name in ("pt", "eta", "phi", "mass")
                )
                linked_candidates.append((pt * scale, eta, phi, mass * scale))
    return sorted(linked_candidates, key=lambda four: -four[0])


def draw(eta: float, phi: float, constituents: list[tuple[float, ...]]) -> np.ndarray:
    """Khanal's image, pixel by pixel in Python numbers: [lo, hi) in Δη and Δφ."""
    edges = [-0.8 + 1.6 * i / 32 for i in range(33)]
    image = np.zeros((32, 32))
    for pt, e, p, _ in constituents:
        delta = (e - eta, math.remainder(p - phi, 2 * math.pi))
        pixel = [next((i for i in range(32) if edges[i] <= d < edges[i + 1]), None) for d in delta]
        if pixel[0] is not None and pixel[1] is not None:
            image[pixel[0], pixel[1]] += pt
    return image / image.sum() if image.sum() > 0 else image


def compare(selected: SelectedJets, loop: dict[str, Any], selection: Selection) -> None:
    """The same cut flow, jets, constituents and images."""
    flow = {s.name: (s.n_events, s.n_jets, s.sumw) for s in selected.cutflow}
    assert list(flow) == expected_steps(selection, loop)
    for name, (n_events, n_jets, sumw) in flow.items():
        expected = loop["flow"].get(name, (0, 0, 0.0))
        assert (n_events, n_jets) == expected[:2], name
        assert sumw == pytest.approx(expected[2], rel=1e-12), name
    jets, rows = selected.jets, loop["rows"]
    assert len(jets) == len(rows) > 0
    images = JetImage()(jets)
    for jet, image, (number, index, constituents, event) in zip(jets, images, rows, strict=True):
        assert (jet.entry, jet.jet_index) == (number, index)
        assert jet.event == event["event"]
        assert jet.pt == np.float32(event["FatJet_pt"][index])
        assert jet.weight == loop["weights"][number]
        got = np.stack([ak.to_numpy(jet.constituents[n]) for n in ("pt", "eta", "phi", "mass")], 1)
        np.testing.assert_allclose(got, np.array(constituents), rtol=1e-6)
        drawn = draw(event["FatJet_eta"][index], event["FatJet_phi"][index], constituents)
        np.testing.assert_allclose(image[:, :, 0], drawn, atol=1e-6)
        assert image.sum() == pytest.approx(1.0, abs=1e-5)
    assert selected.counts["jets_without_links"] == loop["unlinked"]
    assert selected.sumw == pytest.approx(math.fsum(loop["weights"]), rel=1e-12)
    assert selected.sumw2 == pytest.approx(math.fsum(w * w for w in loop["weights"]), rel=1e-12)


def expected_steps(selection: Selection, loop: dict[str, Any]) -> list[str]:
    steps = ["all"]
    steps += ["noise filters"] if selection.noise_filters else []
    steps += ["trigger"] if selection.triggers.paths else []
    steps += ["jets", "pt", "eta", "jet ID", "lepton overlap"]
    steps += ["generated match"] if loop["kind"] != "data" else []
    return [*steps, "linked constituents"]


# These paths and filters keep some events of each file and drop others.
TRIGGERED = Selection(
    triggers=("HLT_PFHT680", "HLT_AK8PFJet260"),
    noise_filters=("Flag_ecalLaserCorrFilter", "Flag_EcalDeadCellBoundaryEnergyFilter"),
)


CASES = {
    "khanal": (Selection(), "background"),
    "data": (Selection(), "data"),
    "loose": (Selection(pt_min=150, eta_max=5.0, lepton_pt_min=5.0), "background"),
    "trigger": (TRIGGERED, "background"),
}


@pytest.mark.slow
@pytest.mark.samples
@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("name", list(FORMATS))
def test_real_files_agree_with_the_loop(
    samples: Path, open_events: Any, name: str, case: str
) -> None:
    path = samples / name
    selection, kind = CASES[case]
    loop = run_loop(path, FORMATS[name], selection, kind) | {"kind": kind}
    events, touched = open_events(path)
    # Beyond |η| = 2.7 the file's jetId is believed of legacy Run 2 alone.
    source = replace(source_of(path, kind), year="2018" if name == "pfnano.root" else "")
    selected = select_jets(events, selection=selection, source=source)
    compare(selected, loop, selection)
    if case == "trigger":
        n_events = {s.name: s.n_events for s in selected.cutflow}
        assert n_events["all"] > n_events["noise filters"] >= n_events["trigger"] > 0
    listed = list_branches(
        events.fields, selection=selection, reader=source.reader, kind=source.kind
    )
    assert touched() == set(listed)


@pytest.mark.samples
def test_unlinked_jets_of_a_real_file_are_masked_and_counted(
    samples: Path, open_events: Any
) -> None:
    selection = Selection(
        pt_min=0, eta_max=9, jet_id=False, lepton_delta_r=None, gen_match_delta_r=None
    )
    path = samples / "nano_tt_v15.root"
    events, _ = open_events(path)
    selected = select_jets(events, selection=selection, source=source_of(path))
    # PHYSICS: two of its 64 jets claim constituents and have no link.
    assert selected.counts["jets_without_links"] == 2
    assert len(selected.jets) == 62
    assert selected.cutflow[-1].n_jets == selected.cutflow[-2].n_jets - 2 == 62


@pytest.mark.parametrize("kind", ["background", "data"])
def test_simulation_agrees_with_the_loop(qcd: Path, open_events: Any, kind: str) -> None:
    selection = Selection(pt_min=300)
    loop = run_loop(qcd, V15, selection, kind) | {"kind": kind}
    events, _ = open_events(qcd)
    selected = select_jets(events, selection=selection, source=source_of(qcd, kind))
    compare(selected, loop, selection)
    label = Truth.DATA if kind == "data" else Truth.BACKGROUND
    assert set(selected.jets.label) == {label}
    assert ("gen_pt" in selected.jets.fields) == (kind != "data")


@pytest.mark.parametrize("signal", [True, False])
def test_listed_branches_are_those_touched(w: Path, open_events: Any, signal: bool) -> None:
    events, touched = open_events(w)
    source = source_of(w, "signal", (24,) if signal else ())
    select_jets(events, selection=Selection(), source=source)
    listed = list_branches(
        events.fields,
        selection=Selection(),
        reader=source.reader,
        kind="signal",
        truth=source.truth,
    )
    assert touched() == set(listed)
    assert ("GenPart_pdgId" in listed) == signal


def test_an_empty_range_gives_no_jets_and_the_same_steps(w: Path, open_events: Any) -> None:
    full, _ = open_events(w)
    empty, _ = open_events(w, 5, 5)
    source = source_of(w, "signal", (24,))
    all_of_it = select_jets(full, selection=Selection(), source=source)
    nothing = select_jets(empty, selection=Selection(), source=source)
    assert len(nothing.jets) == 0
    assert nothing.jets.fields == all_of_it.jets.fields
    assert [s.name for s in nothing.cutflow] == [s.name for s in all_of_it.cutflow]
    assert {(s.n_events, s.n_jets, s.sumw) for s in nothing.cutflow} == {(0, 0, 0.0)}


def test_no_selected_jets_gives_the_same_columns(w: Path, open_events: Any) -> None:
    source = source_of(w, "signal", (24,))
    selected = select_jets(open_events(w)[0], selection=Selection(), source=source)
    none = select_jets(open_events(w)[0], selection=Selection(pt_min=1e5), source=source)
    assert len(none.jets) == 0 < len(selected.jets)
    assert none.jets.fields == selected.jets.fields
    assert none.cutflow[-1].n_jets == 0
    assert none.sumw == selected.sumw == 200


def test_leading_only_keeps_rank_zero(qcd: Path, open_events: Any) -> None:
    source = source_of(qcd)
    every = select_jets(open_events(qcd)[0], selection=Selection(), source=source).jets
    leading = select_jets(
        open_events(qcd)[0], selection=Selection(leading_only=True), source=source
    )
    expected = every[every["rank"] == 0]
    assert len(every) > len(expected) == len(set(ak.to_numpy(every.entry)))
    assert ak.array_equal(leading.jets[expected.fields], expected)
    assert leading.cutflow[-1].name == "leading jet"
    assert leading.cutflow[-1].n_jets == len(expected)
    hardest: dict[int, float] = {}
    for entry, pt in zip(every.entry, every.pt, strict=True):
        hardest[entry] = max(hardest.get(entry, 0.0), pt)
    assert ak.to_list(expected.pt) == [hardest[entry] for entry in expected.entry]


def test_luminosity_mask_is_for_data(
    qcd: Path, open_events: Any, rewrite: Callable[..., Path]
) -> None:
    def change(data: dict[str, Any]) -> None:
        data["luminosityBlock"] = ak.Array((np.arange(100) // 10 + 1).astype(np.uint32))

    path = rewrite(qcd, entries=100, change=change)
    mask = LumiMask.from_dict({"1": [[3, 4], [9, 12]], "2": [[1, 1]]})
    selected = {
        kind: select_jets(
            open_events(path)[0],
            selection=Selection(),
            source=source_of(path, kind),
            lumi_mask=mask,
        )
        for kind in ("data", "background")
    }
    flow = {s.name: s.n_events for s in selected["data"].cutflow}
    assert (flow["all"], flow["certified luminosity"]) == (100, 40)
    assert set(ak.to_numpy(selected["data"].jets.luminosityBlock)) == {3, 4, 9, 10}
    assert "certified luminosity" not in {s.name for s in selected["background"].cutflow}


@pytest.mark.parametrize("kind", ["signal", "peaking"])
def test_truth_columns_follow_the_label(w: Path, open_events: Any, kind: Kind) -> None:
    source = source_of(w, kind, (24,))
    jets = select_jets(open_events(w)[0], selection=Selection(), source=source).jets
    matched = ak.to_numpy(jets.label) >= Truth.MATCHED
    assert 0 < np.count_nonzero(matched) < len(jets)
    assert set(np.abs(ak.to_numpy(jets.truth_pdgId[matched]))) == {24}
    assert set(ak.to_numpy(jets.truth_pdgId[~matched])) == {0}
    assert ak.to_list(ak.is_none(jets.truth_delta_r)) == (~matched).tolist()
    assert ak.max(jets.truth_delta_r) < 0.4


def test_a_signal_that_names_no_resonance_is_all_signal(w: Path, open_events: Any) -> None:
    jets = select_jets(open_events(w)[0], selection=Selection(), source=source_of(w, "signal")).jets
    assert set(jets.label) == {Truth.MATCHED}
