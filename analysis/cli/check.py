"""The commands `oddjet check`, `schema` and `detectors`: what can be known before anything runs."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer
from rich.text import Text

from oddjet.analysis.cli.console import err, exit_on_error, out, print_note, print_table
from oddjet.analysis.cli.options import ConfigFile, OutputFile, Settings, chosen
from oddjet.analysis.pipeline.check import check_config, describe_clashes
from oddjet.analysis.pipeline.schema import json_schema
from oddjet.datasets.disk.atomic import write_text
from oddjet.ml import describe_detectors
from oddjet.registry import plug_ins

__all__ = ["check", "detectors", "schema"]


def check(config: ConfigFile, settings: Settings = None) -> None:
    """Find everything that can be known to be wrong before running."""
    with exit_on_error():
        problems, facts = check_config(config, chosen(settings, {}))
    for fact in facts:
        out.print(Text.assemble(("✓", "green"), f" {fact}"), soft_wrap=True)
    for problem in problems:
        err.print(Text.assemble(("✗", "bold red"), f" {problem}"), soft_wrap=True)
    if problems:
        raise typer.Exit(1)


def schema(
    what: Annotated[
        Literal["analysis", "fileset"], typer.Argument(help="What the schema describes.")
    ] = "analysis",
    output: OutputFile = None,
) -> None:
    """Write the JSON Schema of configurations or filesets, which editors use."""
    text = json.dumps(json_schema(what), indent=1, ensure_ascii=False) + "\n"
    if output is None:
        typer.echo(text, nl=False)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, text)


def detectors() -> None:
    """List the detectors with their scores and hyper-parameters."""
    with exit_on_error():
        descriptions = describe_detectors()
    rows = [
        (
            detector.name + (f" ({detector.provider})" if detector.provider else ""),
            detector.summary,
            ", ".join(detector.score_names),
            ", ".join(f"{name}={value}" for name, value in detector.hyper_parameters.items()),
        )
        for detector in descriptions
    ]
    print_table("", ("name", "what", "scores", "hyper-parameters"), rows, right=(), lines=True)
    others = [
        (group, name, provider)
        for group, providers in plug_ins().items()
        for name, provider in providers
    ]
    if others:
        print_table("added by other packages", ("kind", "name", "package"), others, right=())
    for clash in describe_clashes():
        print_note(clash)
