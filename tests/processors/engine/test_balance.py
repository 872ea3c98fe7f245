"""Which difference between constituents and jets is an error, in chunks, datasets and folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from chunks import one
from coffea.processor.executor import ExecutorBase

from oddjet.datasets.balance import Balance
from oddjet.datasets.files.dataset import Dataset, Fileset
from oddjet.datasets.skims.manifest import read_manifest
from oddjet.errors import BalanceError
from oddjet.processors.engine.balance import balance_notes, check_balance
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.events.selection import Selection
from oddjet.processors.run import run_skim


def balance_of(*ratios: float, is_raw: bool = True) -> Balance:
    particles = ak.Array([[{"pt": ratio, "phi": 0.0}] for ratio in ratios])
    return Balance.measure(particles, np.ones(len(ratios)), is_raw=is_raw)


@pytest.mark.parametrize(
    ("ratio", "is_raw", "cause"),
    [
        (1.0, True, None),
        (1.019, True, None),
        (0.981, True, None),
        (1.03, True, "AK4PUPPI"),
        (0.97, True, "AK4CHS"),
        (1.15, False, None),  # corrections may be that large
        (1.92, False, "PUPPI weights"),
    ],
)
def test_a_median_further_than_the_tolerance_is_refused(
    ratio: float, is_raw: bool, cause: str | None
) -> None:
    balance = balance_of(0.5, ratio, 3.0, is_raw=is_raw)
    if cause is None:
        check_balance("qcd", balance, 0.02)
        return
    with pytest.raises(BalanceError, match=rf"qcd: .*{cause}.*constituents_tolerance") as caught:
        check_balance("qcd", balance, 0.02)
    assert f"median {balance.median:.3f}" in str(caught.value)
    assert balance.median == pytest.approx(ratio, rel=1e-3)
    check_balance("qcd", balance, None)
    check_balance("qcd", balance, 1.0)
    assert "do not add up" in balance_notes(balance)[0]


def test_nothing_is_not_judged() -> None:
    check_balance("qcd", None, 0.02)
    check_balance("qcd", Balance(), 0.02)
    assert balance_notes(None) == []


def test_tails_are_told_where_the_median_is_right() -> None:
    assert balance_notes(balance_of(*[1.0] * 97, 0.95, 1.05, 1.0)) == []
    (note,) = balance_notes(balance_of(*[1.0] * 96, 0.4, 0.4, 0.4, 0.4))
    assert "more than 1 % of the jets are off by more than 10%" in note
    assert "1 % below 0.400" in note


def halve_candidates(data: dict[str, Any]) -> None:
    data["PFCand_pt"] = data["PFCand_pt"] / 2


def test_a_skim_says_how_constituents_add_up(
    qcd: Path, iterative: ExecutorBase, tmp_path: Path
) -> None:
    small = run_skim(
        one(qcd), output=tmp_path / "a", executor=iterative, options=RunOptions(chunk_size=150)
    )
    whole = run_skim(one(qcd), output=tmp_path / "b", executor=iterative)
    balance = small.datasets["some"].balance
    assert balance == whole.datasets["some"].balance
    assert balance is not None
    assert balance.n_jets == sum(chunk.n_jets for chunk in small.chunks)
    assert balance.median == pytest.approx(1, abs=1e-3)
    assert read_manifest(tmp_path / "a") == small
    assert all(chunk.balance is None and not chunk.notes for chunk in small.chunks)
    assert small.datasets["some"].notes[0].startswith("read as nanoaod_v15")


def test_candidates_that_do_not_add_up_are_refused_or_told(
    qcd: Path, iterative: ExecutorBase, tmp_path: Path, rewrite: Callable[..., Path]
) -> None:
    path = rewrite(qcd, entries=60, change=halve_candidates)
    with pytest.raises(BalanceError, match=r"some: .*median 0\.500, .*Likely causes: "):
        run_skim(one(path), output=tmp_path / "a", executor=iterative)
    assert not (tmp_path / "a" / "manifest.json").exists()
    lenient = Selection(constituents_tolerance=None)
    manifest = run_skim(one(path), output=tmp_path / "a", executor=iterative, selection=lenient)
    balance = manifest.datasets["some"].balance
    assert balance is not None
    assert balance.median == pytest.approx(0.5, rel=1e-3)
    assert any("do not add up" in note for note in manifest.datasets["some"].caveats)
    assert "do not add up" in manifest.describe_caveats()


def test_one_file_among_good_ones_is_judged_on_its_own(
    qcd: Path, iterative: ExecutorBase, tmp_path: Path, rewrite: Callable[..., Path]
) -> None:
    def change(data: dict[str, Any]) -> None:
        halve_candidates(data)
        data["event"] = data["event"] + np.uint64(10**6)

    bad = rewrite(qcd, entries=60, change=change)
    files = Dataset(files=[str(qcd), str(bad)], kind="background")
    fileset = Fileset(datasets={"some": files})
    with pytest.raises(BalanceError, match=r"some, .*changed\.root: .*median 0\.500"):
        run_skim(fileset, output=tmp_path / "a", executor=iterative)
    lenient = Selection(constituents_tolerance=None)
    manifest = run_skim(fileset, output=tmp_path / "a", executor=iterative, selection=lenient)
    balance = manifest.datasets["some"].balance
    assert balance is not None
    assert balance.median == pytest.approx(1, abs=1e-3)
    (caveat,) = manifest.caveats
    assert "do not add up to their jets in 1 of 2 files, such as" in caveat
    assert "median 0.500" in caveat


def test_tails_of_jets_that_may_be_corrected_are_told_too() -> None:
    assert balance_notes(balance_of(*[1.0] * 96, *[1.3] * 4, is_raw=False)) == []
    for far in (0.4, 1.9):
        assert balance_notes(balance_of(*[1.0] * 96, *[far] * 4, is_raw=False))


@pytest.mark.parametrize(("eta_max", "is_told"), [(2.5, False), (3.0, True)])
def test_a_wider_eta_than_that_of_constituents_is_told(
    qcd: Path, iterative: ExecutorBase, tmp_path: Path, eta_max: float, is_told: bool
) -> None:
    selection = Selection(eta_max=eta_max)
    manifest = run_skim(one(qcd), output=tmp_path, executor=iterative, selection=selection)
    caveats = manifest.datasets["some"].caveats
    told = "constituents of jets with |η| < 2.5 alone; eta_max is 3"
    assert any(told in caveat for caveat in caveats) is is_told


def test_the_tolerance_makes_no_part_anew(qcd: Path) -> None:
    assert Selection().identity() == Selection(constituents_tolerance=0.5).identity()
    assert Selection().identity() != Selection(on_bad_jet="mask").identity()


@pytest.mark.parametrize("jet", ["AK4", "AK4PUPPI"])
def test_ak4_jets_of_run_3_add_up(
    cases: Path, iterative: ExecutorBase, tmp_path: Path, jet: Any
) -> None:
    path = cases / "pfnano_run3_ak4_puppi.root"
    manifest = run_skim(
        one(path), output=tmp_path, executor=iterative, selection=Selection(jet=jet, pt_min=30)
    )
    summary = manifest.datasets["some"]
    assert summary.balance is not None
    assert summary.balance.n_jets > 30
    assert summary.balance.median == pytest.approx(1, abs=2e-3)
    assert summary.notes[0].startswith("read as pfnano_ak4_puppi")


def test_ak4_jets_of_run_3_read_as_those_of_run_2_are_refused(
    cases: Path, iterative: ExecutorBase, tmp_path: Path
) -> None:
    path = cases / "pfnano_run3_ak4_puppi.root"
    selection = Selection(jet="AK4CHS", pt_min=30, jet_id=False)
    with pytest.raises(BalanceError, match=r"median 1\.9.*selection.jet: AK4PUPPI"):
        run_skim(one(path), output=tmp_path, executor=iterative, selection=selection)
