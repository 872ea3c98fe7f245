"""The commands `oddjet study`, `reproduce` and `bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddjet.analysis.cli.console import (
    RichReporter,
    err,
    print_place,
    print_table,
)
from oddjet.analysis.cli.options import (
    HyperParameters,
    MassRange,
    OutputFile,
    Seed,
    SkimFolder,
    assignments,
)
from oddjet.analysis.cli.results import print_result
from oddjet.analysis.pipeline.folder import Run
from oddjet.analysis.pipeline.steps import open_of_run
from oddjet.analysis.report.write import write_section
from oddjet.analysis.studies import describe_studies
from oddjet.analysis.studies.background.sources import read_truth
from oddjet.analysis.studies.background.table import StudyOptions, study_background
from oddjet.analysis.studies.background.truth import Cut, built_in_names
from oddjet.analysis.studies.benchmarks.cases import run_benchmarks
from oddjet.analysis.studies.jets import read_jets
from oddjet.analysis.studies.luminosity import pseudo_hunts, study_luminosity
from oddjet.analysis.studies.reproduce import reproduce as reproduce_documents
from oddjet.analysis.studies.run import detectors_with, run_study
from oddjet.bounds import MOST_WORKERS
from oddjet.errors import ConfigError

__all__ = ["bench", "reproduce", "study", "study_of_background", "study_of_luminosity"]


def _print_list(wanted: bool) -> None:
    if not wanted:
        return
    rows = [
        (study.name, study.summary, ", ".join(f"{k}={v}" for k, v in study.options.items()))
        for study in describe_studies()
    ]
    rows.append(("background", "Of spectra: `oddjet study background --help`.", ""))
    rows.append(("luminosity", "Of runs: `oddjet study luminosity --help`.", ""))
    print_table("", ("name", "what", "options"), rows, right=(), lines=True)
    raise typer.Exit


def study(
    name: Annotated[str, typer.Argument(help="The study; `--list` names them all.")],
    skim_folder: SkimFolder,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of `study.json` and figures.")
    ],
    background: Annotated[str, typer.Option(help="Dataset that is taken for ordinary.")],
    signals: Annotated[list[str], typer.Option("--signal", help="Dataset to find; repeatable.")],
    detectors: Annotated[
        list[str],
        typer.Option("--detector", help="Name, or `package.module:Class`; repeatable."),
    ],
    hyper_parameters: HyperParameters = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="An option of the study."),
    ] = None,
    folds: Annotated[
        int, typer.Option(min=2, max=100, help="Folds of events; one is for testing.")
    ] = 3,
    max_jets: Annotated[
        int | None, typer.Option(min=1, help="At most so many jets of each dataset.")
    ] = None,
    seed: Seed = 1,
    show_list: Annotated[  # noqa: ARG001 (typer calls it)
        bool,
        typer.Option("--list", callback=_print_list, is_eager=True, help="List the studies."),
    ] = False,
) -> None:
    """Ask a question of detectors: what they find when trained the other way round, and others."""
    jets = read_jets(
        open_of_run(skim_folder),
        background=background,
        signals=signals,
        k=folds,
        max_jets=max_jets,
    )
    done = run_study(
        name,
        jets,
        output,
        detectors=detectors_with(detectors, assignments(hyper_parameters or [])),
        options=assignments(options or []),
        seed=seed,
        reporter=RichReporter(err),
    )
    print_result(done.section, done.files)


def study_of_background(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SPECTRUM|SCORES|FILE[:HIST]]...",
            help="Built-in spectra (`gamma` and `qcd`, the default; `qcd450`, `qcd550`, `qcd650`, `qcd1000`); scores tables, of which the simulated background is taken; "
            "mass histograms, ROOT or UHI.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of `background.json`.")
    ] = Path("runs/background"),
    jets: Annotated[
        list[float] | None,
        typer.Option(help="Background jets; repeatable. 7,500, 75,000, 750,000."),
    ] = None,
    cut: Annotated[
        tuple[float, float],
        typer.Option(metavar="B S", help="Shares of background and signal that pass the cut."),
    ] = (0.1, 0.55),
    shares: Annotated[
        list[float] | None,
        typer.Option("--share", help="Signal over background at 7,500 jets. 0.01 and 0.02."),
    ] = None,
    signal: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="MASS WIDTH", help="Of spectra of your own: the signal [GeV]; 172 12."
        ),
    ] = None,
    estimators: Annotated[
        list[str] | None,
        typer.Option("--estimate", help="An estimate of the table; repeatable; all by default."),
    ] = None,
    experiments: Annotated[
        int,
        typer.Option(
            min=10, max=1_000_000, help="For each signal; three times as many without one."
        ),
    ] = 100,
    mass_range: MassRange = None,
    seed: Seed = 1,
) -> None:
    """Say what estimates of the background are worth on a mass spectrum, and which are safe at its size."""
    options = StudyOptions(
        jets=tuple(jets or StudyOptions.jets),
        cut=Cut(*cut),
        shares=tuple(shares or StudyOptions.shares),
        estimators=tuple(estimators or ()),
        n_experiments=experiments,
        seed=seed,
    )
    mass, width = _signal(signal, sources)
    truths = [
        read_truth(source, mass=mass, width=width, mass_range=mass_range)
        for source in sources or ("gamma", "qcd")
    ]
    section = study_background(truths, options, RichReporter(err)).section()
    print_result(section, write_section(output, section))


def _signal(signal: tuple[float, float] | None, sources: list[str] | None) -> tuple[float, float]:
    """Give the signal, and refuse one for built-in spectra, which have their own."""
    if signal is not None and (not sources or set(sources) & set(built_in_names())):
        msg = "--signal is of spectra of your own, built-in ones have theirs: leave it out, or study them apart"
        raise ConfigError(msg)
    return signal or (172.0, 12.0)


def study_of_luminosity(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of `oddjet run`, scored.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder of `luminosity.json` and figure; RUN/luminosity."
        ),
    ] = None,
    lumis: Annotated[
        list[float] | None,
        typer.Option("--lumi", help="Luminosity [1/fb]; repeatable. Six up to the highest."),
    ] = None,
    significance: Annotated[
        float, typer.Option(min=0.1, max=10, help="Global significance that counts as found [σ].")
    ] = 3.0,
    drawings: Annotated[
        int, typer.Option(min=2, max=10_000, help="Pseudo-data drawn at each luminosity.")
    ] = 10,
    workers: Annotated[
        int, typer.Option("-j", "--workers", min=1, max=MOST_WORKERS, help="Threads.")
    ] = 1,
) -> None:
    """Say at which luminosity a run's hunt finds the signals of its simulation, as a curve."""
    hunt_at, highest = pseudo_hunts(Run.open(run), workers=workers)
    done = study_luminosity(
        hunt_at,
        highest=highest,
        lumis=lumis or (),
        n_drawings=drawings,
        level=significance,
        reporter=RichReporter(err),
    )
    section = done.section()
    print_result(section, write_section(output or run / "luminosity", section))


