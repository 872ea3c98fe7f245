"""The command line: every command is a thin call of a public function."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.logging import RichHandler
from rich.table import Table

from oddjet.analysis.cli import background as cli_background
from oddjet.analysis.cli import compact as cli_compact
from oddjet.analysis.cli import hunt as cli_hunt
from oddjet.analysis.cli import inject as cli_inject
from oddjet.analysis.cli import jobs as cli_batch
from oddjet.analysis.cli import limits as cli_limits
from oddjet.analysis.cli import plan as cli_plan
from oddjet.analysis.cli import reproduce as cli_reproduce
from oddjet.analysis.cli import sculpt as cli_sculpt
from oddjet.analysis.cli import status as cli_status
from oddjet.analysis.cli import studies as cli_studies
from oddjet.analysis.cli.console import (
    RichReporter,
    assignments,
    err,
    exit_on_error,
    out,
    print_rows,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="oddjet",
    help="From NanoAOD to a bump in jet mass, with an anomaly score that did not make it.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)

Output = Annotated[Path, typer.Option("-o", "--output", help="Where to write.")]
ConfigFile = Annotated[Path, typer.Argument(help="The analysis, a YAML file.")]
Executor = Annotated[str, typer.Option(help="`iterative`, `futures` or `dask`.")]
Workers = Annotated[int, typer.Option("-j", "--workers", min=1, help="Worker processes.")]
Seed = Annotated[int, typer.Option(min=0, help="Fixes everything random.")]
AllowMissing = Annotated[
    bool,
    typer.Option("--allow-missing", help="Finish with what can be read, and list what is missing."),
]
PerformanceReport = Annotated[
    Path | None, typer.Option(help="HTML file for Dask's report of what each worker did when.")
]
Unblind = Annotated[bool, typer.Option("--unblind", help="Look into the signal window of data.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"oddjet {version('oddjet')}")
        raise typer.Exit


@app.callback()
def _settings(
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="More output.")] = False,
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Tell the version."),
    ] = False,
) -> None:
    del show_version
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=err, show_path=False)],
    )
    logging.getLogger("oddjet").setLevel(logging.INFO if verbose else logging.WARNING)


@app.command()
def run(
    config: ConfigFile,
    unblind: Unblind = False,
    pseudo_data: Annotated[
        tuple[float, int] | None,
        typer.Option(metavar="LUMI SEED", help="Draw pseudo-data: luminosity [1/fb] and seed."),
    ] = None,
    allow_missing: AllowMissing = False,
) -> None:
    """Run a whole analysis: simulate, skim, train, score, hunt, report; redo only what changed."""
    from oddjet.analysis.config import load_config
    from oddjet.analysis.pipeline.run import run_chain

    with exit_on_error():
        settings = load_config(config).with_choices(unblind=unblind, pseudo_data=pseudo_data)
        result = run_chain(settings, reporter=RichReporter(err), allow_missing=allow_missing)
    print_rows(f"{settings.name}", ("", "result"), result.summary)
    out.print(f"report: [bold]{result.report}[/]", highlight=False)


@app.command()
def simulate(
    process: Annotated[str, typer.Argument(help="One of the built-in processes.")],
    n_events: Annotated[int, typer.Option("-n", "--n-events", min=1, help="Events.")],
    output: Output,
    seed: Seed = 1,
    pt_hat_min: Annotated[float | None, typer.Option(help="Lowest pT̂ [GeV].")] = None,
    pt_hat_max: Annotated[float | None, typer.Option(help="Highest pT̂ [GeV].")] = None,
    workers: Workers = 1,
) -> None:
    """Simulate a built-in process as NanoAODv15-like ROOT; the same seed gives the same events."""
    from oddjet.datasets.simulation import simulate as simulate_sample

    with (
        exit_on_error(),
        RichReporter(err).track(f"simulate {process}", n_events, "events") as update,
    ):
        summary = simulate_sample(
            process,
            n_events,
            seed=seed,
            output=output,
            pt_hat_min=pt_hat_min,
            pt_hat_max=pt_hat_max,
            workers=workers,
            progress=update,
        )
    rows = [
        ("events", f"{summary.n_events:,}"),
        (
            "cross section",
            f"{summary.cross_section_pb:.4g} ± {summary.cross_section_error_pb:.2g} pb",
        ),
        ("rate", f"{summary.n_events / summary.seconds:.0f} events/s"),
        ("file", str(output)),
    ]
    if summary.r_inv is not None:
        rows.insert(2, ("r_inv (dark hadrons that are invisible)", f"{summary.r_inv:.3f}"))
    print_rows(f"{process}, seed {seed}", ("", "simulated"), rows)


@app.command()
def skim(
    output: Output,
    files: Annotated[
        list[str] | None, typer.Argument(help="ROOT files, folders, globs, or a fileset.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Take fileset, selection and images from an analysis.")
    ] = None,
    fileset: Annotated[
        str | None, typer.Option(help="A fileset: YAML, JSON or `catalog:NAME`.")
    ] = None,
    executor: Annotated[str | None, typer.Option(help="`iterative`, `futures` or `dask`.")] = None,
    workers: Annotated[
        int | None, typer.Option("-j", "--workers", min=1, help="Worker processes.")
    ] = None,
    chunk_size: Annotated[int | None, typer.Option(min=100, help="Events a chunk.")] = None,
    images: Annotated[bool, typer.Option(help="Keep 32 × 32 images.")] = True,
    allow_missing: AllowMissing = False,
    performance_report: PerformanceReport = None,
) -> None:
    """Select jets with their constituents out of NanoAOD (Khanal's selection by default)."""
    from oddjet.analysis.pipeline.steps import skim_files

    with exit_on_error():
        manifest = skim_files(
            output,
            files=files or (),
            fileset=fileset,
            config=config,
            executor=executor,
            workers=workers,
            chunk_size=chunk_size,
            images=images,
            allow_missing=allow_missing,
            report=performance_report,
            reporter=RichReporter(err),
        )
    for dataset, steps in manifest.cutflow.items():
        table = Table("cut", title=f"cut flow: {dataset}", title_justify="left")
        for heading in ("events", "jets", "Σw"):
            table.add_column(heading, justify="right")
        for step in steps:
            table.add_row(step.name, f"{step.n_events:,}", f"{step.n_jets:,}", f"{step.sumw:.6g}")
        out.print(table)
    counts: dict[str, int] = {}
    for chunk in manifest.chunks:
        for name, number in chunk.counts.items():
            counts[name] = counts.get(name, 0) + number
    for name, number in counts.items():
        out.print(f"{name.replace('_', ' ')}: {number:,}")
    if manifest.missing:
        err.print(manifest.describe_missing(), style="bold yellow", markup=False, highlight=False)
    out.print(f"skim: [bold]{output}[/]", highlight=False)


@app.command()
def train(
    skim_folder: Annotated[Path, typer.Argument(help="A skim.")],
    output: Output,
    detector: Annotated[str, typer.Option(help="Name, or `package.module:Class`.")] = "khanal",
    label: Annotated[str, typer.Option(help="Prefix of its columns; the name by default.")] = "",
    hyper_parameters: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A hyper-parameter.")
    ] = None,
    folds: Annotated[int, typer.Option(min=3, help="Folds: train, calibrate, apply.")] = 3,
    seed: Seed = 1,
) -> None:
    """Train a detector on the background of a skim, k-fold, with calibration."""
    from oddjet.analysis.config import DetectorConfig
    from oddjet.analysis.pipeline.train import train_detector
    from oddjet.datasets.skims.skim import open_skim

    with exit_on_error():
        settings = DetectorConfig(
            name=detector, label=label, hyper_parameters=assignments(hyper_parameters or [])
        )
        trained = train_detector(
            open_skim(skim_folder),
            settings,
            output,
            folds=folds,
            seed=seed,
            reporter=RichReporter(err),
        )
    rows = [("scores", ", ".join(trained.raw_score_names)), ("folds", str(trained.k))]
    print_rows(settings.key, ("", "trained"), [*rows, ("folder", str(output))])


