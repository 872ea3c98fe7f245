"""Cambridge/Aachen clustering of the constituents of jets, kept as trees, and soft drop on them.

References:
    Y. Dokshitzer et al., Better jet clustering algorithms, arXiv:hep-ph/9707323; the conventions
    (E scheme, ΔR in rapidity) are FastJet's, arXiv:1111.6097. A. Larkoski et al., Soft drop,
    arXiv:1402.2657, eq. (1.1).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from oddjet.datasets.kinematics.compiled import delta_phi
from oddjet.datasets.kinematics.geometry import mass_of
from oddjet.typing import Bools, Floats, Ints

__all__ = ["ClusterTrees", "Groomed", "cluster_trees", "soft_drop"]


class ClusterTrees(NamedTuple):
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
        momenta: (px, py, pz, E) of the merging [GeV], shape (n_mergings, 4).
    """

    offsets: Ints
    children: Ints
    parent: Ints
    is_hard: Bools
    pt: Floats
    delta_r: Floats
    momenta: Floats

    @property
    def mass(self) -> Floats:
        """Of each merging [GeV], shape (n_mergings,)."""
        return mass_of(*self.momenta.T)


class Groomed(NamedTuple):
    """What soft drop leaves of each jet.

    Attributes:
        momenta: (px, py, pz, E) [GeV], shape (n_jets, 4); zeros for a jet without constituents.
        prongs: The two subjets, hardest first, likewise: shape (n_jets, 2, 4).
        has_prongs: False where a single constituent is left, or none, shape (n_jets,).
        constituent: Which one is left, counted within the jet; −1 otherwise, shape (n_jets,).
    """

    momenta: Floats
    prongs: Floats
    has_prongs: Bools
    constituent: Ints


class _Slots(NamedTuple):
    """What is left to merge of a jet: a merging reuses the slot of one of the two."""

    momenta: Floats
    rapidity: Floats
    phi: Floats
    node: Ints  # as `ClusterTrees.children` numbers it
    near: Ints  # the nearest other slot, and its squared distance
    near2: Floats


def cluster_trees(momenta: Floats, offsets: Ints) -> ClusterTrees:
    """Merge the nearest pair of each jet until one is left.

    Args:
        momenta: (px, py, pz, E) of the constituents [GeV], jet after jet, shape
            (n_constituents, 4).
        offsets: Constituents of jet i are `offsets[i]:offsets[i + 1]`, shape (n_jets + 1,).
    """
    counts = np.diff(offsets)
    tree_offsets = np.concatenate(
        [np.zeros(1, dtype=np.int64), np.cumsum(np.maximum(counts - 1, 0))]
    )
    size = int(tree_offsets[-1])
    trees = ClusterTrees(
        tree_offsets,
        np.empty((size, 2), dtype=np.int64),
        np.full(size, -1, dtype=np.int64),
        np.ones(size, dtype=np.bool_),
        np.empty((size, 2)),
        np.empty(size),
        np.empty((size, 4)),
    )
    n = int(counts.max(initial=1))
    slots = _Slots(
        np.empty((n, 4)),
        np.empty(n),
        np.empty(n),
        np.empty(n, np.int64),
        np.empty(n, np.int64),
        np.empty(n),
    )
    _cluster(momenta, offsets, trees, slots)
    return trees


def soft_drop(
    momenta: Floats,
    offsets: Ints,
    trees: ClusterTrees,
    *,
    z_cut: float,
    beta: float,
    radius: float = 0.8,
) -> Groomed:
    """Groom jets, as `cluster_trees` takes them, with the trees it gave, by z_cut, β and R0.

    From the root on, the softer child is dropped until
    min(pt₁, pt₂) / (pt₁ + pt₂) > z_cut (ΔR / R0)^β.
    """
    n_jets = len(offsets) - 1
    groomed = Groomed(
        np.zeros((n_jets, 4)),
        np.zeros((n_jets, 2, 4)),
        np.zeros(n_jets, np.bool_),
        np.full(n_jets, -1),
    )
    _groom(momenta, offsets, trees, (z_cut, beta, radius), groomed)
    return groomed


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
    return (y[i] - y[j]) ** 2 + delta_phi(phi[i], phi[j]) ** 2


