"""Soft drop and N-subjettiness of simulated jets, with CMS's settings: β = 0, z_cut = 0.1, R0 = 0.8."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddjet.datasets.kinematics import njettiness
from oddjet.datasets.kinematics.cambridge import cluster_trees
from oddjet.datasets.kinematics.cambridge import soft_drop as drop_soft
from oddjet.datasets.simulation.jets import ClusteredJets
from oddjet.datasets.simulation.momenta import Momenta
from oddjet.typing import Bools, Floats

__all__ = ["Groomed", "n_subjettiness", "soft_drop"]


@dataclass(frozen=True)
class Groomed:
    """Soft-drop groomed jets, one for each jet.

    Attributes:
        jets: The groomed four-momenta, shape (n_jets,).
        prongs: The two subjets, hardest first, as (px, py, pz, e): shape (n_jets, 2, 4).
        has_prongs: False where grooming left a single particle, shape (n_jets,).
    """

    jets: Momenta
    prongs: Floats
    has_prongs: Bools


def soft_drop(jets: ClusteredJets, particles: Momenta) -> Groomed:
    """Groom jets."""
    momenta = np.stack(particles[jets.constituents].components, axis=1)
    trees = cluster_trees(momenta, jets.offsets)
    groomed = drop_soft(momenta, jets.offsets, trees, z_cut=0.1, beta=0.0)
    jet = Momenta(jets.momenta.event, *groomed.momenta.T)
    return Groomed(jet, groomed.prongs, groomed.has_prongs)


def n_subjettiness(jets: ClusteredJets, particles: Momenta) -> Floats:
    """Compute τ1 to τ4, shape (n_jets, 4); τ_N of a jet of N particles or fewer is 0."""
    momenta = particles[jets.constituents].components
    return njettiness.n_subjettiness(momenta, jets.n_constituents, (1, 2, 3, 4))
