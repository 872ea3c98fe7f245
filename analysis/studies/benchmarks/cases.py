"""Benchmarks: speed and memory as ratios within one run, because machines differ and drift."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from oddjet.analysis.studies.benchmarks import (
    bumphunt,
    detectors,
    processors,
    scale,
    simulation,
    throughput,
)
from oddjet.datasets.disk.numbers import write_json
from oddjet.datasets.simulation import simulate
from oddjet.errors import ConfigError, look_up
from oddjet.ml import detector_names
from oddjet.processors.engine.progress import Reporter, SilentReporter

__all__ = ["BenchmarkRow", "run_benchmarks"]

SIMULATED_EVENTS = 2000
REPEATS = 10
REFITTED_TOYS = 300.0


@dataclasses.dataclass(frozen=True)
class BenchmarkRow:
    """One line of the table.

    Attributes:
        measured: Ours.
        reference: What it is compared with, or what belongs to it.
        ratio: Ours divided by the reference, where there is one.
        bound: The figure to reach; None where a number is shown and nothing asked of it.
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


@dataclasses.dataclass(frozen=True)
class _Case:
    """How a row is made of numbers: its texts are formats; `ratio` names the number to judge."""

    name: str
    measured: str = "{jets_per_second:,.0f} jets/s"
    reference: str = ""
    bound: float | None = None
    at_least: bool = True
    ratio: str = "ratio"

    def row(self, numbers: dict[str, Any], **more: Any) -> BenchmarkRow:
        """Fill in numbers; `more` is for the texts and the ratio alone."""
        known = numbers | more
        return BenchmarkRow(
            self.name.format(**known),
            self.measured.format(**known),
            self.reference.format(**known),
            numbers,
            known.get(self.ratio),
            self.bound,
            self.at_least,
        )


@dataclasses.dataclass(frozen=True)
class _Place:
    """What benchmarks need: a folder, the number of events, and files given to `scale`."""

    folder: Path
    n_events: int
    files: tuple[Path, ...] = ()

    def sample(self, n_events: int, suffix: str = "") -> Path:
        """Make a file of that many events: a few thousand simulated ones, again and again."""
        path = self.folder / f"qcd-{n_events}{suffix}.root"
        if path.exists():
            return path
        seedling = self.folder / "qcd.root"
        if not seedling.exists():
            simulate("qcd", SIMULATED_EVENTS, seed=1, output=seedling, pt_hat_min=120.0)
        times = math.ceil(n_events / SIMULATED_EVENTS)
        return processors.repeat_file(seedling, path, times=times)


Rows: TypeAlias = Iterator[BenchmarkRow]
Measure: TypeAlias = Callable[[_Place], Rows]

SKIM_RATE = "{skim_events_per_second:,.0f} events/s"
BARE_READING = "bare uproot reading, {read_events_per_second:,.0f} events/s"
DASK = "{dask:,.0f} events/s"
ALONE = "{alone:,.0f} events/s"
CASES = {
    "images": _Case(
        "images, one thread",
        reference="np.histogram2d loop, {loop_jets_per_second:,.0f} jets/s",
        bound=30.0,
    ),
    "detector": _Case(
        "scores of {name}",
        reference="its input alone, {representation_jets_per_second:,.0f} jets/s",
    ),
    "simulation": _Case(
        "simulation, one core",
        "{events_per_second:,.0f} events/s",
        "bare Pythia, {bare_events_per_second:,.0f} events/s",
        0.7,
    ),
    "skim": _Case("skim of {wanted:,} events, one core", SKIM_RATE, BARE_READING, 0.4),
    "plain skim": _Case(
        "skim without images, {n_events:,} events, one core", SKIM_RATE, BARE_READING, 0.45
    ),
    "memory": _Case(
        "peak memory, skim of {many:,} events",
        "{large_mb:,.0f} MB",
        "that of {few:,}, {small_mb:,.0f} MB",
        1.15,
        at_least=False,
    ),
    "scoring": _Case(
        "second processor, {detector}, {n_jets:,} jets",
        "{processor_jets_per_second:,.0f} jets/s",
        "scores(jets) in memory, {memory_jets_per_second:,.0f} jets/s",
    ),
    "refitted": _Case(
        "scan, every window refitted, {text}",
        "{toys_per_second:,.0f} toys/s",
        f"{REFITTED_TOYS:g} toys/s, {{n_windows}} windows",
        1.0,
    ),
}
WORKERS = (
    _Case(
        "skim of {n_events:,} events, 2 Dask workers",
        DASK,
        f"2 processes side by side, {ALONE}",
        0.9,
        ratio="dask_by_alone",
    ),
    _Case(
        "time with 2 Dask workers",
        DASK,
        "with `futures`, {futures:,.0f} events/s",
        1.15,
        at_least=False,
        ratio="dask_time",
    ),
    _Case(
        "2 processes side by side", ALONE, "1 process, {one:,.0f} events/s", ratio="alone_by_one"
    ),
)
"""By what is compared."""


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
    if len(files) == 1:
        msg = f"scale: expected at least two files, one for each worker, received {files[0]}"
        raise ConfigError(msg)
    chosen = [look_up(_BENCHMARKS, name, "benchmark") for name in names or _BENCHMARKS]
    wanted = dict.fromkeys(itertools.chain.from_iterable(chosen))
    rows = []
    with tempfile.TemporaryDirectory(prefix="oddjet-bench-") as folder:
        place = _Place(Path(folder), n_events, tuple(path.absolute() for path in files))
        for measure in wanted:
            for row in measure(place):
                reporter.log(f"{row.name}: {row.measured}")
                rows.append(row)
    if output is not None:
        write_json(output, [dataclasses.asdict(row) | {"passed": row.passed} for row in rows])
    return rows


