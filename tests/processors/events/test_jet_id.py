"""The jet ID against the tables of its references, written out jet by jet."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from oddjet.errors import InputError
from oddjet.processors.events.jet_id import (
    JetId,
    choose_jet_id,
    choose_jet_ids,
    era_of,
    era_of_run,
    jet_id_fields,
    passes_jet_id,
    passes_jet_ids,
)
from oddjet.processors.events.objects import Objects

GOOD = {
    "eta": 0.0,
    "chHEF": 0.6,
    "neHEF": 0.1,
    "neEmEF": 0.3,
    "chMultiplicity": 20,
    "neMultiplicity": 10,
}
COMPOSITION = ("chHEF", "neHEF", "neEmEF", "chMultiplicity", "neMultiplicity")
RUN_3 = JetId("computed", "Run 3", "PUPPI")


def passes(jet_id: JetId = RUN_3, **changes: float) -> bool:
    columns = {name: np.array([value]) for name, value in (GOOD | changes).items()}
    return bool(passes_jet_id(Objects(np.array([0, 1]), columns), jet_id)[0])


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
def test_puppi_jets_of_run_3_by_region(changes: dict[str, float], expected: bool) -> None:
    assert passes(**changes) is expected


def of_cmssw(era: str, mitigation: str, jet: dict[str, Any]) -> bool:
    """The tight selections of PFJetIDSelectionFunctor.h for legacy Run 2, as a chain of ifs."""
    eta, chf, nhf, nef = abs(jet["eta"]), jet["chHEF"], jet["neHEF"], jet["neEmEF"]
    nch, neutrals = jet["chMultiplicity"], jet["neMultiplicity"]
    puppi, legacy16 = mitigation == "PUPPI", era == "2016"
    if eta <= (2.4 if legacy16 else 2.6):
        return bool(chf > 0 and nch > 0 and nch + neutrals > 1 and nef < 0.9 and nhf < 0.9)
    if eta <= 2.7:
        if legacy16:
            return bool(nhf < (0.98 if puppi else 0.9) and nef < 0.99)
        return bool(nhf < 0.9 and nef < 0.99 and (puppi or nch > 0))
    if eta <= 3.0:
        if legacy16:
            return bool(neutrals > 1 and (puppi or (nhf < 0.9 and 0 < nef < 0.99)))
        return bool(nhf < 0.9999 if puppi else 0.01 < nef < 0.99 and neutrals > 2)
    if puppi:
        return bool(nef < 0.9 and neutrals > 2)
    return bool(nhf > 0.2 and nef < 0.9 and neutrals > 10)


@pytest.mark.parametrize(
    ("era", "mitigation"), [*itertools.product(("2016", "2017", "2018"), ("CHS", "PUPPI"))]
)
def test_legacy_run_2_is_that_of_cmssw(era: str, mitigation: str) -> None:
    rng = np.random.default_rng(1)
    n = 20_000
    edges = np.array([0.0, 0.005, 0.1, 0.25, 0.6, 0.895, 0.95, 0.985, 0.995, 0.99995])
    columns = {
        "eta": rng.uniform(-4, 4, n),
        **{name: rng.choice(edges, n) for name in ("chHEF", "neHEF", "neEmEF")},
        "chMultiplicity": rng.integers(0, 4, n),
        "neMultiplicity": rng.choice([0, 1, 2, 3, 10, 11], n),
    }
    passed = passes_jet_id(Objects(np.array([0, n]), columns), JetId("computed", era, mitigation))
    rows = [{name: values[i] for name, values in columns.items()} for i in range(n)]
    assert passed.tolist() == [of_cmssw(era, mitigation, row) for row in rows]
    assert 0.01 < passed.mean() < 0.9


def test_years_differ_where_they_should() -> None:
    jet = {"neHEF": 0.95, "chHEF": 0.04}
    assert passes(RUN_3, **jet)
    assert not passes(JetId("computed", "2018", "PUPPI"), **jet)
    edge = {"eta": 2.5, "chMultiplicity": 0, "chHEF": 0.0}
    assert passes(JetId("computed", "2016", "PUPPI"), **edge)
    assert not passes(JetId("computed", "2018", "PUPPI"), **edge)


def test_small_unsigned_multiplicities_do_not_wrap() -> None:
    columns = {name: np.array([value]) for name, value in GOOD.items()}
    columns["chMultiplicity"] = np.array([200], np.uint8)
    columns["neMultiplicity"] = np.array([57], np.uint8)
    assert passes_jet_id(Objects(np.array([0, 1]), columns), RUN_3).all()


def flagged(**columns: Any) -> Objects:
    n = len(columns["eta"])
    return Objects(np.array([0, n]), {name: np.asarray(values) for name, values in columns.items()})


def test_bit_1_of_the_files_own_id() -> None:
    jets = flagged(eta=np.zeros(5), jetId=np.array([0, 1, 2, 4, 6], np.uint8))
    passed = passes_jet_id(jets, JetId("flag", "", "PUPPI"))
    assert passed.tolist() == [False, False, True, False, True]


def test_the_flag_of_nanoaodv12_is_mended_beyond_2_7() -> None:
    """The recipe of JetID13p6TeV#nanoAOD_Flags."""
    jets = flagged(
        eta=[2.7, 2.8, 2.8, 2.8, 3.0, 3.1, -3.1, -3.1],
        jetId=[2, 2, 2, 0, 2, 6, 6, 4],
        neHEF=[1.0, 0.9, 0.99, 0.1, 0.5, 1.0, 1.0, 0.0],
        neEmEF=[1.0, 0.9, 0.10, 0.1, 0.9, 0.39, 0.4, 0.0],
    )
    passed = passes_jet_id(jets, JetId("mended", "Run 3", "PUPPI"))
    assert passed.tolist() == [True, True, False, False, True, True, False, False]


