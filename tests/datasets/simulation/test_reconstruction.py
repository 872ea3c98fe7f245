"""The branches of simulated events agree with each other."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from oddjet.datasets.simulation.momenta import Momenta, from_pt_eta_phi_mass
from oddjet.datasets.simulation.reconstruction import FAT_JET_PT_MIN


def momenta(events: ak.Array, name: str) -> Momenta:
    counts = ak.to_numpy(events[f"n{name}"])
    return from_pt_eta_phi_mass(
        np.repeat(np.arange(len(counts)), counts),
        *(
            ak.to_numpy(ak.flatten(events[f"{name}_{key}"])).astype(float)
            for key in ("pt", "eta", "phi", "mass")
        ),
    )


def jet_of_link(events: ak.Array) -> np.ndarray:
    """Flat number of the jet of each link."""
    first = np.cumsum(events.nFatJet) - events.nFatJet
    return ak.to_numpy(ak.flatten(events.FatJetPFCand_jetIdx + first))


def candidate_of_link(events: ak.Array) -> np.ndarray:
    """Flat number of the candidate of each link."""
    first = np.cumsum(events.nPFCand) - events.nPFCand
    return ak.to_numpy(ak.flatten(events.FatJetPFCand_pfCandIdx + first))


def test_linked_candidates_sum_to_their_jet(w_events: ak.Array) -> None:
    jets, candidates = momenta(w_events, "FatJet"), momenta(w_events, "PFCand")
    jet, candidate = jet_of_link(w_events), candidate_of_link(w_events)
    assert len(jets) > 60
    for name in ("px", "py", "pz", "e"):
        total = np.bincount(jet, getattr(candidates, name)[candidate], minlength=len(jets))
        difference = np.abs(total - getattr(jets, name))
        assert (difference < 0.005 * jets.e).all()
    pt = np.bincount(jet, candidates.px[candidate], minlength=len(jets)) ** 2
    pt += np.bincount(jet, candidates.py[candidate], minlength=len(jets)) ** 2
    assert np.sqrt(pt) == pytest.approx(jets.pt, rel=0.005)


def test_counts_agree_with_the_links(w_events: ak.Array) -> None:
    n_links = np.bincount(jet_of_link(w_events), minlength=ak.sum(w_events.nFatJet))
    assert ak.flatten(w_events.FatJet_nConstituents).tolist() == np.minimum(n_links, 255).tolist()
    both = w_events.FatJet_chMultiplicity + w_events.FatJet_neMultiplicity
    assert ak.flatten(both).tolist() == n_links.tolist()


def test_every_candidate_belongs_to_one_jet(w_events: ak.Array) -> None:
    used = np.bincount(candidate_of_link(w_events), minlength=ak.sum(w_events.nPFCand))
    assert (used == 1).all()


def test_energy_fractions_add_up_to_one(w_events: ak.Array) -> None:
    for jets in ("FatJet", "Jet"):
        total = sum(
            w_events[f"{jets}_{name}"] for name in ("chHEF", "neHEF", "chEmEF", "neEmEF", "muEF")
        )
        assert ak.to_numpy(ak.flatten(total)) == pytest.approx(1.0, abs=1e-4)


def test_charged_fraction_from_the_candidates(w_events: ak.Array) -> None:
    candidates = momenta(w_events, "PFCand")
    candidate = candidate_of_link(w_events)
    hadron = np.abs(ak.to_numpy(ak.flatten(w_events.PFCand_pdgId)))[candidate] == 211
    energy = np.bincount(jet_of_link(w_events), candidates.e[candidate] * hadron)
    fraction = energy / momenta(w_events, "FatJet").e
    assert ak.to_numpy(ak.flatten(w_events.FatJet_chHEF)) == pytest.approx(fraction, abs=0.005)


def test_subjets_sum_to_the_soft_drop_mass(w_events: ak.Array) -> None:
    subjets = momenta(w_events, "SubJet")
    first = np.cumsum(w_events.nSubJet) - w_events.nSubJet
    one, two = w_events.FatJet_subJetIdx1, w_events.FatJet_subJetIdx2
    assert ak.all((one >= 0) == (two >= 0))
    has = one >= 0
    one_flat, two_flat = (ak.to_numpy(ak.flatten((index + first)[has])) for index in (one, two))
    assert len(one_flat) == len(subjets) // 2 > 50
    assert sorted([*one_flat, *two_flat]) == list(range(len(subjets)))
    a, b = subjets[one_flat], subjets[two_flat]
    total = Momenta(a.event, a.px + b.px, a.py + b.py, a.pz + b.pz, a.e + b.e)
    msoftdrop = ak.to_numpy(ak.flatten(w_events.FatJet_msoftdrop[has]))
    assert total.mass == pytest.approx(msoftdrop, rel=0.02, abs=0.3)
    assert (a.pt >= b.pt).all()


def test_grooming_and_subjettiness_keep_their_order(w_events: ak.Array) -> None:
    flat = {
        key: ak.to_numpy(ak.flatten(w_events[f"FatJet_{key}"]))
        for key in ("mass", "msoftdrop", "tau1", "tau2", "tau3", "tau4")
    }
    assert (flat["msoftdrop"] <= flat["mass"] * 1.001 + 0.01).all()
    assert (flat["msoftdrop"] >= 0).all()
    for more, fewer in (("tau2", "tau1"), ("tau3", "tau2"), ("tau4", "tau3")):
        assert (flat[more] <= flat[fewer] * 1.02 + 1e-6).all()
    assert (flat["tau1"] < 1).all()


def test_jets_are_hardest_first_and_above_the_threshold(w_events: ak.Array) -> None:
    pt = w_events.FatJet_pt
    assert ak.all(pt[:, :-1] >= pt[:, 1:])
    assert ak.min(pt) >= FAT_JET_PT_MIN
    assert ak.min(w_events.Jet_pt) >= 15
    assert ak.min(w_events.GenJetAK8_pt) >= 100
    assert ak.all(w_events.FatJet_rawFactor == 0)


def test_most_jets_have_a_generated_partner_of_like_pt(w_events: ak.Array) -> None:
    index = w_events.FatJet_genJetAK8Idx
    matched = index >= 0
    assert ak.mean(matched) > 0.98
    ratio = ak.flatten(w_events.FatJet_pt[matched] / w_events.GenJetAK8_pt[index[matched]])
    assert abs(np.median(ratio) - 1) < 0.03
    assert np.std(ak.to_numpy(ratio)) < 0.12


def test_missing_momentum_is_small_without_neutrinos(w_events: ak.Array) -> None:
    assert w_events.PFMET_pt.tolist() == w_events.MET_pt.tolist()
    assert np.median(w_events.PFMET_pt) < 40
    assert ak.all(w_events.PFMET_sumEt > 300)


def test_leptons_point_at_generated_leptons(w_events: ak.Array) -> None:
    n_close = 0
    for name, code, pt_min in (("Electron", 11, 5.0), ("Muon", 13, 3.0)):
        index = w_events[f"{name}_genPartIdx"]
        linked = index >= 0
        generated = w_events.GenPart_pdgId[index[linked]]
        assert ak.all(generated == w_events[f"{name}_pdgId"][linked])
        assert ak.all(abs(w_events[f"{name}_pdgId"]) == code)
        assert ak.all(w_events[f"{name}_charge"] == -np.sign(w_events[f"{name}_pdgId"]))
        assert ak.all(w_events[f"{name}_pt"] > pt_min)
        n_close += ak.sum(linked)
    assert n_close > 0
