"""The Σ weight of all generated events, against sums by hand."""

from __future__ import annotations

from typing import Any

from oddjet.datasets.files.dataset import Dataset
from oddjet.datasets.files.doubts import (
    Doubt,
)
from oddjet.datasets.files.history import FileHistory
from oddjet.datasets.files.normalisation import Sums, normalise

WHOLE = FileHistory(n_entries=4, n_generated=4, sumw=4.0)
FILTERED = FileHistory(n_entries=3, n_generated=10, sumw=12.0)
UNKNOWN = FileHistory(n_entries=5)
MERGED = FileHistory(n_entries=5, n_generated=3, sumw=3.0)


def simulation(**known: Any) -> Dataset:
    return Dataset(files=["a.root"], kind="background", **{"cross_section_pb": 2.0, **known})


def keys(doubts: list[Doubt]) -> list[str]:
    return [doubt.key for doubt in doubts]


def test_weights_are_one_or_not() -> None:
    assert Sums(4, 2.0, 1.0).weight == 0.5
    assert Sums(4, -2.0, 1.0).weight == -0.5
    assert Sums(4, 1.0, 1.0).weight is None
    assert Sums().weight == 1.0
    assert Sums.of([Sums(1, 2.0, 3.0), Sums(4, 5.0, 6.0)]) == Sums(5, 7.0, 9.0)


def test_whole_files_count_as_read_and_filtered_ones_with_their_runs_tree() -> None:
    norm, doubts = normalise(
        simulation(), [("0", WHOLE, Sums(4, 4.0, 4.0)), ("1", FILTERED, Sums(3, 3.0, 3.0))]
    )
    assert norm is not None
    assert (norm.sumw, norm.source, doubts) == (4 + 12, "Runs", [])
    # A chunk of the whole file is missing: what was read of it counts.
    norm, _ = normalise(simulation(), [("0", WHOLE, Sums(2, 2.0, 2.0))], is_complete=False)
    assert norm is not None
    assert norm.sumw == 2
    # Counts alone are enough where weights are equal.
    counted = FileHistory(n_entries=3, n_generated=10)
    norm, _ = normalise(simulation(), [("0", counted, Sums(3, 1.5, 0.75))])
    assert norm is not None
    assert norm.sumw == 10 * 0.5
    norm, doubts = normalise(simulation(), [("0", counted, Sums(3, 1.5, 1.0))])
    assert norm is None
    assert keys(doubts) == ["unknown_history"]


def test_stated_sums() -> None:
    read = [("0", UNKNOWN, Sums(5, 2.5, 1.25))]
    for known, expected in (({"sumw": 40.0}, 40.0), ({"n_events": 40}, 20.0)):
        norm, doubts = normalise(simulation(**known), read)
        assert norm is not None
        assert (norm.sumw, norm.source, doubts) == (expected, *known, [])
        assert normalise(simulation(**known), read, is_complete=False) == (None, [])
    mixed = [("0", UNKNOWN, Sums(5, 2.5, 3.0))]
    for known, sums in (({"sumw": 2.0}, read), ({"n_events": 4}, read), ({"n_events": 9}, mixed)):
        norm, doubts = normalise(simulation(**known), sums)
        assert keys(doubts) == ["unknown_history"]
        assert norm is not None
        assert (norm.sumw, norm.source) == (2.5, "events")


def test_sums_that_do_not_fit_their_runs_tree() -> None:
    for history, read in ((WHOLE, Sums(4, 3.9, 4.0)), (FILTERED, Sums(3, 13.0, 56.3333333))):
        norm, doubts = normalise(simulation(), [("0", history, read)])
        assert norm is None
        assert keys(doubts) == ["unknown_history"]
        accepted = simulation(accept=("unknown_history",))
        norm, _ = normalise(accepted, [("0", history, read)])
        assert norm is not None
        assert (norm.sumw, norm.source) == (read.sumw, "events")
