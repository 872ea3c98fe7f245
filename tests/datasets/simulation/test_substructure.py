"""Soft drop and N-subjettiness, against FastJet contrib and plain loops."""

from __future__ import annotations

import awkward as ak
import fastjet
import numpy as np
import pytest

from oddjet.datasets.simulation.jets import ClusteredJets, cluster
from oddjet.datasets.simulation.momenta import Momenta, from_pt_eta_phi_mass
from oddjet.datasets.simulation.substructure import n_subjettiness, soft_drop


def make_jets(n_jets: int, seed: int) -> tuple[ClusteredJets, Momenta]:
    """Jets of one to three hard prongs with soft radiation around, one an event."""
    rng = np.random.default_rng(seed)
    event, pt, eta, phi = [], [], [], []
    for jet in range(n_jets):
        axis_phi = rng.uniform(-np.pi, np.pi)
        for _ in range(rng.integers(1, 4)):
            at = rng.uniform(-0.35, 0.35, 2)
            n = rng.integers(3, 15)
            event += [jet] * n
            pt += list(rng.exponential(15, n) + 0.5)
            eta += list(rng.normal(at[0], 0.04, n))
            phi += list(rng.normal(axis_phi + at[1], 0.04, n))
        n = rng.integers(2, 20)
        event += [jet] * n
        pt += list(rng.exponential(1, n) + 0.3)
        eta += list(rng.uniform(-0.5, 0.5, n))
        phi += list(rng.uniform(axis_phi - 0.5, axis_phi + 0.5, n))
    order = np.argsort(event, kind="stable")
    particles = from_pt_eta_phi_mass(
        np.array(event)[order],
        np.array(pt)[order],
        np.array(eta)[order],
        np.array(phi)[order],
        np.full(len(event), 0.1396),
    )
    return cluster(particles, n_jets, radius=0.8, pt_min=20.0), particles


def contrib(jets: ClusteredJets, particles: Momenta) -> fastjet.ClusterSequence:
    chosen = particles[jets.constituents]
    columns = {"px": chosen.px, "py": chosen.py, "pz": chosen.pz, "E": chosen.e}
    packed = ak.to_packed(ak.unflatten(ak.zip(columns), jets.n_constituents))
    return fastjet.ClusterSequence(
        packed, fastjet.JetDefinition(fastjet.cambridge_algorithm, 100.0)
    )


def test_soft_drop_is_fastjet_contribs() -> None:
    jets, particles = make_jets(120, seed=1)
    groomed = soft_drop(jets, particles)
    expected = contrib(jets, particles).exclusive_jets_softdrop_grooming(
        njets=1, beta=0.0, symmetry_cut=0.1, R0=0.8
    )
    assert len(jets) > 100
    np.testing.assert_allclose(groomed.jets.pt, expected["ptsoftdrop"], rtol=1e-9)
    np.testing.assert_allclose(groomed.jets.mass, expected["msoftdrop"], rtol=1e-5, atol=1e-4)


def test_prongs_add_up_to_the_groomed_jet_and_pass_the_cut() -> None:
    jets, particles = make_jets(120, seed=2)
    groomed = soft_drop(jets, particles)
    total = groomed.prongs.sum(axis=1)
    four = np.stack([getattr(groomed.jets, name) for name in ("px", "py", "pz", "e")], axis=1)
    has = groomed.has_prongs
    assert has.sum() > 100
    np.testing.assert_allclose(total[has], four[has], rtol=1e-9, atol=1e-9)
    pt = np.hypot(groomed.prongs[has, :, 0], groomed.prongs[has, :, 1])
    assert (pt[:, 0] >= pt[:, 1]).all()
    assert (pt[:, 1] > 0.1 * pt.sum(axis=1)).all()
    assert (groomed.jets.pt <= jets.momenta.pt * 1.05).all()


