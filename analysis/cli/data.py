"""The commands of single steps: `oddjet simulate`, `skim`, `train`, `score` and `compact`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from oddjet.analysis.cli.console import (
    RichReporter,
    err,
    out,
    print_place,
    print_rows,
    print_table,
)
from oddjet.analysis.cli.options import (
    AllowMissing,
    ConfigOption,
    HyperParameters,
    Output,
    PerformanceReport,
    Running,
    Seed,
    SkimFolder,
    assignments,
    spread_options,
)
from oddjet.analysis.config import DetectorConfig, read_settings
from oddjet.analysis.pipeline.steps import (
    UNUSED_BY_SKIM,
    open_of_run,
    score_jets,
    skim_files,
    training_plan,
    unused_by_score,
)
from oddjet.analysis.pipeline.train import place_of, train_detector
from oddjet.analysis.report.sections.reading import reading_tables
from oddjet.analysis.scores.blinding import blinding_of, shown_cutflow, shown_jets
from oddjet.bounds import MOST_EVENTS, MOST_WORKERS
from oddjet.datasets.disk.logs import write_log
from oddjet.datasets.disk.validation import validate
from oddjet.datasets.files.fileset import load_fileset
from oddjet.datasets.simulation import simulate as simulate_sample
from oddjet.datasets.skims.compaction import compact as compact_table
from oddjet.errors import ConfigError

__all__ = ["compact", "score", "simulate", "skim", "train"]


UNBLIND = "To see them: --set unblind=true."


def simulate(
    process: Annotated[str, typer.Argument(help="One of the built-in processes.")],
    n_events: Annotated[
        int, typer.Option("-n", "--n-events", min=1, max=MOST_EVENTS, help="Events.")
    ],
    output: Output,
    seed: Seed = 1,
    pt_hat_min: Annotated[float | None, typer.Option(help="Lowest pT̂ [GeV].")] = None,
    pt_hat_max: Annotated[float | None, typer.Option(help="Highest pT̂ [GeV].")] = None,
    workers: Annotated[
        int, typer.Option("-j", "--workers", min=1, max=MOST_WORKERS, help="Worker processes.")
    ] = 1,
) -> None:
    """Simulate a built-in process as NanoAODv15-like ROOT; the same seed gives the same events."""
    with RichReporter(err).track(f"simulate {process}", n_events, "events") as update:
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
    sigma, error = summary.cross_section_pb, summary.cross_section_error_pb
    rows = [
        ("events", f"{summary.n_events:,}"),
        ("cross section", f"{sigma:.4g} ± {error:.2g} pb"),
        ("rate", f"{summary.n_events / summary.seconds:.0f} events/s"),
        ("file", str(output)),
    ]
    if summary.r_inv is not None:
        rows.insert(2, ("r_inv (dark hadrons that are invisible)", f"{summary.r_inv:.3f}"))
    print_rows(f"{process}, seed {seed}", ("", "simulated"), rows)


@spread_options
def skim(
    output: Output,
    running: Running,
    files: Annotated[
        list[str] | None, typer.Argument(help="ROOT files, folders, globs, or a fileset.")
    ] = None,
    fileset: Annotated[
        str | None, typer.Option(help="A fileset: YAML, JSON or `catalog:NAME`.")
    ] = None,
    chunk_size: Annotated[int | None, typer.Option(min=100, help="Events a chunk.")] = None,
    images: Annotated[
        bool | None, typer.Option("--images/--no-images", help="Keep 32 × 32 images [default].")
    ] = None,
    allow_missing: AllowMissing = False,
    performance_report: PerformanceReport = None,
) -> None:
    """Select jets with their constituents out of NanoAOD (Khanal's selection by default)."""
    if files and fileset:
        msg = f"expected files or --fileset, received both: {', '.join(files)} and {fileset}"
        raise ConfigError(msg)
    sources = files or ([fileset] if fileset else [])
    if not sources and running.config is None:
        msg = "nothing to skim: name ROOT files, a --fileset, or a --config with one"
        raise ConfigError(msg)
    analysis = read_settings(
        running.config,
        running.changes(chunk_size=chunk_size),
        output=output,
        unused=(*UNUSED_BY_SKIM, "fileset") if sources else UNUSED_BY_SKIM,
    )
    if sources:
        fileset_given = load_fileset(sources[0] if len(sources) == 1 else sources)
        analysis = analysis.model_copy(update={"fileset": fileset_given})
    if images is False:
        analysis = analysis.model_copy(update={"image": None})
    manifest = skim_files(
        running.placed(analysis),
        output,
        allow_missing=allow_missing,
        report=performance_report,
        reporter=RichReporter(err),
    )
    blinding = blinding_of(analysis, manifest.datasets)
    for dataset, steps in shown_cutflow(manifest, blinding).items():
        rows = [(s.name, f"{s.n_events:,}", f"{s.n_jets:,}", f"{s.sumw:.6g}") for s in steps]
        print_table(f"cut flow: {dataset}", ("cut", "events", "jets", "Σw"), rows)
    counts: Counter[str] = Counter()
    for chunk in manifest.chunks:
        counts.update(chunk.counts)
    for name, number in counts.items():
        out.print(f"{name.replace('_', ' ')}: {number:,}")
    hidden = blinding.datasets if blinding else ()
    for table in reading_tables(manifest.datasets, hidden=hidden):
        print_table(table.caption, table.headers, table.rows, right=table.headers[1:-1])
    if blinding is not None:
        out.print(f"{blinding.sentence} {UNBLIND}", soft_wrap=True)
    if text := manifest.describe_caveats():
        err.print(text, style="bold yellow")
    print_place("skim", output)


def train(
    skim_folder: SkimFolder,
    output: Output,
    detector: Annotated[str, typer.Option(help="Name, or `package.module:Class`.")] = "khanal",
    label: Annotated[str, typer.Option(help="Prefix of its columns; the name by default.")] = "",
    hyper_parameters: HyperParameters = None,
    folds: Annotated[int | None, typer.Option(min=2, max=100, help="Folds [default: 3].")] = None,
    seed: Seed = 1,
    config: ConfigOption = None,
    training: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="What is learned on what, such as `on=data`."),
    ] = None,
) -> None:
    """Train a detector on the background of a skim, k-fold, with calibration; half the events are held out."""
    given = {"label": label, "hyper_parameters": assignments(hyper_parameters or [])}
    settings = validate(DetectorConfig, {"name": detector, **given}, where="oddjet train")
    blocks = {f"training.{key}": value for key, value in assignments(training or []).items()}
    changes = {"seed": seed, **({} if folds is None else {"folds": folds}), **blocks}
    plan = training_plan(skim_folder, config, changes, output=output)
    # Beside the folder, whose own files are all hashed.
    place = place_of(output)
    with write_log(place.with_name(f"{place.name}.log")):
        trained = train_detector(
            open_of_run(skim_folder),
            settings,
            output,
            plan,
            reporter=RichReporter(err),
        )
    rows = [("scores", ", ".join(trained.raw_score_names)), ("folds", str(trained.k))]
    rows += [("held out", f"{100 * trained.held_out:g} % of {', '.join(trained.learned_on)}")]
    print_rows(settings.key, ("", "trained"), [*rows, ("folder", str(output))])