@app.command()
def score(
    source: Annotated[str, typer.Argument(help="A skim; or ROOT files or a fileset.")],
    models: Annotated[list[Path], typer.Option("-m", "--model", help="A trained detector.")],
    output: Output,
    config: Annotated[Path | None, typer.Option(help="Take histogram settings from it.")] = None,
    executor: Executor = "iterative",
    workers: Workers = 1,
    allow_missing: AllowMissing = False,
    performance_report: PerformanceReport = None,
) -> None:
    """Score every jet of a skim or of files, and fill the mass histograms."""
    from oddjet.analysis.pipeline.steps import score_jets

    with exit_on_error():
        n_jets = score_jets(
            source,
            models,
            output,
            config=config,
            executor=executor,
            workers=workers,
            allow_missing=allow_missing,
            report=performance_report,
            reporter=RichReporter(err),
        )
    out.print(f"{n_jets:,} jets scored: [bold]{output}[/]", highlight=False)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="The output folder of `oddjet run`.")],
    unblind: Unblind = False,
) -> None:
    """Write the report of a finished run again from its outputs."""
    from oddjet.analysis.pipeline.run import report_again

    with exit_on_error():
        result = report_again(folder, unblind=unblind, reporter=RichReporter(err))
    out.print(f"report: [bold]{result.report}[/]", highlight=False)


