"""The detector response, against the numbers it is made of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from oddjet.datasets.simulation.detector import (
    Candidates,
    reconstruct,
    track_efficiency,
    track_resolution,
)
from oddjet.datasets.simulation.finalstate import FinalState
from oddjet.datasets.simulation.momenta import from_pt_eta_phi_mass

N = 4000


def shoot(
    pdg_id: int, charge: float, pt: float, eta: float, *, seed: int = 1, n: int = N
) -> Candidates:
    """One particle an event, all alike but for φ."""
    phi = np.random.default_rng(99).uniform(-np.pi, np.pi, n)
    momenta = from_pt_eta_phi_mass(
        np.arange(n), np.full(n, pt), np.full(n, eta), phi, np.full(n, 0.1396)
    )
    particles = FinalState(momenta, np.full(n, pdg_id), np.full(n, charge), np.arange(n))
    return reconstruct(particles, np.random.default_rng(seed))


def codes(candidates: Candidates) -> dict[int, int]:
    values, counts = np.unique(candidates.pdg_id, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def relative(candidates: Candidates, code: int, pt: float) -> npt.NDArray[np.float64]:
    return candidates.momenta.pt[candidates.pdg_id == code] / pt


def test_pions_become_tracks_and_lost_ones_neutral_hadrons() -> None:
    got = codes(shoot(-211, -1.0, 20.0, 0.3))
    assert set(got) == {-211, 130}
    assert abs(got[-211] / N - 0.95) < 4 * np.sqrt(0.95 * 0.05 / N)
    assert got[130] == N - got[-211]


def test_track_resolution_is_the_one_asked_for() -> None:
    measured = relative(shoot(211, 1.0, 100.0, 0.3), 211, 100.0)
    expected = np.hypot(0.01, 1.5e-4 * 100)
    assert abs(measured.mean() - 1) < 5 * expected / np.sqrt(N)
    assert measured.std() == pytest.approx(expected, rel=0.06)


def test_photon_resolution_is_the_ecals() -> None:
    measured = relative(shoot(22, 0.0, 50.0, 0.0), 22, 50.0)
    expected = np.sqrt(0.008**2 + 0.11**2 / 50 + (0.4 / 50) ** 2)
    assert len(measured) == N
    assert abs(measured.mean() - 1) < 5 * expected / np.sqrt(N)
    assert measured.std() == pytest.approx(expected, rel=0.06)


def test_neutral_hadron_resolution_is_the_hcals() -> None:
    candidates = shoot(2112, 0.0, 100.0, 0.0)
    energy = candidates.momenta.e[candidates.pdg_id == 130]
    assert energy.std() / 100 == pytest.approx(np.sqrt(0.05**2 + 1.5**2 / 100), rel=0.06)
    assert energy.mean() / 100 == pytest.approx(1, abs=0.02)


def test_forward_particles_are_of_the_forward_calorimeter() -> None:
    assert set(codes(shoot(211, 1.0, 20.0, 4.0))) == {1}
    assert set(codes(shoot(22, 0.0, 20.0, 4.0))) == {2}


def test_between_tracker_and_forward_calorimeter() -> None:
    assert set(codes(shoot(211, 1.0, 20.0, 2.8))) == {130}
    assert set(codes(shoot(13, -1.0, 20.0, 2.8))) == set()


def test_leptons_keep_their_names_and_lost_muons_leave_nothing() -> None:
    muons = codes(shoot(13, -1.0, 40.0, 0.5))
    assert set(muons) == {13}
    assert abs(muons[13] / N - 0.99) < 4 * np.sqrt(0.99 * 0.01 / N)
    assert set(codes(shoot(-11, 1.0, 40.0, 0.5))) == {-11, 22}


def test_soft_particles_are_not_seen() -> None:
    assert not codes(shoot(211, 1.0, 0.2, 0.0))
    assert not codes(shoot(2112, 0.0, 0.4, 0.0))
    assert not codes(shoot(22, 0.0, 0.4, 0.0))


@pytest.mark.parametrize(
    ("code", "pt", "eta", "e_min"),
    [(22, 0.6, 0.0, 0.5), (2112, 1.2, 0.5, 1.0), (22, 0.6, 4.0, 3.0)],
)
def test_cells_pass_their_thresholds(code: int, pt: float, eta: float, e_min: float) -> None:
    candidates = shoot(code, 0.0, pt, eta)
    assert 0 < len(candidates.momenta) < N
    assert candidates.momenta.pt.min() > 0.5 - 1e-9
    assert candidates.momenta.e.min() > e_min - 1e-9


def test_photons_in_one_cell_become_one_candidate() -> None:
    momenta = from_pt_eta_phi_mass(
        np.array([0, 0, 1]),
        np.array([10.0, 30.0, 10.0]),
        np.array([0.001, 0.002, 0.001]),
        np.array([0.005, 0.004, 0.005]),
        np.zeros(3),
    )
    particles = FinalState(momenta, np.full(3, 22), np.zeros(3), np.arange(3))
    candidates = reconstruct(particles, np.random.default_rng(1))
    assert candidates.momenta.event.tolist() == [0, 1]
    assert candidates.momenta.pt == pytest.approx([40.0, 10.0], rel=0.25)


def test_tracks_know_their_particle() -> None:
    candidates = shoot(211, 1.0, 20.0, 0.0, n=50)
    tracks = candidates.pdg_id == 211
    assert np.array_equal(candidates.particle[tracks], candidates.momenta.event[tracks])
    assert (candidates.particle[~tracks] == -1).all()


def test_no_particles_make_no_candidates() -> None:
    assert len(shoot(211, 1.0, 1.0, 0.0, n=0).momenta) == 0


def test_efficiency_and_resolution_of_every_region_are_sensible() -> None:
    pt, eta = (x.ravel() for x in np.meshgrid([0.5, 5.0, 50.0, 500.0], [0.0, 1.0, 2.0, 2.4]))
    for species in (11, 13, 211):
        kind = np.full(len(pt), species)
        efficiency = track_efficiency(kind, pt, eta)
        assert ((efficiency >= 0.5) & (efficiency < 1)).all()
        resolution = track_resolution(kind, pt, eta)
        assert ((resolution > 0) & (resolution < 1)).all()
    electron = track_resolution(np.array([11]), np.array([100.0]), np.array([0.0]))[0]
    assert electron < 0.02  # the ECAL's, not the track's 13 %