def _images(place: _Place) -> Rows:  # noqa: ARG001
    yield CASES["images"].row(detectors.benchmark_images())


def _efps(place: _Place) -> Rows:  # noqa: ARG001
    name = "energy flow polynomials, one thread"
    numbers = detectors.benchmark_efps()
    if "energyflow_jets_per_second" in numbers:
        reference = "energyflow, {energyflow_jets_per_second:,.0f} jets/s"
        yield _Case(name, reference=reference, bound=40.0).row(numbers)
    else:
        yield _Case(name, reference="energyflow is not installed", ratio="").row(numbers)


def _other_representations(place: _Place) -> Rows:  # noqa: ARG001
    for name, rate in throughput.representation_rates().items():
        if name not in ("JetImage", "EnergyFlow"):  # which have rows of their own
            yield _Case(f"{name}, one thread").row({"jets_per_second": rate})


def _detectors(place: _Place) -> Rows:  # noqa: ARG001
    numbers = {"jets_per_second": throughput.emd_rate()}
    yield _Case("energy mover's distance, 20 constituents").row(numbers)
    logger = logging.getLogger("oddjet.ml")
    for name in detector_names():
        level = logger.level
        logger.setLevel(logging.ERROR)  # its warnings are about a training of one epoch
        try:
            numbers = throughput.detector_rates(name)
        finally:
            logger.setLevel(level)
        yield CASES["detector"].row(numbers, name=name)


def _simulation(place: _Place) -> Rows:  # noqa: ARG001
    yield CASES["simulation"].row(simulation.benchmark_simulation(SIMULATED_EVENTS, seed=1))


def _skim(place: _Place) -> Rows:
    numbers = processors.benchmark_skim(place.sample(place.n_events))
    yield CASES["skim"].row(numbers, wanted=place.n_events)


def _memory(place: _Place) -> Rows:
    few, many = place.n_events, REPEATS * place.n_events
    numbers = processors.benchmark_memory(place.sample(few), place.sample(many))
    yield CASES["memory"].row(numbers, few=few, many=many)


def _scale(place: _Place) -> Rows:
    files = place.files or tuple(
        place.sample(place.n_events // 4, f"-{number}") for number in range(4)
    )
    numbers = scale.compare_workers(files, place.folder / "workers")
    rates = numbers["events_per_second"]
    ratios = {
        "dask_time": 1.0 + numbers["dask_overhead"],
        "alone_by_one": rates["alone"] / rates["one"],
    }
    for case in WORKERS:
        yield case.row(numbers, **rates, **ratios)
    yield CASES["plain skim"].row(processors.benchmark_skim(files[0], images=False))
    for detector, bound in (("kmeans", 0.5), ("khanal", 0.7)):
        numbers = scale.compare_scoring(files[0], place.folder / f"score-{detector}", detector)
        case = dataclasses.replace(CASES["scoring"], bound=bound)
        yield case.row(numbers, detector=detector)


def _bumphunt(place: _Place) -> Rows:  # noqa: ARG001
    """The scan against pyBumpHunter, and pseudo-experiments a second with every window refitted."""
    numbers = bumphunt.bench_bumphunt()
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
        yield CASES["refitted"].row(numbers[name], text=text, ratio=rate / REFITTED_TOYS)


_BENCHMARKS: dict[str, tuple[Measure, ...]] = {
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
