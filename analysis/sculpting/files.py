"""Write verdicts: `sculpting.json` and its figures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from oddjet.analysis.report.figures.encode import figure_bytes
from oddjet.analysis.report.figures.sculpting_ladder import (
    efficiency_across_mass,
    inverse_divergence,
    relative_entropies,
)
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.page import jsonable
from oddjet.analysis.sculpting.scores import ScoreVerdict, SculptingResult
from oddjet.datasets.disk.atomic import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_sculpting", "write_sculpting"]


def draw_sculpting(found: SculptingResult) -> dict[str, Figure]:
    """Draw what is to be seen.

    Args:
        found: The verdicts.

    Returns:
        Name of the figure to it: `mass_COLUMN` of each score, `inverse_jsd`, `relative_entropy`.
    """
    status = "data" if found.kind == "data" else "simulation"
    ladders = {each.column: each.inclusive for each in found.scores}
    label = PlotLabel(status, ", ".join(found.datasets))
    return {
        **{f"mass_{each.column}": _mass(found, each, status) for each in found.scores},
        "inverse_jsd": inverse_divergence(ladders, label=label),
        "relative_entropy": relative_entropies(ladders, label=label),
    }


def write_sculpting(folder: Path | str, found: SculptingResult) -> list[Path]:
    """Write every number and figure.

    Args:
        folder: Made if it is not there.
        found: What to write.

    Returns:
        The files: `sculpting.json`, then the PNGs.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "sculpting.json"]
    for name, figure in draw_sculpting(found).items():
        path = folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.png"
        path.write_bytes(figure_bytes(figure))
        files.append(path)
    content = json.dumps(jsonable(found.to_dict()), indent=1, allow_nan=False, ensure_ascii=False)
    write_text(files[0], content + "\n")
    return files


def _mass(found: SculptingResult, each: ScoreVerdict, status: str) -> Figure:
    from oddjet.analysis.report.sections.labels import mass_name  # noqa: PLC0415 (sections import this)

    return efficiency_across_mass(
        each.shapes,
        axis_label=mass_name(found.mass),
        window=found.excluded[0] if found.excluded else found.window,
        excluded=bool(found.excluded),
        label=PlotLabel(status, f"{each.column}: {each.verdict.outcome.value}"),
    )
