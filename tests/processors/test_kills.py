"""Processes that are killed for real, in the middle of work; the answer is that of a clean run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import awkward as ak
import psutil
import pytest
from chunks import one
from coffea.processor.executor import ExecutorBase
from distributed import Client, LocalCluster

from oddjet.analysis.studies.benchmarks.processors import repeat_file
from oddjet.condor import Cluster, open_executor
from oddjet.condor.executors import WorkersExecutor
from oddjet.datasets.skims.parts import read_part_record, write_part
from oddjet.datasets.skims.skim import open_skim
from oddjet.errors import ChunkTooLargeError
from oddjet.processors.engine import memory, workers
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.events.source import ChunkSource
from oddjet.processors.run import run_skim

Rows = list[dict[str, Any]]


def rows_of(folder: Path) -> Rows:
    return ak.to_list(open_skim(folder).jets())


def kill_workers(n_kills: int, stop: threading.Event, killed: list[int]) -> None:
    """SIGKILL one of this process' Dask workers at random times."""
    rng = random.Random(4)
    while len(killed) < n_kills and not stop.wait(rng.uniform(0.5, 2.5)):
        children = psutil.Process().children()
        workers = [c.pid for c in children if "spawn_main" in " ".join(c.cmdline())]
        if alive := sorted(set(workers) - set(killed)):
            killed.append(rng.choice(alive))
            os.kill(killed[-1], signal.SIGKILL)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_ten_killed_workers_change_nothing(qcd: Path, tmp_path: Path) -> None:
    path = repeat_file(qcd, tmp_path / "big.root", times=20)
    with open_executor() as executor:
        run_skim(
            one(path),
            output=tmp_path / "clean",
            executor=executor,
            options=RunOptions(chunk_size=16),
        )
    expected = rows_of(tmp_path / "clean")
    stop, killed = threading.Event(), list[int]()
    with open_executor(Cluster(executor="dask", workers=2)) as executor:
        thread = threading.Thread(target=kill_workers, args=(10, stop, killed), daemon=True)
        thread.start()
        manifest = run_skim(
            one(path),
            output=tmp_path / "killed",
            executor=executor,
            options=RunOptions(chunk_size=16),
        )
        stop.set()
        thread.join(60)
    assert len(killed) == 10
    assert manifest.planned_entries == manifest.processed_entries == 8000
    assert rows_of(tmp_path / "killed") == expected


DRIVER = """
import sys
from pathlib import Path
from oddjet.condor import Cluster, open_executor
from oddjet.datasets.files.dataset import Dataset, Fileset
from oddjet.processors.run import run_skim

if __name__ == "__main__":
    path, output, kind = sys.argv[1:]
    fileset = Fileset(datasets={"some": Dataset(files=[path], kind="background")})
    with open_executor(Cluster(executor=kind, workers=2)) as executor:
        run_skim(fileset, output=Path(output), executor=executor, chunk_size=10)
"""


def start_driver(script: Path, *arguments: str) -> subprocess.Popen[bytes]:
    with script.with_suffix(".log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, str(script), *arguments],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stderr=log,
        )


