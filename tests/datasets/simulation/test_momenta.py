"""Flat four-momenta."""

from __future__ import annotations

import numpy as np

from oddjet.datasets.simulation.momenta import Momenta, from_pt_eta_phi_mass


def test_collider_coordinates_round_trip() -> None:
    rng = np.random.default_rng(1)
    pt, eta, phi = rng.uniform(1, 500, 50), rng.uniform(-5, 5, 50), rng.uniform(-3, 3, 50)
    mass = rng.uniform(0.5, 100, 50)
    momenta = from_pt_eta_phi_mass(np.zeros(50, int), pt, eta, phi, mass)
    for got, expected in ((momenta.pt, pt), (momenta.eta, eta), (momenta.phi, phi)):
        np.testing.assert_allclose(got, expected, rtol=1e-9)
    np.testing.assert_allclose(momenta.mass, mass, rtol=1e-4)


def test_along_the_beam_stays_finite() -> None:
    beam = Momenta(
        np.zeros(1, int), np.zeros(1), np.zeros(1), np.array([6500.0]), np.array([6500.0])
    )
    assert np.isfinite(beam.eta).all()
    assert beam.mass[0] == 0


def test_counts_include_empty_events() -> None:
    momenta = from_pt_eta_phi_mass(np.array([0, 0, 2]), *np.ones((4, 3)))
    assert momenta.counts(4).tolist() == [2, 0, 1, 0]
