"""Throughput of workers and of the second processor, each against the plainest way to do the same.

Everything runs in processes of its own with one thread a library, in turns, and medians count: on a
machine with other work to do, neighbours in time see the same machine.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from oddjet.analysis.studies.benchmarks.throughput import quick_hyper_parameters, training_jets
from oddjet.analysis.studies.benchmarks.timing import timed
from oddjet.condor.cluster import open_executor
from oddjet.condor.site import Cluster
from oddjet.condor.submit import WORKER_ENVIRONMENT
from oddjet.datasets.files.dataset import Dataset, Fileset
from oddjet.datasets.skims.manifest import ChunkRecord
from oddjet.datasets.skims.skim import open_skim
from oddjet.errors import ProcessingError
from oddjet.ml import detector_class
from oddjet.ml.folds import FoldedDetector
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.run import run_anomaly, run_skim

__all__ = ["compare_scoring", "compare_workers", "halves"]

CHUNK_SIZE = 20_000
_SCRIPT = (
    "import os, sys; from oddjet.processes import end_with_owner; end_with_owner(os.getppid());"
    "from oddjet.analysis.studies.benchmarks import scale; scale.run_job(sys.argv[1])"
)
_PATIENCE = 1800.0
_WAYS: dict[str, list[str]] = {
    "alone": ["iterative", "iterative"],
    "futures": ["futures"],
    "dask": ["dask"],
    "one": ["iterative"],
}
"""The executors of the processes that run at once; each has an equal part of the files. `one` shows the
gain from a second core."""


def compare_workers(
    files: Sequence[Path],
    folder: Path,
    *,
    repeats: int = 3,
    chunk_size: int = CHUNK_SIZE,
) -> dict[str, Any]:
    """Skim files with two local workers, and in two processes that know nothing of each other.

    The clock starts when all processes have skimmed a first small part, so that imports and
    compilation do not count, and stops when the last one has its manifest.

    The files, two at least, are different ones; each round does every way once, another one first.

    Returns:
        n_events; events a second of `alone`, `futures`, `dask` and `one`, as medians and all; and
        ratios: dask_by_alone and dask_overhead, the time with Dask by that with futures, minus 1.

    Raises:
        ProcessingError: If a process fails.
    """
    ways = list(_WAYS)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    n_events = 0
    for round_number in range(repeats):
        first = round_number % len(ways)
        for way in ways[first:] + ways[:first]:
            done = _skim_in_a_way(way, files, folder / f"{way}-{round_number}", chunk_size)
            n_events = sum(job["n_events"] for job in done)
            ends, starts = ([job[name] for job in done] for name in ("end", "start"))
            seconds[way].append(max(ends) - min(starts))
    rates = {way: [n_events / time for time in times] for way, times in seconds.items()}
    medians = {way: statistics.median(values) for way, values in rates.items()}
    return {
        "n_events": n_events,
        "load_average": os.getloadavg()[0],
        "events_per_second": medians,
        "all_events_per_second": rates,
        "dask_by_alone": medians["dask"] / medians["alone"],
        "dask_overhead": medians["futures"] / medians["dask"] - 1.0,
    }


def _skim_in_a_way(
    way: str, files: Sequence[Path], folder: Path, chunk_size: int
) -> list[dict[str, Any]]:
    executors = _WAYS[way]
    parts = halves(files) if len(executors) == 2 else [list(files)]
    jobs = [
        {
            "kind": "skim",
            "executor": executor,
            "files": [str(path) for path in part],
            "chunk_size": chunk_size,
            "index": index,
            "n_jobs": len(executors),
            "folder": str(folder),
        }
        for index, (executor, part) in enumerate(zip(executors, parts, strict=True))
    ]
    return _run_jobs(jobs, folder)


def halves(files: Sequence[Path]) -> list[list[Path]]:
    """Divide two or more files into two lists of nearly the same size on disk."""
    parts: list[list[Path]] = [[], []]
    sizes = [0, 0]
    for path in sorted(files, key=lambda path: -path.stat().st_size):
        smaller = sizes.index(min(sizes))
        parts[smaller].append(path)
        sizes[smaller] += path.stat().st_size
    return parts


def compare_scoring(
    file: Path, folder: Path, detector: str, *, repeats: int = 3, n_events: int = 40_000
) -> dict[str, Any]:
    """Score a skim with the second processor, and the same jets in memory with the same detector.

    The processor reads the skim, scores, writes the table and fills histograms; the other way is
    `FoldedDetector.scores` of jets that are in memory, representation included. Seconds are those of the
    processor, all threads: other work on the machine does not count.

    Returns:
        n_jets, jets a second of both ways as medians, and ratio, the processor's by the other's.

    Raises:
        ProcessingError: If the process fails.
    """
    job = {
        "kind": "score",
        "file": str(file),
        "detector": detector,
        "repeats": repeats,
        "n_events": n_events,
        "index": 0,
        "n_jobs": 1,
        "folder": str(folder),
    }
    (result,) = _run_jobs([job], folder)
    n_jets = result["n_jets"]
    memory, processor = (statistics.median(result[name]) for name in ("memory", "processor"))
    return {
        "n_jets": n_jets,
        "load_average": os.getloadavg()[0],
        "memory_jets_per_second": n_jets / memory,
        "processor_jets_per_second": n_jets / processor,
        "ratio": memory / processor,
    }


def _run_jobs(jobs: Sequence[Mapping[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Run jobs at once, each in a process of its own, and read what they found."""
    folder.mkdir(parents=True)
    processes = []
    for job in jobs:
        path = folder / f"job-{job['index']}.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", _SCRIPT, str(path)],
                env={**os.environ, **WORKER_ENVIRONMENT},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    errors = [process.communicate()[1] for process in processes]
    for process, text in zip(processes, errors, strict=True):
        if process.returncode:
            msg = f"a benchmark's process failed: {text.strip()[-500:]}"
            raise ProcessingError(msg)
    return [
        json.loads((folder / f"result-{job['index']}.json").read_text(encoding="utf-8"))
        for job in jobs
    ]


