"""Labels of jets in signal samples: does the jet come from the resonance, and does it hold all of it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from oddjet.datasets.jets import Truth
from oddjet.processors.events.nearest import delta_r_squared, find_nearest
from oddjet.processors.events.objects import Objects
from oddjet.typing import Bools, Floats, Ints

__all__ = ["TruthMatch", "match_truth"]


_IS_LAST_COPY = 1 << 13
_TOP = 6
_W = 24
_NONE = -1


@dataclass(frozen=True)
class TruthMatch:
    """What jets were matched to.

    Attributes:
        label: A `Truth`: UNMATCHED, MATCHED or MERGED, (n_jets) int8.
        pdg_id: The resonance's pdgId, 0 without, (n_jets).
        delta_r: ΔR to it, infinite without, (n_jets).
    """

    label: npt.NDArray[np.int8]
    pdg_id: npt.NDArray[np.int32]
    delta_r: Floats


def match_truth(
    jets: Objects,
    particles: Objects,
    *,
    truth: Sequence[int],
    delta_r: float,
    merged_delta_r: float,
) -> TruthMatch:
    """Label jets by the nearest generated resonance, taken in its last copy before the decay.

    MERGED is known for W, Z and Higgs bosons that decay to two quarks (both within
    `merged_delta_r` of the jet axis) and for top quarks that decay to three (the down-type quark
    and the two of the W). Leptonic decays are not merged. Of other resonances, such as dark quarks,
    jets are MATCHED at best, since the decay is no fixed number of quarks.

    Args:
        jets: With eta, phi.
        particles: GenPart of the same events, with eta, phi, pdgId, statusFlags (bit 13: last
            copy) and genPartIdxMother.
        truth: |pdgId| of the resonances.
        delta_r: Distance to the jet axis below which a resonance matches.
        merged_delta_r: Distance below which all its decay quarks must be.

    Returns:
        One label, pdgId and distance a jet.
    """
    is_resonance = np.isin(np.abs(particles["pdgId"]), np.asarray(truth)) & (
        particles["statusFlags"].astype(np.int64) & _IS_LAST_COPY > 0
    )
    nearest, distance = find_nearest(jets, particles.where(is_resonance))
    matched = distance < delta_r
    place = np.where(matched, np.append(np.flatnonzero(is_resonance), -1)[nearest], -1)
    merged = _find_merged(
        (jets.offsets, jets["eta"], jets["phi"], place),
        (particles.offsets, particles["eta"], particles["phi"]),
        particles["pdgId"],
        particles["genPartIdxMother"],
        merged_delta_r,
    )
    label = np.where(merged, Truth.MERGED, np.where(matched, Truth.MATCHED, Truth.UNMATCHED))
    return TruthMatch(
        label=label.astype(np.int8),
        pdg_id=np.where(matched, np.append(particles["pdgId"], 0)[place], 0).astype(np.int32),
        delta_r=np.where(matched, distance, np.inf),
    )


@numba.njit(cache=True, nogil=True)
def _find_merged(
    jets: tuple[Ints, Floats, Floats, Ints],
    particles: tuple[Ints, Floats, Floats],
    pdg_id: Ints,
    mother: Ints,
    merged_delta_r: float,
) -> Bools:
    """Mark the jets (offsets, η, φ, place of the resonance) that hold all quarks of their resonance."""
    jet_offsets, jet_eta, jet_phi, place = jets
    offsets, eta, phi = particles
    merged = np.zeros(len(place), np.bool_)
    for event in range(len(jet_offsets) - 1):
        start, stop = offsets[event], offsets[event + 1]
        for jet in range(jet_offsets[event], jet_offsets[event + 1]):
            resonance = place[jet]
            if resonance < 0:
                continue
            kind = abs(pdg_id[resonance])
            if kind == _TOP:
                boson = _follow_w(start, stop, pdg_id, mother, resonance)
                expected, parents = 3, (resonance, boson)
            elif 23 <= kind <= 25:
                expected, parents = 2, (resonance, _NONE)
            else:
                continue
            n_quarks, n_inside = 0, 0
            for parent in parents:
                for i in range(start, stop):
                    if parent < 0 or mother[i] != parent - start or not 1 <= abs(pdg_id[i]) <= 5:
                        continue
                    n_quarks += 1
                    n_inside += (
                        delta_r_squared(
                            np.float64(eta[i]),
                            np.float64(phi[i]),
                            np.float64(jet_eta[jet]),
                            np.float64(jet_phi[jet]),
                        )
                        < merged_delta_r**2
                    )
            merged[jet] = n_quarks == expected and n_inside == expected
    return merged


@numba.njit(cache=True, nogil=True)
def _follow_w(start: int, stop: int, pdg_id: Ints, mother: Ints, top: int) -> int:
    """Give the last copy of the W that a top decays to, −1 without."""
    last, current = _NONE, top
    for _ in range(stop - start):
        daughter = _NONE
        for i in range(start, stop):
            if mother[i] == current - start and abs(pdg_id[i]) == _W:
                daughter = i
                break
        if daughter < 0:
            break
        last = current = daughter
    return last
