"""Chunks that kill the worker that takes them, in real processes."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path
from typing import Any

import awkward as ak
import pytest
from coffea.processor.executor import ExecutorBase

from oddjet.condor import Cluster, open_executor
from oddjet.datasets.skims.parts import write_part
from oddjet.errors import ChunkTooLargeError
from oddjet.processors.engine.chunkwise import record_of
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.engine.rounds import FAILURES, run_chunks
from oddjet.processors.events.source import ChunkSource

N_CHUNKS = 5
LETHAL = {3}


def chunk_of(number: int) -> ChunkSource:
    start = 10 * number
    return ChunkSource(
        "some", "background", (), "/a.root", "u", "Events", start, start + 10, "", f"{number:020x}"
    )


def make_part(chunk: ChunkSource, *, output: Path) -> dict[str, Any]:
    if int(chunk.key, 16) in LETHAL:
        os.kill(os.getpid(), signal.SIGKILL)
    record = record_of(chunk, n_jets=1, cutflow=(), sumw=1.0, sumw2=1.0, counts={}, seconds=0.0)
    rows = ak.Array([{"pt": 1.0}])
    write_part(output, chunk.dataset, chunk.key, rows, images=None, record=record)
    return {"records": {chunk.key: record.model_dump(mode="json")}}


def go(output: Path, executor: ExecutorBase, **options: Any) -> Any:
    def run(todo: list[ChunkSource]) -> dict[str, Any]:
        work = functools.partial(make_part, output=output)
        return dict(executor.copy()(todo, work, None)[0])

    chunks = [chunk_of(number) for number in range(N_CHUNKS)]
    return run_chunks(chunks, output, run, executor=executor, options=RunOptions(**options))


@pytest.fixture(
    params=[
        "futures",
        pytest.param("dask", marks=[pytest.mark.long, pytest.mark.filterwarnings("ignore")]),
    ]
)
def workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    # Workers inherit the path; they have to import this module.
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[3]))
    with open_executor(Cluster(executor=request.param, workers=2)) as executor:
        yield executor


def test_chunks_that_kill_their_worker_are_missing_where_that_is_allowed(
    workers: ExecutorBase, tmp_path: Path
) -> None:
    records, result = go(tmp_path, workers, allow_missing=True)
    assert {int(record.key, 16) for record in records} == set(range(N_CHUNKS)) - LETHAL
    failures = result["failures"]
    assert {int(key, 16) for key in failures} == LETHAL
    for number in LETHAL:
        failure = failures[f"{number:020x}"]
        assert failure["error"] == "ChunkTooLargeError"
        assert f"[{10 * number}, {10 * number + 10})" in failure["message"]
        assert "did this chunk of 10 entries" in failure["message"]
    assert (tmp_path / FAILURES).exists()


def test_chunks_that_kill_their_worker_end_the_run_and_the_others_are_kept(
    workers: ExecutorBase, tmp_path: Path
) -> None:
    with pytest.raises(ChunkTooLargeError, match="smaller chunk_size"):
        go(tmp_path, workers)
    kept = {int(path.stem, 16) for path in tmp_path.glob("some/*.json")}
    assert kept
    assert not kept & LETHAL
