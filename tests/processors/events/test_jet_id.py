from __future__ import annotations

import numpy as np
import pytest

from oddjet.processors.events.jet_id import jet_id_fields, passes_jet_id
from oddjet.processors.events.objects import Objects

GOOD = {
    "eta": 0.0,
    "chHEF": 0.6,
    "neHEF": 0.1,
    "neEmEF": 0.3,
    "chMultiplicity": 20,
    "neMultiplicity": 10,
}


def passes(**changes: float) -> bool:
    columns = {name: np.array([value]) for name, value in (GOOD | changes).items()}
    return bool(passes_jet_id(Objects(np.array([0, 1]), columns))[0])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"eta": -2.6}, True),
        ({"neHEF": 0.99}, False),
        ({"neEmEF": 0.90}, False),
        ({"chHEF": 0.01}, False),
        ({"chMultiplicity": 0}, False),
        ({"chMultiplicity": 1, "neMultiplicity": 0}, False),
        ({"chMultiplicity": 1, "neMultiplicity": 1}, True),
        # 2.6 to 2.7: no tracks are asked for any more
        ({"eta": 2.65, "chHEF": 0.0, "chMultiplicity": 0, "neEmEF": 0.95}, True),
        ({"eta": -2.65, "neHEF": 0.90}, False),
        ({"eta": 2.65, "neEmEF": 0.99}, False),
        # 2.7 to 3.0
        ({"eta": 2.9, "neEmEF": 1.0, "neHEF": 0.95}, True),
        ({"eta": 2.9, "neHEF": 0.99}, False),
        # beyond 3.0
        ({"eta": 4.0, "neMultiplicity": 2}, True),
        ({"eta": 4.0, "neMultiplicity": 1}, False),
        ({"eta": -4.0, "neEmEF": 0.40}, False),
        ({"eta": 4.0, "neHEF": 1.0}, True),
    ],
)
def test_composition_by_region(changes: dict[str, float], expected: bool) -> None:
    assert passes(**changes) is expected


def test_small_unsigned_multiplicities_do_not_wrap() -> None:
    columns = {name: np.array([value]) for name, value in GOOD.items()}
    columns["chMultiplicity"] = np.array([200], np.uint8)
    columns["neMultiplicity"] = np.array([57], np.uint8)
    assert passes_jet_id(Objects(np.array([0, 1]), columns)).all()


def test_bit_1_of_the_files_own_id() -> None:
    jets = Objects(np.array([0, 5]), {"jetId": np.array([0, 1, 2, 4, 6], np.uint8)})
    assert passes_jet_id(jets).tolist() == [False, False, True, False, True]


def test_fields_by_file() -> None:
    assert jet_id_fields({"FatJet_jetId", "Jet_pt"}, "FatJet") == ("jetId",)
    assert "chMultiplicity" in jet_id_fields({"FatJet_jetId"}, "Jet")