def test_a_jet_of_one_particle_has_no_prongs() -> None:
    particles = from_pt_eta_phi_mass(
        np.zeros(1, int), np.array([50.0]), np.zeros(1), np.zeros(1), np.array([0.14])
    )
    jets = cluster(particles, 1, radius=0.8, pt_min=20.0)
    groomed = soft_drop(jets, particles)
    assert not groomed.has_prongs[0]
    assert groomed.jets.pt[0] == pytest.approx(50.0)
    assert groomed.jets.mass[0] == pytest.approx(0.14, rel=1e-3)
    assert n_subjettiness(jets, particles).tolist() == [[0, 0, 0, 0]]


def test_two_particles_across_pi() -> None:
    particles = from_pt_eta_phi_mass(
        np.zeros(2, int),
        np.array([50.0, 30.0]),
        np.array([0.0, 0.1]),
        np.array([3.1, -3.1]),
        np.zeros(2),
    )
    jets = cluster(particles, 1, radius=0.8, pt_min=20.0)
    groomed = soft_drop(jets, particles)
    delta_phi = 2 * np.pi - 6.2
    mass = np.sqrt(2 * 50 * 30 * (np.cosh(0.1) - np.cos(delta_phi)))
    assert groomed.has_prongs[0]
    assert groomed.jets.mass[0] == pytest.approx(mass)


def tau_by_loop(pt: np.ndarray, y: np.ndarray, phi: np.ndarray, axes: np.ndarray) -> float:
    """arXiv:1011.2268 eq. (2.1): Σ pt min ΔR / Σ pt R0."""
    total = 0.0
    for i in range(len(pt)):
        nearest = np.inf
        for axis_y, axis_phi in axes:
            delta_phi = abs(phi[i] - axis_phi)
            delta_phi = min(delta_phi, 2 * np.pi - delta_phi)
            nearest = min(nearest, np.hypot(y[i] - axis_y, delta_phi))
        total += pt[i] * nearest
    return total / (np.sum(pt) * 0.8)


def rapidity(momenta: Momenta) -> np.ndarray:
    return 0.5 * np.log((momenta.e + momenta.pz) / (momenta.e - momenta.pz))


def test_tau_is_the_minimum_over_axes_found_by_a_plain_loop() -> None:
    jets, particles = make_jets(25, seed=3)
    tau = n_subjettiness(jets, particles)
    rng = np.random.default_rng(1)
    for jet in range(len(jets)):
        members = particles[jets.constituents[jets.offsets[jet] : jets.offsets[jet + 1]]]
        if len(members) < 4:
            continue
        pt, y, phi = members.pt, rapidity(members), members.phi
        # The best pair of particles as axes is near the minimum, and never below it by much:
        # a one-pass minimisation may stop short of the global one, but not above kt's start.
        one = min(tau_by_loop(pt, y, phi, np.array([[y[i], phi[i]]])) for i in range(len(pt)))
        assert tau[jet, 0] <= one * 1.01
        two = min(
            tau_by_loop(pt, y, phi, np.array([[y[i], phi[i]], [y[j], phi[j]]]))
            for i, j in rng.integers(0, len(pt), (60, 2))
        )
        assert tau[jet, 1] <= two * 1.25
        assert tau[jet, 0] >= 0.5 * one
    assert (np.diff(tau, axis=1) <= 1e-9).mean() > 0.99


def test_tau_1_against_a_geometric_median() -> None:
    """τ1 with β = 1 is minimal at the pt-weighted geometric median (Weiszfeld's iteration)."""
    jets, particles = make_jets(40, seed=4)
    tau = n_subjettiness(jets, particles)
    for jet in range(len(jets)):
        members = particles[jets.constituents[jets.offsets[jet] : jets.offsets[jet + 1]]]
        pt, y = members.pt, rapidity(members)
        phi = members.phi[0] + np.angle(np.exp(1j * (members.phi - members.phi[0])))
        at = np.array([np.average(y, weights=pt), np.average(phi, weights=pt)])
        for _ in range(500):
            weight = pt / np.maximum(np.hypot(y - at[0], phi - at[1]), 1e-9)
            at = np.array([np.average(y, weights=weight), np.average(phi, weights=weight)])
        best = tau_by_loop(pt, y, phi, at[None])
        assert tau[jet, 0] == pytest.approx(best, rel=2e-3)