def run_job(path: str) -> None:
    """Do one job in a process of its own."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    result = _JOBS[job["kind"]](job)
    (Path(job["folder"]) / f"result-{job['index']}.json").write_text(json.dumps(result))


def _fileset(files: Sequence[str]) -> Fileset:
    """A dataset a file: repeated samples have the same events, which one dataset must not."""
    datasets = {
        f"file{number}": Dataset(files={path: "Events"}, kind="background")
        for number, path in enumerate(files)
    }
    return Fileset(datasets=datasets)


def _skim_job(job: Mapping[str, Any]) -> dict[str, Any]:
    folder, index = Path(job["folder"]), job["index"]
    cluster = Cluster(executor=job["executor"], workers=2)
    smallest = min(job["files"], key=lambda name: Path(name).stat().st_size)
    with open_executor(cluster) as executor:
        # Chunks for every worker, so that all have compiled what they need.
        run_skim(
            _fileset([smallest]),
            output=folder / f"warm-{index}",
            executor=executor,
            options=RunOptions(chunk_size=5000),
        )
        _wait_for_others(folder, index, job["n_jobs"])
        start = time.time()
        manifest = run_skim(
            _fileset(job["files"]),
            output=folder / f"skim-{index}",
            executor=executor,
            options=RunOptions(chunk_size=job["chunk_size"]),
        )
        end = time.time()
    for name in ("warm", "skim"):
        shutil.rmtree(folder / f"{name}-{index}", ignore_errors=True)
    return {"start": start, "end": end, "n_events": manifest.processed_entries}


def _wait_for_others(folder: Path, index: int, n_jobs: int) -> None:
    (folder / f"ready-{index}").touch()
    deadline = time.monotonic() + _PATIENCE
    while len(list(folder.glob("ready-*"))) < n_jobs:
        if time.monotonic() > deadline:
            msg = "the other process did not get ready"
            raise ProcessingError(msg)
        time.sleep(0.01)


def _score_job(job: Mapping[str, Any]) -> dict[str, Any]:
    folder = Path(job["folder"])
    with open_executor(Cluster()) as executor:
        fileset = _fileset([job["file"]])
        run_skim(
            fileset,
            output=folder / "skim",
            executor=executor,
            options=RunOptions(chunk_size=CHUNK_SIZE),
        )
        skim = open_skim(folder / "skim")
        chunks: list[ChunkRecord] = []
        for chunk in skim.manifest.chunks:
            if sum(earlier.n_events for earlier in chunks) < job["n_events"]:
                chunks.append(chunk)
        skim = type(skim)(skim.folder, skim.manifest.model_copy(update={"chunks": tuple(chunks)}))
        jets = skim.jets()
        cls = detector_class(job["detector"])
        training = jets[: 6 * training_jets(cls)]
        hyper_parameters = quick_hyper_parameters(cls)
        model = FoldedDetector.fit(
            training, detector=(job["detector"], hyper_parameters), k=3, seed=1, held_out=0.0
        )
        model.save(folder / "model")
        model = FoldedDetector.load(folder / "model")

        def processor(name: str) -> None:
            run_anomaly(
                skim,
                detectors={job["detector"]: folder / "model"},
                output=folder / name,
                executor=executor,
            )

        model.scores(jets)
        processor("warm")
        memory, seconds = [], []
        for number in range(job["repeats"]):
            memory.append(timed(functools.partial(model.scores, jets))[0])
            seconds.append(timed(functools.partial(processor, f"scores-{number}"))[0])
    return {"n_jets": len(jets), "memory": memory, "processor": seconds}


_JOBS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "skim": _skim_job,
    "score": _score_job,
}