@spread_options
def score(
    source: Annotated[str, typer.Argument(help="A skim; or ROOT files or a fileset.")],
    models: Annotated[list[Path], typer.Option("-m", "--model", help="A trained detector.")],
    output: Output,
    running: Running,
    allow_missing: AllowMissing = False,
    performance_report: PerformanceReport = None,
) -> None:
    """Score every jet of a skim or of files, and fill the mass histograms."""
    analysis = read_settings(
        running.config, running.changes(), output=output, unused=unused_by_score(source)
    )
    scored = score_jets(
        running.placed(analysis),
        source,
        models,
        output,
        allow_missing=allow_missing,
        report=performance_report,
        reporter=RichReporter(err),
    )
    blinding = blinding_of(analysis, scored.datasets)
    numbers = shown_jets(scored, blinding)
    counted = sum(number or 0 for number in numbers.values())
    if blinding is not None:
        out.print(f"{blinding.sentence} {UNBLIND}", soft_wrap=True)
    what = "jets of simulation scored" if None in numbers.values() else "jets scored"
    print_place(f"{counted:,} {what}", output)


def compact(
    folder: Annotated[Path, typer.Argument(help="A finished skim or scores table.")],
    target_mb: Annotated[float, typer.Option(help="Size of a file [MB].")] = 256.0,
) -> None:
    """Merge the many small files of a skim or scores table in place; every row is kept."""
    done = compact_table(folder, target_mb=target_mb)
    sizes = ", ".join(f"{size:,.1f}" for size in done.megabytes[:5])
    more = ", …" if len(done.megabytes) > 5 else ""
    text = f"{done.n_parts:,} parts: {done.n_files_before:,} → {done.n_files:,} files ({sizes}{more} MB)"
    out.print(text)
