"""Soft drop and N-subjettiness of jets, from their constituents.

References:
    Soft drop: arXiv:1402.2657, eq. (1.1), here β = 0 and z_cut = 0.1, on the Cambridge/Aachen
    tree (arXiv:hep-ph/9707323). N-subjettiness: arXiv:1011.2268, eq. (2.1), with the normalised
    measure of arXiv:1108.2701.
"""

from __future__ import annotations

from dataclasses import dataclass

import awkward as ak
import fastjet
import numba
import numpy as np
import numpy.typing as npt

from oddjet.datasets.simulation.jets import ClusteredJets
from oddjet.datasets.simulation.kinematics import Momenta
from oddjet.typing import Floats

__all__ = ["Groomed", "n_subjettiness", "soft_drop"]

Z_CUT = 0.1
RADIUS = 0.8


@dataclass(frozen=True)
class Groomed:
    """Soft-drop groomed jets, one for each jet.

    Attributes:
        jets: The groomed four-momenta, shape (n_jets,).
        prongs: The two subjets, hardest first, as (px, py, pz, e): shape (n_jets, 2, 4).
        has_prongs: False where grooming left a single particle, shape (n_jets,).
    """

    jets: Momenta
    prongs: npt.NDArray[np.float64]
    has_prongs: npt.NDArray[np.bool_]


def soft_drop(jets: ClusteredJets, particles: Momenta) -> Groomed:
    """Groom jets: soft drop with z_cut = 0.1 and β = 0 on the Cambridge/Aachen tree.

    Args:
        jets: The jets.
        particles: What they were clustered from.

    Returns:
        The groomed jets and their two prongs.
    """
    index = jets.constituents
    four = np.stack([getattr(particles, name)[index] for name in ("px", "py", "pz", "e")], axis=1)
    groomed, prongs, has_prongs = _soft_drop_all(four, jets.offsets, Z_CUT)
    return Groomed(Momenta(jets.momenta.event, *groomed.T), prongs, has_prongs)


@numba.njit(cache=True)
def _rapidity_phi_pt(p):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    # Rapidity as FastJet's: exact for massless, bounded along the beam.
    pt2 = p[0] * p[0] + p[1] * p[1]
    mass2 = max(0.0, p[3] * p[3] - pt2 - p[2] * p[2])
    energy_plus_pz = p[3] + abs(p[2])
    rapidity = 0.5 * np.log((pt2 + mass2 + 1e-300) / (energy_plus_pz * energy_plus_pz))
    if p[2] > 0:
        rapidity = -rapidity
    return rapidity, np.arctan2(p[1], p[0]), np.sqrt(pt2)


@numba.njit(cache=True)
def _distance2(y, phi, i, j):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    delta_phi = abs(phi[i] - phi[j])
    if delta_phi > np.pi:
        delta_phi = 2 * np.pi - delta_phi
    return (y[i] - y[j]) ** 2 + delta_phi**2


@numba.njit(cache=True)
def _cambridge_tree(four):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Merge the nearest pair until one is left.

    Node i < n is constituent i; node n + k is the k-th merging, of nodes parents[k].
    """
    n = len(four)
    nodes = np.empty((2 * n - 1, 4))
    nodes[:n] = four
    parents = np.full((n - 1, 2), -1, np.int64)
    y, phi = np.empty(n), np.empty(n)  # of the slots; a merging reuses one slot
    node = np.arange(n)
    near, near2 = np.full(n, -1), np.full(n, np.inf)
    active = np.ones(n, np.bool_)
    for i in range(n):
        y[i], phi[i], _ = _rapidity_phi_pt(four[i])
    for i in range(n):
        for j in range(i):
            d2 = _distance2(y, phi, i, j)
            if d2 < near2[i]:
                near[i], near2[i] = j, d2
            if d2 < near2[j]:
                near[j], near2[j] = i, d2
    for step in range(n - 1):
        a = -1
        for i in range(n):
            if active[i] and (a < 0 or near2[i] < near2[a]):
                a = i
        b = near[a]
        new = n + step
        parents[step, 0], parents[step, 1] = node[a], node[b]
        nodes[new] = nodes[node[a]] + nodes[node[b]]
        active[b] = False
        node[a] = new
        y[a], phi[a], _ = _rapidity_phi_pt(nodes[new])
        near[a], near2[a] = -1, np.inf
        for i in range(n):
            if not active[i] or i == a:
                continue
            if near[i] == a or near[i] == b:
                near[i], near2[i] = -1, np.inf
                for j in range(n):
                    if active[j] and j != i:
                        d2 = _distance2(y, phi, i, j)
                        if d2 < near2[i]:
                            near[i], near2[i] = j, d2
            d2 = _distance2(y, phi, i, a)
            if d2 < near2[i]:
                near[i], near2[i] = a, d2
            if d2 < near2[a]:
                near[a], near2[a] = i, d2
    return nodes, parents


@numba.njit(cache=True)
def _soft_drop_all(four, offsets, z_cut):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    n_jets = len(offsets) - 1
    groomed = np.zeros((n_jets, 4))
    prongs = np.zeros((n_jets, 2, 4))
    has_prongs = np.zeros(n_jets, np.bool_)
    for jet in range(n_jets):
        constituents = four[offsets[jet] : offsets[jet + 1]]
        n = len(constituents)
        nodes, parents = _cambridge_tree(constituents)
        at = 2 * n - 2
        while at >= n:
            hard, soft = parents[at - n, 0], parents[at - n, 1]
            hard_pt = np.hypot(nodes[hard, 0], nodes[hard, 1])
            soft_pt = np.hypot(nodes[soft, 0], nodes[soft, 1])
            if soft_pt > hard_pt:
                hard, soft, hard_pt, soft_pt = soft, hard, soft_pt, hard_pt
            if soft_pt > z_cut * (hard_pt + soft_pt):
                prongs[jet, 0], prongs[jet, 1] = nodes[hard], nodes[soft]
                has_prongs[jet] = True
                break
            at = hard
        groomed[jet] = nodes[at]
    return groomed, prongs, has_prongs


def n_subjettiness(jets: ClusteredJets, particles: Momenta) -> Floats:
    """Compute τ1 to τ4 as CMS does: β = 1, R0 = 0.8, one-pass minimisation from kt axes.

    Args:
        jets: The jets.
        particles: What they were clustered from.

    Returns:
        τ1, τ2, τ3, τ4: shape (n_jets, 4). τ_N of a jet of N particles or fewer is 0.
    """
    if not len(jets):
        return np.zeros((0, 4))
    chosen = particles[jets.constituents]
    constituents = ak.to_packed(
        ak.unflatten(
            ak.zip({"px": chosen.px, "py": chosen.py, "pz": chosen.pz, "E": chosen.e}),
            jets.n_constituents,
        )
    )
    # Reclustered so wide that everything is one jet again.
    whole = fastjet.JetDefinition(fastjet.cambridge_algorithm, 100.0)
    sequence = fastjet.ClusterSequence(constituents, whole)
    tau = ak.to_numpy(
        sequence.njettiness(
            measure_definition="NormalizedMeasure",
            axes_definition="OnePass_KT_Axes",
            njets=[1, 2, 3, 4],
            beta=1.0,
            R0=RADIUS,
        )
    )
    # With no more particles than axes the axes are the particles.
    exact = jets.n_constituents[:, None] <= np.arange(1, 5)  # (n_jets, 4)
    return np.where(exact, 0.0, tau)
