"""The step `certify` of an analysis, and its certificate in the report."""

from __future__ import annotations

from pathlib import Path

from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.injection.certificate.run import certificate_key, run_certificate
from oddjet.analysis.injection.certificate.summary import Certificate, read_certificate
from oddjet.analysis.pipeline.folder import Run
from oddjet.analysis.pipeline.steps import ready_skim
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.page import Section
from oddjet.analysis.report.sections.certificate import certificate_section
from oddjet.analysis.report.write import write_section
from oddjet.datasets.disk.logs import write_log
from oddjet.errors import ConfigError
from oddjet.processors.engine.progress import Reporter

__all__ = ["certificate_folder", "certificate_sections", "certify_and_write"]

LABEL = PlotLabel("simulation", "13 TeV")


def certificate_folder(run: Run) -> Path:
    """Folder of `oddjet certify`."""
    return run.folder / "certificate"


def certify_and_write(
    config: AnalysisConfig,
    *,
    skim: Path | None = None,
    output: Path | None = None,
    reporter: Reporter,
) -> tuple[Certificate, list[Path]]:
    """Run the background-only replicas of an analysis and write their certificate.

    Args:
        config: The analysis.
        skim: A skim to use instead of the analysis' own, which is made where it is missing.
        output: Folder; ``certificate/`` in the analysis' own by default.
        reporter: Receives progress.

    Returns:
        The certificate, and the files that were written, the JSON file first.
    """
    jets = ready_skim(config, reporter, instead=skim)
    folder = output or certificate_folder(Run(config))
    with write_log(folder):
        result = run_certificate(config, jets, folder, reporter=reporter)
        section = certificate_section(result, label=LABEL)
        return result, write_section(folder, section, sealed=True)


def certificate_sections(run: Run) -> list[Section]:
    """Show the certificate of a run, where there is one, and say whether it is of this very analysis."""
    certificate = read_certificate(certificate_folder(run))
    if certificate is None:
        return []
    try:
        key = certificate_key(run.config, run.skim)
    except ConfigError as error:
        key = f"none: {error}"
    return [certificate_section(certificate, key=key, label=LABEL)]
