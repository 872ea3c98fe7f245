"""Cambridge/Aachen clustering of the constituents of jets, kept as trees.

References:
    Y. Dokshitzer et al., Better jet clustering algorithms, arXiv:hep-ph/9707323; the conventions
    (E scheme, ΔR in rapidity) are FastJet's, arXiv:1111.6097.
"""

from __future__ import annotations

import dataclasses
import math

import numba
import numpy as np
import numpy.typing as npt

from oddjet.ml.representations.batches import FlatJets
from oddjet.typing import Floats, Ints

__all__ = ["ClusterTrees", "cluster_trees", "groomed_mass"]


@dataclasses.dataclass(frozen=True)
class ClusterTrees:
    """The mergings of each jet, the last one (the whole jet, the root) first.

    A jet of k constituents has k − 1 mergings (none for k = 0). A merging comes before the mergings
    it is made of, so the first few are a tree by themselves.

    Attributes:
        offsets: Mergings of jet i are `offsets[i]:offsets[i + 1]`, shape (n_jets + 1,).
        children: The harder and the softer of the two merged, by pt: a number ≥ 0 is a merging of
            the same jet, counted from its first; −1 − k is its constituent k; shape (n_mergings, 2).
        parent: The merging this one goes into, counted likewise; −1 for the root.
        is_hard: Whether it is the harder of the two there; true for the root.
        pt: Of the harder and the softer child [GeV], shape (n_mergings, 2).
        delta_r: Their distance in rapidity and azimuth, shape (n_mergings,).
        mass: Of the merging [GeV], shape (n_mergings,).
    """

    offsets: Ints
    children: Ints
    parent: Ints
    is_hard: npt.NDArray[np.bool_]
    pt: Floats
    delta_r: Floats
    mass: Floats


def cluster_trees(jets: FlatJets) -> ClusterTrees:
    """Merge the nearest pair of each jet until one is left.

    Args:
        jets: n jets.
    """
    counts = np.maximum(jets.counts - 1, 0)
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])
    size = int(offsets[-1])
    trees = ClusterTrees(
        offsets,
        np.empty((size, 2), dtype=np.int64),
        np.full(size, -1, dtype=np.int64),
        np.ones(size, dtype=np.bool_),
        np.empty((size, 2)),
        np.empty(size),
        np.empty(size),
    )
    _cluster(
        jets.pt,
        jets.eta,
        jets.phi,
        jets.mass,
        jets.offsets,
        trees.offsets,
        trees.children,
        trees.parent,
        trees.is_hard,
        trees.pt,
        trees.delta_r,
        trees.mass,
    )
    return trees


def groomed_mass(jets: FlatJets, trees: ClusterTrees, *, z_cut: float, beta: float) -> Floats:
    """Soft-drop mass.

    From the root on, the softer child is dropped until
    min(pt₁, pt₂) / (pt₁ + pt₂) > z_cut (ΔR / R0)^β with R0 = 0.8.

    Args:
        jets: n jets.
        trees: Their trees.
        z_cut: The threshold z_cut.
        beta: The exponent β.

    Returns:
        Mass of what is left [GeV], shape (n,): a constituent's where nothing passes, 0 for an empty
        jet.

    References:
        A. Larkoski et al., Soft drop, arXiv:1402.2657, eq. (1.1).
    """
    masses = np.zeros(len(jets))
    _groom(
        jets.mass,
        jets.offsets,
        trees.offsets,
        trees.children,
        trees.pt,
        trees.delta_r,
        trees.mass,
        z_cut,
        beta,
        masses,
    )
    return masses


@numba.njit(cache=True, nogil=True)
def _rapidity(px: float, py: float, pz: float, e: float) -> float:  # pragma: no cover - compiled
    # FastJet's formula: exact for massless momenta, no cancellation along the beam.
    pt2 = px * px + py * py
    mass2 = max(0.0, (e + pz) * (e - pz) - pt2)
    reach = e + abs(pz)
    rapidity = 0.5 * math.log((pt2 + mass2 + 1e-300) / (reach * reach + 1e-300))
    return -rapidity if pz > 0.0 else rapidity


@numba.njit(cache=True, nogil=True)
def _distance2(y, phi, i, j):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    delta_phi = abs(phi[i] - phi[j])
    if delta_phi > math.pi:
        delta_phi = 2 * math.pi - delta_phi
    return (y[i] - y[j]) ** 2 + delta_phi**2


