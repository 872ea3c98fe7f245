from __future__ import annotations

import numpy as np
import pytest

from oddjet.errors import MissingBranchError
from oddjet.processors.events.noise_filters import passes_noise_filters
from oddjet.processors.events.triggers import find_triggers, passes_triggers

EVENTS = {
    "HLT_A": np.array([True, False, False, True]),
    "HLT_B": np.array([True, True, False, False]),
}


def test_one_path_is_enough() -> None:
    assert passes_triggers(EVENTS, paths=["HLT_A"]).tolist() == [True, False, False, True]
    assert passes_triggers(EVENTS, paths=["HLT_A", "HLT_B"]).tolist() == [True, True, False, True]


def test_all_filters_are_needed() -> None:
    assert passes_noise_filters(EVENTS, filters=["HLT_A", "HLT_B"]).tolist() == [
        True,
        False,
        False,
        False,
    ]


def test_versions_are_taken_off() -> None:
    assert find_triggers({"HLT_PFJet500", "x"}, ["HLT_PFJet500_v*"]) == ("HLT_PFJet500",)


def test_missing_paths_are_all_listed_with_close_ones() -> None:
    available = {"HLT_PFJet500", "HLT_PFJet450", "HLT_PFHT1050", "run"}
    with pytest.raises(MissingBranchError) as caught:
        find_triggers(available, ["HLT_PFJet501", "HLT_PFHT1050", "HLT_zzz"], where="file.root")
    message = str(caught.value)
    assert message.startswith("file.root: ")
    assert "HLT_PFJet501 (close: HLT_PFJet500, HLT_PFJet450" in message
    assert "HLT_zzz." in message
    assert "3 HLT paths" in message
