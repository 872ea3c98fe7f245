"""What a bump hunt costs: against pyBumpHunter with a given background, and with every fit repeated."""

from __future__ import annotations

import contextlib
import importlib
import io
from typing import Any

import numpy as np

from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.scan import scan, scan_jointly
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.studies.benchmarks.timing import timed
from oddjet.typing import Floats

__all__ = ["bench_bumphunt", "compare_with_pybumphunter", "refit_rate"]


EDGES = np.linspace(40.0, 240.0, 61)
WIDTHS = (2, 6)
"""60 bins and these widths make 285 windows."""
N_EVENTS = 20_000


def bench_bumphunt(*, n_toys: int = 10_000, n_refitted: int = 200) -> dict[str, Any]:
    """Measure both kinds of scan, on one core.

    Returns:
        The numbers of `compare_with_pybumphunter` (only our time where it is not installed), and those
        of `refit_rate` for one function and for its choice under ``one_function`` and ``auto``.
    """
    return {
        **compare_with_pybumphunter(n_toys),
        "one_function": refit_rate("exppoly3", n_refitted),
        "auto": refit_rate("auto", n_refitted),
    }


def compare_with_pybumphunter(n_toys: int, *, seed: int = 1, bump: float = 30.0) -> dict[str, Any]:
    """Scan one histogram with pyBumpHunter and with `scan`: same background, windows and toys.

    Returns:
        ``seconds``, ``window``, ``local_p`` and ``global_p`` of ours, the same with
        ``pybumphunter_`` before it, and ``ratio``, their time divided by ours.
    """
    background = _falling(EDGES)
    truth = background.copy()
    truth[20:24] += bump
    counts = np.random.default_rng(seed).poisson(truth).astype(np.float64)
    # Compilation and the first touch of memory do not count.
    settings = ScanSettings(n_toys=n_toys, max_toys=0, seed=seed, widths=WIDTHS)
    scan((counts, EDGES), background, settings.model_copy(update={"n_toys": 2}))
    seconds, result = timed(lambda: scan((counts, EDGES), background, settings))
    numbers: dict[str, Any] = {
        "n_toys": n_toys,
        "n_bins": EDGES.size - 1,
        "n_windows": result.best.table.n_windows,
        "seconds": seconds,
        "window": result.window,
        "local_p": result.local_p,
        "global_p": result.global_p,
    }
    try:
        library = importlib.import_module("pyBumpHunter")
    except ImportError:
        return numbers
    hunter = library.BumpHunter1D(
        width_min=WIDTHS[0], width_max=WIDTHS[1], width_step=1, scan_step=1, npe=n_toys, nworker=1,
        seed=seed + 1, bins=EDGES, rang=(EDGES[0], EDGES[-1]),
    )  # fmt: skip

    def theirs() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            hunter.bump_scan(counts.astype(np.int64), background, is_hist=True)

    their_seconds, _ = timed(theirs)
    first, width = int(hunter.min_loc_ar[0]), int(hunter.min_width_ar[0])
    return numbers | {
        "pybumphunter_seconds": their_seconds,
        "pybumphunter_window": (float(EDGES[first]), float(EDGES[first + width])),
        "pybumphunter_local_p": float(hunter.min_Pval_ar[0]),
        "pybumphunter_global_p": float(hunter.global_Pval),
        "ratio": their_seconds / seconds,
    }


def refit_rate(function: str, n_toys: int, *, n_bins: int = 40) -> dict[str, Any]:
    """Measure pseudo-experiments a second and core, windows of 2 to 8 of `n_bins` bins refitted."""
    edges = np.linspace(EDGES[0], EDGES[-1], n_bins + 1)
    counts = np.random.default_rng(1).poisson(_falling(edges)).astype(np.float64)
    table = JointTable.from_histogram((counts, edges))
    scan_jointly(table, ScanSettings(n_toys=2, function=function))
    settings = ScanSettings(n_toys=n_toys, function=function)
    seconds, result = timed(lambda: scan_jointly(table, settings))
    return {
        "function": function,
        "n_toys": n_toys,
        "n_bins": n_bins,
        "n_windows": result.n_windows,
        "seconds": seconds,
        "toys_per_second": n_toys / seconds,
    }


def _falling(edges: Floats) -> Floats:
    """Expected events a bin of an exponential."""
    shape = -np.diff(np.exp(-edges / 45.0))
    return np.asarray(N_EVENTS * shape / shape.sum())
