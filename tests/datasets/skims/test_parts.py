from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from oddjet.datasets.skims.manifest import ChunkRecord
from oddjet.datasets.skims.parts import write_part
from oddjet.errors import ConfigError, SkimError


def record(key: str, dataset: str, n_jets: int) -> ChunkRecord:
    return ChunkRecord(
        key=key, dataset=dataset, file="a.root", file_uuid="u", tree="Events", entry_start=0, entry_stop=9,
        n_events=9, n_jets=n_jets, sumw=9.0, sumw2=9.0,
    )  # fmt: skip


def test_writing_twice_is_the_same(tmp_path: Path, toy_jets) -> None:
    for _ in range(2):
        jets = toy_jets(3, prongs=1, seed=1)
        write_part(tmp_path, "qcd", "k", jets, images=None, record=record("k", "qcd", 3))
    assert sorted(path.name for path in (tmp_path / "qcd").iterdir()) == ["k.json", "k.parquet"]
    assert json.loads((tmp_path / "qcd" / "k.json").read_text())["n_jets"] == 3


def test_what_does_not_belong_together_is_refused(tmp_path: Path, toy_jets) -> None:
    jets = toy_jets(3, prongs=1, seed=1)
    with pytest.raises(SkimError, match="which says 4"):
        write_part(tmp_path, "qcd", "k", jets, images=None, record=record("k", "qcd", 4))
    images = np.zeros((2, 2, 2, 1), np.float32)
    with pytest.raises(SkimError, match="2 images for 3 jets"):
        write_part(tmp_path, "qcd", "k", jets, images=images, record=record("k", "qcd", 3))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("dataset", "key"), [("../../x", "k"), ("qcd", "../k"), ("/tmp", "k"), ("qcd", "")]
)
def test_names_do_not_lead_out_of_the_folder(
    tmp_path: Path, toy_jets, dataset: str, key: str
) -> None:
    with pytest.raises(ConfigError, match="name"):
        write_part(
            tmp_path / "a" / "b",
            dataset,
            key,
            toy_jets(1, prongs=1, seed=1),
            images=None,
            record=record(key, dataset, 1),
        )
    assert list(tmp_path.iterdir()) == []
