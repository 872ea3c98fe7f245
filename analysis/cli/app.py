"""The command line: the names of the commands, each imported when it is called."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated, Any, NamedTuple

import typer
from rich.logging import RichHandler
from typer.core import TyperCommand, TyperGroup

from oddjet.analysis.cli.console import err, exit_on_error, out
from oddjet.datasets.disk.logs import DiscreetFormatter
from oddjet.processes import end_children, safe_children, stop_on_signals, stopped_by

__all__ = ["COMMANDS", "app", "main"]

_PLAIN: Any = {"rich_markup_mode": "markdown", "pretty_exceptions_enable": False}


class Command(NamedTuple):
    """Where a command is, and what the list of commands says about it."""

    module: str
    panel: str
    help: str


def _commands(module: str, panel: str, **helps: str) -> dict[str, Command]:
    return {name: Command(module, panel, text) for name, text in helps.items()}


COMMANDS: dict[str, Command] = {
    **_commands(
        "analyse",
        "A whole analysis",
        run="Run a whole analysis: simulate, skim, train, score, hunt, report; redo only what changed.",
        report="Write the report of a finished run again from its outputs.",
        ledger="Show every look at the data of a run, how many they are, and the p of all together.",
    ),
    **_commands(
        "check",
        "A whole analysis",
        check="Find everything that can be known to be wrong before running; or look into ROOT files.",
        schema="Write the JSON Schema of configurations or filesets, which editors use.",
    ),
    **_commands(
        "jobs",
        "Jobs and costs",
        plan="Say what an analysis will take: chunks, time, memory, disk, network; "
        "some events are measured.",
        status="Say what is done, going on, failed, and why; while a run goes on, or after it died.",
        submit="Run a step as HTCondor jobs that need no connection back; "
        "`oddjet collect` finishes it.",
        collect="Gather what jobs made, say what is missing and why; "
        "finish when nothing is missing.",
    ),
    **_commands(
        "data",
        "Single steps",
        simulate="Simulate a built-in process as NanoAODv15-like ROOT; "
        "the same seed gives the same events.",
        skim="Select jets with their constituents out of NanoAOD (Khanal's selection by default).",
        train="Train a detector on the background of a skim, k-fold, with calibration; half the events are held out.",
        score="Score every jet of a skim or of files, and fill the mass histograms.",
        compact="Merge the many small files of a skim or scores table in place; every row is kept.",
    ),
    **_commands(
        "hunt",
        "Questions to jets and histograms",
        hunt="Scan a mass spectrum for a bump: local p, and global p over everything that was "
        "scanned.",
    ),
    **_commands(
        "sculpt",
        "Questions to jets and histograms",
        sculpt="Judge whether cuts on scores sculpt the background's mass: "
        "PASS, FAIL or INCONCLUSIVE.",
    ),
    **_commands(
        "limits",
        "Questions to jets and histograms",
        limit="Set a CLs limit on a signal; write the model for pyhf and Combine as well.",
    ),
    **_commands(
        "background",
        "Questions to jets and histograms",
        spurious="Test how much signal a fit finds in simulated background, function by function.",
    ),
    **_commands(
        "inject",
        "Questions to jets and histograms",
        inject="Put signal into background before training, repeat the whole chain, "
        "and see what is found.",
    ),
    **_commands(
        "certify",
        "Questions to jets and histograms",
        certify="Repeat the whole chain on background alone, and see whether its global p is uniform.",
    ),
    **_commands(
        "check",
        "Detectors and their studies",
        detectors="List the detectors with their scores and hyper-parameters.",
    ),
    **_commands(
        "studies",
        "Detectors and their studies",
        study="Ask a question of detectors: what they find when trained the other way round, "
        "and others.",
        reproduce="Train and measure everything the five documents report; "
        "an interrupted call goes on.",
        bench="Measure speed and memory: as ratios within this run, or in jets/s.",
    ),
    "study background": Command(
        "studies",
        "Questions to jets and histograms",
        "Say what estimates of the background are worth on a mass spectrum, and which are safe at its size.",
    ),
    "study luminosity": Command(
        "studies",
        "Questions to jets and histograms",
        "Say at which luminosity a run's hunt finds the signals of its simulation, as a curve.",
    ),
}
"""Name to module (in this folder) and help, which is the first line of the command's docstring; a command of two words
is the function `FIRST_of_SECOND`."""


class LazyGroup(TyperGroup):
    """A group that imports a command's module when the command is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, command in COMMANDS.items():
            self.commands[name] = TyperCommand(
                name, help=command.help, rich_help_panel=command.panel
            )

    def invoke(self, ctx: Any) -> Any:
        """Call the command; every error becomes one message and an exit code."""
        with exit_on_error(debug=bool(ctx.params.get("debug"))):
            try:
                return super().invoke(ctx)
            except typer.BadParameter as error:
                error.message = _plain_words(error)
                raise

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Give the command that is called itself, not only its name and help."""
        if " ".join(args[:2]) in COMMANDS:
            args = [" ".join(args[:2]), *args[2:]]
        name, command, rest = super().resolve_command(ctx, args)
        if name in COMMANDS:
            module = import_module(f"oddjet.analysis.cli.{COMMANDS[name].module}")
            single = typer.Typer(add_completion=False, **_PLAIN)
            single.command(name)(getattr(module, name.replace(" ", "_of_")))
            command = typer.main.get_command(single)
        return name, command, rest


def _plain_words(error: typer.BadParameter) -> str:
    """Say what is wrong with an argument as of a setting, where pydantic has found it."""
    cause: Any = error.__cause__
    if not hasattr(cause, "errors"):
        return error.message
    from oddjet.problems import describe_problem, with_value  # noqa: PLC0415 (pydantic is slow to import)

    first = cause.errors(include_url=False)[0]
    return with_value(describe_problem(first), first)


app = typer.Typer(
    name="oddjet",
    cls=LazyGroup,
    help="From NanoAOD to a bump in jet mass, with an anomaly score that did not make it.",
    no_args_is_help=True,
    **_PLAIN,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"oddjet {version('oddjet')}")
        raise typer.Exit


@app.callback()
def _settings(
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="More output.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print the tracebacks of errors.")] = False,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    del debug, show_version
    level = logging.INFO if verbose else logging.WARNING
    handler = RichHandler(level, console=err, show_path=False)
    handler.setFormatter(DiscreetFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("oddjet").setLevel(logging.INFO)  # for the log files in output folders


def main() -> None:
    """Run the command line; any failure gives an exit code other than 0, a signal 128 + its number."""
    stop_on_signals()
    for stream in (sys.stdout, sys.stderr):  # names that a terminal cannot show are no failure
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with safe_children():
            app()
    except BaseException:
        number = stopped_by()
        if number is None:
            raise
        end_children()
        sys.exit(128 + number)
