from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest

from oddjet.datasets.disk.digest import content_key
from oddjet.datasets.jets import make_jets
from oddjet.datasets.skims import compaction
from oddjet.datasets.skims.compaction import compact, copy_stored_parts, remove_unused_files
from oddjet.datasets.skims.manifest import ChunkRecord, DatasetSummary, Manifest, write_manifest
from oddjet.datasets.skims.parts import read_part_record, write_part
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.errors import ConfigError, SkimError

SIZES = {"qcd": [50, 0, 30, 40, 1], "w": [20, 10]}


def make_skim(folder: Path, *, images: bool = True) -> Skim:
    rng = np.random.default_rng(1)
    chunks = []
    for dataset, counts in SIZES.items():
        for index, n in enumerate(counts):
            key = content_key([dataset, index])
            sizes = rng.poisson(8, n)
            names = ("pt", "eta", "phi", "mass")
            constituents = ak.unflatten(
                ak.zip({name: rng.uniform(0.1, 3, sizes.sum()) for name in names}), sizes
            )
            constituents["pdgId"] = ak.unflatten(rng.choice([211, 22], sizes.sum()), sizes)
            jets = make_jets(
                constituents, event=np.arange(n) + 1000 * index, weight=rng.normal(size=n),
                dataset=dataset, file_id=f"uuid-{index}", image_index=np.arange(n),
            )  # fmt: skip
            pictures = rng.random((n, 4, 4, 1), np.float32) if images else None
            record = ChunkRecord(
                key=key, dataset=dataset, file="a.root", file_uuid="u", tree="Events", entry_start=100 * index,
                entry_stop=100 * index + 100, n_events=100, n_jets=n, sumw=1.0, sumw2=1.0,
            )  # fmt: skip
            chunks.append(write_part(folder, dataset, key, jets, images=pictures, record=record))
    summary = {"sumw": 1.0, "sumw2": 1.0, "n_events": 1}
    datasets = {n: DatasetSummary(kind="background", **summary) for n in SIZES}
    write_manifest(folder, Manifest(kind="skim", datasets=datasets, chunks=tuple(chunks)))
    return open_skim(folder)


def contents(folder: Path) -> tuple[list[Any], list[Any]]:
    skim = open_skim(folder)
    return skim.jets().to_list(), skim.images().tolist()


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_skim(tmp_path / "skim").folder


def test_all_rows_and_images_stay_as_they_were(folder: Path) -> None:
    before = open_skim(folder)
    jets, images = before.jets(), before.images()
    parts = list(before.iter_jets(7))
    result = compact(folder)
    assert (result.n_parts, result.n_files_before, result.n_files) == (7, 7, 2)
    after = open_skim(folder)
    assert ak.array_equal(after.jets(), jets, dtype_exact=True)
    assert after.jets().fields == jets.fields
    assert str(after.jets().type) == str(jets.type)
    assert np.array_equal(after.images(), images)
    assert np.array_equal(after.images("w"), images[-30:])
    assert after.jets("w").to_list() == jets[-30:].to_list()
    batches = list(after.iter_jets(7))
    assert [batch.to_list() for batch in batches] == [part.to_list() for part in parts]
    assert [c.key for c in after.manifest.chunks] == [c.key for c in before.manifest.chunks]


def test_parts_are_found_as_done_and_need_no_other_files(folder: Path) -> None:
    compact(folder)
    for record in open_skim(folder).manifest.chunks:
        assert read_part_record(folder, record.dataset, record.key) == record
    assert {Path(name).suffix for name in files_of(folder)} == {".json", ".npy", ".parquet"}
    data = [name for name in files_of(folder) if not name.endswith(".json")]
    assert len(data) == 4
    assert all("/merged-" in name for name in data)


def test_a_part_is_a_row_group(folder: Path) -> None:
    compact(folder)
    (path,) = (folder / "qcd").glob("merged-*.parquet")
    with pq.ParquetFile(path) as file:
        rows = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        assert [n for n in rows if n] == [n for n in SIZES["qcd"] if n]
        assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_files_have_the_size_asked_for(folder: Path) -> None:
    jets = open_skim(folder).jets().to_list()
    sizes = [path.stat().st_size for path in (folder / "qcd").glob("*.parquet")]
    one_and_a_half = 1.5 * max(sizes) / 1e6
    result = compact(folder, target_mb=one_and_a_half)
    assert 2 < result.n_files < 7
    assert all(size < 1.5 * one_and_a_half for size in result.megabytes)
    assert open_skim(folder).jets().to_list() == jets
    assert compact(folder).n_files < result.n_files
    assert open_skim(folder).jets().to_list() == jets


