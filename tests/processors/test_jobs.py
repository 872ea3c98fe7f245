from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from coffea.processor.executor import ExecutorBase

from oddjet.datasets.files.fileset import Fileset
from oddjet.datasets.skims.parts import read_part_record
from oddjet.datasets.skims.skim import open_skim
from oddjet.errors import ConfigError, OddjetError, ProcessingError
from oddjet.ml.representations.jet_image import JetImage
from oddjet.processors.engine.keys import code_digest
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.engine.rounds import read_failures
from oddjet.processors.events.selection import Selection
from oddjet.processors.histograms import HistogramSettings
from oddjet.processors.jobs import (
    AbsentExecutor,
    BatchChunk,
    BatchJob,
    BatchStep,
    gather_parts,
    pack_inputs,
    read_job,
    run_job,
    split_chunks,
)
from oddjet.processors.run import run_anomaly, run_skim

IMAGE = JetImage(pixels=8)


def planned(fileset: Fileset, output: Path) -> list[BatchChunk]:
    """The chunks of a skim with images, none of which is done."""
    absent = AbsentExecutor()
    with pytest.raises(ProcessingError, match="6 of 6 chunks failed"):
        run_skim(
            fileset,
            output=output,
            representation=IMAGE,
            executor=absent,
            options=RunOptions(chunk_size=100),
        )
    return absent.chunks


def write_job(folder: Path, chunks: list[BatchChunk], **step: object) -> Path:
    settings = {"step": "skim", "code": code_digest(), "representation": IMAGE.identity(), **step}
    job = BatchJob(step=BatchStep(**settings), chunks=tuple(chunks))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "job.json").write_text(job.model_dump_json())
    return folder / "job.json"


@pytest.mark.parametrize(
    ("jobs", "chunks_per_job", "sizes"),
    [(None, None, [1] * 7), (3, None, [2, 2, 3]), (None, 3, [2, 2, 3]), (20, 1, [1] * 7)],
)
def test_groups_are_even_and_in_order(
    jobs: int | None, chunks_per_job: int | None, sizes: list[int]
) -> None:
    chunks = [BatchChunk(source={}, part=str(n)) for n in range(7)]
    groups = split_chunks(chunks, jobs=jobs, chunks_per_job=chunks_per_job)
    assert sorted(map(len, groups)) == sizes
    assert [chunk for group in groups for chunk in group] == chunks


def test_jobs_give_what_one_run_gives(
    fileset: Fileset, iterative: ExecutorBase, tmp_path: Path
) -> None:
    clean = run_skim(
        fileset,
        output=tmp_path / "clean",
        representation=IMAGE,
        executor=iterative,
        options=RunOptions(chunk_size=100),
    )
    output = tmp_path / "output"
    chunks = planned(fileset, output)
    assert [item.chunk.key for item in chunks] == [record.key for record in clean.chunks]
    for number, group in enumerate(split_chunks(chunks, jobs=4)):
        folder = tmp_path / f"job-{number}"
        path = write_job(folder, group)
        assert gather_parts(read_job(path), folder / "parts", output) == []
        run_job(path, folder / "parts", executor=iterative)
        run_job(path, folder / "parts", executor=AbsentExecutor())  # nothing is done twice
        keys = [item.chunk.key for item in group]
        for _ in range(2):
            assert gather_parts(read_job(path), folder / "parts", output) == keys
    absent = AbsentExecutor()
    merged = run_skim(
        fileset,
        output=output,
        representation=IMAGE,
        executor=absent,
        options=RunOptions(chunk_size=100),
    )
    assert absent.chunks == []
    assert merged.cutflow == clean.cutflow
    assert merged.config == clean.config
    for record in clean.chunks:
        part = f"{record.dataset}/{record.key}"
        tables = [pq.read_table(tmp_path / f / f"{part}.parquet") for f in ("clean", "output")]
        assert tables[0].equals(tables[1])
        images = [(tmp_path / f / f"{part}.npy").read_bytes() for f in ("clean", "output")]
        assert images[0] == images[1]


