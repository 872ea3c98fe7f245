from __future__ import annotations

import numpy as np

from oddjet.processors.events.jet_cuts import is_leading, passes_eta, passes_pt
from oddjet.processors.events.objects import Objects


def jets(offsets: list[int], **columns: list[float]) -> Objects:
    return Objects(np.array(offsets), {name: np.array(v) for name, v in columns.items()})


def test_limits_are_excluded() -> None:
    objects = jets([0, 4], pt=[200.0, 200.1, 299.9, 300.0], eta=[2.0, -2.0, -1.9, 1.9])
    assert passes_pt(objects, pt_min=200).tolist() == [False, True, True, True]
    assert passes_pt(objects, pt_min=200, pt_max=300).tolist() == [False, True, True, False]
    assert passes_eta(objects, eta_max=2.0).tolist() == [False, False, True, True]


def test_the_hardest_of_those_that_count_leads() -> None:
    objects = jets([0, 3, 3, 5, 7], pt=[5.0, 9.0, 7.0, 1.0, 2.0, 4.0, 4.0])
    mask = np.array([True, False, True, True, True, True, True])
    assert np.flatnonzero(is_leading(objects, mask)).tolist() == [2, 4, 5]
    assert not is_leading(objects, np.zeros(7, bool)).any()


def test_no_jets() -> None:
    none = jets([0, 0, 0], pt=[], eta=[])
    assert len(passes_pt(none, pt_min=1)) == len(passes_eta(none, eta_max=1)) == 0
    assert len(is_leading(none, np.zeros(0, bool))) == 0
