"""A calibration run: some events of every dataset really skimmed and scored, to know what the rest costs."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import psutil

from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.pipeline.folder import Run
from oddjet.condor.executors import SerialExecutor
from oddjet.datasets.disk.digest import content_key
from oddjet.datasets.disk.remote import open_root
from oddjet.datasets.disk.state import read_state, write_state
from oddjet.datasets.files.fields import flat_names
from oddjet.datasets.files.fileset import Fileset
from oddjet.datasets.skims.manifest import ChunkRecord, DatasetSummary, Manifest
from oddjet.datasets.skims.skim import Skim
from oddjet.ml.representations.jet_image import JetImage
from oddjet.processors.engine.keys import code_digest, with_key
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.engine.plan import Plan
from oddjet.processors.engine.rounds import run_plan
from oddjet.processors.events.source import ChunkSource
from oddjet.processors.histograms import HistogramSettings
from oddjet.processors.scoring import run_anomaly
from oddjet.processors.skim import SkimProcessor

__all__ = ["CALIBRATION_EVENTS", "Calibration", "Cost", "calibrate", "trained_detectors"]

CALIBRATION_EVENTS = 4000
"""Most events of a dataset that are skimmed to measure; about a second each."""

_CACHE = "calibration.json"

T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """What one event of a dataset costs.

    Attributes:
        n_events: Events it was measured with.
        skim_seconds: Wall time on one core.
        skim_cpu_seconds: Processor time, all threads.
        jets: Jets that are selected; None for data that are blinded, of which nothing is counted.
        table_bytes: Of the skim's parquet file.
        read_bytes: Compressed bytes of the branches that are read, which go over the network.
        score_seconds: Wall time of all detectors; None where none is trained.
        score_bytes: Of the scores table; None likewise.
    """

    n_events: int
    skim_seconds: float
    skim_cpu_seconds: float
    jets: float | None
    table_bytes: float
    image_bytes: float
    read_bytes: float
    score_seconds: float | None = None
    score_bytes: float | None = None


@dataclass(frozen=True)
class Calibration:
    """What was measured, and when.

    Attributes:
        costs: Cost of an event by dataset.
        start_seconds: What the first chunk of a worker costs in addition to its own time: imports, compilation.
        detector_start_seconds: Loading the detectors and their first jets; None where none is trained.
        detector_bytes: What they added to this process' memory; None likewise.
        load_average: Of the machine, divided by its cores; above 1 times are too long.
        reused: Whether it was measured by an earlier call.
    """

    costs: dict[str, Cost]
    start_seconds: float
    detector_start_seconds: float | None
    detector_bytes: float | None
    load_average: float
    reused: bool = False


def calibrate(
    config: AnalysisConfig,
    plan: Plan,
    *,
    measure: bool = False,
    n_events: int | None = None,
) -> Calibration:
    """Skim, and where detectors are trained score, the first events of every dataset.

    The result is kept in the analysis' output folder under a key of files, selection, images,
    detectors, code and machine, so that the next call costs nothing.

    Raises:
        OddjetError: If events cannot be processed.
    """
    run = Run(config)
    image = run.image
    sources = _first_chunks(plan, n_events or CALIBRATION_EVENTS)
    detectors = trained_detectors(run)
    path = config.output / _CACHE
    key = content_key(
        [
            code_digest(),
            config.selection.identity(),
            image.identity() if image else None,
            config.unblind,
            [[source.file_uuid, len(source)] for source in sources],
            {label: _fingerprint(folder) for label, folder in detectors.items()},
            [platform.node(), platform.processor(), os.cpu_count()],
        ]
    )
    if not measure and (measured := _read(path, key)) is not None:
        return measured
    with tempfile.TemporaryDirectory(prefix="oddjet-plan-") as folder:
        calibration = _measure(Path(folder), config, plan, sources, image, detectors)
    write_state(path, {"key": key, "calibration": asdict(calibration)})
    return calibration


def trained_detectors(run: Run) -> dict[str, Path]:
    """Give the folders of an analysis' detectors by label; none where one is not trained yet."""
    return run.models if all(folder.is_dir() for folder in run.models.values()) else {}


def _fingerprint(folder: Path) -> str:
    return content_key(sorted((p.name, p.stat().st_size) for p in folder.rglob("*.json")))


def _first_chunks(plan: Plan, n_events: int) -> list[ChunkSource]:
    """The first events of the largest file of each dataset."""
    sizes: dict[str, ChunkSource] = {}
    longest: dict[str, int] = {}
    for chunk in plan.chunks:
        longest[chunk.file] = max(longest.get(chunk.file, 0), chunk.entry_stop)
    for chunk in plan.chunks:
        best = sizes.get(chunk.dataset)
        if chunk.entry_start == 0 and (best is None or longest[chunk.file] > longest[best.file]):
            sizes[chunk.dataset] = chunk
    return [
        replace(chunk, entry_stop=min(longest[chunk.file], n_events)) for chunk in sizes.values()
    ]


