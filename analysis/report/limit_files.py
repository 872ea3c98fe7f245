"""Limits on disk: every number, the models for pyhf and Combine, and figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from oddjet.analysis.report.figures.encode import figure_bytes
from oddjet.analysis.report.figures.limits import limit_band, signal_at_limit
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.page import jsonable
from oddjet.analysis.statistics.exchange.datacard import write_datacard
from oddjet.analysis.statistics.exchange.workspace import write_workspace
from oddjet.analysis.statistics.limits.inputs import build_channel
from oddjet.analysis.statistics.limits.spectrum import SpectrumLimit
from oddjet.datasets.disk.atomic import atomic_write, write_text

__all__ = ["write_limits"]


def write_limits(
    folder: str | Path,
    results: Sequence[SpectrumLimit],
    *,
    label: PlotLabel | None = None,
    axis_label: str = "Jet mass [GeV]",
) -> list[Path]:
    """Write ``limits.json``, and for each mass a model and a figure.

    The model of a mass is ``workspace.json``, ``datacard.txt`` and ``shapes.root``; with several
    masses each has a folder of its own, such as ``m85``.

    Args:
        folder: Where to.
        results: At least one.
        label: Text above the axes of figures.
        axis_label: The mass with its unit.

    Returns:
        What was written.
    """
    folder = Path(folder)
    numbers = {"limits": [result.to_dict() for result in results]}
    written = [folder / "limits.json"]
    write_text(written[0], json.dumps(jsonable(numbers), indent=1) + "\n")
    for result in results:
        limit = result.limit
        at = folder if len(results) == 1 else folder / f"m{limit.mass:g}"
        channel = build_channel(limit.inputs)
        write_workspace(at / "workspace.json", channel)
        written += [at / "workspace.json", *write_datacard(at, channel)]
        figure = signal_at_limit(limit, axis_label=axis_label, label=label)
        written.append(_write(at / "limit.png", figure_bytes(figure)))
    if len(results) > 1:
        figure = limit_band([result.limit for result in results], label=label)
        written.append(_write(folder / "limits.png", figure_bytes(figure)))
    return written


def _write(path: Path, content: bytes) -> Path:
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return path
