from __future__ import annotations

import pytest

from oddjet.datasets.files.years import runs_of_year, year_of_run, years_in


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("2018", (2018,)),
        ("UL2018", (2018,)),
        ("RunIISummer20UL18NanoAODv9", (2018,)),
        ("UL16APV", (2016,)),
        ("Run3Winter23", (2023,)),
        ("2016, 2017 and 2018", (2016, 2017, 2018)),
        ("Run3", ()),
        ("20181231", ()),
    ],
)
def test_years_in_names(text: str, years: tuple[int, ...]) -> None:
    assert years_in(text) == years


def test_runs_of_data_taking() -> None:
    """First and last runs of periods in published certification files."""
    periods = {
        2015: (254231, 260627), 2016: (272007, 284044), 2017: (297047, 306462),
        2018: (315252, 325175), 2022: (355100, 362760), 2023: (366442, 370790),
        2024: (378981, 386951), 2025: (391658, 398903), 2026: (401624, 403937),
    }  # fmt: skip
    for year, (first, last) in periods.items():
        assert {year_of_run(first), year_of_run(last)} == {year}
        span = runs_of_year(str(year))
        assert span is not None
        assert span[0] < first < last < span[1]
    assert year_of_run(1) is None


def test_parts_of_a_year_add_up_to_it() -> None:
    for year, early, late in (("2022", "2022preEE", "2022EE"), ("2023", "2023preBPix", "2023BPix")):
        whole, first, last = runs_of_year(year), runs_of_year(early), runs_of_year(late)
        assert whole is not None
        assert first is not None
        assert last is not None
        assert (first[0], last[1]) == whole
        assert first[1] + 1 == last[0]
    assert runs_of_year("2014") is None
    assert runs_of_year("2016-2018") == (265_000, 346_999)