@dataclass(frozen=True)
class _Kept:
    """A calibration, and the key of what was measured."""

    key: str
    calibration: Calibration


def _read(path: Path, key: str) -> Calibration | None:
    kept = read_state(path, _Kept)
    return replace(kept.calibration, reused=True) if kept and kept.key == key else None


def _measure(
    folder: Path,
    config: AnalysisConfig,
    plan: Plan,
    sources: list[ChunkSource],
    image: JetImage | None,
    detectors: dict[str, Path],
) -> Calibration:
    def skim(source: ChunkSource, name: str) -> ChunkRecord:
        processor = SkimProcessor(config.selection, folder / name, image)
        chunk = with_key(source, settings=processor.settings(), trust_code=False)
        records, _ = run_plan(
            replace(plan, chunks=(chunk,), checksums={}),
            [chunk],
            processor,
            folder / name,
            executor=SerialExecutor(),
            images=image is not None,
            options=RunOptions(),
        )
        return records[0]

    first = replace(sources[0], entry_stop=min(100, len(sources[0])))
    _, start_seconds, _ = _timed(lambda: skim(first, "first"))
    costs: dict[str, Cost] = {}
    records = []
    for source in sources:
        if len(source) == 0:
            costs[source.dataset] = Cost(0, 0, 0, 0, 0, 0, 0)
            continue
        record, seconds, cpu_seconds = _timed(lambda source=source: skim(source, "skim"))  # type: ignore[misc]
        n = len(source)
        costs[source.dataset] = Cost(
            n_events=n,
            skim_seconds=seconds / n,
            skim_cpu_seconds=cpu_seconds / n,
            jets=None if source.is_data and not config.unblind else record.n_jets / n,
            table_bytes=_bytes_of(folder / "skim" / source.dataset, ".parquet") / n,
            image_bytes=_bytes_of(folder / "skim" / source.dataset, ".npy") / n,
            read_bytes=_compressed_bytes(source, plan),
        )
        records.append(record)
    start, memory = None, None
    if detectors:
        start, memory = _measure_scores(folder, config, plan.fileset, records, detectors, costs)
    load_average = os.getloadavg()[0] / (os.cpu_count() or 1)
    return Calibration(costs, start_seconds, start, memory, load_average)


def _measure_scores(
    folder: Path,
    config: AnalysisConfig,
    fileset: Fileset,
    records: list[ChunkRecord],
    detectors: dict[str, Path],
    costs: dict[str, Cost],
) -> tuple[float, float]:
    """Score the skimmed events, and add that to the costs.

    Returns:
        What the first jets cost more than others [s], and the memory that was taken [bytes].
    """

    def score(record: ChunkRecord, name: str) -> None:
        kind = fileset.datasets[record.dataset].kind
        summary = DatasetSummary(kind=kind, sumw=1.0, sumw2=1.0, n_events=record.n_events)
        manifest = Manifest(kind="skim", datasets={record.dataset: summary}, chunks=(record,))
        run_anomaly(
            Skim(folder / "skim", manifest),
            detectors=detectors,
            output=folder / name,
            executor=SerialExecutor(),
            histograms=HistogramSettings(working_points=config.hunt.working_points),
        )

    process = psutil.Process()
    before = process.memory_info().rss
    _, start, _ = _timed(lambda: score(records[0], "first-scores"))
    memory = max(0.0, float(process.memory_info().rss - before))
    for index, record in enumerate(records):
        _, seconds, _ = _timed(lambda record=record: score(record, "scores"))  # type: ignore[misc]
        start -= seconds if index == 0 else 0.0
        n = record.n_events
        costs[record.dataset] = replace(
            costs[record.dataset],
            score_seconds=seconds / n,
            score_bytes=_bytes_of(folder / "scores" / record.dataset, ".parquet") / n,
        )
        shutil.rmtree(folder / "scores" / record.dataset, ignore_errors=True)
    return max(0.0, start), memory


def _timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """Give a result, and its wall and processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def _bytes_of(folder: Path, suffix: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(f"[!.]*{suffix}"))


def _compressed_bytes(source: ChunkSource, plan: Plan) -> float:
    """Compressed bytes an entry of the branches that are read, over the whole file."""
    with open_root(source.file, timeout=source.timeout) as file:
        tree: Any = file[source.tree]
        fields = flat_names(tree)
        read = [tree[fields[name]] for name in plan.branches[source.file] if name in fields]
        total = sum(getattr(branch, "compressed_bytes", 0) for branch in read)  # RNTuple: not known
        return float(total) / max(1, int(tree.num_entries))
