from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from oddjet.analysis.studies.reproduce.windows import WINDOWS, get_window, is_leading, ready_window
from oddjet.datasets.files.fileset import load_fileset
from oddjet.datasets.jets import Truth
from oddjet.datasets.skims.skim import Skim
from oddjet.errors import ConfigError


def test_every_window_has_its_samples_in_the_catalogue() -> None:
    datasets = load_fileset("catalog:reproduce").datasets
    for window in WINDOWS.values():
        assert datasets[window.background].kind == "background"
        for signal in window.signals:
            assert datasets[signal].kind == "signal"
            assert datasets[signal].truth


def test_windows_that_share_a_skim_select_alike() -> None:
    shared = {window.folder: window.selection for window in WINDOWS.values()}
    assert all(shared[window.folder] == window.selection for window in WINDOWS.values())


def test_the_pt_hat_of_a_background_lies_well_below_its_cut() -> None:
    datasets = load_fileset("catalog:reproduce").datasets
    for window in WINDOWS.values():
        request = datasets[window.background].simulate
        assert request is not None
        assert request.pt_hat_min is not None
        assert request.pt_hat_min <= 0.91 * window.selection.pt_min


def test_roles_share_no_event_and_leave_none_out(toy_skims: Callable[[str], Skim]) -> None:
    window, skim = get_window("top"), toy_skims("top")
    roles = [window.jets(skim, "qcd_top", r, nominal=True) for r in ("train", "validation", "test")]
    events = [set(np.asarray(jets["event"])) for jets in roles]
    assert sum(len(jets) for jets in roles) == len(skim.jets("qcd_top"))
    assert not (events[0] & events[1])
    assert not (events[0] & events[2])
    assert not (events[1] & events[2])
    chosen, quoted = (window.jets(skim, "top", r, nominal=False) for r in ("validation", "test"))
    assert len(chosen) + len(quoted) == len(skim.jets("top"))
    assert not set(np.asarray(chosen["event"])) & set(np.asarray(quoted["event"]))


def test_a_window_keeps_its_labels_its_pt_and_leading_jets(
    toy_skims: Callable[[str], Skim],
) -> None:
    skim = toy_skims("ene")
    jets = get_window("ene").jets(skim, "top", "test", nominal=False)
    assert len(set(np.asarray(jets["event"]))) == len(jets)
    assert (np.asarray(jets["label"]) >= Truth.MERGED).all()
    narrow = get_window("top").jets(skim, "top", "test", nominal=False)
    assert ((narrow["pt"] >= 550) & (narrow["pt"] < 650)).to_list() == [True] * len(narrow)


def test_the_leading_jet_is_the_hardest_of_its_event() -> None:
    rng = np.random.default_rng(1)
    jets = ak.zip(
        {
            "run": rng.integers(1, 3, 300),
            "luminosityBlock": rng.integers(1, 3, 300),
            "event": rng.integers(1, 30, 300),
            "pt": rng.integers(200, 220, 300).astype(float),
        }
    )
    best: dict[tuple[int, ...], int] = {}
    for i, jet in enumerate(jets.to_list()):
        key = (jet["run"], jet["luminosityBlock"], jet["event"])
        if key not in best or jet["pt"] > jets[best[key]].pt:
            best[key] = i
    np.testing.assert_array_equal(np.flatnonzero(is_leading(jets)), sorted(best.values()))
    assert is_leading(jets[:0]).tolist() == []


def test_an_unknown_window_and_a_fileset_that_lacks_a_sample_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown window 'tops'.*Did you mean 'top'"):
        get_window("tops")
    with pytest.raises(ConfigError, match="the fileset lacks qcd_dark, aachen, heidelberg"):
        ready_window(
            "dark", tmp_path, samples=tmp_path, fileset=load_fileset("catalog:khanal_pfnano")
        )