@pytest.mark.long
@pytest.mark.parametrize("kind", ["iterative", "futures"])
def test_a_driver_killed_at_five_points_goes_on(qcd: Path, tmp_path: Path, kind: str) -> None:
    with open_executor() as executor:
        run_skim(
            one(qcd),
            output=tmp_path / "clean",
            executor=executor,
            options=RunOptions(chunk_size=10),
        )
    script, output = tmp_path / "driver.py", tmp_path / "skim"
    script.write_text(DRIVER)
    done: list[int] = []
    for n_parts in (0, 5, 12, 20, 30):
        driver = start_driver(script, str(qcd), str(output), kind)
        deadline = time.monotonic() + 60
        while len(list(output.glob("some/[!.]*.json"))) < n_parts or not output.exists():
            assert driver.poll() is None, script.with_suffix(".log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        driver.kill()
        driver.wait()
        done.append(len(list(output.glob("some/[!.]*.json"))))
        assert not (output / "manifest.json").exists()
    assert done == sorted(done)  # what was done stays done
    before = {p: p.stat().st_mtime_ns for p in output.glob("some/[!.]*.json")}
    last = start_driver(script, str(qcd), str(output), kind)
    assert last.wait(120) == 0, script.with_suffix(".log").read_text()
    assert {p: p.stat().st_mtime_ns for p in before} == before  # nothing was made twice
    assert rows_of(output) == rows_of(tmp_path / "clean")
    assert not list(output.rglob(".*"))


WRITERS = """
import json, os, random, signal, sys, time
from pathlib import Path
from oddjet.datasets.disk.atomic import atomic_write
from oddjet.datasets.skims.manifest import ChunkRecord
from oddjet.datasets.skims.parts import read_part_record, write_part
from oddjet.datasets.skims.skim import open_skim
import numpy as np
import pyarrow.parquet as pq

skim = open_skim(sys.argv[1])
folder = Path(sys.argv[2])
chunk = skim.manifest.chunks[0]
jets = skim.jets()[:150]
images = np.zeros((len(jets), 32, 32, 1), np.float32)
record = chunk.model_copy(update={"n_jets": len(jets), "key": "0" * 20, "cutflow": ()})
rng = random.Random(int(sys.argv[3]))
seen = {"whole": 0, "absent": 0, "broken": 0, "left over": 0}

started = time.perf_counter()
write_part(folder, record.dataset, record.key, jets, images=images, record=record)
seconds = time.perf_counter() - started

for _ in range(20):
    child = os.fork()
    if child == 0:
        while True:
            write_part(folder, record.dataset, record.key, jets, images=images, record=record)
    time.sleep(rng.uniform(0, 2 * seconds))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    kept = read_part_record(folder, record.dataset, record.key)
    seen["left over"] += len(list(folder.rglob(".*.*")))
    stem = folder / record.dataset / record.key
    # A file with its final name is whole, with or without the record.
    try:
        if stem.with_suffix(".parquet").exists():
            assert pq.read_table(stem.with_suffix(".parquet")).num_rows == len(jets)
        if stem.with_suffix(".npy").exists():
            assert len(np.load(stem.with_suffix(".npy"))) == len(jets)
        seen["absent" if kept is None else "whole"] += 1
    except Exception:
        seen["broken"] += 1
print(json.dumps(seen))
"""


@pytest.mark.slow
def test_twenty_writers_killed_leave_no_partial_file(skim_folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "writers.py"
    script.write_text(WRITERS)
    output = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(skim_folder), str(tmp_path / "out"), "5"],
        capture_output=True,
        check=True,
        text=True,
        timeout=120,
    )
    seen = json.loads(output.stdout)
    assert seen["broken"] == 0
    assert seen["whole"] + seen["absent"] == 20
    assert seen["absent"] > 0  # some were hit in the middle of a write
    assert seen["left over"] > 0


def test_readers_beside_a_writer_never_meet_half_a_part(skim_folder: Path, tmp_path: Path) -> None:
    """A part is written again and again; every look finds all of it or nothing."""
    skim = open_skim(skim_folder)
    chunk = skim.manifest.chunks[0]
    jets = skim.jets(chunk.dataset)
    given = chunk.model_copy(update={"n_jets": len(jets)})
    write_part(tmp_path, chunk.dataset, chunk.key, jets, images=None, record=given)
    # As it is sealed, with the hashes of what was written.
    record = read_part_record(tmp_path, chunk.dataset, chunk.key)
    assert record is not None
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            write_part(tmp_path, chunk.dataset, chunk.key, jets, images=None, record=given)
            time.sleep(0.02)  # a moment in which a reader may begin

    thread = threading.Thread(target=write)
    thread.start()
    n_read = 0
    try:
        deadline = time.monotonic() + 60
        while n_read < 50 and time.monotonic() < deadline:
            seen = read_part_record(tmp_path, chunk.dataset, chunk.key)
            if seen is None:
                continue
            assert seen == record
            path = tmp_path / chunk.dataset / f"{chunk.key}.parquet"
            assert len(ak.from_parquet(path)) == len(jets)
            n_read += 1
    finally:
        stop.set()
        thread.join()
    assert n_read == 50


