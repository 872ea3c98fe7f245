"""Tight jet ID: is the jet made of particles, or of noise?

References:
    CMS-PAS-JME-16-003 (jet algorithms performance at 13 TeV), section 5, for the quantities; the
    values for PUPPI jets at 13.6 TeV are those of the CMS TWiki page JetID13p6TeV and of the
    ``jetid.json`` files in the JME POG's jsonpog-integration.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from oddjet.processors.events.objects import Objects
from oddjet.typing import Bools

__all__ = ["jet_id_fields", "passes_jet_id"]


_TIGHT_BIT = 1
_COMPOSITION = ("chHEF", "neHEF", "neEmEF", "chMultiplicity", "neMultiplicity")


def jet_id_fields(available: Collection[str], prefix: str) -> tuple[str, ...]:
    """List the fields that the jet ID of a file needs.

    Args:
        available: The file's branches.
        prefix: Jets' prefix, such as FatJet.

    Returns:
        ("jetId",) where the file has it (NanoAOD up to v12), otherwise the jet's composition,
        of which NanoAODv15 leaves the ID to be computed.
    """
    return ("jetId",) if f"{prefix}_jetId" in available else _COMPOSITION


def passes_jet_id(jets: Objects) -> Bools:
    """Find which jets pass the tight ID.

    Args:
        jets: With jetId (bit 1 is "tight"), or with eta, the energy fractions chHEF neHEF neEmEF
            and chMultiplicity, neMultiplicity, from which the ID of PUPPI jets in Run 3 follows.

    Returns:
        bool (n_jets).
    """
    if "jetId" in jets.columns:
        tight: Bools = (jets["jetId"].astype(np.int64) >> _TIGHT_BIT) & 1 == 1
        return tight
    eta = np.abs(jets["eta"])
    charged = jets["chMultiplicity"].astype(np.int64)
    neutral = jets["neMultiplicity"].astype(np.int64)
    central = (
        (jets["neHEF"] < 0.99)
        & (jets["neEmEF"] < 0.90)
        & (charged + neutral > 1)
        & (jets["chHEF"] > 0.01)
        & (charged > 0)
    )
    between = (jets["neHEF"] < 0.90) & (jets["neEmEF"] < 0.99)
    endcap = jets["neHEF"] < 0.99
    forward = (jets["neEmEF"] < 0.40) & (neutral >= 2)
    return np.select([eta <= 2.6, eta <= 2.7, eta <= 3.0], [central, between, endcap], forward)