@pytest.mark.parametrize(
    ("fields", "era", "eta_max", "how"),
    [
        (COMPOSITION, "", 2.0, "computed"),  # NanoAODv15
        (COMPOSITION, "2018", 5.0, "computed"),
        (("jetId", *COMPOSITION), "Run 3", 2.0, "computed"),  # v13 and v14: the flag is wrong
        (("jetId", *COMPOSITION), "", 2.0, "computed"),
        (("jetId", *COMPOSITION), "2018", 5.0, "flag"),
        (("jetId",), "2016", 5.0, "flag"),  # v9
        (("jetId",), "", 2.7, "flag"),
        (("jetId",), "Run 3", 2.5, "flag"),  # v12
        (("jetId", "neHEF", "neEmEF"), "Run 3", 4.7, "mended"),
    ],
)
def test_the_choice_follows_file_and_year(
    fields: tuple[str, ...], era: str, eta_max: float, how: str
) -> None:
    chosen = choose_jet_id(fields, era=era, mitigation="PUPPI", eta_max=eta_max, where="a.root")
    assert chosen.how == how
    if how == "computed":
        assert chosen.era == (era or "Run 3")
        assert ("no year is stated" in chosen.describe()) == (not era)
    else:
        assert "jetId of the file" in chosen.describe()


@pytest.mark.parametrize(
    ("fields", "era", "mitigation", "message"),
    [
        (("jetId",), "Run 3", "PUPPI", r"a\.root: .*neHEF and neEmEF are not there to mend it"),
        (("jetId", "neHEF", "neEmEF"), "", "PUPPI", r"state the dataset's year"),
        (
            COMPOSITION,
            "Run 3",
            "CHS",
            r"CHS jets of Run 3 is not known; .*selection.jet_id to false",
        ),
        (COMPOSITION, "2015", "PUPPI", r"PUPPI jets of 2015 is not known"),
    ],
)
def test_what_is_not_known_is_refused(
    fields: tuple[str, ...], era: str, mitigation: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        choose_jet_id(fields, era=era, mitigation=mitigation, eta_max=4.7, where="a.root")


def test_fields_by_file() -> None:
    everything = {f"Jet_{name}" for name in COMPOSITION}
    assert jet_id_fields({"FatJet_jetId", "Jet_pt"}, "FatJet", eta_max=2.0) == ("jetId",)
    assert jet_id_fields({"FatJet_jetId"}, "Jet", eta_max=2.0) == COMPOSITION
    flag = {"Jet_jetId", "Jet_neHEF", "Jet_neEmEF"}
    assert jet_id_fields(flag, "Jet", eta_max=2.7) == ("jetId",)
    assert jet_id_fields(flag, "Jet", eta_max=4.7) == ("jetId", "neHEF", "neEmEF")
    both = {"Jet_jetId", *everything}
    assert jet_id_fields(both, "Jet", eta_max=2.0) == ("jetId", *COMPOSITION)


@pytest.mark.parametrize(
    ("year", "era"),
    [
        ("2016APV", "2016"),
        ("2016_PreVFP", "2016"),
        ("RunIISummer20UL16", "2016"),
        ("UL2017", "2017"),
        ("Run2018D", "2018"),
        ("2022_postEE", "Run 3"),
        ("Run3Summer23BPix", "Run 3"),
        ("2024", "Run 3"),
        ("2015", "2015"),
        ("nominal", ""),
        ("", ""),
    ],
)
def test_eras_of_years(year: str, era: str) -> None:
    assert era_of(year) == era


@pytest.mark.parametrize(
    ("run", "era"),
    [
        (1, ""),
        (283_876, "2016"),
        (305_040, "2017"),
        (319_991, "2018"),
        (359_022, "Run 3"),
        (381_000, "Run 3"),
    ],
)
def test_eras_of_runs(run: int, era: str) -> None:
    assert era_of_run(run) == era


def test_events_of_two_eras_take_the_id_of_their_own() -> None:
    """2018 and Run 3, in one chunk: one jet passes the cut of Run 3 on neHEF alone, for it is below 0.99 and above 0.9."""
    jet = {
        "eta": 1.0, "chHEF": 0.02, "neHEF": 0.95, "neEmEF": 0.03, "chMultiplicity": 2, "neMultiplicity": 3,
    }  # fmt: skip
    columns = {name: np.full(4, value) for name, value in jet.items()}
    jets = Objects(np.array([0, 1, 3, 4]), columns)
    known = {"mitigation": "PUPPI", "eta_max": 2.5, "where": "a.root"}
    runs = np.array([316_000, 362_000, 316_001])
    chosen = choose_jet_ids(columns, year="", runs=runs, **known)
    assert [(jet_id.era, events.tolist()) for jet_id, events in chosen] == [
        ("2018", [True, False, True]),
        ("Run 3", [False, True, False]),
    ]
    assert passes_jet_ids(jets, chosen).tolist() == [False, True, True, False]
    ((stated, events),) = choose_jet_ids(columns, year="2022", runs=runs, **known)
    assert (stated.era, events.all()) == ("Run 3", True)
    assert choose_jet_ids(columns, year="", runs=runs[:0], **known) == []
    with pytest.raises(InputError, match="of 2015 is not known"):
        choose_jet_ids(columns, year="", runs=np.array([251_000, 316_000]), **known)
