"""Every doubt, accepted and not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from histories import FILTERED, MERGED, UNKNOWN, WHOLE, simulation

from oddjet.datasets.files.dataset import Dataset
from oddjet.datasets.files.doubts import (
    Doubt,
    describe_history,
    doubts_before_reading,
    doubts_of_runs,
    notes_before_reading,
    refuse,
)
from oddjet.datasets.files.history import FileHistory
from oddjet.datasets.files.normalisation import Sums, normalise
from oddjet.errors import ConfigError


def data(**known: Any) -> Dataset:
    return Dataset(files=["a.root"], kind="data", **known)


def named(*histories: FileHistory) -> dict[str, FileHistory]:
    return {f"{n}.root": history for n, history in enumerate(histories)}


def keys(doubts: list[Doubt]) -> list[str]:
    return [doubt.key for doubt in doubts]


def test_a_cross_section_needs_a_known_history() -> None:
    assert doubts_before_reading(simulation(), named(WHOLE, FILTERED)) == []
    (doubt,) = doubts_before_reading(simulation(), named(WHOLE, UNKNOWN))
    assert doubt.key == "unknown_history"
    assert "1 of 2 files (1.root) has no Runs tree" in doubt.what
    assert doubts_before_reading(simulation(cross_section_pb=None), named(UNKNOWN)) == []
    assert keys(doubts_before_reading(simulation(), named(MERGED))) == ["unknown_history"]
    for known in ({"sumw": 7.0}, {"n_events": 14}):
        assert doubts_before_reading(simulation(**known), named(WHOLE, UNKNOWN, MERGED)) == []
    assert normalise(simulation(), [("0", UNKNOWN, Sums(5, 5.0, 5.0))]) == (None, [])
    norm, _ = normalise(
        simulation(accept=("unknown_history",)), [("0", UNKNOWN, Sums(5, 5.0, 5.0))]
    )
    assert norm is not None
    assert (norm.sumw, norm.source) == (5.0, "events")


def test_a_stated_sum_is_compared_with_the_runs_trees() -> None:
    files = named(WHOLE, FILTERED)
    for known in ({"sumw": 16.001}, {"n_events": 14}):
        assert doubts_before_reading(simulation(**known), files) == []
    for known in ({"sumw": 17.0}, {"n_events": 7}):
        (doubt,) = doubts_before_reading(simulation(**known), files)
        assert doubt.key == "unknown_history"
        assert "add up to 1" in doubt.what


@pytest.mark.parametrize("known", [{"sumw": 6.9}, {"n_events": 13}])
def test_a_stated_sum_is_no_less_than_what_is_known_of_a_part(known: dict[str, Any]) -> None:
    """4 + 3 by two Runs trees, the second one of five events; and five events of a file without."""
    (doubt,) = doubts_before_reading(simulation(**known), named(WHOLE, UNKNOWN, MERGED))
    assert doubt.key == "unknown_history"
    assert f"more is known of its files, {7 if 'sumw' in known else 14}, " in doubt.what
    assert "2 of 3 files" in doubt.what


def test_run_1_is_that_of_simulation() -> None:
    (doubt,) = doubts_before_reading(data(), named(FileHistory(3, runs=(1, 1))))
    assert (doubt.key, doubt.remedy) == (
        "simulation_as_data",
        "Give it kind: background or signal",
    )
    assert doubts_before_reading(data(), named(FileHistory(3, runs=(362000, 362001)))) == []


def test_data_with_something_generated() -> None:
    (doubt,) = doubts_before_reading(data(), named(FileHistory(3, generated="genWeight")))
    assert doubt.key == "simulation_as_data"
    assert "1 of 1 files (0.root) has genWeight" in doubt.what


def test_a_table_of_luminosity_needs_the_tree_of_blocks(tmp_path: Path) -> None:
    files = named(FileHistory(3, has_blocks=True), UNKNOWN)
    (doubt,) = doubts_before_reading(data(lumi_table=tmp_path), files)
    assert doubt.key == "unknown_luminosity"
    assert doubts_before_reading(data(), files) == []
    assert (
        "1 of 2 files (1.root) has no tree LuminosityBlocks"
        in notes_before_reading(data(), files)[0]
    )
    assert notes_before_reading(simulation(), files) == []


@pytest.mark.parametrize(
    ("year", "inside", "outside"),
    [
        ("2016", 273158, 297050),
        ("2016preVFP", 273158, 280000),
        ("UL16APV", 273158, 280000),
        ("2016postVFP", 280000, 273158),
        ("UL18", 315252, 306000),
        ("2022", 362000, 366000),
        ("2022EE", 362000, 357000),
        ("2022preEE", 357000, 362000),
        ("Run3Summer23BPix", 370000, 368000),
        ("2024", 380000, 2),
        ("2016-2018", 300000, 362000),
    ],
)
def test_year_against_runs(year: str, inside: int, outside: int) -> None:
    assert doubts_of_runs(data(year=year), [inside]) == []
    (doubt,) = doubts_of_runs(data(year=year), [inside, outside])
    assert doubt.key == "other_year"
    assert f"it holds run {outside}" in doubt.what
    assert doubts_of_runs(simulation(year=year), [1]) == []


def test_years_that_are_none_are_not_compared() -> None:
    for year in ("Run3", "test", "1999", None):
        assert doubts_of_runs(data(year=year), [2]) == []


def test_filtered_files_of_equal_sums_may_be_parts_of_one() -> None:
    other = FileHistory(n_entries=3, n_generated=11, sumw=12.0)
    (note,) = notes_before_reading(simulation(), named(FILTERED, WHOLE, FILTERED, other, WHOLE))
    assert note.startswith("2 of 5 files (0.root, 2.root) have been filtered and equal sums")
    assert notes_before_reading(simulation(), named(WHOLE, WHOLE, FILTERED, other)) == []
    for known in ({"sumw": 24.0}, {"n_events": 20}, {"cross_section_pb": None}):
        assert notes_before_reading(simulation(**known), named(FILTERED, FILTERED)) == []


def test_what_is_not_accepted_is_refused_and_the_rest_noted() -> None:
    doubts = {
        "d": [Doubt("other_year", "it is odd", "Mend it", "odd is used"), Doubt("simulation_as_data", "x", "y", "z")],
    }  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        refuse(doubts, {"d": data(accept=("simulation_as_data",))}, ConfigError)
    assert str(caught.value) == (
        "dataset d: it is odd. Mend it. Or give the dataset accept: [other_year]: then odd is used, and every output says so"
    )
    both = data(accept=("simulation_as_data", "other_year"))
    assert refuse(doubts, {"d": both}, ConfigError) == {
        "d": (
            "it is odd; accepted (other_year): odd is used",
            "x; accepted (simulation_as_data): z",
        )
    }


def test_descriptions() -> None:
    assert describe_history(simulation(), [WHOLE, FILTERED]).endswith(
        "to the 14 events of the Runs trees; 7 are left"
    )
    assert "40 events, as stated; 5 are left" in describe_history(
        simulation(n_events=40), [UNKNOWN]
    )
    assert "Σ weight 40, as stated; 5 events" in describe_history(simulation(sumw=40), [UNKNOWN])
    assert describe_history(simulation(), [UNKNOWN]) == describe_history(data(), [UNKNOWN]) == ""


@pytest.mark.parametrize(
    ("known", "match"),
    [
        ({"kind": "data", "sumw": 2.0}, "data cannot have sumw"),
        ({"kind": "data", "n_events": 2}, "data cannot have n_events"),
        ({"kind": "signal", "sumw": 2.0, "n_events": 2}, "expected one of sumw, n_events"),
        ({"kind": "data", "accept": ["unknown_history"]}, "data can accept simulation_as_data"),
        ({"kind": "signal", "accept": ["other_year"]}, "signal can accept unknown_history"),
        ({"kind": "signal", "accept": ["all"]}, "unknown_history"),
    ],
)
def test_statements_that_make_no_sense(known: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Dataset.model_validate({"files": ["a.root"], **known})
