"""The commands `oddjet run`, `report` and `ledger`: a whole analysis."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddjet.analysis.cli.console import RichReporter, err, print_place, print_rows
from oddjet.analysis.cli.options import (
    AllowMissing,
    ConfigFile,
    PseudoData,
    Settings,
    Unblind,
    chosen,
)
from oddjet.analysis.cli.results import print_result
from oddjet.analysis.config import load_config
from oddjet.analysis.hunt.ledger import LEDGER, ledger_of, read_ledger
from oddjet.analysis.pipeline.run import report_again, run_chain
from oddjet.analysis.report.sections.ledger import ledger_section
from oddjet.errors import ConfigError

__all__ = ["ledger", "report", "run"]


def run(
    config: ConfigFile,
    settings: Settings = None,
    unblind: Unblind = False,
    pseudo_data: PseudoData = None,
    allow_missing: AllowMissing = False,
) -> None:
    """Run a whole analysis: simulate, skim, train, score, hunt, report; redo only what changed."""
    changes = chosen(settings, {"unblind": unblind, "pseudo_data": pseudo_data})
    analysis = load_config(config, changes)
    result = run_chain(analysis, reporter=RichReporter(err), allow_missing=allow_missing)
    print_rows(analysis.name, ("", "result"), result.summary)
    print_place("report", result.report)


def report(
    folder: Annotated[Path, typer.Argument(help="The output folder of `oddjet run`.")],
    unblind: Unblind = False,
) -> None:
    """Write the report of a finished run again from its outputs."""
    result = report_again(folder, unblind=unblind, reporter=RichReporter(err))
    print_place("report", result.report)


def ledger(
    folder: Annotated[Path, typer.Argument(help="The output folder of `oddjet run`, or scores.")],
) -> None:
    """Show every look at the data of a run, how many they are, and the p of all together.

    Exit codes: 0 the ledger is as it was written; 1 it is not.
    """
    if not folder.is_dir():
        msg = f"{folder}: expected the output folder of `oddjet run`, or a scores table"
        raise ConfigError(msg)
    own = folder / LEDGER
    looks = read_ledger(own if own.exists() else ledger_of(folder))
    print_result(ledger_section(looks))
    if looks.problems:
        raise typer.Exit(1)
