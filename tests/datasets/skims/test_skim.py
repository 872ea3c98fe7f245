from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest

from oddjet.datasets.jets import Jets, empty_jets, make_jets
from oddjet.datasets.skims.manifest import ChunkRecord, DatasetSummary, Manifest, write_manifest
from oddjet.datasets.skims.parts import read_part_record, write_part
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.errors import ConfigError, SkimError

COLUMNS = ("run", "luminosityBlock", "event", "weight", "label", "gen_pt", "dataset", "file_id")
REPRESENTATION = {"name": "JetImage", "version": 1, "pixels": 32, "window": (-0.8, 0.8)}


def some_jets(n: int, dataset: str, seed: int) -> Jets:
    if n == 0:
        return empty_jets(COLUMNS)
    rng = np.random.default_rng(seed)
    counts = rng.poisson(5, n)
    constituents = ak.unflatten(
        ak.zip({name: rng.uniform(0.1, 3, counts.sum()) for name in ("pt", "eta", "phi", "mass")}),
        counts,
    )
    constituents["pdgId"] = ak.unflatten(rng.choice([211, 22], counts.sum()), counts)
    return make_jets(
        constituents, run=np.ones(n), luminosityBlock=np.ones(n), event=np.arange(n) + 100 * seed,
        weight=rng.normal(size=n), label=np.zeros(n), gen_pt=ak.mask(np.ones(n), rng.random(n) < 0.5),
        dataset=dataset, file_id=f"uuid-{seed}",
    )  # fmt: skip


def record(key: str, dataset: str, n_jets: int) -> ChunkRecord:
    return ChunkRecord(
        key=key, dataset=dataset, file="a.root", file_uuid="u", tree="Events", entry_start=0, entry_stop=9,
        n_events=9, n_jets=n_jets, sumw=9.0, sumw2=9.0,
    )  # fmt: skip


def write_skim(
    folder: Path, sizes: dict[str, list[int]], *, images: bool = True
) -> dict[str, list[Jets]]:
    kinds: dict[str, Any] = {"qcd": "background", "w": "signal", "jetht": "data"}
    parts: dict[str, list[Jets]] = {}
    chunks = []
    for dataset, counts in sizes.items():
        for index, n in enumerate(counts):
            key = f"part.{index}"
            jets = some_jets(n, dataset, seed=index + 10 * len(dataset))
            pictures = np.full((n, 4, 4, 1), index, np.float32) + np.arange(n).reshape(-1, 1, 1, 1)
            parts.setdefault(dataset, []).append(jets)
            write_part(
                folder,
                dataset,
                key,
                jets,
                images=pictures if images else None,
                record=record(key, dataset, n),
            )
            chunk = read_part_record(folder, dataset, key)
            assert chunk is not None
            chunks.append(chunk)
    manifest = Manifest(
        kind="skim",
        representation=REPRESENTATION if images else None,
        chunks=tuple(chunks),
        datasets={n: DatasetSummary(kind=kinds[n], sumw=1.0, sumw2=1.0, n_events=1) for n in sizes},
    )
    write_manifest(folder, manifest)
    return parts


@pytest.fixture
def skim(tmp_path: Path) -> Skim:
    write_skim(tmp_path / "skim", {"qcd": [5, 0, 3], "w": [4]})
    return open_skim(tmp_path / "skim")


def test_jets_come_back_as_they_were(tmp_path: Path) -> None:
    parts = write_skim(tmp_path, {"qcd": [5, 0, 3], "w": [4]})
    skim = open_skim(tmp_path)
    expected = [jet for dataset in parts.values() for part in dataset for jet in part.to_list()]
    jets = skim.jets()
    assert jets.to_list() == expected
    assert skim.n_jets == len(expected) == 12
    assert skim.datasets == ("qcd", "w")
    for name in jets.fields:
        assert jets[name].type.content.is_equal_to(parts["qcd"][0][name].type.content), name


def test_names_are_kept_once_and_the_file_is_compressed(skim: Skim) -> None:
    file = pq.ParquetFile(skim.folder / "qcd" / "part.0.parquet")
    assert str(file.schema_arrow.field("dataset").type).startswith("dictionary")
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert str(file.schema_arrow.field("constituents").type).count("float") == 4


def test_datasets_kinds_and_columns(skim: Skim) -> None:
    assert set(skim.jets("w").dataset.to_list()) == {"w"}
    assert skim.jets(["w", "qcd"]).to_list() == skim.jets().to_list()
    assert len(skim.jets(kinds="background")) == 8
    assert len(skim.jets(kinds=["background", "signal"])) == 12
    chosen = skim.jets(columns=["constituents", "pt"])
    assert chosen.fields == ["constituents", "pt"]
    assert chosen.constituents.fields == ["pt", "eta", "phi", "mass", "pdgId"]
    assert len(skim.jets([])) == len(skim.jets(kinds=[])) == 0
    nothing = skim.jets(kinds="data", columns=["pt", "dataset"])
    assert (len(nothing), nothing.fields) == (0, ["pt", "dataset"])


def test_empty_skim_has_all_fields(tmp_path: Path) -> None:
    write_skim(tmp_path, {"qcd": [0, 0]})
    jets = open_skim(tmp_path).jets()
    assert len(jets) == 0
    assert set(COLUMNS) <= set(jets.fields)
    assert jets.constituents.fields == ["pt", "eta", "phi", "mass", "pdgId"]
    assert open_skim(tmp_path).images().shape == (0, 4, 4, 1)


