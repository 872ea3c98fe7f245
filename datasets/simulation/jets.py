"""Anti-kt jets of many events at once.

References:
    FastJet: arXiv:1111.6097; anti-kt: arXiv:0802.1189.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import awkward as ak
import fastjet
import numba
import numpy as np
import numpy.typing as npt
from fastjet import _swig

from oddjet.datasets.kinematics.compiled import delta_phi
from oddjet.datasets.simulation.momenta import Momenta
from oddjet.typing import Floats, Ints

__all__ = ["ClusteredJets", "cluster", "match_nearest"]

# The banner would go to standard output, where the command line writes its results.
_swig.ClusterSequence.set_fastjet_banner_stream(None)


@dataclass(frozen=True)
class ClusteredJets:
    """Jets of a batch of events, in the order of the events, hardest first in each.

    Attributes:
        momenta: Four-momenta, shape (n_jets,).
        constituents: Indices of the clustered particles, jet by jet, hardest first in each,
            shape (n_links,).
        offsets: Where each jet's constituents begin, shape (n_jets + 1,).
    """

    momenta: Momenta
    constituents: Ints
    offsets: Ints

    def __len__(self) -> int:
        return len(self.momenta)

    @property
    def n_constituents(self) -> Ints:
        """Constituents of each jet, shape (n_jets,)."""
        return np.diff(self.offsets)

    @property
    def jet_of(self) -> Ints:
        """The jet of each entry of `constituents`."""
        return np.repeat(np.arange(len(self)), self.n_constituents)

    def sum(self, values: npt.NDArray[Any]) -> Floats:
        """Sum a quantity of the clustered particles over each jet: (n_particles,) → (n_jets,)."""
        sums = np.bincount(self.jet_of, values[self.constituents], minlength=len(self))
        return sums.astype(np.float64)


def cluster(particles: Momenta, n_events: int, *, radius: float, pt_min: float) -> ClusteredJets:
    """Cluster particles of `n_events` events with anti-kt, E scheme; jets from `pt_min` [GeV]."""
    counts = particles.counts(n_events)
    first = np.concatenate([[0], np.cumsum(counts)])[:-1]
    # to_packed: fastjet reads an array's content and ignores a pending slice (fastjet issue 400).
    events = ak.to_packed(
        ak.unflatten(
            ak.zip({"px": particles.px, "py": particles.py, "pz": particles.pz, "E": particles.e}),
            counts,
        )
    )
    sequence = fastjet.ClusterSequence(
        events, fastjet.JetDefinition(fastjet.antikt_algorithm, radius)
    )
    jets = sequence.inclusive_jets(pt_min)
    links = sequence.constituent_index(pt_min)
    event = np.repeat(np.arange(n_events), ak.to_numpy(ak.num(jets)))
    flat, per_jet = ak.flatten(jets), ak.flatten(links, axis=1)
    n_links = ak.to_numpy(ak.num(per_jet)).astype(np.int64)
    index = ak.to_numpy(ak.flatten(per_jet)).astype(np.int64)
    index += np.repeat(first[event], n_links)  # fastjet counts within the event
    momenta = Momenta(event, *(ak.to_numpy(flat[name]) for name in ("px", "py", "pz", "E")))
    return _sort(momenta, index, n_links, particles.pt)


def _sort(momenta: Momenta, index: Ints, n_links: Ints, particle_pt: Floats) -> ClusteredJets:
    """Order the jets of an event, and the constituents of a jet, by falling pt."""
    order = np.lexsort((-momenta.pt, momenta.event))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    link_order = np.lexsort((-particle_pt[index], np.repeat(place, n_links)))
    offsets = np.concatenate([[0], np.cumsum(n_links[order])]).astype(np.int64)
    return ClusteredJets(momenta[order], index[link_order], offsets)


def match_nearest(left: Momenta, right: Momenta, n_events: int, *, delta_r_max: float) -> Ints:
    """Match two collections of the same events one to one, the nearest pairs first.

    Gives the place of the partner within its event, −1 without one up to `delta_r_max`: shape
    (len(left),).
    """

    def starts(momenta: Momenta) -> Ints:
        return np.concatenate([[0], np.cumsum(momenta.counts(n_events))]).astype(np.int64)

    partner: Ints = _match(
        starts(left), left.eta, left.phi, starts(right), right.eta, right.phi, delta_r_max
    )
    return partner


@numba.njit(cache=True)
def _match(  # type: ignore[no-untyped-def]
    left_starts, left_eta, left_phi, right_starts, right_eta, right_phi, delta_r_max
):  # pragma: no cover - compiled
    partner = np.full(len(left_eta), -1, np.int64)
    taken = np.zeros(len(right_eta), np.bool_)
    for event in range(len(left_starts) - 1):
        while True:
            best, best_left, best_right = delta_r_max, -1, -1
            for i in range(left_starts[event], left_starts[event + 1]):
                if partner[i] >= 0:
                    continue
                for j in range(right_starts[event], right_starts[event + 1]):
                    if taken[j]:
                        continue
                    distance_phi = delta_phi(left_phi[i], right_phi[j])
                    delta_r = np.hypot(left_eta[i] - right_eta[j], distance_phi)
                    if delta_r < best:
                        best, best_left, best_right = delta_r, i, j
            if best_left < 0:
                break
            partner[best_left] = best_right - right_starts[event]
            taken[best_right] = True
    return partner
