"""What files say of their history."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import uproot

from oddjet.datasets.files.history import FileHistory
from oddjet.datasets.files.rootfiles import inspect_root


@pytest.mark.parametrize("end", ["", "_"])
def test_history_of_a_file(tmp_path: Path, end: str) -> None:
    path = tmp_path / "a.root"
    with uproot.recreate(path) as file:
        file["Events"] = {"run": np.arange(3), "genWeight": np.ones(3)}
        file["Runs"] = {
            "run": np.array([7, 5]),
            f"genEventCount{end}": np.array([3, 1]),
            f"genEventSumw{end}": np.array([1.5, -0.25]),
        }
    assert inspect_root(path).history == FileHistory(
        n_entries=3, n_generated=4, sumw=1.25, runs=(5, 7), generated="genWeight"
    )


@pytest.mark.parametrize(
    ("branch", "is_generated"),
    [
        *((name, True) for name in (
            "genWeight", "genTtbarId", "GenJetAK8_pt", "nGenPart", "GenVtx_z", "GenMET_pt", "Generator_weight", "SubGenJetAK8_pt",
            "nSubGenJetAK8", "LHEScaleWeight", "nLHEPart", "LHE_HT", "PSWeight", "nPSWeight", "HTXS_njets30", "Pileup_nTrueInt",
            "Electron_genPartIdx", "Muon_genPartFlav", "Jet_genJetIdx", "FatJet_genJetAK8Idx", "Jet_hadronFlavour", "Jet_partonFlavour",
            "FatJet_nBHadrons", "Tau_genPartFlav", "GenCands_pt", "boostedTau_genPartIdx",
        )),
        *((name, False) for name in (
            "run", "FatJet_pt", "nFatJet", "Flag_goodVertices", "HLT_PFHT800", "HLT_Ele_genPartIdx", "PFCand_puppiWeight", "PV_npvs",
            "FatJet_particleNetMD_QCD", "Jet_nConstituents", "general", "genuine", "FatJet_nConstituents", "PuppiMET_pt", "LowPtElectron_pt",
        )),
    ],
)  # fmt: skip
def test_what_real_events_do_not_have(tmp_path: Path, branch: str, is_generated: bool) -> None:
    path = tmp_path / "a.root"
    with uproot.recreate(path) as file:
        file["Events"] = {"run": np.full(3, 360_000), branch: np.ones(3)}
    assert inspect_root(path).history.generated == (branch if is_generated else "")


def test_a_sum_that_is_not_finite_tells_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.root"
    with uproot.recreate(path) as file:
        file["Events"] = {"run": np.arange(3)}
        file["Runs"] = {"genEventCount": np.array([3, 1]), "genEventSumw": np.array([1.5, np.nan])}
    history = inspect_root(path).history
    assert (history.n_generated, history.sumw) == (4, None)


def test_history_of_data_and_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.root"
    with uproot.recreate(path) as file:
        file["Events"] = {"run": np.full(3, 8)}
        file["LuminosityBlocks"] = {"run": np.array([8, 9])}
    assert inspect_root(path).history == FileHistory(3, runs=(8, 9), has_blocks=True)
    with uproot.recreate(path) as file:
        file["Events"] = {"x": np.arange(2)}
    assert inspect_root(path).history == FileHistory(2)
