"""Injections of an analysis, and their numbers and figures on disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from oddjet.analysis.config import load_config
from oddjet.analysis.injection.run import run_injection
from oddjet.analysis.injection.summary import InjectionResult
from oddjet.analysis.pipeline.run import ready_skim
from oddjet.analysis.report.figures.encode import figure_bytes
from oddjet.analysis.report.figures.injection import injected_significance, injected_yield
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.page import jsonable
from oddjet.datasets.disk.atomic import atomic_write, write_text
from oddjet.datasets.skims.skim import open_skim
from oddjet.processors.engine.progress import Reporter

__all__ = ["inject_and_write", "read_injection", "write_injection"]

FILE = "injection.json"


def inject_and_write(
    config: Path,
    *,
    skim: Path | None = None,
    output: Path | None = None,
    detectors: Sequence[str] = (),
    fractions: Sequence[float] = (),
    reporter: Reporter,
) -> tuple[InjectionResult, list[Path]]:
    """Run the injections of an analysis and write them.

    Args:
        config: The analysis, a YAML file.
        skim: A skim to use instead of the analysis' own, which is made where it is missing.
        output: Folder; ``injection/`` in the analysis' own by default.
        detectors: Labels of the detectors to use; all without.
        fractions: Of the fractions in the configuration; all without.
        reporter: Receives progress.

    Returns:
        The result, and the files that were written, the JSON file first.
    """
    settings = load_config(config)
    jets = open_skim(skim) if skim is not None else ready_skim(settings, reporter)
    folder = output or settings.output / "injection"
    result = run_injection(
        settings, jets, folder, detectors=detectors, fractions=fractions, reporter=reporter
    )
    return result, write_injection(folder, result)


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


def read_injection(folder: Path) -> InjectionResult | None:
    """Read what `write_injection` wrote; None where nothing was injected.

    Args:
        folder: Where it is.
    """
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return InjectionResult.from_trials(content["trials"])
