"""Reading spectra back, on a file made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import uproot

from oddjet.datasets.simulation.spectra import jet_pt, matched_masses


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "events.root"
    lists = "var * float32"
    with uproot.recreate(path) as file:
        tree = file.mktree(
            "Events",
            {
                **{f"FatJet_{key}": lists for key in ("pt", "eta", "phi", "msoftdrop")},
                **{f"GenPart_{key}": lists for key in ("eta", "phi")},
                "GenPart_pdgId": "var * int32",
                "GenPart_statusFlags": "var * uint16",
            },
        )
        tree.extend(
            {
                "FatJet_pt": [[500.0, 200.0, 190.0], [300.0]],
                "FatJet_eta": [[0.0, 2.5, -1.0], [0.5]],
                "FatJet_phi": [[3.1, 0.0, 1.0], [1.0]],
                "FatJet_msoftdrop": [[80.0, 70.0, 10.0], [82.0]],
                # A copy that is not the last, and one across ±π that is.
                "GenPart_eta": [[-1.0, 0.1], [0.6]],
                "GenPart_phi": [[1.0, -3.1], [1.1]],
                "GenPart_pdgId": [[24, -24], [6]],
                "GenPart_statusFlags": [[0, 1 << 13], [1 << 13]],
            }
        )
    return path


def test_jets_within_eta(path: Path) -> None:
    assert jet_pt(path).tolist() == [500, 190, 300]
    assert jet_pt(path, eta_max=3).tolist() == [500, 200, 190, 300]


def test_masses_around_last_copies(path: Path) -> None:
    assert matched_masses(path, (24,), pt_min=150).tolist() == [80]
    assert matched_masses(path, (24, 6), pt_min=150).tolist() == [80, 82]
    assert matched_masses(path, (24, 6), pt_min=150, pt_max=400).tolist() == [82]
    assert matched_masses(path, (), pt_min=150).tolist() == [80, 10, 82]
    assert np.size(matched_masses(path, (23,), pt_min=150)) == 0
