"""The Σ weight of all generated events, against sums by hand."""

from __future__ import annotations

from histories import FILTERED, UNKNOWN, WHOLE, simulation

from oddjet.datasets.files.doubts import (
    Doubt,
)
from oddjet.datasets.files.history import FileHistory
from oddjet.datasets.files.normalisation import Sums, normalise


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


def test_weights_that_were_rescaled_do_not_fit_their_runs_tree() -> None:
    """30 of 100 events are left; the sum of all was 100 × 2, or ± 2 in equal parts."""
    told = FileHistory(n_entries=30, n_generated=100, sumw=200.0)
    signed = FileHistory(n_entries=30, n_generated=100, sumw=120.0)
    for history, read in (
        (told, Sums(30, 0.06, 0.00012)),  # × 1e-3
        (told, Sums(30, 30.0, 30.0)),  # replaced by their signs
        (signed, Sums(30, 6.0, 30.0)),  # likewise, some negative
    ):
        norm, doubts = normalise(simulation(), [("0", history, read)])
        assert norm is None
        assert "weights were rescaled" in doubts[0].what
    for history, read in ((told, Sums(30, 60.0, 120.0)), (signed, Sums(30, 20.0, 120.0))):
        norm, doubts = normalise(simulation(), [("0", history, read)])
        assert norm is not None
        assert (norm.sumw, doubts) == (history.sumw, [])
