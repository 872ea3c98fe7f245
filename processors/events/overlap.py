"""Overlap with leptons: a jet may be an electron, or hold a muon of a decay."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oddjet.processors.events.nearest import find_nearest
from oddjet.processors.events.objects import Objects

__all__ = ["has_no_lepton"]


def has_no_lepton(
    jets: Objects, leptons: Objects, *, lepton_pt_min: float, delta_r: float
) -> npt.NDArray[np.bool_]:
    """Find which jets have no hard lepton near their axis.

    Args:
        jets: With eta, phi.
        leptons: Electrons and muons of the same events, with pt [GeV], eta, phi.
        lepton_pt_min: Leptons with pt above this count [GeV].
        delta_r: Distance below which a lepton removes a jet.

    Returns:
        bool (n_jets).
    """
    _, distance = find_nearest(jets, leptons.where(leptons["pt"] > lepton_pt_min))
    mask: npt.NDArray[np.bool_] = distance >= delta_r
    return mask