@numba.njit(cache=True, nogil=True)
def _nearest(y, phi, i, active, near, near2):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Look for the nearest neighbour of slot i among the active ones."""
    near[i], near2[i] = -1, math.inf
    for j in range(active):
        if j != i:
            d2 = _distance2(y, phi, i, j)
            if d2 < near2[i]:
                near[i], near2[i] = j, d2


@numba.njit(cache=True, nogil=True)
def _cluster(  # type: ignore[no-untyped-def]
    pt, eta, phi, mass, offsets, tree, children, parent, is_hard, child_pt, delta_r, tree_mass
):  # pragma: no cover - compiled
    largest = 1
    for jet in range(offsets.size - 1):
        largest = max(largest, offsets[jet + 1] - offsets[jet])
    # A slot holds what is left to merge; `node` numbers it as `ClusterTrees.children` does.
    slot = np.empty((largest, 4))
    y, azimuth = np.empty(largest), np.empty(largest)
    node, near = np.empty(largest, np.int64), np.empty(largest, np.int64)
    near2 = np.empty(largest)
    for jet in range(offsets.size - 1):
        start, first = offsets[jet], tree[jet]
        active = offsets[jet + 1] - start
        for i in range(active):
            k = start + i
            slot[i, 0] = pt[k] * math.cos(phi[k])
            slot[i, 1] = pt[k] * math.sin(phi[k])
            slot[i, 2] = pt[k] * math.sinh(eta[k])
            slot[i, 3] = math.sqrt((pt[k] * math.cosh(eta[k])) ** 2 + mass[k] ** 2)
            y[i] = _rapidity(slot[i, 0], slot[i, 1], slot[i, 2], slot[i, 3])
            azimuth[i] = math.atan2(slot[i, 1], slot[i, 0])
            node[i] = -1 - i
        for i in range(active):
            _nearest(y, azimuth, i, active, near, near2)
        while active > 1:
            closest = 0
            for i in range(1, active):
                if near2[i] < near2[closest]:
                    closest = i
            a, b = min(closest, near[closest]), max(closest, near[closest])
            row = first + active - 2
            pt_a, pt_b = math.hypot(slot[a, 0], slot[a, 1]), math.hypot(slot[b, 0], slot[b, 1])
            hard, soft = (node[a], node[b]) if pt_a >= pt_b else (node[b], node[a])
            children[row, 0], children[row, 1] = hard, soft
            child_pt[row, 0], child_pt[row, 1] = max(pt_a, pt_b), min(pt_a, pt_b)
            delta_r[row] = math.sqrt(near2[closest])
            if hard >= 0:
                parent[first + hard] = active - 2
            if soft >= 0:
                parent[first + soft] = active - 2
                is_hard[first + soft] = False
            for c in range(4):
                slot[a, c] += slot[b, c]
            px, py, pz, e = slot[a]
            tree_mass[row] = math.sqrt(max(0.0, (e + pz) * (e - pz) - px * px - py * py))
            y[a], azimuth[a] = _rapidity(px, py, pz, e), math.atan2(py, px)
            node[a] = active - 2
            last = active - 1  # the last slot moves to where b was
            slot[b], y[b], azimuth[b] = slot[last], y[last], azimuth[last]
            node[b], near[b], near2[b] = node[last], near[last], near2[last]
            active -= 1
            near[a], near2[a] = -1, math.inf
            for i in range(active):
                if i == a:
                    continue
                if near[i] == a or near[i] == b:
                    _nearest(y, azimuth, i, active, near, near2)
                elif near[i] == last:
                    near[i] = b
                d2 = _distance2(y, azimuth, i, a)
                if d2 < near2[i]:
                    near[i], near2[i] = a, d2
                if d2 < near2[a]:
                    near[a], near2[a] = i, d2


@numba.njit(cache=True, nogil=True)
def _groom(  # type: ignore[no-untyped-def]
    mass, offsets, tree, children, child_pt, delta_r, tree_mass, z_cut, beta, masses
):  # pragma: no cover - compiled
    for jet in range(offsets.size - 1):
        if offsets[jet + 1] == offsets[jet]:
            continue
        at = 0 if offsets[jet + 1] - offsets[jet] > 1 else -1
        while at >= 0:
            row = tree[jet] + at
            hard, soft = child_pt[row]
            if soft > z_cut * (delta_r[row] / 0.8) ** beta * (hard + soft):
                break
            at = children[row, 0]
        masses[jet] = tree_mass[tree[jet] + at] if at >= 0 else mass[offsets[jet] - 1 - at]
