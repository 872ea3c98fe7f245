"""Speed and memory of the skim, as ratios within one run, so that they mean the same on any machine."""

from __future__ import annotations

import functools
import itertools
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

from oddjet.analysis.studies.benchmarks.timing import race
from oddjet.condor.executors import SerialExecutor
from oddjet.datasets.disk.atomic import atomic_write
from oddjet.datasets.files.dataset import Dataset, Fileset
from oddjet.ml.representations import representation_from_identity
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.engine.plan import make_plan
from oddjet.processors.events.selection import Selection
from oddjet.processors.run import run_skim

__all__ = ["benchmark_memory", "benchmark_skim", "read_branches", "repeat_file"]

_EVENT_STEP = 2**40
"""Added to event numbers in every repetition; generators number far below."""


def repeat_file(path: Path | str, output: Path | str, *, times: int) -> Path:
    """Write a file that holds another one's events several times, with other event numbers."""
    output = Path(output)
    with uproot.open(path) as file:
        events = file["Events"].arrays()
        runs = file["Runs"].arrays() if "Runs" in file else None
        borders = list(itertools.pairwise(file["Events"]["event"].entry_offsets))
    collections, scalars = _group(events)
    with (
        atomic_write(output) as temporary,
        uproot.recreate(temporary, compression=uproot.ZLIB(4)) as file,
    ):
        data = {**scalars, **collections}
        tree = file.mktree("Events", {name: _type(values) for name, values in data.items()})
        for i in range(times):
            data["event"] = scalars["event"] + np.uint64(i * _EVENT_STEP)
            # Baskets as they were: a chunk of fewer entries than a basket would read all of it.
            for start, stop in borders:
                tree.extend({name: values[start:stop] for name, values in data.items()})
        if runs is not None:
            columns = {
                name: ak.to_numpy(runs[name]) * (1 if name == "run" else times)
                for name in runs.fields
            }
            sums = file.mktree("Runs", {name: column.dtype for name, column in columns.items()})
            sums.extend(columns)
    return output


def read_branches(path: Path | str, branches: list[str], *, chunk_size: int) -> int:
    """Read branches with uproot and do nothing with them."""
    n_entries = 0
    with uproot.open(path) as file:
        tree = file["Events"]
        for start in range(0, tree.num_entries, chunk_size):
            chunk = tree.arrays(branches, entry_start=start, entry_stop=start + chunk_size)
            n_entries += len(chunk)
    return n_entries


def benchmark_skim(
    path: Path | str,
    *,
    selection: Selection | None = None,
    images: bool = True,
    chunk_size: int = 100_000,
    repeats: int = 3,
) -> dict[str, float]:
    """Compare the skim with bare reading of the same branches, on one core.

    Both are run once to warm up (compilation, the disk's cache) and then in turns; the best of
    each counts. Seconds are those of the processor, all threads together: other work on the
    machine does not count, and neither does waiting for the disk.

    Returns:
        n_events, n_branches, read_events_per_second, skim_events_per_second, and ratio, the second
        rate by the first.
    """
    selection = selection or Selection.khanal()
    fileset = Fileset(datasets={"bench": Dataset(files={str(path): "Events"}, kind="background")})
    plan = make_plan(fileset, selection=selection, chunk_size=chunk_size)
    branches = sorted(next(iter(plan.branches.values())))
    with tempfile.TemporaryDirectory(prefix="oddjet-bench-") as name:
        numbers = itertools.count()

        def skim() -> None:
            folder = Path(name) / f"skim-{next(numbers)}"
            _skim(fileset, selection, folder, images=images, chunk_size=chunk_size)

        (best_read, _), (best_skim, _) = race(
            functools.partial(read_branches, path, branches, chunk_size=chunk_size),
            skim,
            repeats=repeats,
            clock=time.process_time,
        )
    return {
        "n_events": plan.n_entries,
        "n_branches": len(branches),
        "read_events_per_second": plan.n_entries / best_read,
        "skim_events_per_second": plan.n_entries / best_skim,
        "ratio": best_read / best_skim,
    }


def benchmark_memory(
    small: Path | str, large: Path | str, *, chunk_size: int = 10_000
) -> dict[str, float]:
    """Compare peak resident memory [MB] of skims of a small and a large file, in fresh processes."""
    with uproot.open(small) as file:
        n_entries = int(file["Events"].num_entries)
    # Files are cut into equal chunks: of the same size in both, that of the small file.
    chunk_size = math.ceil(n_entries / math.ceil(n_entries / chunk_size))
    peaks = [_peak_memory(Path(path), chunk_size) for path in (small, large)]
    return {"small_mb": peaks[0], "large_mb": peaks[1], "ratio": peaks[1] / peaks[0]}


def _skim(
    fileset: Fileset, selection: Selection, output: Path, *, images: bool, chunk_size: int
) -> None:
    representation = representation_from_identity({"class": "JetImage"}) if images else None
    run_skim(
        fileset,
        selection=selection,
        output=output,
        representation=representation,
        executor=SerialExecutor(),
        options=RunOptions(chunk_size=chunk_size),
    )


# A new process inherits the resource usage that getrusage reports, but not Linux' high-water mark.
_MEMORY_SCRIPT = """
import json, resource, sys, tempfile
from pathlib import Path
from oddjet.datasets.files.dataset import Dataset, Fileset
from oddjet.analysis.studies.benchmarks import processors as benchmark
from oddjet.processors.events.selection import Selection
fileset = Fileset(datasets={"bench": Dataset(files={sys.argv[1]: "Events"}, kind="background")})
with tempfile.TemporaryDirectory(prefix="oddjet-bench-") as folder:
    output = Path(folder) / "skim"
    benchmark._skim(fileset, Selection(), output, images=True, chunk_size=int(sys.argv[2]))
status = Path("/proc/self/status")
if status.exists():
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    peak = 1024 * int(lines["VmHWM"].split()[0])
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sys.stdout.write(json.dumps(peak))
"""


def _peak_memory(path: Path, chunk_size: int) -> float:
    """Peak resident memory in MB."""
    result = subprocess.run(
        [sys.executable, "-c", _MEMORY_SCRIPT, str(path), str(chunk_size)],
        check=True,
        capture_output=True,
        text=True,
    )
    peak: int = json.loads(result.stdout.splitlines()[-1])
    return peak / 1e6


def _group(events: ak.Array) -> tuple[dict[str, ak.Array], dict[str, Any]]:
    """Put the branches of a collection together, so that they share a counter; counters are left out."""
    jagged = [name for name in events.fields if events[name].ndim > 1]
    prefixes = dict.fromkeys(name.partition("_")[0] for name in jagged)
    counters = {f"n{prefix}" for prefix in prefixes}
    collections = {
        prefix: ak.zip(
            {
                name.partition("_")[2]: events[name]
                for name in jagged
                if name.partition("_")[0] == prefix
            }
        )
        for prefix in prefixes
    }
    scalars = {
        name: ak.to_numpy(events[name])
        for name in events.fields
        if name not in jagged and name not in counters
    }
    return collections, scalars


def _type(values: Any) -> Any:
    return values.dtype if isinstance(values, np.ndarray) else values.type.content
