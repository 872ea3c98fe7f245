"""Benchmarks: speed and memory as ratios within one run, because machines differ and drift."""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from oddjet.analysis.progress import Reporter, SilentReporter
from oddjet.datasets.atomic import write_text
from oddjet.errors import ConfigError, did_you_mean

__all__ = ["BenchmarkRow", "run_benchmarks"]

SIMULATED_EVENTS = 2000
REPEATS = 10


@dataclasses.dataclass(frozen=True)
class BenchmarkRow:
    """One line of the table.

    Attributes:
        name: What was measured.
        measured: Ours.
        reference: What it is compared with.
        ratio: Ours divided by the reference.
        bound: The figure to reach.
        at_least: Whether the ratio shall be at least the bound, or at most.
        numbers: Everything measured.
    """

    name: str
    measured: str
    reference: str
    ratio: float
    bound: float
    at_least: bool
    numbers: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether the figure was reached."""
        return self.ratio >= self.bound if self.at_least else self.ratio <= self.bound

    @property
    def ratio_text(self) -> str:
        """The ratio for a table."""
        return f"{self.ratio:.3g}×"

    @property
    def expected(self) -> str:
        """The bound for a table."""
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}×"


def run_benchmarks(
    *,
    only: Sequence[str] | None = None,
    n_events: int = 40_000,
    output: Path | None = None,
    reporter: Reporter | None = None,
) -> list[BenchmarkRow]:
    """Measure what was asked for.

    Args:
        only: Names out of ``images``, ``efps``, ``simulation``, ``skim``, ``memory``; all by default.
        n_events: Events of the file that is skimmed; the large one of the memory benchmark has
            ten times as many. They are simulated events, repeated under new event numbers.
        output: Where to write every number as JSON.
        reporter: Told about progress.

    Raises:
        ConfigError: There is no benchmark of that name.
    """
    reporter = reporter or SilentReporter()
    wanted = tuple(only or _BENCHMARKS)
    for name in wanted:
        if name not in _BENCHMARKS:
            known = ", ".join(_BENCHMARKS)
            msg = f"no benchmark '{name}': there are {known}.{did_you_mean(name, _BENCHMARKS)}"
            raise ConfigError(msg)
    rows = []
    with tempfile.TemporaryDirectory(prefix="oddjet-bench-") as folder:
        for name in wanted:
            reporter.say(f"benchmark {name} …")
            rows.append(_BENCHMARKS[name](Path(folder), n_events))
    if output is not None:
        content = [dataclasses.asdict(row) | {"passed": row.passed} for row in rows]
        output.parent.mkdir(parents=True, exist_ok=True)
        write_text(output, json.dumps(content, indent=1) + "\n")
    return rows


def _images(folder: Path, n_events: int) -> BenchmarkRow:  # noqa: ARG001
    from oddjet.ml.benchmark import benchmark_images  # noqa: PLC0415

    numbers = benchmark_images()
    return BenchmarkRow(
        name="images, one thread",
        measured=f"{numbers['jets_per_second']:,.0f} jets/s",
        reference=f"np.histogram2d loop, {numbers['loop_jets_per_second']:,.0f} jets/s",
        ratio=numbers["ratio"],
        bound=30.0,
        at_least=True,
        numbers=numbers,
    )


def _efps(folder: Path, n_events: int) -> BenchmarkRow:  # noqa: ARG001
    from oddjet.ml.benchmark import benchmark_efps  # noqa: PLC0415

    numbers = benchmark_efps()
    name, rate = "energyflow", numbers.get("energyflow_jets_per_second")
    if rate is None:
        name, rate = "einsum loop (energyflow is not installed)", numbers["loop_jets_per_second"]
    return BenchmarkRow(
        name="energy flow polynomials, one thread",
        measured=f"{numbers['jets_per_second']:,.0f} jets/s",
        reference=f"{name}, {rate:,.0f} jets/s",
        ratio=numbers["ratio"],
        bound=40.0,
        at_least=True,
        numbers=numbers,
    )


def _simulation(folder: Path, n_events: int) -> BenchmarkRow:  # noqa: ARG001
    from oddjet.datasets.simulation.benchmark import benchmark_simulation  # noqa: PLC0415

    numbers = benchmark_simulation(SIMULATED_EVENTS, seed=1)
    return BenchmarkRow(
        name="simulation, one core",
        measured=f"{numbers['events_per_second']:,.0f} events/s",
        reference=f"bare Pythia, {numbers['bare_events_per_second']:,.0f} events/s",
        ratio=numbers["ratio"],
        bound=0.7,
        at_least=True,
        numbers=numbers,
    )


def _skim(folder: Path, n_events: int) -> BenchmarkRow:
    from oddjet.processors.benchmark import benchmark_skim  # noqa: PLC0415

    numbers = benchmark_skim(_sample(folder, n_events))
    return BenchmarkRow(
        name=f"skim of {n_events:,} events, one core",
        measured=f"{numbers['skim_events_per_second']:,.0f} events/s",
        reference=f"bare uproot reading, {numbers['read_events_per_second']:,.0f} events/s",
        ratio=numbers["ratio"],
        bound=0.4,
        at_least=True,
        numbers=numbers,
    )


def _memory(folder: Path, n_events: int) -> BenchmarkRow:
    from oddjet.processors.benchmark import benchmark_memory  # noqa: PLC0415

    small, large = _sample(folder, n_events), _sample(folder, REPEATS * n_events)
    numbers = benchmark_memory(small, large)
    return BenchmarkRow(
        name=f"peak memory, skim of {REPEATS * n_events:,} events",
        measured=f"{numbers['large_mb']:,.0f} MB",
        reference=f"that of {n_events:,}, {numbers['small_mb']:,.0f} MB",
        ratio=numbers["ratio"],
        bound=1.15,
        at_least=False,
        numbers=numbers,
    )


def _sample(folder: Path, n_events: int) -> Path:
    """A file of that many events: a few thousand simulated ones, again and again."""
    from oddjet.datasets.simulation import simulate  # noqa: PLC0415
    from oddjet.processors.benchmark import repeat_file  # noqa: PLC0415

    path = folder / f"qcd-{n_events}.root"
    if path.exists():
        return path
    seedling = folder / "qcd.root"
    if not seedling.exists():
        simulate("qcd", SIMULATED_EVENTS, seed=1, output=seedling, pt_hat_min=120.0)
    repeat_file(seedling, path, times=math.ceil(n_events / SIMULATED_EVENTS))
    return path


_BENCHMARKS: dict[str, Callable[[Path, int], BenchmarkRow]] = {
    "images": _images,
    "efps": _efps,
    "simulation": _simulation,
    "skim": _skim,
    "memory": _memory,
}
