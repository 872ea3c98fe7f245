"""What is known of files before anything is made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oddjet.datasets.files.dataset import Dataset, Fileset
from oddjet.errors import BadFileError
from oddjet.processors.engine.preview import preview_file, preview_fileset
from oddjet.processors.events.selection import Selection


def test_a_fileset_is_described(fileset: Fileset) -> None:
    facts = list(preview_fileset(fileset, selection=Selection(), chunk_size=100))
    assert all(is_fine for is_fine, _ in facts)
    assert facts[0][1].startswith("2 files with 600 events")
    texts = [text for _, text in facts]
    for n_events, (_, text) in zip((400, 200), facts[1:3], strict=True):
        assert f"belongs to the {n_events} events of the Runs trees" in text
    for name in ("qcd", "w"):
        (read_as,) = (text for text in texts if text.startswith(f"dataset '{name}' is read as"))
        assert "is read as nanoaod_v15" in read_as
        assert f"{name}.root: Σ constituents / raw pt: median 1.000" in read_as
        assumed = "tight jet ID: computed for PUPPI jets of Run 3; no year is stated"
        assert any(text.startswith(f"dataset '{name}': {assumed}") for text in texts)


def test_what_does_not_add_up_is_found(qcd: Path, rewrite: Callable[..., Path]) -> None:
    def double(data: dict[str, Any]) -> None:
        data["PFCand_pt"] = data["PFCand_pt"] * 2

    path = rewrite(qcd, entries=20, change=double)
    fileset = Fileset(datasets={"some": Dataset(files=[str(path)], kind="background")})
    facts = list(preview_fileset(fileset, selection=Selection(), chunk_size=100))
    assert [text for is_fine, text in facts if not is_fine] == [facts[-1][1]]
    assert "median 2.00" in facts[-1][1]
    selection = Selection(constituents_tolerance=None)
    facts = list(preview_fileset(fileset, selection=selection, chunk_size=100))
    # Accepted, so no longer wrong; and no fact like others.
    assert [text for is_fine, text in facts if is_fine is None] == [facts[-1][1]]
    assert "median 2.00" in facts[-1][1]


def test_both_kinds_of_jets_of_a_file_are_looked_at(qcd: Path, tmp_path: Path) -> None:
    ak8, ak4 = preview_file(str(qcd))
    assert (ak8.reader, ak4.reader) == ("nanoaod_v15", "")
    assert ak8.balance is not None
    assert ak8.balance.median == pytest.approx(1, abs=1e-3)
    with pytest.raises(BadFileError, match="does not exist"):
        preview_file(str(tmp_path / "none.root"))


def test_jets_of_run_3_in_a_reported_file(cases: Path) -> None:
    ak8, ak4 = preview_file(str(cases / "pfnano_run3_ak4_puppi.root"))
    assert (ak8.reader, ak4.reader) == ("", "pfnano_ak4_puppi")
