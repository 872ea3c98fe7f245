"""Bits that flip at rest in skims and scores: none is silent, and a run makes again what does not fit."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from coffea.processor.executor import ExecutorBase
from toy_tables import write_table

from oddjet.analysis.statistics.exchange.histogram_files import read_histogram
from oddjet.condor import open_executor
from oddjet.datasets.files.dataset import Fileset
from oddjet.datasets.skims.compaction import compact
from oddjet.datasets.skims.manifest import read_manifest, write_manifest
from oddjet.datasets.skims.parts import read_part_record
from oddjet.datasets.skims.skim import open_skim
from oddjet.errors import OddjetError, SkimError
from oddjet.ml.representations.jet_image import JetImage
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.histogram_files import load_histograms
from oddjet.processors.run import run_anomaly, run_skim
from oddjet.processors.scores import open_scores

N_FLIPS = 200
FEW = 60
"""Where the whole table is read for each."""


@pytest.fixture(scope="module")
def made(
    fileset: Fileset,
    detector_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A skim with images, and its scores."""
    folder = tmp_path_factory.mktemp("made")
    with open_executor() as executor:
        run(folder, fileset, detector_folder, executor)
    return folder


def run(
    folder: Path, fileset: Fileset, detector: Path, executor: ExecutorBase, **options: Any
) -> None:
    run_skim(
        fileset,
        output=folder / "skim",
        executor=executor,
        representation=JetImage(pixels=8),
        options=RunOptions(chunk_size=150, **options),
    )
    run_anomaly(
        open_skim(folder / "skim"),
        detectors={"m": detector},
        output=folder / "scores",
        executor=executor,
        options=RunOptions(**options),
    )


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


def flips(path: Path, seed: int, n: int = N_FLIPS) -> Any:
    """Turn bits of a file over, one at a time; the file is whole again afterwards."""
    whole = path.read_bytes()
    for bit in np.random.default_rng(seed).choice(8 * len(whole), n, replace=False):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        yield bit
    path.write_bytes(whole)


READERS: dict[str, tuple[str, int, Callable[[Path], Any]]] = {
    "skim": ("skim/qcd/*.parquet", FEW, lambda folder: open_skim(folder / "skim").jets()),
    "images": ("skim/w/*.npy", FEW, lambda folder: open_skim(folder / "skim").images("w")),
    "scores": ("scores/w/*.parquet", FEW, lambda f: open_scores(f / "scores").columns()),
    "column": ("skim/w/*.parquet", 20, lambda f: open_skim(f / "skim").jets("w", columns=["pt"])),
    "batches": ("skim/w/*.parquet", 20, lambda f: list(open_skim(f / "skim").iter_jets(50))),
    "names": ("skim/qcd/*.parquet", 20, lambda folder: open_skim(folder / "skim").fields),
}


@pytest.mark.parametrize("what", READERS)
def test_no_flipped_bit_is_silent(copy: Path, what: str) -> None:
    pattern, n, read = READERS[what]
    first = read_manifest(copy / "skim").chunks[0].key  # whose columns are the skim's
    path = (
        copy / "skim" / "qcd" / f"{first}.parquet" if what == "names" else min(copy.glob(pattern))
    )
    read(copy)
    for _ in flips(path, seed=1, n=n):
        with pytest.raises(SkimError, match=rf"{path.name} is not .* repeat the command"):
            read(copy)
    read(copy)


def test_no_flipped_bit_in_histograms_is_silent(copy: Path) -> None:
    path = copy / "scores" / "histograms.json"
    load_histograms(path)
    for _ in flips(path, seed=7):
        with pytest.raises(SkimError, match=r"histograms\.json is not .* repeat the command"):
            load_histograms(path)
    for name, mass in (("json", ":m_mass"), ("root", ":m_mass/qcd/nominal/all/mass")):
        path = copy / "scores" / f"histograms.{name}"
        for _ in flips(path, seed=8):
            with pytest.raises(SkimError, match="is not the file that was written"):
                read_histogram(f"{path}{mass}")


@pytest.mark.parametrize("name", ["skim/manifest.json", "skim/qcd/*.json", "scores/manifest.json"])
def test_a_flipped_bit_in_a_manifest_or_record_is_seen_or_changes_nothing(
    copy: Path, name: str
) -> None:
    path = min(copy.glob(name))

    def read() -> Any:
        if path.name == "manifest.json":
            return read_manifest(path.parent)
        return read_part_record(copy / "skim", "qcd", path.stem)

    whole, seen = read(), 0
    for _ in flips(path, seed=2):
        try:
            known = read()
        except OddjetError:
            known = None
        assert known in (None, whole)
        seen += known is None
    assert seen > 0.9 * N_FLIPS  # others are spaces, and capital letters of numbers
    assert read() == whole


