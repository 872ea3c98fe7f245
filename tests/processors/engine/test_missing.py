"""Faults that are injected for real; what is left is compared row by row with a clean run."""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.processor.executor import ExecutorBase

from oddjet.condor import open_executor
from oddjet.datasets.disk.checksums import checksum_of
from oddjet.datasets.files.dataset import Dataset, Fileset
from oddjet.datasets.luminosity.recorded import data_luminosity
from oddjet.datasets.skims.skim import open_skim
from oddjet.errors import BadFileError, MissingDataError, NonFiniteError, ProcessingError
from oddjet.ml.representations.jet_image import JetImage
from oddjet.processors.engine import attempts as attempts_module
from oddjet.processors.engine import rounds as engine
from oddjet.processors.engine.attempts import Attempts
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.events.selection import Selection
from oddjet.processors.run import run_skim

Rewrite = Callable[..., Path]
Rows = list[dict[str, Any]]
QUICK = Attempts(retries=6, first_wait=0.01)


def rows_of(folder: Path) -> Rows:
    jets = open_skim(folder).jets()
    return sorted(ak.to_list(jets), key=lambda r: (r["dataset"], r["event"], r["jet_index"]))


@pytest.fixture(scope="module")
def ten_originals(qcd: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Ten files of 20 events, all different."""
    folder = tmp_path_factory.mktemp("ten")
    files = [folder / f"file{n}.root" for n in range(10)]
    with uproot.open(qcd) as file:
        events = file["Events"].arrays(entry_stop=200)
    counters = {f"n{name.partition('_')[0]}" for name in events.fields if events[name].ndim > 1}
    columns = {name: events[name] for name in events.fields if name not in counters}
    types = {name: column.type.content for name, column in columns.items()}
    for n, path in enumerate(files):
        with uproot.recreate(path) as file:
            part = {name: column[20 * n : 20 * (n + 1)] for name, column in columns.items()}
            file.mktree("Events", types).extend(part)
    return files


@pytest.fixture(scope="module")
def clean_rows(ten_originals: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """The jets of the ten files, undamaged."""
    folder = tmp_path_factory.mktemp("clean")
    with open_executor() as executor:
        run_skim(fileset_of(ten_originals), output=folder, executor=executor)
    return rows_of(folder)


def without_file(rows: Rows, path: Path) -> Rows:
    with uproot.open(path) as file:
        uuid = str(file.file.uuid)
    kept = [row for row in rows if row["file_id"] != uuid]
    assert len(kept) < len(rows)
    return kept


@pytest.fixture
def ten_files(ten_originals: list[Path], tmp_path: Path) -> list[Path]:
    """Copies, to be damaged."""
    return [Path(shutil.copy(path, tmp_path)) for path in ten_originals]


def fileset_of(files: list[Path], kind: str = "background", **more: Any) -> Fileset:
    paths = [str(path) for path in files]
    return Fileset(datasets={"some": Dataset(files=paths, kind=kind, **more)})


def test_transient_errors_on_a_fifth_of_the_opens_lose_nothing(
    ten_files: list[Path],
    clean_rows: Rows,
    iterative: ExecutorBase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng, failed = np.random.default_rng(1), [0]
    original = uproot.open

    def flaky(*args: Any, **options: Any) -> Any:
        if "array_cache" in options and rng.random() < 0.2:  # coffea opens a chunk
            failed[0] += 1
            raise OSError(errno.ESTALE, "injected")
        return original(*args, **options)

    monkeypatch.setattr(uproot, "open", flaky)
    manifest = run_skim(
        fileset_of(ten_files), output=tmp_path / "flaky", executor=iterative, options=RunOptions(chunk_size=7, attempts=QUICK),
    )  # fmt: skip
    assert failed[0] >= 5
    assert manifest.processed_entries == manifest.planned_entries == 200
    assert manifest.missing == ()
    assert rows_of(tmp_path / "flaky") == clean_rows


def test_a_broken_file_among_ten(
    ten_files: list[Path],
    clean_rows: Rows,
    iterative: ExecutorBase,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = ten_files[3]
    expected = without_file(clean_rows, broken)
    broken.write_bytes(broken.read_bytes()[:2000])
    output = tmp_path / "skim"
    with pytest.raises(BadFileError, match=r"file3\.root is truncated: 2000 bytes"):
        run_skim(fileset_of(ten_files), output=output, executor=iterative)
    assert not output.exists()

    with caplog.at_level(logging.WARNING, logger="oddjet"):
        manifest = run_skim(
            fileset_of(ten_files),
            output=output,
            executor=iterative,
            options=RunOptions(allow_missing=True),
        )
    assert "missing: 1 file that could not be opened" in caplog.text
    (part,) = manifest.missing
    assert (part.file, part.error, part.n_events) == (str(broken), "BadFileError", None)
    assert manifest.planned_entries == manifest.processed_entries == 180
    assert manifest.datasets["some"].sumw == 180
    assert not manifest.datasets["some"].is_whole
    assert rows_of(output) == expected
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="oddjet"):
        assert open_skim(output).missing == manifest.missing
    assert "missing: 1 file that could not be opened" in caplog.text
    assert "file3.root, all entries: BadFileError" in manifest.describe_missing()


def damage(path: Path) -> None:
    """Overwrite part of a basket of the third quarter; the file can still be opened."""
    with uproot.open(path) as file:
        branch = file["Events"]["PFCand_eta"]
        seeks = [int(s) for s in branch.member("fBasketSeek")[: branch.num_baskets]]
    content = bytearray(path.read_bytes())
    content[seeks[-1] + 200 : seeks[-1] + 260] = bytes(60)
    path.write_bytes(content)


def test_a_failing_chunk_of_simulation_leaves_the_others_with_their_sumw(
    ten_files: list[Path], clean_rows: Rows, iterative: ExecutorBase, tmp_path: Path
) -> None:
    damage(ten_files[6])
    output = tmp_path / "skim"
    with pytest.raises(ProcessingError, match=r"1 of 10 chunks failed(.|\n)*file6\.root"):
        run_skim(fileset_of(ten_files), output=output, executor=iterative)
    assert not (output / "manifest.json").exists()
    manifest = run_skim(
        fileset_of(ten_files),
        output=output,
        executor=iterative,
        options=RunOptions(allow_missing=True),
    )
    (part,) = manifest.missing
    assert (part.file, part.entry_start, part.entry_stop) == (str(ten_files[6]), 0, 20)
    assert (manifest.planned_entries, manifest.processed_entries, manifest.failed_entries) == (
        200,
        180,
        20,
    )
    assert manifest.datasets["some"].sumw == 180
    assert rows_of(output) == without_file(clean_rows, ten_files[6])


def test_data_count_by_whole_files_and_keep_their_luminosity_only_with_a_table(
    qcd: Path, rewrite: Rewrite, iterative: ExecutorBase, tmp_path: Path
) -> None:
    files = []
    for n in range(2):

        def number(data: dict[str, Any], n: int = n) -> None:
            data["event"] = ak.Array(np.arange(100, dtype=np.uint64) + 1000 * n)
            data["luminosityBlock"] = ak.Array((np.arange(100) // 25 + 10 * n + 1).astype("u4"))

        files.append(rewrite(qcd, f"data{n}.root", entries=100, change=number, as_data=True))
    table = tmp_path / "lumi.csv"
    rows = [
        f"361001:99,{b}:{b},t,STABLE BEAMS,6800,9.9,{b}.5,30,HFOC"
        for b in (1, 2, 3, 4, 11, 12, 13, 14)
    ]
    head = "#run:fill,ls,time,beamstatus,E(GeV),delivered(/nb),recorded(/nb),avgpu,source"
    table.write_text("\n".join(["#Data tag : online", head, *rows, "#Summary:"]) + "\n")
    whole = run_skim(
        fileset_of(files, "data", lumi_table=table), output=tmp_path / "whole", executor=iterative
    )
    sums = [(1 + 2 + 3 + 4 + 4 * 0.5) / 1e6, (11 + 12 + 13 + 14 + 4 * 0.5) / 1e6]
    assert whole.datasets["some"].lumi_ifb == pytest.approx(sum(sums), rel=1e-12)
    assert data_luminosity(whole.datasets, sum(sums)) == pytest.approx(sum(sums))

    # One chunk of the second file fails, for good: an index points nowhere.
    def break_links(data: dict[str, Any]) -> None:
        number(data, 1)
        index = ak.to_list(data["FatJetPFCand_pfCandIdx"])
        index[30] = [100_000 for _ in index[30]]
        data["FatJetPFCand_pfCandIdx"] = ak.values_astype(ak.Array(index), "int32")

    files[1] = rewrite(qcd, "data1.root", entries=100, change=break_links, as_data=True)
    options: dict[str, Any] = {
        "executor": iterative, "options": RunOptions(chunk_size=25, allow_missing=True),
        "selection": Selection(jet_id=False, lepton_delta_r=None, pt_min=0, eta_max=9),
    }  # fmt: skip
    with_table = run_skim(
        fileset_of(files, "data", lumi_table=table), output=tmp_path / "with", **options
    )
    errors = [part.error for part in with_table.missing]
    assert errors == ["MissingDataError", "LinkError", "MissingDataError", "MissingDataError"]
    assert with_table.failed_entries == 100
    assert set(ak.to_list(open_skim(tmp_path / "with").jets().luminosityBlock)) == {1, 2, 3, 4}
    summary = with_table.datasets["some"]
    assert summary.lumisections == {"361001": [(1, 4)]}
    assert summary.lumi_ifb == pytest.approx(sums[0], rel=1e-12)
    assert data_luminosity(with_table.datasets, sum(sums)) == pytest.approx(sums[0])

    without = run_skim(fileset_of(files, "data"), output=tmp_path / "without", **options)
    with pytest.raises(MissingDataError, match="lumi_table"):
        data_luminosity(without.datasets, sum(sums))
    assert data_luminosity(without.datasets, None) is None


def test_a_part_that_a_lost_worker_wrote_is_not_made_again(
    qcd: Path, iterative: ExecutorBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_skim(
        fileset_of([qcd]), output=tmp_path, executor=iterative, options=RunOptions(chunk_size=100)
    )
    results: list[dict[str, Any]] = []

    def spy(source: Any, work: Any, attempts: Attempts) -> dict[str, Any]:
        result = original(source, lambda _: pytest.fail("made again"), attempts)
        results.append(result)
        return result

    original = attempts_module.attempt_chunk
    monkeypatch.setattr(attempts_module, "attempt_chunk", spy)
    # As if the parts came after the driver had looked: it sees none of the four the first time.
    unseen = iter(range(4))

    def late(*args: Any) -> Any:
        return real(*args) if next(unseen, None) is None else None

    real = engine.read_part_record
    monkeypatch.setattr(engine, "read_part_record", late)
    manifest = run_skim(
        fileset_of([qcd]), output=tmp_path, executor=iterative, options=RunOptions(chunk_size=100)
    )
    assert len(results) == 4
    assert manifest.processed_entries == 400


class BrokenPen(JetImage):
    """Draws a NaN into the third jet of what it is given."""

    def __call__(self, jets: Any) -> Any:
        images = super().__call__(jets)
        images[2, 4, 4, 0] = np.nan
        images[2, 4, 5, 0] = np.inf
        return images


def test_pixels_that_are_not_finite_are_counted_and_refused(
    qcd: Path, iterative: ExecutorBase, tmp_path: Path
) -> None:
    with pytest.raises(NonFiniteError, match=r"2 pixels are NaN or infinite, first in jet 2"):
        run_skim(fileset_of([qcd]), output=tmp_path, representation=BrokenPen(), executor=iterative)
    assert not list(tmp_path.rglob("*.npy"))


def test_cut_files_are_refused_before_anything_is_made(
    qcd: Path, iterative: ExecutorBase, tmp_path: Path
) -> None:
    """20 of 20, from a byte to all but the header's first bytes."""
    content = qcd.read_bytes()
    path, output = tmp_path / "cut.root", tmp_path / "skim"
    offsets = np.unique(np.geomspace(5, len(content) - 1, 20).astype(int))
    assert len(offsets) == 20
    for offset in offsets:
        path.write_bytes(content[:offset])
        with pytest.raises(BadFileError, match=rf"cut\.root is truncated: {offset} bytes"):
            run_skim(fileset_of([path]), output=output, executor=iterative)
        assert not output.exists()


@pytest.mark.parametrize("algorithm", ["adler32", "sha256"])
def test_single_flipped_bits_are_caught_by_checksums(
    qcd: Path, iterative: ExecutorBase, tmp_path: Path, algorithm: str
) -> None:
    path, output = tmp_path / "flipped.root", tmp_path / "skim"
    content = bytearray(qcd.read_bytes())
    path.write_bytes(content)
    fileset = fileset_of([path], checksums={str(path): checksum_of(path, algorithm)})
    rng = np.random.default_rng(7)
    # Bits of the baskets: damage there is what can be read without an error.
    for bit in rng.integers(8 * 2000, 8 * len(content) // 2, 10):
        content[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(content)
        content[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(BadFileError, match=r"flipped\.root has checksum"):
            run_skim(fileset, output=output, executor=iterative)
        assert not list(output.glob("*/*.json"))
    path.write_bytes(content)
    manifest = run_skim(fileset, output=output, executor=iterative)
    assert manifest.processed_entries == 400


def test_checksums_are_verified_of_what_is_still_to_do_alone(
    ten_files: list[Path], iterative: ExecutorBase, tmp_path: Path
) -> None:
    checksums = {str(path): checksum_of(path) for path in ten_files}
    fileset = fileset_of(ten_files, checksums=checksums)
    content = bytearray(ten_files[5].read_bytes())
    content[len(content) // 3] ^= 1  # inside a basket: the file still opens
    ten_files[5].write_bytes(content)
    with pytest.raises(BadFileError, match=r"1 of 10 chunks failed(.|\n)*file5\.root has checksum"):
        run_skim(fileset, output=tmp_path / "skim", executor=iterative)
    manifest = run_skim(
        fileset,
        output=tmp_path / "skim",
        executor=iterative,
        options=RunOptions(allow_missing=True),
    )
    assert [(part.file, part.error) for part in manifest.missing] == [
        (str(ten_files[5]), "BadFileError")
    ]
    assert manifest.processed_entries == 180
