"""The command `oddjet certify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddjet.analysis.cli.console import RichReporter, err
from oddjet.analysis.cli.options import ConfigFile, OtherSkim, Settings, chosen
from oddjet.analysis.cli.results import print_result
from oddjet.analysis.config import load_config
from oddjet.analysis.pipeline.certify import certify_and_write
from oddjet.analysis.report.sections.certificate import certificate_section

__all__ = ["certify"]

NOT_UNIFORM = 3
"""Exit code of a global p that does not hold."""


def certify(
    config: ConfigFile,
    settings: Settings = None,
    skim: OtherSkim = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder; by default `certificate/` in the analysis' own."
        ),
    ] = None,
    replicas: Annotated[
        int | None, typer.Option(min=2, help="How many; by default `certificate.replicas`.")
    ] = None,
) -> None:
    """Repeat the whole chain on background alone, and see whether its global p is uniform.

    Replicas that are done are not repeated; an interrupted call goes on. Exits with 3 if it is not.
    """
    changes = {} if replicas is None else {"certificate.replicas": replicas}
    result, written = certify_and_write(
        load_config(config, chosen(settings, changes)),
        skim=skim,
        output=output,
        reporter=RichReporter(err),
    )
    print_result(certificate_section(result), written)
    if not result.holds:
        raise typer.Exit(NOT_UNIFORM)
