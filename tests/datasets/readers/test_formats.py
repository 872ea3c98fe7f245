from __future__ import annotations

from pathlib import Path

import pytest

from oddjet.datasets.files.rootfiles import inspect_root
from oddjet.datasets.readers import READERS, find_reader
from oddjet.datasets.readers.formats import find_readers
from oddjet.errors import ConfigError, MissingBranchError, NoConstituentsError


@pytest.mark.parametrize("name", READERS)
def test_each_reader_is_found_by_its_branches(name: str) -> None:
    reader = READERS[name]
    jet = "AK8" if reader.radius == 0.8 else f"AK4{reader.mitigation}"
    assert find_reader(reader.required, jet=jet) is reader


CHS, PUPPI = READERS["pfnano_ak4"], READERS["pfnano_ak4_puppi"]


def test_how_pile_up_is_removed_is_asked_for_or_told_by_the_file() -> None:
    branches = PUPPI.required
    assert find_readers(branches, jet="AK4") == (CHS, PUPPI)
    assert find_readers(branches, jet="AK4PUPPI") == (PUPPI,)
    for title, reader in (("ak4 PFJets CHS with JECs", CHS), ("ak4 PFJets Puppi with JECs", PUPPI)):
        assert find_readers(branches, jet="AK4", titles={"Jet": title}) == (reader,)
    assert find_readers(branches, jet="AK4", titles={"FatJet": "Puppi"}) == (CHS, PUPPI)
    assert find_readers(CHS.required, jet="AK4") == (CHS,)
    with pytest.raises(MissingBranchError, match=r"pfnano_ak4_puppi .* lacks PFCands_puppiWeight"):
        find_readers(CHS.required, jet="AK4", titles={"Jet": "slimmedJetsPuppi"})


def test_missing_branches_are_all_named() -> None:
    branches = set(READERS["nanoaod_v15"].required) - {"PFCand_eta", "PFCand_pdgId"}
    with pytest.raises(MissingBranchError, match=r"a\.root: .* PFCand_eta, PFCand_pdgId"):
        find_reader(branches, where="a.root")


def test_other_jets_are_suggested() -> None:
    with pytest.raises(NoConstituentsError, match="ask for jet=AK8"):
        find_reader(READERS["nanoaod_v15"].required, jet="AK4")
    with pytest.raises(ConfigError, match=r"AK8 or AK4 .*received 'AK15'"):
        find_reader([], jet="AK15")


@pytest.mark.samples
@pytest.mark.parametrize(
    "name", ["nano_tt_v12.root", "nano_dy.root", "nanoAOD_2015_CMS_Open_Data_ttbar.root"]
)
@pytest.mark.parametrize("jet", ["AK8", "AK4"])
def test_real_files_without_constituents_say_what_to_use(
    samples: Path, name: str, jet: str
) -> None:
    file = inspect_root(samples / name)
    with pytest.raises(NoConstituentsError) as caught:
        find_reader(file.branches, jet=jet, where=file.path)
    message = str(caught.value)
    assert name in message
    looked_for = (
        ["FatJetPFCand_jetIdx", "FatJetPFCands_jetIdx"] if jet == "AK8" else ["JetPFCands_jetIdx"]
    )
    for word in [*looked_for, "NanoAODv15", "PFNano", "simulate"]:
        assert word in message


@pytest.mark.samples
@pytest.mark.parametrize(
    ("name", "jet", "reader"),
    [
        ("nano_tt_v15.root", "AK8", "nanoaod_v15"),
        ("pfnano.root", "AK8", "pfnano_ak8"),
        ("pfnano.root", "AK4", "pfnano_ak4"),
    ],
)
def test_real_files_with_constituents(samples: Path, name: str, jet: str, reader: str) -> None:
    branches = inspect_root(samples / name).branches
    chosen = find_reader(branches, jet=jet)
    assert chosen.name == reader
    assert set(chosen.branches(branches)) <= branches
    assert chosen.branches()[:4] == tuple(f"{chosen.jet}_{f}" for f in ("pt", "eta", "phi", "mass"))
    assert f"{chosen.gen_jet}_pt" in chosen.branches(branches)
