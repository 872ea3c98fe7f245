"""Benchmarks: speed and memory as ratios within one run, because machines differ and drift."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from oddjet.datasets.disk.atomic import write_text
from oddjet.errors import ConfigError, did_you_mean
from oddjet.processors.engine.progress import Reporter, SilentReporter

__all__ = ["BenchmarkRow", "run_benchmarks"]

SIMULATED_EVENTS = 2000
REPEATS = 10
REFITTED_TOYS = 300.0


@dataclasses.dataclass(frozen=True)
class BenchmarkRow:
    """One line of the table.

    Attributes:
        name: What was measured.
        measured: Ours.
        reference: What it is compared with, or what belongs to it.
        numbers: Everything measured.
        ratio: Ours divided by the reference, where there is one.
        bound: The figure to reach; None where a number is told and nothing asked of it.
        at_least: Whether the ratio shall be at least the bound, or at most.
    """

    name: str
    measured: str
    reference: str
    numbers: dict[str, Any]
    ratio: float | None = None
    bound: float | None = None
    at_least: bool = True

    @property
    def passed(self) -> bool:
        """Whether the figure was reached, or none was set."""
        if self.ratio is None or self.bound is None:
            return True
        return self.ratio >= self.bound if self.at_least else self.ratio <= self.bound

    @property
    def ratio_text(self) -> str:
        """The ratio for a table."""
        return "" if self.ratio is None else f"{self.ratio:.3g}×"

    @property
    def expected(self) -> str:
        """The bound for a table."""
        return "" if self.bound is None else f"{'≥' if self.at_least else '≤'} {self.bound:g}×"


Rows: TypeAlias = Iterator[BenchmarkRow]


def run_benchmarks(
    *,
    names: Sequence[str] = (),
    n_events: int = 40_000,
    files: Sequence[Path] = (),
    output: Path | None = None,
    reporter: Reporter | None = None,
) -> list[BenchmarkRow]:
    """Measure what was asked for.

    Args:
        names: Out of ``representations`` (``images``, ``efps`` and the others), ``detectors``,
            ``simulation``, ``skim``, ``memory``, ``bumphunt``, ``scale`` (which takes minutes); all by default.
        n_events: Events of the file that is skimmed; the large one of the memory benchmark has
            ten times as many. They are simulated events, repeated under new event numbers.
        files: ROOT files for ``scale`` to skim, at least two, the first one also for what runs on one
            core; by default four with `n_events` in all.
        output: Where to write every number as JSON.
        reporter: Receives progress.

    Raises:
        ConfigError: There is no benchmark of that name.
    """
    reporter = reporter or SilentReporter()
    for name in names:
        if name not in _BENCHMARKS:
            known = ", ".join(_BENCHMARKS)
            msg = f"no benchmark '{name}': there are {known}.{did_you_mean(name, _BENCHMARKS)}"
            raise ConfigError(msg)
    if len(files) == 1:
        msg = f"scale: expected at least two files, one for each worker, received {files[0]}"
        raise ConfigError(msg)
    wanted = dict.fromkeys(
        measure for name in names or _BENCHMARKS for measure in _BENCHMARKS[name]
    )
    rows = []
    with tempfile.TemporaryDirectory(prefix="oddjet-bench-") as folder:
        for measure in wanted:
            measured = (
                _scale(Path(folder), n_events, files)
                if measure is _scale
                else measure(Path(folder), n_events)
            )
            for row in measured:
                reporter.log(f"{row.name}: {row.measured}")
                rows.append(row)
    if output is not None:
        content = [dataclasses.asdict(row) | {"passed": row.passed} for row in rows]
        output.parent.mkdir(parents=True, exist_ok=True)
        write_text(output, json.dumps(content, indent=1) + "\n")
    return rows


def _images(folder: Path, n_events: int) -> Rows:  # noqa: ARG001
    from oddjet.analysis.studies.benchmarks.detectors import benchmark_images  # noqa: PLC0415

    numbers = benchmark_images()
    yield BenchmarkRow(
        name="images, one thread",
        measured=f"{numbers['jets_per_second']:,.0f} jets/s",
        reference=f"np.histogram2d loop, {numbers['loop_jets_per_second']:,.0f} jets/s",
        ratio=numbers["ratio"],
        bound=30.0,
        numbers=numbers,
    )


def _efps(folder: Path, n_events: int) -> Rows:  # noqa: ARG001
    from oddjet.analysis.studies.benchmarks.detectors import benchmark_efps  # noqa: PLC0415

    numbers = benchmark_efps()
    rate = numbers.get("energyflow_jets_per_second")
    reference = f"energyflow, {rate:,.0f} jets/s" if rate else "energyflow is not installed"
    yield BenchmarkRow(
        name="energy flow polynomials, one thread",
        measured=f"{numbers['jets_per_second']:,.0f} jets/s",
        reference=reference,
        ratio=numbers["ratio"] if rate else None,
        bound=40.0 if rate else None,
        numbers=numbers,
    )


def _other_representations(folder: Path, n_events: int) -> Rows:  # noqa: ARG001
    from oddjet.analysis.studies.benchmarks.throughput import representation_rates  # noqa: PLC0415

    for name, rate in representation_rates().items():
        if name not in ("JetImage", "EnergyFlow"):  # which have rows of their own
            numbers = {"jets_per_second": rate}
            yield BenchmarkRow(f"{name}, one thread", f"{rate:,.0f} jets/s", "", numbers)


def _detectors(folder: Path, n_events: int) -> Rows:  # noqa: ARG001
    from oddjet.analysis.studies.benchmarks.throughput import detector_rates, emd_rate  # noqa: PLC0415
    from oddjet.ml import detector_names  # noqa: PLC0415

    rate = emd_rate()
    yield BenchmarkRow(
        name="energy mover's distance, 20 constituents",
        measured=f"{rate:,.0f} jets/s",
        reference="",
        numbers={"jets_per_second": rate},
    )
    for name in detector_names():
        with _no_warnings():
            numbers = detector_rates(name)
        alone = numbers["representation_jets_per_second"]
        yield BenchmarkRow(
            name=f"scores of {name}",
            measured=f"{numbers['jets_per_second']:,.0f} jets/s",
            reference=f"its input alone, {alone:,.0f} jets/s",
            numbers=numbers,
        )


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Keep quiet about what is amiss after one epoch, and would not be after a training."""
    logger = logging.getLogger("oddjet.ml")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _simulation(folder: Path, n_events: int) -> Rows:  # noqa: ARG001
    from oddjet.analysis.studies.benchmarks.simulation import benchmark_simulation  # noqa: PLC0415

    numbers = benchmark_simulation(SIMULATED_EVENTS, seed=1)
    yield BenchmarkRow(
        name="simulation, one core",
        measured=f"{numbers['events_per_second']:,.0f} events/s",
        reference=f"bare Pythia, {numbers['bare_events_per_second']:,.0f} events/s",
        ratio=numbers["ratio"],
        bound=0.7,
        numbers=numbers,
    )


