"""The numbers and figures of injections on disk."""

from __future__ import annotations

import json
from pathlib import Path

from oddjet.analysis.injection.summary import FILE, InjectionResult
from oddjet.analysis.report.figures.encode import figure_bytes
from oddjet.analysis.report.figures.injection import injected_significance, injected_yield
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.page import jsonable
from oddjet.datasets.disk.atomic import atomic_write, write_text

__all__ = ["write_injection"]


def write_injection(folder: Path, result: InjectionResult) -> list[Path]:
    """Write ``injection.json`` and two figures a score.

    Args:
        folder: Where to.
        result: What was found.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / FILE]
    write_text(folder / FILE, json.dumps(jsonable(result.to_dict()), indent=1) + "\n")
    label = PlotLabel("simulation", "13 TeV")
    for score, points in result.by_score().items():
        for name, draw in (("significance", injected_significance), ("yield", injected_yield)):
            path = folder / f"{score}_{name}.png"
            with atomic_write(path) as temporary:
                temporary.write_bytes(figure_bytes(draw(points, label=label)))
            written.append(path)
    return written
