"""What is odd about files, and what is secret in their names, in everything that is shown or written of a skim."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chosen import OPEN

from oddjet.analysis.scores.sample import choose_sample
from oddjet.datasets.files.dataset import Dataset, Fileset
from oddjet.datasets.skims.manifest import DatasetSummary, Manifest, read_manifest
from oddjet.datasets.skims.skim import open_skim
from oddjet.errors import ConfigError
from oddjet.processors.engine.preview import preview_fileset

Rewrite = Callable[..., Path]
Skimmed = Callable[..., Manifest]


def test_the_check_tells_what_is_known_and_accepted(qcd: Path, rewrite: Rewrite) -> None:
    kept = rewrite(qcd, "kept.root", entries=100, keep_runs=True)
    bare = rewrite(qcd, "bare.root", entries=50)
    known: dict[str, Any] = {"kind": "background", "cross_section_pb": 2.0}
    good = {
        "kept": Dataset(files=[str(kept)], **known),
        "stated": Dataset(files=[str(bare)], sumw=400.0, **known),
    }
    odd = Dataset(files=[str(rewrite(qcd, "odd.root", entries=50))], **known)

    def check(**datasets: Dataset) -> list[str]:
        listed = Fileset(datasets={**good, **datasets})
        facts = [*preview_fileset(listed, selection=OPEN, chunk_size=100)]
        assert all((is_fine is None) == ("accepted" in text) for is_fine, text in facts)
        return [text for _, text in facts]

    texts = check()
    assert any("'kept': " in t and "400 events of the Runs trees; 100 are left" in t for t in texts)
    assert any("'stated': " in t and "Σ weight 400, as stated; 50 events" in t for t in texts)
    with pytest.raises(ConfigError, match="dataset odd: it has a cross section"):
        check(odd=odd)
    accepted = odd.model_copy(update={"accept": ("unknown_history",)})
    assert any("accepted (unknown_history)" in text for text in check(odd=accepted))


def test_notes_are_told_wherever_the_skim_is_used(
    skim: Skimmed, qcd: Path, rewrite: Rewrite, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bare = rewrite(qcd, "bare.root", entries=50)
    with caplog.at_level(logging.WARNING, logger="oddjet"):
        manifest = skim(bare, cross_section_pb=2.0, accept=["unknown_history"])
    assert "accepted (unknown_history)" in caplog.text
    folder = next(path.parent for path in tmp_path.glob("skim*/manifest.json"))
    assert read_manifest(folder).caveats == manifest.caveats
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="oddjet"):
        shown = open_skim(folder)
    assert manifest.caveats[0] in caplog.text
    assert "accepted (unknown_history)" in shown._repr_html_()
    real = {"r": DatasetSummary(kind="data", sumw=1, sumw2=1, n_events=1, caveats=("odd",))}
    assert choose_sample({**manifest.datasets, **real}).caveats == ("r: odd",)


def test_tokens_of_urls_are_stored_nowhere(
    skim: Skimmed, qcd: Path, tmp_path: Path, rewrite: Rewrite
) -> None:
    """The file's name on disk has the query; what is written has not, and is found again without it."""
    small = rewrite(qcd, "small.root", entries=30)
    (tmp_path / "in").mkdir()
    small.rename(tmp_path / "in" / "a.root?token=secret")
    shown = f"file://{tmp_path}/in/a.root"
    manifest = skim(f"{shown}?token=secret", cross_section_pb=2.0, accept=["unknown_history"])
    assert [file.path for file in manifest.files] == [shown]
    assert f"({shown}) has no Runs tree" in manifest.describe_caveats()
    (folder,) = (path.parent for path in tmp_path.glob("skim*/manifest.json"))
    assert read_manifest(folder) == manifest
    written = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert len(written) > 2
    assert not any(b"secret" in content for content in written)
    with pytest.raises(ConfigError) as caught:
        skim(f"{shown}?token=secret", cross_section_pb=2.0)
    assert "secret" not in str(caught.value)
