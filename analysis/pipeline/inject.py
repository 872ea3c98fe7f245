"""The step `inject` of an analysis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.injection.run import run_injection
from oddjet.analysis.injection.summary import InjectionResult
from oddjet.analysis.pipeline.folder import Run
from oddjet.analysis.pipeline.steps import ready_skim
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.sections.injection import injection_section
from oddjet.analysis.report.write import write_section
from oddjet.datasets.disk.logs import write_log
from oddjet.processors.engine.progress import Reporter

__all__ = ["inject_and_write"]


def inject_and_write(
    config: AnalysisConfig,
    *,
    skim: Path | None = None,
    output: Path | None = None,
    detectors: Sequence[str] = (),
    fractions: Sequence[float] = (),
    reporter: Reporter,
) -> tuple[InjectionResult, list[Path]]:
    """Run the injections of an analysis and write them.

    Args:
        config: The analysis.
        skim: A skim to use instead of the analysis' own, which is made where it is missing.
        output: Folder; ``injection/`` in the analysis' own by default.
        detectors: Labels of the detectors to use; all without.
        fractions: Of the fractions in the configuration; all without.
        reporter: Receives progress.

    Returns:
        The result, and the files that were written, the JSON file first.
    """
    jets = ready_skim(config, reporter, instead=skim)
    folder = output or Run(config).injection_folder
    with write_log(folder):
        result = run_injection(
            config, jets, folder, detectors=detectors, fractions=fractions, reporter=reporter
        )
        section = injection_section(result, label=PlotLabel("simulation", "13 TeV"))
        return result, write_section(folder, section, sealed=True)