@numba.njit(cache=True, nogil=True)
def _find_nearest(slots, i, active):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Look for the nearest neighbour of slot i among the active ones."""
    near, near2 = -1, math.inf
    for j in range(active):
        if j != i:
            d2 = _distance2(slots.rapidity, slots.phi, i, j)
            if d2 < near2:
                near, near2 = j, d2
    slots.near[i], slots.near2[i] = near, near2


@numba.njit(cache=True, nogil=True)
def _cluster(momenta, offsets, trees, slots):  # type: ignore[no-untyped-def]  # pragma: no cover
    for jet in range(offsets.size - 1):
        start, active = offsets[jet], offsets[jet + 1] - offsets[jet]
        for i in range(active):
            px, py, pz, e = momenta[start + i]
            slots.momenta[i] = momenta[start + i]
            slots.rapidity[i], slots.phi[i] = _rapidity(px, py, pz, e), math.atan2(py, px)
            slots.node[i] = -1 - i
        for i in range(active):
            _find_nearest(slots, i, active)
        while active > 1:
            closest = 0
            for i in range(1, active):
                if slots.near2[i] < slots.near2[closest]:
                    closest = i
            a, b = min(closest, slots.near[closest]), max(closest, slots.near[closest])
            delta_r = math.sqrt(slots.near2[closest])
            active -= 1
            _merge(trees, trees.offsets[jet], active - 1, slots, a, b, delta_r)
            _move(slots, active, b)
            _update(slots, active, a, b)


@numba.njit(cache=True, nogil=True)
def _merge(trees, first, merging, slots, a, b, delta_r):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write down a merging of a jet whose mergings begin at `first`, and put it into slot a."""
    row, slot = first + merging, slots.momenta
    pt_a, pt_b = math.hypot(slot[a, 0], slot[a, 1]), math.hypot(slot[b, 0], slot[b, 1])
    hard, soft = slots.node[a], slots.node[b]
    if not pt_a >= pt_b:
        hard, soft = soft, hard
    trees.children[row, 0], trees.children[row, 1] = hard, soft
    trees.pt[row, 0], trees.pt[row, 1] = max(pt_a, pt_b), min(pt_a, pt_b)
    trees.delta_r[row] = delta_r
    if hard >= 0:
        trees.parent[first + hard] = merging
    if soft >= 0:
        trees.parent[first + soft] = merging
        trees.is_hard[first + soft] = False
    for c in range(4):
        slot[a, c] += slot[b, c]
        trees.momenta[row, c] = slot[a, c]
    px, py, pz, e = slot[a]
    slots.rapidity[a], slots.phi[a] = _rapidity(px, py, pz, e), math.atan2(py, px)
    slots.node[a] = merging


@numba.njit(cache=True, nogil=True)
def _move(slots, last, b):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Move the last slot to b, which is free."""
    slots.momenta[b] = slots.momenta[last]
    slots.rapidity[b], slots.phi[b] = slots.rapidity[last], slots.phi[last]
    slots.node[b] = slots.node[last]
    slots.near[b], slots.near2[b] = slots.near[last], slots.near2[last]


@numba.njit(cache=True, nogil=True)
def _update(slots, active, a, b):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Find neighbours again where slot a is new, b is gone and the last one moved to b."""
    near, near2 = slots.near, slots.near2
    near[a], near2[a] = -1, math.inf
    for i in range(active):
        if i == a:
            continue
        if near[i] == a or near[i] == b:
            _find_nearest(slots, i, active)
        elif near[i] == active:
            near[i] = b
        d2 = _distance2(slots.rapidity, slots.phi, i, a)
        if d2 < near2[i]:
            near[i], near2[i] = a, d2
        if d2 < near2[a]:
            near[a], near2[a] = i, d2


@numba.njit(cache=True, nogil=True)
def _groom(momenta, offsets, trees, cut, groomed):  # type: ignore[no-untyped-def]  # pragma: no cover
    z_cut, beta, radius = cut
    for jet in range(offsets.size - 1):
        start, first = offsets[jet], trees.offsets[jet]
        if offsets[jet + 1] == start:
            continue
        at = 0 if offsets[jet + 1] - start > 1 else -1
        while at >= 0:
            hard, soft = trees.pt[first + at]
            if soft > z_cut * (trees.delta_r[first + at] / radius) ** beta * (hard + soft):
                break
            at = trees.children[first + at, 0]
        if at < 0:
            groomed.constituent[jet] = -1 - at
            groomed.momenta[jet] = momenta[start - 1 - at]
            continue
        groomed.has_prongs[jet] = True
        groomed.momenta[jet] = trees.momenta[first + at]
        for side in range(2):
            child = trees.children[first + at, side]
            groomed.prongs[jet, side] = (
                trees.momenta[first + child] if child >= 0 else momenta[start - 1 - child]
            )