def test_batches_are_the_jets_in_order(skim: Skim) -> None:
    batches = list(skim.iter_jets(2))
    assert [len(batch) for batch in batches] == [2, 2, 1, 2, 1, 2, 2]
    assert [jet for batch in batches for jet in batch.to_list()] == skim.jets().to_list()


def test_images_are_aligned_with_jets(skim: Skim) -> None:
    images = skim.images()
    assert images.dtype == np.float32
    assert images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 2, 3, 4, 0, 1, 2, 3]
    assert len(skim.images("w")) == len(skim.jets("w")) == 4


def test_only_parts_of_the_manifest_are_read(skim: Skim) -> None:
    stray = some_jets(7, "qcd", seed=3)
    write_part(skim.folder, "qcd", "stray", stray, images=None, record=record("stray", "qcd", 7))
    assert len(open_skim(skim.folder).jets()) == 12


def test_unknown_names_are_hinted_at(skim: Skim) -> None:
    with pytest.raises(SkimError, match=r"no dataset 'qdc'.*Did you mean 'qcd'"):
        skim.jets("qdc")
    with pytest.raises(SkimError, match=r"no column wieght.*Did you mean 'weight'"):
        skim.jets(columns=["wieght"])
    with pytest.raises(SkimError, match="unknown kind signals"):
        skim.jets(kinds="signals")


def test_interrupted_or_incomplete_skims_are_refused(skim: Skim) -> None:
    (skim.folder / "qcd" / "part.2.npy").unlink()
    with pytest.raises(SkimError, match=r"1 files .* missing .*part\.2\.npy.*repeat"):
        open_skim(skim.folder)
    (skim.folder / "manifest.json").unlink()
    with pytest.raises(SkimError, match="interrupted"):
        open_skim(skim.folder)


@pytest.mark.parametrize("left", [0, 4, 200])
def test_damaged_parts_are_refused(skim: Skim, left: int) -> None:
    for suffix, read in ((".parquet", skim.jets), (".npy", skim.images)):
        path = skim.folder / "w" / f"part.0{suffix}"
        path.write_bytes(path.read_bytes()[:left])
        with pytest.raises(SkimError, match=r"part\.0"):
            read()


def test_parts_of_another_size_are_refused(skim: Skim) -> None:
    path = skim.folder / "qcd"
    os.replace(path / "part.2.parquet", path / "part.0.parquet")  # noqa: PTH105
    os.replace(path / "part.2.npy", path / "part.0.npy")  # noqa: PTH105
    with pytest.raises(SkimError, match="is not the file that was written"):
        skim.jets()
    skim = replace(skim, verify="never")
    with pytest.raises(SkimError, match="has 3 jets, the manifest says 5"):
        skim.jets()
    with pytest.raises(SkimError, match="has 3 images, the manifest says 5"):
        skim.images()


def test_representation_is_checked(skim: Skim, tmp_path: Path) -> None:
    skim.check_representation(REPRESENTATION)
    with pytest.raises(SkimError, match="pixels: 32 here, 40 wanted"):
        skim.check_representation({**REPRESENTATION, "pixels": 40})
    write_skim(tmp_path / "bare", {"qcd": [2]}, images=False)
    bare = open_skim(tmp_path / "bare")
    with pytest.raises(SkimError, match="without images"):
        bare.check_representation(REPRESENTATION)
    with pytest.raises(SkimError, match="1 of 1 parts have no images"):
        bare.images()


def test_record_is_written_last_and_only_whole_parts_count(tmp_path: Path) -> None:
    jets = some_jets(3, "qcd", seed=1)
    assert read_part_record(tmp_path, "qcd", "k") is None
    images = np.zeros((3, 2, 2, 1), np.float32)
    write_part(tmp_path, "qcd", "k", jets, images=images, record=record("k", "qcd", 3))
    written = read_part_record(tmp_path, "qcd", "k")
    files = {s: tmp_path / "qcd" / f"k{s}" for s in (".parquet", ".npy")}
    hashes = {s: hashlib.sha256(path.read_bytes()).hexdigest() for s, path in files.items()}
    assert written == record("k", "qcd", 3).model_copy(update={"images": True, "hashes": hashes})
    times = [(tmp_path / "qcd" / f"k{s}").stat().st_mtime_ns for s in (".parquet", ".npy", ".json")]
    assert times == sorted(times)
    (tmp_path / "qcd" / "k.npy").unlink()
    assert read_part_record(tmp_path, "qcd", "k") is None
    (tmp_path / "qcd" / "k.json").write_text("{")
    assert read_part_record(tmp_path, "qcd", "k") is None


def test_interrupted_rewrite_leaves_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jets = some_jets(3, "qcd", seed=1)
    write_part(tmp_path, "qcd", "k", jets, images=None, record=record("k", "qcd", 3))

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "save", stop)
    images = np.zeros((3, 2, 2, 1), np.float32)
    with pytest.raises(KeyboardInterrupt):
        write_part(tmp_path, "qcd", "k", jets, images=images, record=record("k", "qcd", 3))
    assert read_part_record(tmp_path, "qcd", "k") is None
    assert sorted(path.name for path in (tmp_path / "qcd").iterdir()) == ["k.parquet"]


def test_a_manifest_cannot_point_elsewhere(skim: Skim) -> None:
    chunk = skim.manifest.chunks[0].model_copy(update={"key": "../../secret"})
    write_manifest(skim.folder, skim.manifest.model_copy(update={"chunks": (chunk,)}))
    with pytest.raises(ConfigError, match="part name"):
        open_skim(skim.folder)
