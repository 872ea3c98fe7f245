"""A selection that keeps nearly all jets."""

from __future__ import annotations

from oddjet.processors.events.selection import Selection

OPEN = Selection(jet_id=False, pt_min=0, eta_max=2.5, lepton_delta_r=None, gen_match_delta_r=None)