def test_a_run_makes_again_what_does_not_fit(
    copy: Path,
    made: Path,
    fileset: Fileset,
    detector_folder: Path,
    iterative: ExecutorBase,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Flipped, cut, and forged with its old size and time; state that is no state."""
    skim, scores = copy / "skim", copy / "scores"
    flipped, cut, images, record = (
        sorted(skim.glob(pattern))[number]
        for pattern, number in (("qcd/*.parquet", 0), ("qcd/*.parquet", 1), ("w/*.npy", 0), ("w/*.json", 1))
    )  # fmt: skip
    scored = min(scores.glob("w/*.parquet"))
    for path in (flipped, images, scored):
        next(flips(path, seed=3))
    cut.write_bytes(cut.read_bytes()[:100])
    record.write_text("[]")
    (skim / "unique.json").write_text("garbage")
    (skim / "failures.json").write_text('{"a": 1}')
    next(flips(scores / "histograms.json", seed=4))
    (scores / "manifest.json").write_text("[]")
    with caplog.at_level(logging.WARNING):
        run(copy, fileset, detector_folder, iterative)
    told = [text for text in caplog.messages if "are not what was written" in text]
    assert len(told) == 2  # the skim's and the scores'
    assert all(path.name in told[0] for path in (flipped, cut, images))
    assert "Their 3 parts are made again" in told[0]
    assert scored.name in told[1]
    for name in ("skim/qcd", "skim/w", "scores/qcd", "scores/w"):
        for path in sorted((made / name).glob("*.*")):
            if path.suffix != ".json":  # records have the time that was needed
                assert (copy / name / path.name).read_bytes() == path.read_bytes(), path
    assert (scores / "histograms.json").read_bytes() == (
        made / "scores/histograms.json"
    ).read_bytes()
    assert ak.to_list(open_skim(skim).jets().pt) == ak.to_list(open_skim(made / "skim").jets().pt)


def test_a_merged_file_that_does_not_fit_is_made_again_part_by_part(
    copy: Path, made: Path, fileset: Fileset, detector_folder: Path, iterative: ExecutorBase
) -> None:  # fmt: skip
    compact(copy / "skim")
    (path,) = sorted((copy / "skim").glob("qcd/merged-*.npy"))
    open_skim(copy / "skim").images()
    for _ in flips(path, seed=5, n=20):
        with pytest.raises(SkimError, match="is not the file that was written"):
            open_skim(copy / "skim").images()
    next(flips(path, seed=5))
    run(copy, fileset, detector_folder, iterative)
    np.testing.assert_array_equal(
        open_skim(copy / "skim").images(), open_skim(made / "skim").images()
    )
    assert not list((copy / "skim").glob("qcd/merged-*"))
    assert list((copy / "skim").glob("w/merged-*"))  # the other dataset's is whole


def test_compaction_does_not_give_damaged_rows_a_new_hash(copy: Path) -> None:
    next(flips(sorted((copy / "skim").glob("qcd/*.parquet"))[1], seed=6))
    with pytest.raises(SkimError, match="is not the file that was written"):
        compact(copy / "skim")


def test_never_reads_without_comparing(copy: Path) -> None:
    path = min((copy / "skim").glob("w/*.npy"))
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    open_skim(copy / "skim", verify="never").images()
    for verify in ("always", "first"):
        with pytest.raises(SkimError):
            open_skim(copy / "skim", verify=verify).images()  # type: ignore[arg-type]


def test_what_older_code_made_is_read_with_a_warning(
    copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    skim = open_skim(copy / "skim")
    jets = skim.jets()
    chunks = tuple(chunk.model_copy(update={"hashes": {}}) for chunk in skim.manifest.chunks)
    write_manifest(copy / "skim", skim.manifest.model_copy(update={"chunks": chunks}))
    with caplog.at_level(logging.WARNING):
        old = open_skim(copy / "skim").jets()
    assert "wrote no checksums: damage to its files cannot be seen" in caplog.text
    assert ak.to_list(old.pt) == ak.to_list(jets.pt)


@pytest.mark.long
def test_comparing_costs_less_than_a_tenth_of_reading(tmp_path: Path, toy_jets: Any) -> None:
    """400,000 jets in 8 parts, read whole; the quickest of several, in turns."""
    jets = {f"d{seed}": toy_jets(50_000, prongs=1 + seed % 2, seed=seed) for seed in range(8)}
    write_table(tmp_path, jets, dict.fromkeys(jets, "background"))

    def seconds(verify: Any) -> float:
        started = time.perf_counter()
        open_skim(tmp_path, verify=verify).jets()
        return time.perf_counter() - started

    times = [[seconds(verify) for verify in ("never", "always")] for _ in range(5)]
    unverified, verified = np.min(times, axis=0)
    assert verified < 1.1 * unverified