def test_a_half_written_part_is_not_gathered(
    fileset: Fileset, iterative: ExecutorBase, tmp_path: Path
) -> None:
    chunks = planned(fileset, tmp_path / "output")[:2]
    path = write_job(tmp_path / "job", chunks)
    parts = tmp_path / "job" / "parts"
    run_job(path, parts, executor=iterative)
    first, second = (item.chunk for item in chunks)
    (parts / first.dataset / f"{first.key}.npy").unlink()
    assert gather_parts(read_job(path), parts, tmp_path / "output") == [second.key]
    assert read_part_record(tmp_path / "output", first.dataset, first.key) is None


def test_other_code_is_refused(fileset: Fileset, iterative: ExecutorBase, tmp_path: Path) -> None:
    chunks = planned(fileset, tmp_path / "output")
    path = write_job(tmp_path / "job", chunks, code="0" * 64)
    with pytest.raises(ConfigError, match="same version of oddjet"):
        run_job(path, tmp_path / "job" / "parts", executor=iterative)
    assert not (tmp_path / "job" / "parts").exists()


def test_what_fails_is_told_by_chunk_and_the_others_are_kept(
    fileset: Fileset, iterative: ExecutorBase, tmp_path: Path
) -> None:
    chunks = planned(fileset, tmp_path / "output")
    gone = tmp_path / "gone.root"
    last = chunks[-1]
    broken = last.model_copy(
        update={"source": {"oddjet": {**last.source["oddjet"], "file": str(gone)}}}
    )
    gone.write_text("<html>")
    path = write_job(tmp_path / "job", [*chunks[:-1], broken])
    parts = tmp_path / "job" / "parts"
    with pytest.raises(OddjetError, match="1 of 6 chunks failed") as error:
        run_job(path, parts, executor=iterative)
    assert str(gone) in str(error.value)
    assert list(read_failures(parts)) == [last.chunk.key]
    assert len(gather_parts(read_job(path), parts, tmp_path / "output")) == 5


def test_a_part_of_a_skim_is_scored_from_an_archive(
    fileset: Fileset,
    iterative: ExecutorBase,
    skim_folder: Path,
    detector_folder: Path,
    tmp_path: Path,
) -> None:
    """As where no files are shared: the job sees its own folder alone."""
    skim = open_skim(skim_folder)
    settings = HistogramSettings(n_bins=30, mass_range=(50.0, 200.0))
    detectors = {"mass": detector_folder}
    clean = run_anomaly(
        skim,
        detectors=detectors,
        output=tmp_path / "clean",
        executor=iterative,
        histograms=settings,
    )
    absent = AbsentExecutor()
    output = tmp_path / "output"
    with pytest.raises(ProcessingError, match="not done yet"):
        run_anomaly(skim, detectors=detectors, output=output, executor=absent, histograms=settings)
    step = BatchStep(
        step="score",
        code=code_digest(),
        skim=skim_folder,
        detectors=detectors,
        histograms=settings,
    )
    for number, group in enumerate(split_chunks(absent.chunks, jobs=2)):
        here, elsewhere = tmp_path / f"job-{number}", tmp_path / f"there-{number}"
        here.mkdir()
        job = pack_inputs(BatchJob(step=step, chunks=tuple(group)), here)
        assert not (here / "skim").exists()
        assert str(tmp_path) not in job.model_dump_json(exclude={"chunks"})
        (here / "job.json").write_text(job.model_dump_json())
        shutil.move(here, elsewhere)
        run_job(elsewhere / "job.json", elsewhere / "parts", executor=iterative)
        gather_parts(job, elsewhere / "parts", output)
    merged = run_anomaly(
        skim, detectors=detectors, output=output, executor=AbsentExecutor(), histograms=settings
    )
    assert merged.passed == clean.passed
    for record in clean.manifest.chunks:
        part = f"{record.dataset}/{record.key}.parquet"
        one, other = (pq.read_table(tmp_path / f / part) for f in ("clean", "output"))
        assert one.equals(other)


def test_a_luminosity_mask_travels_along(tmp_path: Path) -> None:
    mask = tmp_path / "certified.json"
    mask.write_text('{"1": [[1, 5]]}')
    step = BatchStep(step="skim", code="", selection=Selection(lumi_mask=mask))
    packed = pack_inputs(BatchJob(step=step, chunks=()), tmp_path)
    (tmp_path / "job.json").write_text(packed.model_dump_json())
    assert packed.step.selection.lumi_mask == Path("lumi_mask.json")
    assert read_job(tmp_path / "job.json").step.selection.lumi_mask == tmp_path / "lumi_mask.json"
