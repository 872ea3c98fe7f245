from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from oddjet.errors import MissingBranchError
from oddjet.processors.events.noise_filters import passes_noise_filters
from oddjet.processors.events.triggers import (
    Triggers,
    find_triggers,
    notes_of_triggers,
    passes_triggers,
)

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
    triggers = Triggers(paths=("HLT_PFJet500_v*",))
    assert triggers.paths == ("HLT_PFJet500",)
    find_triggers({"HLT_PFJet500", "x"}, triggers)
    with pytest.raises(ValidationError, match="begin with HLT_"):
        Triggers(paths=("PFJet500",))


def test_missing_paths_are_all_listed_with_close_ones() -> None:
    available = {"HLT_PFJet500", "HLT_PFJet450", "HLT_PFHT1050", "run"}
    triggers = Triggers(paths=("HLT_PFJet501", "HLT_PFHT1050", "HLT_zzz"))
    with pytest.raises(MissingBranchError) as caught:
        find_triggers(available, triggers, where="file.root")
    message = str(caught.value)
    assert message.startswith("file.root: ")
    assert "HLT_PFJet501 (close: HLT_PFJet500, HLT_PFJet450" in message
    assert "HLT_zzz." in message
    assert "3 HLT paths" in message
    find_triggers(available, Triggers(paths=triggers.paths, missing="not_fired"))


def test_missing_paths_have_not_fired() -> None:
    triggers = Triggers(paths=("HLT_B", "HLT_C"), missing="not_fired")
    assert triggers.branches(EVENTS) == ("HLT_B",)
    assert passes_triggers(EVENTS["HLT_A"], paths=()).tolist() == [False] * 4
    assert triggers.cut == "trigger (missing paths: not fired)"


def test_a_path_of_no_file_is_mistyped() -> None:
    triggers = Triggers(paths=("HLT_A", "HLT_B"), missing="not_fired")
    files = {"d": {"1.root": {"HLT_A", "HLT_B"}, "2.root": {"HLT_A"}}, "e": {"3.root": {"HLT_B"}}}
    assert notes_of_triggers(triggers, files) == {
        "d": ("HLT_B is not in 1 of 2 files (2.root) and counts as not fired there",),
        "e": ("HLT_A is not in 1 of 1 files (3.root) and counts as not fired there",),
    }
    with pytest.raises(MissingBranchError, match=r"no file has the trigger: HLT_B \(close: HLT_A"):
        notes_of_triggers(triggers, {"d": {"2.root": {"HLT_A"}}})
    with pytest.raises(MissingBranchError, match="no file of dataset f has any"):
        notes_of_triggers(triggers, files | {"f": {"4.root": {"HLT_C"}}})
    assert notes_of_triggers(Triggers(paths=("HLT_A",)), files) == {"d": (), "e": ()}
