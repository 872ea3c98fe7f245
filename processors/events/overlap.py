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
    """Find which jets have no hard lepton near their axis: bool (n_jets).

    Leptons are of the same events, and count with pt above `lepton_pt_min` [GeV], closer than
    `delta_r`.
    """
    _, distance = find_nearest(jets, leptons.where(leptons["pt"] > lepton_pt_min))
    mask: npt.NDArray[np.bool_] = distance >= delta_r
    return mask
