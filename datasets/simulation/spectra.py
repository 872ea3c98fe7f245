"""Spectra of simulated files, to see whether a sample is what it should be."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import uproot

from oddjet.datasets.kinematics.geometry import delta_r
from oddjet.datasets.simulation.genparticles import IS_LAST_COPY
from oddjet.typing import Floats

__all__ = ["jet_pt", "matched_masses"]


def jet_pt(path: Path, *, eta_max: float = 2.0) -> Floats:
    """Read the transverse momenta of the AK8 jets of a simulated file.

    Args:
        path: A file that `simulate` wrote.
        eta_max: Jets with |η| beyond are left out.

    Returns:
        Their pt, GeV, shape (n_jets,).
    """
    with uproot.open(path) as file:
        jets = file["Events"].arrays(["FatJet_pt", "FatJet_eta"])
    return _flat(jets.FatJet_pt[abs(jets.FatJet_eta) < eta_max])


def matched_masses(
    path: Path,
    truth: tuple[int, ...],
    *,
    pt_min: float,
    pt_max: float = np.inf,
    eta_max: float = 2.0,
    delta_r_max: float = 0.4,
) -> Floats:
    """Read the soft-drop masses of the AK8 jets around generated particles.

    Args:
        path: A file that `simulate` wrote.
        truth: |pdgId|s of the particles, of which last copies are taken; empty for all jets.
        pt_min: Least pt of a jet, GeV.
        pt_max: Greatest pt, GeV.
        eta_max: Jets with |η| beyond are left out.
        delta_r_max: Greatest ΔR between jet and particle.

    Returns:
        The masses, GeV, shape (n_jets,).
    """
    jet_names = [f"FatJet_{key}" for key in ("pt", "eta", "phi", "msoftdrop")]
    gen_names = [f"GenPart_{key}" for key in ("eta", "phi", "pdgId", "statusFlags")]
    with uproot.open(path) as file:
        events = file["Events"].arrays(jet_names + gen_names)
    chosen = (events.FatJet_pt > pt_min) & (events.FatJet_pt < pt_max)
    chosen = chosen & (abs(events.FatJet_eta) < eta_max)
    mass = events.FatJet_msoftdrop[chosen]
    if not truth:
        return _flat(mass)
    code = abs(events.GenPart_pdgId)
    last = (events.GenPart_statusFlags & IS_LAST_COPY) != 0
    wanted = ak.zeros_like(last)
    for one in truth:
        wanted = wanted | ((code == one) & last)
    delta_eta = events.FatJet_eta[chosen][:, :, None] - events.GenPart_eta[wanted][:, None]
    delta_phi = events.FatJet_phi[chosen][:, :, None] - events.GenPart_phi[wanted][:, None]
    near = ak.any(delta_r(delta_eta, delta_phi) < delta_r_max, axis=-1)
    return _flat(mass[near])


def _flat(values: ak.Array) -> Floats:
    return np.asarray(ak.to_numpy(ak.flatten(values)), dtype=np.float64)