@contextmanager
def small_cluster() -> Iterator[ExecutorBase]:
    """One worker with 550 MB, of which Python and its libraries take 400."""
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit="550MB",
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield WorkersExecutor(client=client)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_a_chunk_that_kills_its_worker_is_named_within_two_minutes_and_smaller_ones_pass(
    qcd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = repeat_file(qcd, tmp_path / "big.root", times=100)
    options: dict[str, Any] = {"output": tmp_path / "skim"}
    with small_cluster() as executor:
        started = time.monotonic()
        with pytest.raises(ChunkTooLargeError, match="give a chunk_size of at most") as raised:
            run_skim(
                one(path),
                executor=executor,
                options=RunOptions(chunk_size=40_000),
                **options,
            )
        assert time.monotonic() - started < 20
        advice = int(str(raised.value).rsplit(" ", 1)[1])
        # The estimate is kept from seeing it: the worker is killed for real.
        with monkeypatch.context() as patch:
            patch.setattr("oddjet.processors.engine.rounds.check_memory", lambda *_: None)
            started = time.monotonic()
            with pytest.raises(ChunkTooLargeError, match=r"big\.root.*smaller chunk_size"):
                run_skim(
                    one(path),
                    executor=executor,
                    options=RunOptions(chunk_size=40_000),
                    **options,
                )
            assert time.monotonic() - started < 120
    with small_cluster() as executor:
        manifest = run_skim(
            one(path),
            executor=executor,
            options=RunOptions(chunk_size=advice),
            **options,
        )
        assert manifest.processed_entries == 40_000


class IdleClient:
    """Answers as a scheduler with no worker would."""

    class LocalCluster: ...

    def __init__(self, workers: dict[str, Any]) -> None:
        self.cluster, self.workers, self.cancelled = self.LocalCluster(), workers, threading.Event()

    def scheduler_info(self, **_: int) -> dict[str, Any]:
        return {"workers": self.workers}


@pytest.mark.parametrize(
    ("worker", "works"),
    [
        ({"status": "running"}, True),
        ({"status": "paused", "metrics": {"task_counts": {"executing": 1}}}, True),
        ({"status": "paused", "metrics": {"task_counts": {"executing": 0}}}, False),
        (None, False),
    ],
)
def test_a_cluster_without_workers_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch, worker: dict[str, Any] | None, works: bool
) -> None:
    client = IdleClient({} if worker is None else {"a": worker})
    monkeypatch.setattr(workers, "_INTERVAL", 0.01)
    monkeypatch.setattr(workers, "cancel_all", lambda c: c.cancelled.set())

    def wait() -> None:
        with workers.watch_workers(SimpleNamespace(client=client), patience=0.1):  # type: ignore[arg-type]
            if client.cancelled.wait(0.4 if works else 10):
                raise RuntimeError("cancelled")  # noqa: EM101

    if works:
        wait()
    else:
        with pytest.raises(workers.NoWorkersError, match=r"work for 0\.1 s"):
            wait()


def test_the_memory_of_workers(executors: dict[str, ExecutorBase]) -> None:
    machine = psutil.virtual_memory().total
    assert 0 < memory.memory_limit(executors["iterative"]) <= machine  # type: ignore[operator]
    for kind in ("futures", "dask"):
        limit = memory.memory_limit(executors[kind])
        assert limit is not None
        assert 0 < limit <= machine


@pytest.fixture
def chunk_of() -> Callable[[int], Any]:
    def chunk_of(n: int) -> ChunkSource:
        return ChunkSource("some", "background", (), "/a.root", "u", "Events", 0, n, "", "k")

    return chunk_of


def test_large_chunks_are_refused_with_a_size_that_fits(chunk_of: Callable[[int], Any]) -> None:
    sizes, limit = {"/a.root": 3000.0}, 2e9
    with pytest.raises(ChunkTooLargeError, match=r"a\.root, entries \[0, 1000000\)") as raised:
        memory.check_memory([chunk_of(10), chunk_of(1_000_000)], sizes, limit)
    fits = int(str(raised.value).rsplit(" ", 1)[1])
    memory.check_memory([chunk_of(fits)], sizes, limit)
    with pytest.raises(ChunkTooLargeError):
        memory.check_memory([chunk_of(fits + 1)], sizes, limit)
    memory.check_memory([chunk_of(1_000_000)], sizes, None)
    memory.check_memory([chunk_of(1_000_000)], {}, limit)  # a format without sizes
    with pytest.raises(ChunkTooLargeError, match="more memory, whatever the chunk_size"):
        memory.check_memory([chunk_of(1000)], sizes, 100e6)