def _skim(folder: Path, n_events: int) -> Rows:
    from oddjet.analysis.studies.benchmarks.processors import benchmark_skim  # noqa: PLC0415

    numbers = benchmark_skim(_sample(folder, n_events))
    yield BenchmarkRow(
        name=f"skim of {n_events:,} events, one core",
        measured=f"{numbers['skim_events_per_second']:,.0f} events/s",
        reference=f"bare uproot reading, {numbers['read_events_per_second']:,.0f} events/s",
        ratio=numbers["ratio"],
        bound=0.4,
        numbers=numbers,
    )


def _memory(folder: Path, n_events: int) -> Rows:
    from oddjet.analysis.studies.benchmarks.processors import benchmark_memory  # noqa: PLC0415

    small, large = _sample(folder, n_events), _sample(folder, REPEATS * n_events)
    numbers = benchmark_memory(small, large)
    yield BenchmarkRow(
        name=f"peak memory, skim of {REPEATS * n_events:,} events",
        measured=f"{numbers['large_mb']:,.0f} MB",
        reference=f"that of {n_events:,}, {numbers['small_mb']:,.0f} MB",
        ratio=numbers["ratio"],
        bound=1.15,
        at_least=False,
        numbers=numbers,
    )


def _scale(folder: Path, n_events: int, files: Sequence[Path] = ()) -> Rows:
    from oddjet.analysis.studies.benchmarks.processors import benchmark_skim  # noqa: PLC0415
    from oddjet.analysis.studies.benchmarks.scale import compare_scoring, compare_workers  # noqa: PLC0415

    files = [path.absolute() for path in files] or [
        _sample(folder, n_events // 4, f"-{number}") for number in range(4)
    ]
    numbers: dict[str, Any] = compare_workers(files, folder / "workers")
    rates = numbers["events_per_second"]
    yield BenchmarkRow(
        name=f"skim of {numbers['n_events']:,} events, 2 Dask workers",
        measured=f"{rates['dask']:,.0f} events/s",
        reference=f"2 processes side by side, {rates['alone']:,.0f} events/s",
        ratio=numbers["dask_by_alone"],
        bound=0.9,
        numbers=numbers,
    )
    yield BenchmarkRow(
        name="time with 2 Dask workers",
        measured=f"{rates['dask']:,.0f} events/s",
        reference=f"with `futures`, {rates['futures']:,.0f} events/s",
        ratio=1.0 + numbers["dask_overhead"],
        bound=1.15,
        at_least=False,
        numbers=numbers,
    )
    yield BenchmarkRow(
        name="2 processes side by side",
        measured=f"{rates['alone']:,.0f} events/s",
        reference=f"1 process, {rates['one']:,.0f} events/s",
        ratio=rates["alone"] / rates["one"],
        numbers=numbers,
    )
    numbers = benchmark_skim(files[0], images=False)
    yield BenchmarkRow(
        name=f"skim without images, {numbers['n_events']:,} events, one core",
        measured=f"{numbers['skim_events_per_second']:,.0f} events/s",
        reference=f"bare uproot reading, {numbers['read_events_per_second']:,.0f} events/s",
        ratio=numbers["ratio"],
        bound=0.45,
        numbers=numbers,
    )
    for detector, bound in (("kmeans", 0.5), ("khanal", 0.7)):
        numbers = compare_scoring(files[0], folder / f"score-{detector}", detector)
        yield BenchmarkRow(
            name=f"second processor, {detector}, {numbers['n_jets']:,} jets",
            measured=f"{numbers['processor_jets_per_second']:,.0f} jets/s",
            reference=f"scores(jets) in memory, {numbers['memory_jets_per_second']:,.0f} jets/s",
            ratio=numbers["ratio"],
            bound=bound,
            numbers=numbers,
        )


def _sample(folder: Path, n_events: int, suffix: str = "") -> Path:
    """A file of that many events: a few thousand simulated ones, again and again."""
    from oddjet.analysis.studies.benchmarks.processors import repeat_file  # noqa: PLC0415
    from oddjet.datasets.simulation import simulate  # noqa: PLC0415

    path = folder / f"qcd-{n_events}{suffix}.root"
    if path.exists():
        return path
    seedling = folder / "qcd.root"
    if not seedling.exists():
        simulate("qcd", SIMULATED_EVENTS, seed=1, output=seedling, pt_hat_min=120.0)
    repeat_file(seedling, path, times=math.ceil(n_events / SIMULATED_EVENTS))
    return path


def _bumphunt(folder: Path, n_events: int) -> Rows:  # noqa: ARG001
    """The scan against pyBumpHunter, and pseudo-experiments a second with every window refitted."""
    from oddjet.analysis.studies.benchmarks.bumphunt import bench_bumphunt  # noqa: PLC0415

    numbers = bench_bumphunt()
    theirs = numbers.get("pybumphunter_seconds")
    yield BenchmarkRow(
        "scan, given background, 10,000 toys",
        f"{numbers['seconds']:.2f} s",
        "pyBumpHunter is not installed" if theirs is None else f"pyBumpHunter {theirs:.2f} s",
        numbers,
        None if theirs is None else numbers["seconds"] / theirs,
        1.0,
        at_least=False,
    )
    for name, text in (("one_function", "exppoly3"), ("auto", "function chosen each time")):
        rate = numbers[name]["toys_per_second"]
        yield BenchmarkRow(
            f"scan, every window refitted, {text}",
            f"{rate:,.0f} toys/s",
            f"{REFITTED_TOYS:g} toys/s, {numbers[name]['n_windows']} windows",
            numbers[name],
            rate / REFITTED_TOYS,
            1.0,
        )


_BENCHMARKS: dict[str, tuple[Callable[[Path, int], Rows], ...]] = {
    "representations": (_images, _efps, _other_representations),
    "images": (_images,),
    "efps": (_efps,),
    "detectors": (_detectors,),
    "simulation": (_simulation,),
    "skim": (_skim,),
    "memory": (_memory,),
    "scale": (_scale,),
    "bumphunt": (_bumphunt,),
}
