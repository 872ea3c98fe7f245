"""The commands `oddjet submit`, `collect`, `plan` and `status`: jobs, and what a run costs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.text import Text

from oddjet.analysis.cli.console import (
    RichReporter,
    err,
    out,
    print_rows,
    print_table,
)
from oddjet.analysis.cli.options import AllowMissing, ConfigFile, OutputFile, Settings, chosen
from oddjet.analysis.config import load_config
from oddjet.analysis.jobs.plan import describe, plan_analysis
from oddjet.analysis.jobs.status import StepStatus, read_status
from oddjet.analysis.jobs.submit import Collected
from oddjet.analysis.jobs.submit import collect as collect_step
from oddjet.analysis.jobs.submit import submit as submit_step
from oddjet.analysis.scores.blinding import shown_jets
from oddjet.datasets.disk.atomic import write_text
from oddjet.errors import ConfigError

__all__ = ["collect", "plan", "status", "submit"]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Write everything, submit nothing.")]

_STYLES = {
    "finished": "green",
    "damaged": "bold red",
    "incomplete": "yellow",
    "outdated": "yellow",
    "going on": "cyan",
    "stopped": "bold red",
    "not begun": "dim",
}
_SHOWN = 10


def submit(
    config: ConfigFile,
    folder: Annotated[Path, typer.Option("-o", "--output", help="A new folder for the jobs.")],
    settings: Settings = None,
    step: Annotated[str, typer.Option(help="`skim`, or `score` with trained detectors.")] = "skim",
    jobs: Annotated[int | None, typer.Option(min=1, help="Number of jobs.")] = None,
    chunks_per_job: Annotated[int | None, typer.Option(min=1, help="Most chunks a job.")] = None,
    site: Annotated[str | None, typer.Option(help="Site profile: a name or a YAML file.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Run a step as HTCondor jobs that need no connection back; `oddjet collect` finishes it."""
    steps: dict[str, Literal["skim", "score"]] = {"skim": "skim", "score": "score"}
    if step not in steps:
        msg = f"--step: expected skim or score, received {step!r}"
        raise ConfigError(msg)
    collected = submit_step(
        load_config(config, chosen(settings, {})),
        folder,
        step=steps[step],
        jobs=jobs,
        chunks_per_job=chunks_per_job,
        site=site,
        dry_run=dry_run,
        reporter=RichReporter(err),
    )
    _print_collected(collected, folder)


def collect(
    folder: Annotated[Path, typer.Argument(help="The folder of `oddjet submit`.")],
    resubmit: Annotated[
        bool, typer.Option("--resubmit", help="Submit again what no job will do any more.")
    ] = False,
    allow_missing: AllowMissing = False,
    dry_run: DryRun = False,
) -> None:
    """Gather what jobs made, say what is missing and why; finish when nothing is missing."""
    collected = collect_step(
        folder, resubmit=resubmit, allow_missing=allow_missing, dry_run=dry_run
    )
    _print_collected(collected, folder)
    if collected.manifest is None and not collected.n_jobs:
        raise typer.Exit(1)


def _print_collected(collected: Collected, folder: Path) -> None:
    quoted = shlex.quote(str(folder))
    out.print(f"{collected.n_done} of {collected.n_chunks} chunks done")
    if collected.missing:
        rows = [
            (job.job, job.name, job.state.state, job.n_missing, Text(job.reason))
            for job in collected.missing
        ]
        headings = ("job", "folder", "state", "missing", "why")
        print_table("", headings, rows, right=(), lines=True)
    if collected.manifest is not None:
        if text := collected.manifest.describe_caveats():
            err.print(text, style="bold yellow")
        chunks = collected.manifest.chunks
        numbers = shown_jets(collected.manifest, collected.blinding)
        jets = sum(number or 0 for number in numbers.values())
        text = f"complete: {len(chunks)} chunks, {jets:,} jets"
        text += " of simulation; those of data are blinded" * (None in numbers.values())
    elif collected.n_jobs and collected.cluster is not None:
        text = (
            f"submitted {collected.n_jobs} jobs as cluster {collected.cluster}; "
            f"then: oddjet collect {quoted}"
        )
    elif collected.n_jobs:
        text = f"{collected.n_jobs} jobs written, not submitted: {collected.folder}/jobs.sub"
    elif any(not job.state.is_active for job in collected.missing):
        text = f"next: oddjet collect {quoted} --resubmit"
    else:
        return
    out.print(text, soft_wrap=True)


