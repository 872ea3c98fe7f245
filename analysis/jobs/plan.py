"""What an analysis will take before it is run: chunks, time, memory, disk and network, from measurements."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.jobs.cost import Calibration, Cost, calibrate
from oddjet.analysis.pipeline.samples import ready_samples, sample_path
from oddjet.datasets.files.fileset import Fileset
from oddjet.errors import ConfigError
from oddjet.processors.engine.memory import expected_memory
from oddjet.processors.engine.plan import Plan, make_plan

__all__ = ["DatasetPlan", "RunPlan", "describe", "finish_time", "plan_analysis"]


@dataclass(frozen=True)
class DatasetPlan:
    """What a dataset takes.

    Attributes:
        skim_seconds, score_seconds: Time of one core; for the scores None where no detector
            is trained.
        read_bytes: Read over the network, or from the disk.
        skim_bytes: Written for the skim, images included.
        score_bytes: Written for the scores table; None where no detector is trained.
        n_jets: Jets that are selected; None for data that are blinded.
    """

    name: str
    n_files: int
    n_events: int
    n_chunks: int
    skim_seconds: float
    score_seconds: float | None
    read_bytes: float
    skim_bytes: float
    score_bytes: float | None
    n_jets: float | None


@dataclass(frozen=True)
class RunPlan:
    """What an analysis takes.

    Attributes:
        executor: Where it is configured to run.
        skim_wall_seconds: From the start of the workers to the last chunk of the skim.
        score_wall_seconds: As long for the scores; None where no detector is trained.
        memory_bytes: Most that a worker needs.
        calibration: What that is computed from.
        n_unusable: Files that cannot be opened; they are in none of the numbers.
    """

    datasets: tuple[DatasetPlan, ...]
    executor: str
    workers: int
    skim_wall_seconds: float
    score_wall_seconds: float | None
    memory_bytes: float
    calibration: Calibration
    n_unusable: int

    def total(self, name: str) -> float | None:
        """Add up a number of the datasets; None where one is not known."""
        values = [getattr(dataset, name) for dataset in self.datasets]
        return None if None in values else float(sum(values))

    def to_dict(self) -> dict[str, Any]:
        """Give everything in JSON types."""
        names = [name for name in vars(self.datasets[0]) if name != "name"]
        return {**asdict(self), "total": {name: self.total(name) for name in names}}


def plan_analysis(config: AnalysisConfig, *, measure: bool = False) -> RunPlan:
    """Inspect the files of an analysis, process some events, and compute what all of them take.

    Args:
        config: The analysis.
        measure: Measure again although that was done before.

    Raises:
        ConfigError: If samples are to be simulated first.
        InputError: If no file can be used.
    """
    fileset = _fileset(config)
    plan = make_plan(
        fileset, selection=config.selection, chunk_size=config.chunk_size, allow_missing=True
    )
    calibration = calibrate(config, plan, measure=measure)
    costs = calibration.costs
    workers = 1 if config.cluster.executor == "iterative" else config.cluster.workers
    skim = [len(chunk) * costs[chunk.dataset].skim_seconds for chunk in plan.chunks]
    score = [_scores(costs[chunk.dataset], len(chunk)) for chunk in plan.chunks]
    known = [seconds for seconds in score if seconds is not None]
    start, detector_start = calibration.start_seconds, calibration.detector_start_seconds
    memory = max(
        expected_memory(len(chunk), plan.entry_bytes.get(chunk.file, 0.0)) for chunk in plan.chunks
    )
    return RunPlan(
        datasets=tuple(_dataset_plan(name, plan, costs[name]) for name in costs),
        executor=config.cluster.executor,
        workers=workers,
        skim_wall_seconds=finish_time(skim, workers, start=start),
        score_wall_seconds=(
            finish_time(known, workers, start=detector_start)
            if detector_start is not None and len(known) == len(score)
            else None
        ),
        memory_bytes=memory + (calibration.detector_bytes or 0.0),
        calibration=calibration,
        n_unusable=len(plan.unusable),
    )


def finish_time(seconds: Sequence[float], workers: int, *, start: float = 0.0) -> float:
    """Compute when the last chunk is done if every free worker takes the next one.

    Args:
        seconds: Of each chunk, in order.
        workers: How many.
        start: What a worker's first chunk takes in addition to its own time.

    Returns:
        Seconds.

    >>> finish_time([4, 1, 1, 1, 1], 2)
    4.0
    >>> finish_time([3, 3, 3], 2, start=1)
    7.0
    """
    free = [float(start)] * min(workers, len(seconds))
    for duration in seconds:
        heapq.heapreplace(free, free[0] + duration)
    return max(free, default=0.0)


def _fileset(config: AnalysisConfig) -> Fileset:
    fileset = config.resolve_fileset()
    absent = [
        f"{name} ({dataset.simulate.process}, {dataset.simulate.n_events:,} events)"
        for name, dataset in fileset.datasets.items()
        if dataset.simulate is not None
        and not sample_path(dataset.simulate, config.samples).exists()
    ]
    if absent:
        msg = (
            f"samples that are not simulated yet: {', '.join(absent)}; `oddjet run` makes them, and"
            " `oddjet simulate` prints how many a second"
        )
        raise ConfigError(msg)
    return ready_samples(fileset, config.samples, verify=config.verify)


def _scores(cost: Cost, n_events: int) -> float | None:
    return None if cost.score_seconds is None else cost.score_seconds * n_events


def _dataset_plan(name: str, plan: Plan, cost: Cost) -> DatasetPlan:
    chunks = [chunk for chunk in plan.chunks if chunk.dataset == name]
    n_events = sum(len(chunk) for chunk in chunks)
    return DatasetPlan(
        name=name,
        n_files=len({chunk.file for chunk in chunks}),
        n_events=n_events,
        n_chunks=len(chunks),
        skim_seconds=n_events * cost.skim_seconds,
        score_seconds=_scores(cost, n_events),
        read_bytes=n_events * cost.read_bytes,
        skim_bytes=n_events * (cost.table_bytes + cost.image_bytes),
        score_bytes=None if cost.score_bytes is None else n_events * cost.score_bytes,
        n_jets=None if cost.jets is None else n_events * cost.jets,
    )


def describe(plan: RunPlan) -> Iterable[tuple[str, str]]:
    """Summarise a plan in lines of two columns."""
    cal = plan.calibration
    yield "workers", f"{plan.workers} ({plan.executor})"
    yield "jobs of `oddjet submit`, one chunk each", f"{plan.total('n_chunks') or 0:,.0f}"
    yield "skim: one core", _hours(plan.total("skim_seconds"))
    yield "skim: all workers, start to end", _hours(plan.skim_wall_seconds)
    yield "score: one core", _hours(plan.total("score_seconds"))
    yield "score: all workers, start to end", _hours(plan.score_wall_seconds)
    yield "memory a worker", f"{plan.memory_bytes / 1e9:.2f} GB"
    yield "disk: skim", _size(plan.total("skim_bytes"))
    yield "disk: scores", _size(plan.total("score_bytes"))
    read = plan.total("read_bytes") or 0.0
    yield "read over the network", _size(read)
    rate = read / max(plan.skim_wall_seconds, 1e-9)
    yield "rate of that, all workers", f"{rate / 1e6:,.1f} MB/s"
    used = "reused (`--measure` measures again)" if cal.reused else "measured now"
    n_events = sum(cost.n_events for cost in cal.costs.values())
    yield "calibration", f"{n_events:,} events, {used}; load {cal.load_average:.1f} a core"


def _hours(seconds: float | None) -> str:
    if seconds is None:
        return "not known: train the detectors first"
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.1f} s"


def _size(n_bytes: float | None) -> str:
    if n_bytes is None:
        return "not known: train the detectors first"
    for size, unit in ((1e12, "TB"), (1e9, "GB")):
        if n_bytes >= size:
            return f"{n_bytes / size:,.2f} {unit}"
    return f"{n_bytes / 1e6:,.1f} MB"
