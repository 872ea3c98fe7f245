"""A simple CMS-like detector: final particles in, particle-flow candidates out.

No pile-up, no material, no isolation; efficiencies, resolutions and thresholds particle by
particle, in the tracker (|η| < 2.5), the calorimeters (|η| < 3) and the forward calorimeter
(3 < |η| < 5):

- **Charged hadrons, electrons, muons** inside the tracker become tracks with the efficiency and
  the momentum resolution below. What the tracker loses reaches the calorimeter when the field
  lets it (pt > 0.75 GeV), muons excepted.
- **Photons** (and lost electrons) are summed in cells of 0.0174 × 0.0174, **neutral hadrons** (and
  lost charged ones, and all hadrons at 2.5 < |η| < 3) in cells of 0.087 × 0.087, in the forward
  calorimeter both in 0.175 × 0.175; each cell gives one candidate with smeared energy, at its
  centre of gravity smeared by the width of a cell over √12.
- Thresholds: tracks pt > 0.3 GeV; cells pt > 0.5 GeV and energy > 0.5 (photons), 1 (hadrons)
  or 3 GeV (forward), before and after smearing.

Smearing is log-normal with the mean kept, so that nothing turns negative. All decays happen at
the origin, K⁰_S and Λ included, as Pythia's defaults have it.

References:
    Tracker: CMS, arXiv:1405.6569; ECAL: arXiv:1306.2016 and arXiv:1502.02701, in the
    parametrisation of Delphes' CMS card (arXiv:1307.6346), the HCAL's from there too; the
    candidates are named as by CMS particle flow, arXiv:1706.04965.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddjet.datasets.simulation.finalstate import FinalState
from oddjet.datasets.simulation.momenta import Momenta, from_pt_eta_phi_mass
from oddjet.typing import Bools, Floats, Ints

__all__ = ["Candidates", "reconstruct", "track_efficiency", "track_resolution"]

TRACKER_ETA = 2.5
CALORIMETER_ETA = 3.0
FORWARD_ETA = 5.0
TRACK_PT_MIN = 0.3
CELL_PT_MIN = 0.5
FIELD_PT_MIN = 0.75  # 0.3 · 3.8 T · 1.29 m / 2: what reaches the calorimeter's radius
ECAL_CELL, HCAL_CELL, FORWARD_CELL = 0.0174, 0.087, 0.175

CHARGED_HADRON, PHOTON, NEUTRAL_HADRON = 211, 22, 130
FORWARD_HADRON, FORWARD_PHOTON = 1, 2
ELECTRON, MUON = 11, 13
_TRACK_MASS = {ELECTRON: 0.000511, MUON: 0.10566, CHARGED_HADRON: 0.13957}


@dataclass(frozen=True)
class Candidates:
    """Particle-flow candidates of a batch of events, in the order of the events.

    Attributes:
        momenta: Four-momenta, shape (n,).
        pdg_id: ±211, ±11, ±13, 22, 130; 1 and 2 for hadrons and photons of the forward
            calorimeter, shape (n,).
        mass: The mass the candidate is given, GeV, shape (n,).
        particle: Index in Pythia's record of what made a track, -1 for cells, shape (n,).
    """

    momenta: Momenta
    pdg_id: Ints
    mass: Floats
    particle: Ints

    def __getitem__(self, where: Bools | Ints) -> Candidates:
        return Candidates(
            self.momenta[where], self.pdg_id[where], self.mass[where], self.particle[where]
        )


def track_efficiency(species: Ints, pt: Floats, eta: Floats) -> Floats:
    """Probability that the tracker finds a charged particle with |η| < 2.5; all shapes are (n,).

    The species are 11, 13 or 211.
    """
    central, soft, hard = np.abs(eta) <= 1.5, pt <= 1.0, pt > 100.0
    hadron = np.where(central, np.where(soft, 0.70, 0.95), np.where(soft, 0.60, 0.85))
    muon = np.where(central, np.where(soft, 0.75, 0.99), np.where(soft, 0.70, 0.98))
    electron = np.where(
        central,
        np.select([soft, hard], [0.73, 0.99], 0.95),
        np.select([soft, hard], [0.50, 0.90], 0.83),
    )
    return np.asarray(np.select([species == ELECTRON, species == MUON], [electron, muon], hadron))


def track_resolution(species: Ints, pt: Floats, eta: Floats) -> Floats:
    """Relative resolution σ(pt)/pt of a track, |η| < 2.5; an electron's is combined with the ECAL's.

    The species are 11, 13 or 211; pt is in GeV; all shapes are (n,).
    """
    region = np.digitize(np.abs(eta), [0.5, 1.5])
    constant = np.array([0.01, 0.015, 0.025])[region]
    slope = np.where(
        species == MUON,
        np.array([1.0e-4, 1.5e-4, 3.5e-4])[region],
        np.array([1.5e-4, 2.5e-4, 5.5e-4])[region],
    )
    track = np.hypot(constant, slope * pt)
    electron_track = np.hypot(
        np.array([0.03, 0.05, 0.15])[region], np.array([1.3e-3, 1.7e-3, 3.1e-3])[region] * pt
    )
    energy = pt * np.cosh(eta)
    ecal = _ecal_resolution(energy, eta)
    combined = electron_track * ecal / np.hypot(electron_track, ecal)
    return np.asarray(np.where(species == ELECTRON, combined, track))


def _ecal_resolution(energy: Floats, eta: Floats) -> Floats:
    """σ(E)/E of photons and electrons, |η| < 3."""
    shape = np.where(
        np.abs(eta) <= 1.5, 1 + 0.64 * eta**2, 2.16 + 5.6 * (np.minimum(np.abs(eta), 2.5) - 2) ** 2
    )
    return np.asarray(shape * np.sqrt(0.008**2 + 0.11**2 / energy + (0.40 / energy) ** 2))


def _hcal_resolution(energy: Floats, eta: Floats) -> Floats:  # noqa: ARG001
    """σ(E)/E of hadrons, |η| < 3."""
    return np.sqrt(0.05**2 + 1.5**2 / energy)


def _forward_photon_resolution(energy: Floats, eta: Floats) -> Floats:  # noqa: ARG001
    return np.sqrt(0.107**2 + 2.08**2 / energy)


def _forward_hadron_resolution(energy: Floats, eta: Floats) -> Floats:  # noqa: ARG001
    return np.sqrt(0.13**2 + 2.7**2 / energy)


def reconstruct(particles: FinalState, rng: np.random.Generator) -> Candidates:
    """Turn visible final particles into particle-flow candidates, in the order of the events."""
    momenta = particles.momenta
    pt, eta, phi = momenta.pt, momenta.eta, momenta.phi
    identity = np.abs(particles.pdg_id)
    charged = particles.charge != 0
    species = np.where((identity == ELECTRON) | (identity == MUON), identity, CHARGED_HADRON)

    draw = rng.random(len(momenta))
    in_tracker = charged & (np.abs(eta) < TRACKER_ETA) & (pt > TRACK_PT_MIN)
    is_track = in_tracker & (draw < track_efficiency(species, pt, eta))
    tracks = _tracks(particles, species, np.flatnonzero(is_track), pt, eta, phi, rng)

    deposits = ~is_track & (identity != MUON) & (~charged | (pt > FIELD_PT_MIN))
    electromagnetic = (identity == PHOTON) | (identity == ELECTRON)
    inside = deposits & (np.abs(eta) < CALORIMETER_ETA)
    forward = deposits & (np.abs(eta) >= CALORIMETER_ETA) & (np.abs(eta) < FORWARD_ETA)
    parts = [tracks]
    for where, code, cell, e_min, resolution in (
        (inside & electromagnetic, PHOTON, ECAL_CELL, 0.5, _ecal_resolution),
        (inside & ~electromagnetic, NEUTRAL_HADRON, HCAL_CELL, 1.0, _hcal_resolution),
        (forward & electromagnetic, FORWARD_PHOTON, FORWARD_CELL, 3.0, _forward_photon_resolution),
        (forward & ~electromagnetic, FORWARD_HADRON, FORWARD_CELL, 3.0, _forward_hadron_resolution),
    ):
        index = np.flatnonzero(where)
        sums = _sum_cells(momenta[index], eta[index], phi[index], cell)
        # What is below threshold does not fluctuate above it: the smearing is far too wide there.
        sums = sums[(sums.pt > CELL_PT_MIN) & (sums.e > e_min)]
        cell_eta = sums.eta
        energy = _smear(sums.e, resolution(sums.e, cell_eta), rng)
        width = cell / np.sqrt(12)
        cell_eta = cell_eta + width * rng.standard_normal(len(sums))
        cell_phi = sums.phi + width * rng.standard_normal(len(sums))
        cell_pt = energy / np.cosh(cell_eta)
        kept = (cell_pt > CELL_PT_MIN) & (energy > e_min)
        massless = np.zeros(np.count_nonzero(kept))
        parts.append(
            Candidates(
                from_pt_eta_phi_mass(
                    sums.event[kept], cell_pt[kept], cell_eta[kept], cell_phi[kept], massless
                ),
                np.full(len(massless), code),
                massless,
                np.full(len(massless), -1),
            )
        )
    return _merge(parts)


def _tracks(
    particles: FinalState,
    species: Ints,
    index: Ints,
    pt: Floats,
    eta: Floats,
    phi: Floats,
    rng: np.random.Generator,
) -> Candidates:
    """Measure the charged particles at `index`."""
    kind = species[index]
    measured = _smear(pt[index], track_resolution(kind, pt[index], eta[index]), rng)
    mass = np.select(
        [kind == ELECTRON, kind == MUON],
        [_TRACK_MASS[ELECTRON], _TRACK_MASS[MUON]],
        _TRACK_MASS[CHARGED_HADRON],
    )
    event = particles.momenta.event[index]
    # A negative lepton's code is positive, a positive hadron's is.
    sign = np.where(kind == CHARGED_HADRON, 1, -1) * np.sign(particles.charge[index]).astype(int)
    return Candidates(
        from_pt_eta_phi_mass(event, measured, eta[index], phi[index], mass),
        kind * sign,
        mass,
        particles.index[index],
    )


def _smear(values: Floats, relative: Floats, rng: np.random.Generator) -> Floats:
    """Multiply by log-normal numbers of mean 1 and the given relative width."""
    width = np.sqrt(np.log1p(relative**2))
    return values * np.exp(width * rng.standard_normal(len(values)) - 0.5 * width**2)


def _sum_cells(momenta: Momenta, eta: Floats, phi: Floats, cell: float) -> Momenta:
    """Sum what falls into the same cell of the same event."""
    eta_bin = np.floor((eta + FORWARD_ETA) / cell).astype(np.int64)
    phi_bin = np.floor((phi + np.pi) / cell).astype(np.int64)
    n_bins = int(10 / cell) + 2  # more than either axis has
    key = (momenta.event * n_bins + eta_bin) * n_bins + phi_bin
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    if not len(starts):
        return momenta
    return Momenta(
        momenta.event[order][starts],
        np.add.reduceat(momenta.px[order], starts),
        np.add.reduceat(momenta.py[order], starts),
        np.add.reduceat(momenta.pz[order], starts),
        np.add.reduceat(momenta.e[order], starts),
    )


def _merge(parts: list[Candidates]) -> Candidates:
    """Put several lists into one, in the order of the events."""

    def join(name: str) -> Floats:
        return np.concatenate([getattr(part.momenta, name) for part in parts])

    event = np.concatenate([part.momenta.event for part in parts])
    merged = Candidates(
        Momenta(event, join("px"), join("py"), join("pz"), join("e")),
        np.concatenate([part.pdg_id for part in parts]),
        np.concatenate([part.mass for part in parts]),
        np.concatenate([part.particle for part in parts]),
    )
    return merged[np.argsort(event, kind="stable")]
