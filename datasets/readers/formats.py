"""The formats that keep jet constituents, and which one a file is of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from oddjet.datasets.readers.reader import Reader
from oddjet.errors import ConfigError, MissingBranchError, NoConstituentsError
from oddjet.registry import Registry, load_object

__all__ = ["READERS", "find_reader", "find_readers"]

_AK8: dict[str, Any] = {
    "jet": "FatJet",
    "gen_jet": "GenJetAK8",
    "gen_jet_index": "FatJet_genJetAK8Idx",
}
_AK4: dict[str, Any] = {"jet": "Jet", "gen_jet": "GenJet", "gen_jet_index": "Jet_genJetIdx"}
_PFNANO: dict[str, Any] = {"link_index": "pFCandsIdx", "candidates": "PFCands"}

# AK8 jets, and AK4 jets of Run 3, are made of PUPPI-weighted candidates, so PFNano's weights are applied;
# AK4 jets of Run 2 are made with charged-hadron subtraction, so there they are not. Central NanoAOD keeps
# candidates of jets with |η| < 2.5 (finalJetsAK8ConstituentsTable of PhysicsTools/NanoAOD), already weighted.
_READERS = (
    Reader(
        name="nanoaod_v15",
        **_AK8,
        radius=0.8,
        links="FatJetPFCand",
        link_index="pfCandIdx",
        candidates="PFCand",
        eta_max=2.5,
        description="central CMS NanoAODv15 and later, and oddjet's simulation: AK8",
    ),
    Reader(
        name="pfnano_ak8",
        **_AK8,
        **_PFNANO,
        radius=0.8,
        links="FatJetPFCands",
        weight="puppiWeight",
        description="CMS PFNano: AK8 (PUPPI)",
    ),
    Reader(
        name="pfnano_ak4",
        **_AK4,
        **_PFNANO,
        radius=0.4,
        links="JetPFCands",
        mitigation="CHS",
        description="CMS PFNano: AK4 (CHS)",
    ),
    Reader(
        name="pfnano_ak4_puppi",
        **_AK4,
        **_PFNANO,
        radius=0.4,
        links="JetPFCands",
        weight="puppiWeight",
        description="CMS PFNano of Run 3: AK4 (PUPPI)",
    ),
)


def _load_reader(path: str) -> Reader:
    reader = load_object(path)
    if not isinstance(reader, Reader):
        msg = f"{path!r} must be a Reader. Received: {reader!r}."
        raise ConfigError(msg)
    return reader


READERS: Registry[Reader] = Registry(
    "readers", {reader.name: reader for reader in _READERS}, load=_load_reader
)
"""Every reader by name, also those that other packages add."""

_RADII = {"AK8": 0.8, "AK4": 0.4}


def find_reader(
    branches: Collection[str],
    *,
    jet: str = "AK8",
    where: str = "",
    titles: Mapping[str, str] | None = None,
) -> Reader:
    """Find the reader of a file's format: the first of `find_readers`."""
    return find_readers(branches, jet=jet, where=where, titles=titles)[0]


def find_readers(
    branches: Collection[str],
    *,
    jet: str = "AK8",
    where: str = "",
    titles: Mapping[str, str] | None = None,
) -> tuple[Reader, ...]:
    """Find the readers of a file's format.

    Args:
        branches: The file's branches.
        jet: AK8 or AK4; AK4CHS or AK4PUPPI say how pile-up is removed too.
        where: The file, for messages.
        titles: What the file says of its jets, by their prefix: a title that names CHS or PUPPI is
            believed.

    Returns:
        One reader; or several that differ in how pile-up is removed alone, where neither the jets'
        name nor the file's titles tell, the one for Run 2 first.

    Raises:
        NoConstituentsError: If the format does not keep constituents of these jets.
        MissingBranchError: If the format is known but branches of it are missing.
        ConfigError: If the jets are neither AK8 nor AK4.
    """
    if (radius := _RADII.get(jet[:3])) is None or jet[3:] not in ("", "CHS", "PUPPI"):
        msg = f"jet: expected AK8 or AK4 (or AK4CHS, AK4PUPPI), received {jet!r}"
        raise ConfigError(msg)
    candidates = [
        reader
        for reader in READERS.usable()
        if reader.radius == radius and jet[3:] in ("", reader.mitigation)
    ]
    at = f"{where}: " if where else ""
    signature = next((r.signature for r in candidates if r.signature in branches), None)
    if signature is not None:
        fitting = [reader for reader in candidates if reader.signature == signature]
        text = {prefix: title.lower() for prefix, title in (titles or {}).items()}
        fitting = [r for r in fitting if r.mitigation.lower() in text.get(r.jet, "")] or fitting
        lacking = [[b for b in reader.required if b not in branches] for reader in fitting]
        if all(lacking):
            reader, missing = fitting[0], lacking[0]
            msg = (
                f"{at}looks like {reader.name} ({reader.signature} is there) but lacks {', '.join(missing)};"
                " keep these branches when slimming files"
            )
            raise MissingBranchError(msg)
        return tuple(r for r, missing in zip(fitting, lacking, strict=True) if not missing)
    raise _no_constituents(branches, candidates, jet, at)


def _no_constituents(
    branches: Collection[str], candidates: Sequence[Reader], jet: str, at: str
) -> NoConstituentsError:
    looked_for = " or ".join(dict.fromkeys(reader.signature for reader in candidates))
    known = "; ".join(reader.description for reader in READERS.usable())
    others = [r for r in READERS.usable() if r not in candidates and r.signature in branches]
    instead = (
        f"The file has them for {', '.join(dict.fromkeys(map(_name, others)))}: ask for jet={_name(others[0])}."
        if others
        else "NanoAOD before v15 does not keep them: use the same data set's NanoAODv15 or PFNano production, or"
        " simulate with `oddjet simulate`."
    )
    msg = (
        f"{at}no constituents of {jet} jets: looked for the branch {looked_for}. Formats that have constituents:"
        f" {known}. {instead}"
    )
    return NoConstituentsError(msg)


def _name(reader: Reader) -> str:
    return next(name for name, radius in _RADII.items() if radius == reader.radius)
