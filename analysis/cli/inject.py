"""The command `oddjet inject`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddjet.analysis.cli.console import RichReporter, err
from oddjet.analysis.cli.options import OtherSkim, Settings, chosen
from oddjet.analysis.cli.results import print_result
from oddjet.analysis.config import load_config
from oddjet.analysis.pipeline.inject import inject_and_write
from oddjet.analysis.report.sections.injection import injection_section

__all__ = ["inject"]


def inject(
    config: Annotated[
        Path, typer.Argument(help="The analysis, a YAML file with an `injection:` block.")
    ],
    settings: Settings = None,
    skim: OtherSkim = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder; by default `injection/` in the analysis' own."
        ),
    ] = None,
    detectors: Annotated[
        list[str] | None, typer.Option("--detector", help="Its label; repeatable; all without.")
    ] = None,
    fractions: Annotated[
        list[float] | None,
        typer.Option("--fraction", help="One of the configuration's; repeatable; all without."),
    ] = None,
) -> None:
    """Put signal into background before training, repeat the whole chain, and see what is found.

    Experiments that are done are not repeated; an interrupted call goes on.
    """
    result, written = inject_and_write(
        load_config(config, chosen(settings, {})),
        skim=skim,
        output=output,
        detectors=detectors or (),
        fractions=fractions or (),
        reporter=RichReporter(err),
    )
    print_result(injection_section(result), written)
