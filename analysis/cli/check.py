"""The commands `oddjet check`, `schema` and `detectors`: what can be known before anything runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import typer
from rich.text import Text

from oddjet.analysis.cli.console import err, out, print_note, print_table
from oddjet.analysis.cli.options import OutputFile, Settings, chosen
from oddjet.analysis.pipeline.check import check_config, describe_clashes
from oddjet.analysis.pipeline.schema import json_schema
from oddjet.datasets.disk.atomic import write_text
from oddjet.errors import ConfigError, InputError
from oddjet.ml import describe_detectors
from oddjet.registry import plug_ins

__all__ = ["check", "detectors", "schema"]


def check(
    sources: Annotated[list[str], typer.Argument(help="An analysis (YAML); or ROOT files.")],
    settings: Settings = None,
) -> None:
    """Find everything that can be known to be wrong before running; or look into ROOT files."""
    files = [source for source in sources if urlsplit(source).path.endswith(".root")]
    if files and len(files) == len(sources) and not settings:
        _check_files(files)
        return
    if len(sources) > 1 or files:
        msg = f"expected one analysis, or ROOT files without --set; received {', '.join(sources)}"
        raise ConfigError(msg)
    problems, caveats, facts = check_config(sources[0], chosen(settings, {}))
    for fact in facts:
        out.print(Text.assemble(("✓", "green"), f" {fact}"), soft_wrap=True)
    for caveat in caveats:
        out.print(Text.assemble(("⚠", "bold yellow"), f" {caveat}"), soft_wrap=True)
    for problem in problems:
        err.print(Text.assemble(("✗", "bold red"), f" {problem}"), soft_wrap=True)
    if problems:
        raise typer.Exit(1)


def _check_files(files: Sequence[str]) -> None:
    """Print how the constituents in files add up to their jets."""
    from oddjet.processors.engine.preview import preview_file  # noqa: PLC0415 (slow import)

    rows: list[tuple[object, ...]] = []
    problems = []
    for file in files:
        name = Path(urlsplit(file).path).name
        try:
            previews = preview_file(file)
        except InputError as error:
            rows.append((name, type(error).__name__, *[None] * 5))
            problems.append(str(error))
            continue
        for preview in previews:
            if (balance := preview.balance) is None:
                continue
            numbers = [f"{ratio:.4f}" for ratio in (balance.median, *balance.tails)]
            numbers = numbers if balance.n_jets else ["–"] * 3
            against = "raw pt" if balance.is_raw else "pt"
            rows.append((name, preview.description, balance.n_jets, *numbers, against))
        if all(preview.balance is None for preview in previews):
            rows.append((name, "no constituents", *[None] * 5))
    headings = ("file", "read as", "jets", "median", "1 % below", "1 % above", "compared with")
    title = "Σ constituents over the jet, of the first events"
    print_table(title, headings, rows, right=headings[2:6])
    for problem in problems:
        print_note(problem)
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
