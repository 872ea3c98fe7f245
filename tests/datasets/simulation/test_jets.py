"""Clustering and matching, against FastJet's classic interface and plain loops."""

from __future__ import annotations

import subprocess
import sys

import fastjet
import numpy as np
import pytest

from oddjet.datasets.simulation.jets import cluster, match_nearest
from oddjet.datasets.simulation.momenta import Momenta, from_pt_eta_phi_mass


def random_events(n_events: int, n_particles: int, seed: int) -> Momenta:
    rng = np.random.default_rng(seed)
    n = n_events * n_particles
    event = np.sort(rng.integers(0, n_events, n))
    return from_pt_eta_phi_mass(
        event,
        rng.exponential(5.0, n) + 0.1,
        rng.normal(0, 1.5, n),
        rng.uniform(-np.pi, np.pi, n),
        np.full(n, 0.14),
    )


def test_jets_are_the_classic_interfaces() -> None:
    particles = random_events(6, 60, seed=1)
    jets = cluster(particles, 8, radius=0.8, pt_min=10.0)
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, 0.8)
    assert len(jets) > 20
    for event in range(8):
        rows = particles.event == event
        four = zip(
            *(getattr(particles, name)[rows].tolist() for name in ("px", "py", "pz", "e")),
            strict=True,
        )
        pseudo = [fastjet.PseudoJet(*p) for p in four]
        sequence = fastjet._swig.ClusterSequence(pseudo, definition)
        expected = sorted((jet.pt() for jet in sequence.inclusive_jets(10.0)), reverse=True)
        got = jets.momenta.pt[jets.momenta.event == event]
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_constituents_sum_to_their_jet_and_come_from_its_event() -> None:
    particles = random_events(6, 60, seed=2)
    jets = cluster(particles, 6, radius=0.4, pt_min=5.0)
    for name in ("px", "py", "pz", "e"):
        total = jets.sum(getattr(particles, name))
        np.testing.assert_allclose(total, getattr(jets.momenta, name), rtol=1e-9, atol=1e-9)
    assert np.array_equal(particles.event[jets.constituents], jets.momenta.event[jets.jet_of])
    assert len(set(jets.constituents.tolist())) == len(jets.constituents)


def test_jets_and_constituents_are_hardest_first() -> None:
    particles = random_events(6, 60, seed=3)
    jets = cluster(particles, 6, radius=0.8, pt_min=5.0)
    same_event = np.diff(jets.momenta.event) == 0
    assert same_event.any()
    assert (np.diff(jets.momenta.pt)[same_event] <= 0).all()
    same_jet = np.diff(jets.jet_of) == 0
    assert (np.diff(particles.pt[jets.constituents])[same_jet] <= 0).all()


def test_no_particles_make_no_jets() -> None:
    nothing = random_events(1, 5, seed=4)[np.zeros(5, bool)]
    jets = cluster(nothing, 3, radius=0.8, pt_min=5.0)
    assert len(jets) == 0
    assert jets.offsets.tolist() == [0]


def test_matching_is_nearest_first_and_one_to_one() -> None:
    def at(event: list[int], eta: list[float], phi: list[float]) -> Momenta:
        n = len(event)
        return from_pt_eta_phi_mass(
            np.array(event), np.ones(n), np.array(eta), np.array(phi), np.zeros(n)
        )

    left = at([0, 0, 1, 1], [0.0, 0.3, 1.0, 0.0], [0.0, 0.0, 3.1, 0.0])
    right = at([0, 1, 1], [0.2, 0.5, 1.0], [0.0, 0.0, -3.1])
    # Event 0: the second is nearer to the only partner. Event 1: across ±π; too far.
    assert match_nearest(left, right, 2, delta_r_max=0.4).tolist() == [-1, 0, 1, -1]


def test_fastjet_does_not_print_its_banner() -> None:
    code = (
        "import numpy as np\n"
        "from oddjet.datasets.simulation.jets import cluster\n"
        "from oddjet.datasets.simulation.momenta import from_pt_eta_phi_mass\n"
        "one = from_pt_eta_phi_mass(np.zeros(1, int), *np.ones((4, 1)))\n"
        "cluster(one, 1, radius=0.8, pt_min=0.0)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == ""


def test_packing_is_what_keeps_a_slice_right() -> None:
    # What `cluster` relies on: an awkward array with a pending slice is packed before fastjet.
    particles = random_events(4, 40, seed=5)
    kept = particles.pt > 2.0
    jets = cluster(particles[kept], 4, radius=0.8, pt_min=0.0)
    total = np.bincount(particles.event[kept], particles.px[kept], minlength=4)
    got = np.bincount(jets.momenta.event, jets.momenta.px, minlength=4)
    assert got == pytest.approx(total)