def test_nothing_is_done_twice(folder: Path) -> None:
    compact(folder)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    result = compact(folder)
    assert (result.n_files_before, result.n_files) == (2, 2)
    assert times == {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_new_parts_join(folder: Path) -> None:
    """A part that was made again is its own file beside the merged one, whose other parts are used."""
    compact(folder)
    skim = open_skim(folder)
    expected = contents(folder)
    record = skim.manifest.chunks[2]
    jets, images = skim.jets("qcd")[50:80], skim.images("qcd")[50:80]
    own = record.model_copy(update={"stored_in": None, "first_row": 0})
    chunks = list(skim.manifest.chunks)
    chunks[2] = write_part(folder, "qcd", record.key, ak.to_packed(jets), images=images, record=own)
    write_manifest(folder, skim.manifest.model_copy(update={"chunks": tuple(chunks)}))
    assert contents(folder) == expected
    assert compact(folder).n_files == 2
    assert contents(folder) == expected
    assert len(list(folder.glob("*/*.parquet"))) == 2


@pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.long)])
def test_killed_anywhere_nothing_is_lost(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stride: int
) -> None:
    expected = contents(folder)
    finished = tmp_path / "finished"
    shutil.copytree(folder, finished)
    compact(finished)
    n_killed = 0
    for n_steps in range(0, 100, stride):
        copy = tmp_path / f"killed-{n_steps}"
        shutil.copytree(folder, copy)
        with monkeypatch.context() as patch:
            left = [n_steps]
            for owner, name in (
                (compaction, "write_manifest"),
                (compaction, "write_record"),
                (Path, "replace"),
                (Path, "unlink"),
            ):
                patch.setattr(owner, name, _count_down(getattr(owner, name), left))
            try:
                compact(copy)
            except KeyboardInterrupt:
                n_killed += 1
            else:
                break
        assert contents(copy) == expected, n_steps
        for path in copy.glob("*/[!.]*.json"):
            assert read_part_record(copy, path.parent.name, path.stem) is not None
        compact(copy)
        assert contents(copy) == expected, n_steps
        assert files_of(copy) == files_of(finished)
    assert n_killed > 20 // stride


def _count_down(function: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    def counted(*args: Any, **options: Any) -> Any:
        if left[0] <= 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return function(*args, **options)

    return counted


KILLED = """
import os, signal, sys
from oddjet.datasets.skims import compaction
left = int(sys.argv[2])
for name in ("write_manifest", "write_record", "_merge_images"):
    def die(*args, function=getattr(compaction, name), **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **options)
    setattr(compaction, name, die)
compaction.compact(sys.argv[1])
"""


@pytest.mark.parametrize("n_calls", [2, 5])
def test_really_killed(folder: Path, n_calls: int) -> None:
    expected = contents(folder)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), str(n_calls)], check=False, capture_output=True
    )
    assert done.returncode == -9, done.stderr.decode()
    assert contents(folder) == expected
    compact(folder)
    assert contents(folder) == expected
    assert len(files_of(folder)) == 1 + 7 + 4


def test_unused_merged_files_go(folder: Path) -> None:
    compact(folder)
    for path in (folder / "w").glob("*.json"):
        path.unlink()
    remove_unused_files(folder)
    assert not list((folder / "w").iterdir())
    assert len(list((folder / "qcd").glob("merged-*"))) == 2


def test_parts_to_send_away_are_files_of_their_own(folder: Path, tmp_path: Path) -> None:
    compact(folder)
    skim = open_skim(folder)
    copied = copy_stored_parts(skim, tmp_path / "away")
    write_manifest(tmp_path / "away", copied.manifest)
    assert contents(tmp_path / "away") == contents(folder)
    assert not list((tmp_path / "away").glob("*/merged-*"))


def test_what_cannot_be_merged_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="expected a positive size"):
        compact(folder, target_mb=0)
    key = open_skim(folder).manifest.chunks[2].key
    before = files_of(folder)
    path = folder / "qcd" / f"{key}.parquet"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(SkimError, match="cannot be read"):
        compact(folder)
    assert files_of(folder) == before
    (folder / "manifest.json").unlink()
    with pytest.raises(SkimError, match="interrupted"):
        compact(folder)
