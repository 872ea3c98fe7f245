"""From generated particles to the branches of an event: response, jets, links, matches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from oddjet.datasets.simulation import detector, genparticles
from oddjet.datasets.simulation.detector import Candidates, reconstruct
from oddjet.datasets.simulation.finalstate import select_visible
from oddjet.datasets.simulation.generator import EventRecord
from oddjet.datasets.simulation.jets import ClusteredJets, cluster, match_nearest
from oddjet.datasets.simulation.layout import (
    EVENT_BRANCHES,
    Collection,
    Columns,
    Events,
    cast,
    make_collection,
)
from oddjet.datasets.simulation.momenta import Momenta
from oddjet.datasets.simulation.substructure import n_subjettiness, soft_drop

__all__ = ["FAT_JET_PT_MIN", "reconstruct_events"]

FAT_JET_PT_MIN = 140.0
"""AK8 jets from here on are stored, GeV: below CMS's 170, for selections from 150 on."""
JET_PT_MIN = 15.0
GEN_JET_PT_MIN = 10.0
GEN_FAT_JET_PT_MIN = 100.0
ELECTRON_PT_MIN = 5.0
MUON_PT_MIN = 3.0
AK8, AK4 = 0.8, 0.4

_MANTISSA_BITS = 12  # of the stored candidates: 1e-4, as NanoAOD rounds to save space


def reconstruct_events(
    record: EventRecord,
    charge_of: Callable[[int], float],
    rng: np.random.Generator,
    *,
    numbers: npt.NDArray[np.uint64],
    luminosity_block: int,
) -> Events:
    """Simulate the detector for a batch of events and fill the branches as they are written."""
    n_events = record.n_events
    visible = select_visible(record, charge_of)
    candidates = reconstruct(visible, rng)
    gen_fat = cluster(visible.momenta, n_events, radius=AK8, pt_min=GEN_FAT_JET_PT_MIN)
    gen_slim = cluster(visible.momenta, n_events, radius=AK4, pt_min=GEN_JET_PT_MIN)
    kept, mothers = genparticles.prune(record)
    return Events(
        _scalars(record, candidates.momenta, numbers, luminosity_block),
        {
            **_fat_jets(candidates, gen_fat.momenta, n_events),
            "Jet": _slim_jets(candidates, gen_slim.momenta, n_events),
            "Electron": _leptons("Electron", candidates, record, kept, n_events),
            "Muon": _leptons("Muon", candidates, record, kept, n_events),
            "GenPart": _gen_particles(record, kept, mothers),
            "GenJet": _simple("GenJet", gen_slim.momenta, n_events),
            "GenJetAK8": _simple("GenJetAK8", gen_fat.momenta, n_events),
        },
    )


def _p4(momenta: Momenta) -> Columns:
    return {"pt": momenta.pt, "eta": momenta.eta, "phi": momenta.phi, "mass": momenta.mass}


def _simple(name: str, momenta: Momenta, n_events: int) -> Collection:
    return make_collection(name, momenta.counts(n_events), _p4(momenta))


