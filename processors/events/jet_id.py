"""Tight jet ID: is the jet made of particles, or of noise? By year and by how pile-up was removed.

References:
    Values: `PFJetIDSelectionFunctor.h` of CMSSW, versions RUN2UL16CHS, RUN2UL16PUPPI, RUN2ULCHS and RUN2ULPUPPI
    (cms-sw/cmssw#30638 and #33826; CMS TWiki JetID13TeVUL), from which jetId of NanoAODv9 was made; for PUPPI
    jets of Run 3 the CMS TWiki page JetID13p6TeV and `jetid.json` of the JME POG. AK8 jets take the values of
    AK4 jets of the same kind.
    Wrong flags: jetId of NanoAODv12 is wrong beyond |η| = 2.7, that of v13 and v14 everywhere
    (JetID13p6TeV#nanoAOD_Flags; PocketCoffea#318 and #427; columnflow#661). v15 has none (cms-sw/cmssw#46085).
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from oddjet.datasets.files.years import year_of_run, years_in
from oddjet.errors import InputError
from oddjet.processors.events.objects import Objects
from oddjet.typing import Bools

__all__ = [
    "COMPARED",
    "JetId",
    "choose_jet_id",
    "choose_jet_ids",
    "era_of",
    "era_of_run",
    "jet_id_fields",
    "passes_jet_id",
    "passes_jet_ids",
]

_TIGHT_BIT = 1
_RUN_3 = "Run 3"
_GOOD_FLAG = 2.7
_COMPOSITION = ("chHEF", "neHEF", "neEmEF", "chMultiplicity", "neMultiplicity")
COMPARED = ("jetId", *_COMPOSITION)
"""What the jet ID compares of jets, where it is read."""

Region = tuple[float, dict[str, tuple[float, float]]]
"""Up to which |η|, and between which values (excluded) each quantity must be."""


def _central(eta: float, *, neutral: float, charged: float) -> Region:
    cuts = {"neHEF": (-math.inf, neutral), "neEmEF": (-math.inf, 0.9), "chHEF": (charged, math.inf)}
    return eta, {**cuts, "chMultiplicity": (0, math.inf), "multiplicity": (1, math.inf)}


def _below(**limits: float) -> dict[str, tuple[float, float]]:
    return {name: (-math.inf, limit) for name, limit in limits.items()}


def _above(**limits: float) -> dict[str, tuple[float, float]]:
    return {name: (limit, math.inf) for name, limit in limits.items()}


_TRANSITION = _below(neHEF=0.9, neEmEF=0.99)
_FORWARD_CHS = _above(neHEF=0.2, neMultiplicity=10) | _below(neEmEF=0.9)
_FORWARD_PUPPI = _above(neMultiplicity=2) | _below(neEmEF=0.9)
_UL_CHS: tuple[Region, ...] = (
    _central(2.6, neutral=0.9, charged=0.0),
    (2.7, _TRANSITION | _above(chMultiplicity=0)),
    (3.0, {"neEmEF": (0.01, 0.99)} | _above(neMultiplicity=2)),
    (math.inf, _FORWARD_CHS),
)
_UL_PUPPI: tuple[Region, ...] = (
    _central(2.6, neutral=0.9, charged=0.0),
    (2.7, _TRANSITION),
    (3.0, _below(neHEF=0.9999)),
    (math.inf, _FORWARD_PUPPI),
)
_RULES: dict[tuple[str, str], tuple[Region, ...]] = {
    ("2016", "CHS"): (
        _central(2.4, neutral=0.9, charged=0.0),
        (2.7, _TRANSITION),
        (3.0, {"neEmEF": (0.0, 0.99)} | _below(neHEF=0.9) | _above(neMultiplicity=1)),
        (math.inf, _FORWARD_CHS),
    ),
    ("2016", "PUPPI"): (
        _central(2.4, neutral=0.9, charged=0.0),
        (2.7, _below(neHEF=0.98, neEmEF=0.99)),
        (3.0, _above(neMultiplicity=1)),
        (math.inf, _FORWARD_PUPPI),
    ),
    ("2017", "CHS"): _UL_CHS,
    ("2017", "PUPPI"): _UL_PUPPI,
    ("2018", "CHS"): _UL_CHS,
    ("2018", "PUPPI"): _UL_PUPPI,
    (_RUN_3, "PUPPI"): (
        _central(2.6, neutral=0.99, charged=0.01),
        (2.7, _TRANSITION),
        (3.0, _below(neHEF=0.99)),
        (math.inf, _above(neMultiplicity=1) | _below(neEmEF=0.4)),
    ),
}


@dataclass(frozen=True)
class JetId:
    """How the tight ID of jets is found.

    Attributes:
        how: From the file's `flag`, from the flag `mended` beyond |η| = 2.7, or `computed` from what the
            jet is made of.
        era: 2016, 2017, 2018 or Run 3; of flags, empty if it does not matter.
        mitigation: PUPPI or CHS.
        is_assumed: Whether nothing says the era, and Run 3 is assumed.
    """

    how: Literal["flag", "mended", "computed"]
    era: str
    mitigation: str
    is_assumed: bool = False

    def describe(self) -> str:
        """Describe it in a line."""
        if self.how == "flag":
            return "tight jet ID: jetId of the file"
        if self.how == "mended":
            return "tight jet ID: jetId of the file, mended beyond |η| = 2.7, where that of NanoAODv12 is wrong"
        assumed = "; no year is stated, so Run 3 is assumed" if self.is_assumed else ""
        return f"tight jet ID: computed for {self.mitigation} jets of {self.era}{assumed}"


def era_of(year: str) -> str:
    """Read for which era of data taking a year stands; empty if it does not tell one.

    >>> [era_of(year) for year in ("2016APV", "UL18", "Summer22EE", "2022-2024", "Run3", "2016-2018")]
    ['2016', '2018', 'Run 3', 'Run 3', 'Run 3', '']
    """
    if eras := {_era(number) for number in years_in(year)}:
        return eras.pop() if len(eras) == 1 else ""
    return _RUN_3 if re.search(r"Run ?(3|III)", year) else ""


def era_of_run(run: int) -> str:
    """Tell the era of a run of data by its number; empty for those of no era, such as 1 of simulation."""
    return _era(year_of_run(run) or 0)


def _era(year: int) -> str:
    return _RUN_3 if year >= 2022 else str(year) if year >= 2015 else ""


def jet_id_fields(available: Collection[str], prefix: str, *, eta_max: float) -> tuple[str, ...]:
    """List the fields that the jet ID of a file needs.

    Args:
        available: The file's branches.
        prefix: Jets' prefix, such as FatJet.
        eta_max: Greatest |η| of the jets.

    Returns:
        jetId where the file has it, and what the jet is made of where that is known, or asked for because
        there is no jetId.
    """
    known = [name for name in _COMPOSITION if f"{prefix}_{name}" in available]
    if f"{prefix}_jetId" not in available:
        return _COMPOSITION
    if len(known) == len(_COMPOSITION):
        return ("jetId", *_COMPOSITION)
    forward = [name for name in ("neHEF", "neEmEF") if name in known and eta_max > _GOOD_FLAG]
    return ("jetId", *forward)


def choose_jet_id(
    fields: Collection[str], *, era: str, mitigation: str, eta_max: float, where: str
) -> JetId:
    """Choose how the tight ID is found.

    Args:
        fields: What `jet_id_fields` listed.
        era: What `era_of` or `era_of_run` gave.
        mitigation: PUPPI or CHS, as the reader says.
        eta_max: Greatest |η| of the jets.
        where: The file, for messages.

    Raises:
        InputError: If the values for these jets are not known, or a jetId that may be wrong cannot be mended.
    """
    is_computable = set(_COMPOSITION) <= set(fields)
    if "jetId" in fields and (not is_computable or era not in ("", _RUN_3)):
        if eta_max <= _GOOD_FLAG or era not in ("", _RUN_3):
            return JetId("flag", era, mitigation)
        if era == _RUN_3 and {"neHEF", "neEmEF"} <= set(fields):
            return JetId("mended", era, mitigation)
        msg = (
            f"{where}: jetId of NanoAODv12 is wrong beyond |η| = 2.7, and "
            + (
                "neHEF and neEmEF are not there to mend it"
                if era
                else "nothing says if this is such a file"
            )
            + f": set selection.eta_max to at most {_GOOD_FLAG} (it is {eta_max:g}), "
            + ("" if era else "state the dataset's year, ")
            + "or set selection.jet_id to false"
        )
        raise InputError(msg)
    chosen = JetId("computed", era or _RUN_3, mitigation, is_assumed=not era)
    if (chosen.era, mitigation) not in _RULES:
        known = ", ".join(f"{kind} jets of {year}" for year, kind in _RULES)
        msg = (
            f"{where}: there is no jetId, and the jet ID of {mitigation} jets of {chosen.era} is not known; known"
            f" are {known}. State another year of the dataset, or set selection.jet_id to false"
        )
        raise InputError(msg)
    return chosen


def choose_jet_ids(
    fields: Collection[str], *, year: str, runs: npt.NDArray[Any], **known: Any
) -> list[tuple[JetId, Bools]]:
    """Choose how the tight ID is found in each event: by the year that is stated, else by its run.

    Args:
        fields: What `jet_id_fields` listed.
        year: As the dataset states it; empty if it does not.
        runs: Run of each event (n_events); 0 in simulation.
        **known: mitigation, eta_max and where of `choose_jet_id`.

    Returns:
        For each era, how, and which events are of it (n_events).

    Raises:
        InputError: See `choose_jet_id`.
    """
    stated = era_of(year)
    numbers, place = np.unique(runs, return_inverse=True)
    eras = np.array([stated or era_of_run(int(number)) for number in numbers], np.str_)[place]
    return [
        (choose_jet_id(fields, era=era, **known), eras == era) for era in np.unique(eras).tolist()
    ]


def passes_jet_ids(jets: Objects, jet_ids: Iterable[tuple[JetId, Bools]]) -> Bools:
    """Find which jets pass the tight ID of their event, as `choose_jet_ids` chose it: bool (n_jets)."""
    passed = np.zeros(len(jets), bool)
    for jet_id, is_of_era in jet_ids:
        passed |= passes_jet_id(jets, jet_id) & is_of_era[jets.event]
    return passed


def passes_jet_id(jets: Objects, jet_id: JetId) -> Bools:
    """Find which jets pass the tight ID.

    Args:
        jets: With eta, and what `jet_id_fields` listed: jetId (bit 1 is "tight"), the energy fractions
            chHEF neHEF neEmEF, and chMultiplicity, neMultiplicity.
        jet_id: How.

    Returns:
        bool (n_jets).
    """
    eta = np.abs(jets["eta"])
    if jet_id.how == "computed":
        return _computed(jets, eta, _RULES[jet_id.era, jet_id.mitigation])
    tight: Bools = (jets["jetId"].astype(np.int64) >> _TIGHT_BIT) & 1 == 1
    if jet_id.how == "mended":
        forward = np.where(eta <= 3.0, jets["neHEF"] < 0.99, jets["neEmEF"] < 0.4)
        tight &= (eta <= _GOOD_FLAG) | forward
    return tight


def _computed(jets: Objects, eta: npt.NDArray[Any], regions: tuple[Region, ...]) -> Bools:
    charged, neutral = (jets[f"{kind}Multiplicity"].astype(np.int64) for kind in ("ch", "ne"))
    numbers = {"chMultiplicity": charged, "neMultiplicity": neutral}
    numbers["multiplicity"] = charged + neutral
    passed = np.zeros(len(jets), bool)
    inner = -1.0
    for outer, cuts in regions:
        inside = (eta > inner) & (eta <= outer)
        for name, (low, high) in cuts.items():
            values = numbers[name] if name in numbers else jets[name]
            inside &= (values > low) & (values < high)
        passed |= inside
        inner = outer
    return passed
