"""The branches that the selection reads of a file."""

from __future__ import annotations

from collections.abc import Collection

from oddjet.datasets.files.dataset import Kind
from oddjet.datasets.readers import Reader
from oddjet.errors import MissingBranchError
from oddjet.processors.events.jet_id import jet_id_fields
from oddjet.processors.events.selection import Selection
from oddjet.processors.events.triggers import find_triggers

__all__ = [
    "AXIS",
    "GEN_JET",
    "GEN_PART",
    "JET_COLUMNS",
    "LEPTON",
    "RAW_FACTOR",
    "jet_fields",
    "list_branches",
    "require_branches",
]

AXIS = ("pt", "eta", "phi", "mass")
JET_COLUMNS = ("msoftdrop", "tau1", "tau2", "tau3", "tau4")
"""Further quantities of jets, kept where the file has them."""
RAW_FACTOR = "rawFactor"
"""1 − raw pt / pt, read where the file has it."""
LEPTON = ("pt", "eta", "phi")
GEN_JET = AXIS
GEN_PART = ("eta", "phi", "pdgId", "statusFlags", "genPartIdxMother")


def list_branches(
    available: Collection[str],
    *,
    selection: Selection,
    reader: Reader,
    kind: Kind,
    truth: Collection[int] = (),
) -> tuple[str, ...]:
    """List the branches that selecting jets touches: these, and no others.

    Args:
        available: The file's branches.
        selection: The cuts.
        reader: The format.
        kind: Kind of the dataset.
        truth: |pdgId| of the resonances of a signal, or of a peak.

    Returns:
        Names of branches, whether or not the file has them; of `JET_COLUMNS` those it has.
    """
    jets = jet_fields(available, selection=selection, prefix=reader.jet)
    names = ["run", "luminosityBlock", "event", *selection.noise_filters]
    names += selection.triggers.branches(available)
    names += [f"{reader.jet}_{field}" for field in jets]
    if selection.lepton_delta_r is not None:
        names += [f"{lepton}_{field}" for lepton in ("Electron", "Muon") for field in LEPTON]
    if kind != "data":
        names.append("genWeight")
        if selection.gen_match_delta_r is not None:
            names += [f"{reader.gen_jet}_{field}" for field in GEN_JET]
        if kind in {"signal", "peaking"} and truth:
            names += [f"GenPart_{field}" for field in GEN_PART]
    return tuple(dict.fromkeys([*names, *reader.link_branches]))


def jet_fields(available: Collection[str], *, selection: Selection, prefix: str) -> list[str]:
    """List the fields of jets that are read: those that must be there, and the others that are."""
    optional = (*JET_COLUMNS, RAW_FACTOR)
    fields = [*AXIS, *(name for name in optional if f"{prefix}_{name}" in available)]
    if selection.jet_id:
        fields += jet_id_fields(available, prefix, eta_max=selection.eta_max)
    return fields


def require_branches(
    available: Collection[str],
    names: Collection[str],
    *,
    selection: Selection,
    kind: Kind,
    where: str,
) -> None:
    """Check that a file has what the selection reads.

    Raises:
        MissingBranchError: If branches are missing; the message lists all, and what to do.
    """
    problems = []
    try:
        find_triggers(available, selection.triggers)
    except MissingBranchError as error:
        problems.append(str(error))
    missing = [n for n in names if n not in available and not n.startswith("HLT_")]
    if missing:
        hint = _hint(missing, kind)
        problems.append(f"missing branches: {', '.join(missing)}{hint}")
    if problems:
        msg = f"{where} ({kind}): {'; '.join(problems)}"
        raise MissingBranchError(msg)


def _hint(missing: Collection[str], kind: Kind) -> str:
    generated = [name for name in missing if name.startswith(("Gen", "genWeight"))]
    if generated and kind != "data":
        return ". If these are real events, give the dataset kind: data; if not, keep them when slimming"
    if any(name.startswith("Flag_") for name in missing):
        return ". Take from noise_filters what this year of data does not have"
    if any(name.endswith(("HEF", "Multiplicity")) for name in missing):
        return ". Without them there is no jet ID: keep them when slimming, or set jet_id: false"
    return ". Keep them when slimming files"