def _scalars(
    record: EventRecord,
    candidates: Momenta,
    numbers: npt.NDArray[np.uint64],
    luminosity_block: int,
) -> Columns:
    def total(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.bincount(candidates.event, values, minlength=record.n_events).astype(np.float64)

    missing_x, missing_y = -total(candidates.px), -total(candidates.py)
    met, met_phi = np.hypot(missing_x, missing_y), np.arctan2(missing_y, missing_x)
    values: Columns = {
        "run": np.ones(record.n_events),
        "luminosityBlock": np.full(record.n_events, luminosity_block),
        "event": numbers,
        "genWeight": record.weight,
        "Generator_weight": record.weight,
        "Generator_binvar": record.pt_hat,
        "Generator_scalePDF": record.scale,
        "Generator_id1": record.parton_id[:, 0],
        "Generator_id2": record.parton_id[:, 1],
        "Generator_x1": record.parton_x[:, 0],
        "Generator_x2": record.parton_x[:, 1],
        "PFMET_pt": met,
        "PFMET_phi": met_phi,
        "PFMET_sumEt": total(candidates.pt),
        "MET_pt": met,
        "MET_phi": met_phi,
    }
    return {name: cast(values[name], kind) for name, kind in EVENT_BRANCHES.items()}


def _composition(jets: ClusteredJets, candidates: Candidates) -> Columns:
    """Energy fractions and multiplicities by kind of candidate, as the jet ID wants them."""
    code = np.abs(candidates.pdg_id)
    energy = candidates.momenta.e
    forward_hadron, forward_photon = (
        code == detector.FORWARD_HADRON,
        code == detector.FORWARD_PHOTON,
    )
    kinds = {
        "chHEF": code == detector.CHARGED_HADRON,
        "neHEF": (code == detector.NEUTRAL_HADRON) | forward_hadron,
        "chEmEF": code == detector.ELECTRON,
        "neEmEF": (code == detector.PHOTON) | forward_photon,
        "muEF": code == detector.MUON,
        "hfHEF": forward_hadron,
        "hfEmEF": forward_photon,
    }
    charged = kinds["chHEF"] | kinds["chEmEF"] | kinds["muEF"]
    return {
        **{name: jets.sum(energy * mask) / jets.momenta.e for name, mask in kinds.items()},
        "chMultiplicity": jets.sum(charged),
        "neMultiplicity": jets.sum(~charged),
        "nElectrons": jets.sum(kinds["chEmEF"]),
        "nMuons": jets.sum(kinds["muEF"]),
    }


def _jet_columns(jets: ClusteredJets, candidates: Candidates, radius: float) -> Columns:
    return {
        **_p4(jets.momenta),
        **_composition(jets, candidates),
        "rawFactor": np.zeros(len(jets)),  # nothing is corrected
        "area": np.full(len(jets), np.pi * radius**2),  # no pile-up, no ghosts: the nominal area
        "nConstituents": jets.n_constituents,
    }


def _slim_jets(candidates: Candidates, gen_jets: Momenta, n_events: int) -> Collection:
    jets = cluster(candidates.momenta, n_events, radius=AK4, pt_min=JET_PT_MIN)
    columns = _jet_columns(jets, candidates, AK4)
    columns["genJetIdx"] = match_nearest(jets.momenta, gen_jets, n_events, delta_r_max=AK4)
    return make_collection("Jet", jets.momenta.counts(n_events), columns)


def _fat_jets(candidates: Candidates, gen_jets: Momenta, n_events: int) -> dict[str, Collection]:
    """FatJet with its subjets, candidates and the links between them."""
    jets = cluster(candidates.momenta, n_events, radius=AK8, pt_min=FAT_JET_PT_MIN)
    groomed = soft_drop(jets, candidates.momenta)
    tau = n_subjettiness(jets, candidates.momenta)
    event = jets.momenta.event

    # Two subjets for every jet that has any, in the order of the jets.
    has = groomed.has_prongs
    subjets = Momenta(np.repeat(event[has], 2), *groomed.prongs[has].reshape(-1, 4).T)
    before: npt.NDArray[np.int64] = (
        np.cumsum(has) - has
    )  # jets with subjets before this one, in all events
    first = 2 * (before - before[np.searchsorted(event, event)])

    columns = _jet_columns(jets, candidates, AK8)
    columns |= {f"tau{n + 1}": tau[:, n] for n in range(4)}
    columns["msoftdrop"] = groomed.jets.mass
    columns["subJetIdx1"] = np.where(has, first, -1)
    columns["subJetIdx2"] = np.where(has, first + 1, -1)
    columns["genJetAK8Idx"] = match_nearest(jets.momenta, gen_jets, n_events, delta_r_max=AK8)
    return {
        "FatJet": make_collection("FatJet", jets.momenta.counts(n_events), columns),
        "SubJet": make_collection(
            "SubJet",
            subjets.counts(n_events),
            {
                **_p4(subjets),
                "rawFactor": np.zeros(len(subjets)),
                "area": np.zeros(len(subjets)),
            },
        ),
        **_links(jets, candidates, n_events),
    }


def _links(jets: ClusteredJets, candidates: Candidates, n_events: int) -> dict[str, Collection]:
    """The candidates of AK8 jets, jet by jet, and the table that says which is whose."""
    stored = candidates[jets.constituents]  # anti-kt gives a candidate to one jet only
    event = jets.momenta.event[jets.jet_of]
    counts = np.bincount(event, minlength=n_events)
    starts = np.cumsum(counts) - counts
    jet_counts = jets.momenta.counts(n_events)
    jet_starts = np.cumsum(jet_counts) - jet_counts
    momenta = stored.momenta
    columns: Columns = {
        "pt": _round_mantissa(momenta.pt),
        "eta": _round_mantissa(momenta.eta),
        "phi": _round_mantissa(momenta.phi),
        "mass": stored.mass,
        "pdgId": stored.pdg_id,
    }
    links: Columns = {
        "jetIdx": jets.jet_of - jet_starts[event],
        "pfCandIdx": np.arange(len(event)) - starts[event],
    }
    return {
        "FatJetPFCand": make_collection("FatJetPFCand", counts, links),
        "PFCand": make_collection("PFCand", counts, columns),
    }


def _round_mantissa(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Round to `_MANTISSA_BITS` bits of mantissa, to the nearest."""
    bits = values.astype(np.float32).view(np.uint32)
    dropped = 23 - _MANTISSA_BITS
    half = np.uint32(1 << (dropped - 1))
    mask = np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)
    return ((bits + half) & mask).view(np.float32)


def _leptons(
    name: str,
    candidates: Candidates,
    record: EventRecord,
    kept: npt.NDArray[np.int64],
    n_events: int,
) -> Collection:
    """Electron or Muon: every such candidate above the threshold, isolated or not."""
    code, pt_min = {
        "Electron": (detector.ELECTRON, ELECTRON_PT_MIN),
        "Muon": (detector.MUON, MUON_PT_MIN),
    }[name]
    chosen = candidates[(np.abs(candidates.pdg_id) == code) & (candidates.momenta.pt > pt_min)]
    chosen = chosen[np.lexsort((-chosen.momenta.pt, chosen.momenta.event))]
    columns: Columns = {
        **_p4(chosen.momenta),
        "mass": chosen.mass,
        "charge": -np.sign(chosen.pdg_id),
        "pdgId": chosen.pdg_id,
        "genPartIdx": genparticles.position_in_event(record, kept, chosen.particle),
    }
    return make_collection(name, chosen.momenta.counts(n_events), columns)


def _gen_particles(
    record: EventRecord, kept: npt.NDArray[np.int64], mothers: npt.NDArray[np.int64]
) -> Collection:
    momenta = genparticles.momenta_of(record, kept)
    columns: Columns = {
        **_p4(momenta),
        "mass": record.mass[kept],
        "pdgId": record.pdg_id[kept],
        "status": genparticles.nano_status(record, kept),
        "statusFlags": genparticles.status_flags(record, kept),
        "genPartIdxMother": mothers,
    }
    return make_collection("GenPart", momenta.counts(record.n_events), columns)