def plan(
    config: ConfigFile,
    settings: Settings = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure again although that was done before.")
    ] = False,
    output: OutputFile = None,
) -> None:
    """Say what an analysis will take: chunks, time, memory, disk, network; some events are measured."""
    analysis = load_config(config, chosen(settings, {}))
    planned = plan_analysis(analysis, measure=measure)
    headings = ("dataset", "files", "events", "chunks", "jets", "events/s", "read", "skim")
    rows = [
        (
            dataset.name,
            f"{dataset.n_files:,}",
            f"{dataset.n_events:,}",
            f"{dataset.n_chunks:,}",
            "–" if dataset.n_jets is None else f"{dataset.n_jets:,.0f}",
            f"{dataset.n_events / max(dataset.skim_seconds, 1e-9):,.0f}",
            f"{dataset.read_bytes / 1e6:,.0f} MB",
            f"{dataset.skim_bytes / 1e6:,.0f} MB",
        )
        for dataset in planned.datasets
    ]
    print_table(f"plan: {analysis.name}", headings, rows)
    print_rows("in all", ("", "expected"), list(describe(planned)))
    if planned.n_unusable:
        err.print(f"{planned.n_unusable} files cannot be opened and are in none of the numbers")
    if planned.calibration.load_average > 1:
        err.print("this machine had other work to do: times are too long; measure again later")
    _write(output, planned.to_dict())


def status(
    folder: Annotated[
        Path, typer.Argument(help="A skim, scores, the output of `run`, or the folder of `submit`.")
    ],
    plan: Annotated[
        bool, typer.Option(help="Open the files of a run to know what is planned.")
    ] = True,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all files, and compare each with its SHA-256.")
    ] = False,
    output: OutputFile = None,
) -> None:
    """Say what is done, going on, failed, and why; while a run goes on, or after it died."""
    steps = read_status(folder, plan=plan, verify=verify)
    headings = ("step", "state", "chunks", "events", "jets", "last written")
    rows = [(step.name, Text(step.state, _STYLES[step.state]), *_cells(step)) for step in steps]
    print_table(str(folder), headings, rows, right=headings[2:])
    for step in steps:
        _print_faults(step)
    _write(output, [step.to_dict() for step in steps])
    if any(step.state == "damaged" for step in steps):
        raise typer.Exit(1)


def _print_faults(step: StepStatus) -> None:
    if step.note:
        out.print(f"{step.name}: {step.note}", soft_wrap=True)
    for fault in step.faults[:_SHOWN]:
        text = f"{step.name}: {fault.where}: {fault.error}: {fault.message}"
        err.print(text, style="red", soft_wrap=True)
    if len(step.faults) > _SHOWN:
        err.print(f"{step.name}: and {len(step.faults) - _SHOWN} more", style="red")


def _cells(step: StepStatus) -> Sequence[str]:
    if step.name == "report" or step.name.startswith("train "):
        return "", "", "", _ago(step.seconds_ago)
    return (
        _progress(step.n_done, step.n_planned),
        _progress(step.n_events, step.n_events_planned),
        f"{step.n_jets:,}",
        _ago(step.seconds_ago),
    )


def _progress(done: int, planned: int | None) -> str:
    return f"{done:,} of {'?' if planned is None else f'{planned:,}'}"


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def _write(output: Path | None, content: Any) -> None:
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_text(output, json.dumps(content, indent=1) + "\n")
