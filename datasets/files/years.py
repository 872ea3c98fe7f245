"""Years of data taking: how they are written, and which runs of CMS are of them."""

from __future__ import annotations

import re

__all__ = ["runs_of_year", "year_of_run", "years_in"]

_YEAR = re.compile(r"(?:20(?=[12])|UL[^0-9]?|(?:Summer|Winter|Fall)(?=2[2-9]))([12]\d)(?!\d)")

_FIRST_RUNS = {
    2010: 132_000, 2011: 157_000, 2012: 186_000, 2013: 210_000, 2015: 230_000, 2016: 265_000,
    2017: 290_000, 2018: 310_000, 2022: 347_000, 2023: 363_000, 2024: 376_000, 2025: 389_000,
    2026: 400_000,
}  # fmt: skip
"""CMS: the first run number of each year of data taking. The borders lie in the winter stops, between the runs that the files of
certified blocks have in their names, such as Cert_Collisions2024_378981_386951_Golden.json."""

_LAST_RUN = 500_000
_PARTS = {
    (2016, "pre"): (0, 278_808), (2016, "post"): (278_769, _LAST_RUN),
    (2022, "pre"): (0, 359_021), (2022, "post"): (359_022, _LAST_RUN),
    (2023, "pre"): (0, 369_802), (2023, "post"): (369_803, _LAST_RUN),
}  # fmt: skip
"""First and last run of the parts of a year that are called by name: 2016 preVFP (HIPM, APV) and postVFP, which share era F; 2022 and 2022EE; 2023
and 2023BPix."""


def years_in(text: str) -> tuple[int, ...]:
    """List the years that a text names, as in 2024, 2016preVFP, UL18, Run3Summer22EE, 2016-2018.

    >>> [years_in(text) for text in ("2016-2018", "RunIISummer20UL16", "Run3Summer22EE", "Run3")]
    [(2016, 2018), (2016,), (2022,), ()]
    """
    return tuple(2000 + int(match[1]) for match in _YEAR.finditer(text))


def year_of_run(run: int) -> int | None:
    """Tell the year of a run of data by its number; None for those before any, such as 1 of simulation."""
    return max((year for year, first in _FIRST_RUNS.items() if first <= run), default=None)


def runs_of_year(text: str) -> tuple[int, int] | None:
    """Give the first and last run of the years that a text names; None if it names none.

    >>> runs_of_year("2018"), runs_of_year("2022EE"), runs_of_year("early")
    ((310000, 346999), (359022, 362999), None)
    """
    years = years_in(text)
    if not years or not set(years) <= set(_FIRST_RUNS):
        return None
    later = [first for year, first in _FIRST_RUNS.items() if year > max(years)]
    span = (_FIRST_RUNS[min(years)], min(later, default=_LAST_RUN) - 1)
    is_early = re.search("pre|APV|HIPM", text)
    part = "pre" if is_early else "post" if re.search("post|EE|BPix", text) else ""
    first, last = _PARTS.get((years[0], part), span) if len(years) == 1 else span
    return max(first, span[0]), min(last, span[1])
