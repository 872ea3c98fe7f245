from __future__ import annotations

import numpy as np

from oddjet.processors.events.cutflow import CutFlow
from oddjet.processors.events.objects import Objects


def test_events_jets_and_weights_are_counted() -> None:
    jets = Objects(np.array([0, 2, 2, 3]), {"pt": np.array([1.0, 2.0, 3.0])})
    flow = CutFlow(np.array([1.0, 10.0, -100.0]), jets)
    flow.add_events("all", np.array([True, True, True]))
    flow.add_events("trigger", np.array([True, True, False]))
    flow.add_jets("jets", np.array([True, True, False]))
    flow.add_jets("pt", np.array([False, False, False]))
    assert [(s.name, s.n_events, s.n_jets, s.sumw) for s in flow.steps] == [
        ("all", 3, 3, -89.0),
        ("trigger", 2, 2, 11.0),
        ("jets", 1, 2, 1.0),
        ("pt", 0, 0, 0.0),
    ]