@app.command()
def detectors() -> None:
    """List the detectors with their scores and hyper-parameters."""
    from oddjet.ml import describe_detectors

    table = Table("name", "what", "scores", "hyper-parameters", show_lines=True)
    for detector in describe_detectors():
        settings = ", ".join(f"{k}={v}" for k, v in detector.hyper_parameters.items())
        table.add_row(detector.name, detector.summary, ", ".join(detector.score_names), settings)
    out.print(table)


@app.command()
def check(config: ConfigFile) -> None:
    """Find everything that can be known to be wrong before running."""
    from oddjet.analysis.pipeline.check import check_config

    problems, facts = check_config(config)
    for fact in facts:
        out.print(f"[green]✓[/] {fact}", highlight=False)
    for problem in problems:
        err.print("[bold red]✗[/] ", end="")
        err.print(problem, markup=False, highlight=False, soft_wrap=True)
    if problems:
        raise typer.Exit(1)


@app.command()
def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="`representations` (or of these `images`, `efps`), `detectors`, `simulation`, "
            "`skim`, `memory`, `bumphunt`, `scale`; all by default."
        ),
    ] = None,
    n_events: Annotated[int, typer.Option(min=1000, help="Events of the skimmed file.")] = 40_000,
    files: Annotated[
        list[Path] | None,
        typer.Option("-f", "--file", help="ROOT file that `scale` skims; give at least two."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write every number as JSON.")
    ] = None,
) -> None:
    """Measure speed and memory: as ratios within this run, or in jets/s."""
    from oddjet.analysis.studies.benchmarks.cases import run_benchmarks

    with exit_on_error():
        rows = run_benchmarks(
            names=names or (),
            n_events=n_events,
            files=files or (),
            output=output,
            reporter=RichReporter(err),
        )
    table = Table("benchmark", "measured", "against", title="benchmarks", title_justify="left")
    for heading in ("ratio", "expected"):
        table.add_column(heading, justify="right")
    for row in rows:
        style = "" if row.passed else "bold red"
        table.add_row(
            row.name, row.measured, row.reference, row.ratio_text, row.expected, style=style
        )
    out.print(table)
    if not all(row.passed for row in rows):
        raise typer.Exit(1)


cli_background.register(app)
cli_batch.register(app)
cli_compact.register(app)
cli_limits.register(app)
cli_plan.register(app)
cli_hunt.register(app)
cli_inject.register(app)
cli_reproduce.register(app)
cli_status.register(app)
cli_sculpt.register(app)
cli_studies.register(app)


def main() -> None:
    """Run the command line; any failure gives an exit code other than 0."""
    try:
        app()
    except KeyboardInterrupt:
        err.print("interrupted: repeat the command to go on where it stopped")
        sys.exit(130)