def reproduce(
    documents: Annotated[
        list[str] | None,
        typer.Argument(
            help="`khanal`, `ene`, `golling`, `cms`, `buss`, or `comparison`; all by default."
        ),
    ] = None,
    scale: Annotated[
        str, typer.Option(help="`quick`: an hour on two cores; `full`: the published sizes.")
    ] = "quick",
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of skims, trainings and report.")
    ] = Path("runs/reproduce"),
    samples: Annotated[
        Path, typer.Option(help="Folder of the simulated samples, which are kept.")
    ] = Path("runs/samples"),
    fileset: Annotated[
        str, typer.Option(help="Where the samples come from.")
    ] = "catalog:reproduce",
    workers: Annotated[
        int, typer.Option("-j", "--workers", min=1, max=MOST_WORKERS, help="Worker processes.")
    ] = 2,
) -> None:
    """Train and measure everything the five documents report; an interrupted call goes on."""
    reproduction = reproduce_documents(
        documents or (),
        scale=scale,  # type: ignore[arg-type] # refused with a message if it is none
        output=output,
        samples=samples,
        workers=workers,
        fileset=fileset,
        reporter=RichReporter(err),
    )
    headings = (*("detector", "score", "signal", "published", "AUC", "fixed mass", "jets", "s"),)
    for chapter in reproduction.chapters:
        rows = [
            (
                row.detector,
                row.score,
                f"{row.signal} in {row.background}",
                row.published,
                row.measured.auc,
                row.measured.at_fixed_mass and row.measured.at_fixed_mass.auc,
                f"{row.n_train:,}",
                f"{row.train_seconds:.0f}",
            )
            for row in chapter.rows
        ]
        print_table(chapter.document.title, headings, rows, right=())
    for choice in reproduction.choices:
        print_table(choice.caption, choice.headers, choice.rows, right=())
    print_place("report", reproduction.report)


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
    output: OutputFile = None,
) -> None:
    """Measure speed and memory: as ratios within this run, or in jets/s."""
    measured = run_benchmarks(
        names=names or (),
        n_events=n_events,
        files=files or (),
        output=output,
        reporter=RichReporter(err),
    )
    headings = ("benchmark", "measured", "against", "ratio", "expected")
    rows = [
        (row.name, row.measured, row.reference, row.ratio_text, row.expected) for row in measured
    ]
    styles = ["" if row.passed else "bold red" for row in measured]
    print_table("benchmarks", headings, rows, right=headings[3:], styles=styles)
    if not all(row.passed for row in measured):
        raise typer.Exit(1)
