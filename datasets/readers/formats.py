"""The formats that keep jet constituents, and which one a file is of."""

from __future__ import annotations

from collections.abc import Collection

from oddjet.datasets.readers.reader import Reader
from oddjet.errors import ConfigError, MissingBranchError, NoConstituentsError
from oddjet.registry import Registry, load_object

__all__ = ["READERS", "find_reader"]

_AK8 = {"jet": "FatJet", "gen_jet": "GenJetAK8", "gen_jet_index": "FatJet_genJetAK8Idx"}
_AK4 = {"jet": "Jet", "gen_jet": "GenJet", "gen_jet_index": "Jet_genJetIdx"}
_PFNANO = {"link_index": "pFCandsIdx", "candidates": "PFCands"}

# AK8 jets are made of PUPPI-weighted candidates, so PFNano's weights are applied; Run-2 AK4 jets are
# made with charged-hadron subtraction, so there they are not.
_READERS = (
    Reader(
        name="nanoaod_v15",
        **_AK8,
        radius=0.8,
        links="FatJetPFCand",
        link_index="pfCandIdx",
        candidates="PFCand",
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
        description="CMS PFNano: AK4 (CHS)",
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


def find_reader(branches: Collection[str], *, jet: str = "AK8", where: str = "") -> Reader:
    """Find the reader of a file's format.

    Args:
        branches: The file's branches.
        jet: AK8 or AK4.
        where: The file, for messages.

    Raises:
        NoConstituentsError: If the format does not keep constituents of these jets.
        MissingBranchError: If the format is known but branches of it are missing.
        ConfigError: If the jets are neither AK8 nor AK4.
    """
    if jet not in _RADII:
        msg = f"jet: expected AK8 or AK4, received {jet!r}"
        raise ConfigError(msg)
    candidates = [reader for reader in READERS.usable() if reader.radius == _RADII[jet]]
    at = f"{where}: " if where else ""
    for reader in candidates:
        if reader.signature not in branches:
            continue
        if missing := [branch for branch in reader.required if branch not in branches]:
            msg = (
                f"{at}looks like {reader.name} ({reader.signature} is there) but lacks {', '.join(missing)};"
                " keep these branches when slimming files"
            )
            raise MissingBranchError(msg)
        return reader
    looked_for = " or ".join(reader.signature for reader in candidates)
    known = "; ".join(reader.description for reader in READERS.usable())
    others = [r for r in READERS.usable() if r.radius != _RADII[jet] and r.signature in branches]
    instead = (
        f"The file has them for {', '.join(_name(r) for r in others)}: ask for jet={_name(others[0])}."
        if others
        else "NanoAOD before v15 does not keep them: use the same data set's NanoAODv15 or PFNano production, or"
        " simulate with `oddjet simulate`."
    )
    msg = (
        f"{at}no constituents of {jet} jets: looked for the branch {looked_for}. Formats that have constituents:"
        f" {known}. {instead}"
    )
    raise NoConstituentsError(msg)


def _name(reader: Reader) -> str:
    return next(name for name, radius in _RADII.items() if radius == reader.radius)
