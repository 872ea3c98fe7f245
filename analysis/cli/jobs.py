"""The commands `oddjet submit` and `oddjet collect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from oddjet.analysis.cli.console import RichReporter, err, exit_on_error, out

if TYPE_CHECKING:
    from oddjet.analysis.jobs.submit import Collected

__all__ = ["register"]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Write everything, submit nothing.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(submit)
    app.command()(collect)


def submit(
    config: Annotated[Path, typer.Argument(help="The analysis, a YAML file.")],
    folder: Annotated[Path, typer.Option("-o", "--output", help="A new folder for the jobs.")],
    step: Annotated[str, typer.Option(help="`skim`, or `score` with trained detectors.")] = "skim",
    jobs: Annotated[int | None, typer.Option(min=1, help="Number of jobs.")] = None,
    chunks_per_job: Annotated[int | None, typer.Option(min=1, help="Most chunks a job.")] = None,
    site: Annotated[str | None, typer.Option(help="Site profile: a name or a YAML file.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Run a step as HTCondor jobs that need nobody to call back; `oddjet collect` finishes it."""
    from oddjet.analysis.config import load_config  # noqa: PLC0415
    from oddjet.analysis.jobs.submit import submit as submit_step  # noqa: PLC0415 (slow imports)
    from oddjet.errors import ConfigError  # noqa: PLC0415

    with exit_on_error():
        if step not in ("skim", "score"):
            msg = f"--step: expected skim or score, received {step!r}"
            raise ConfigError(msg)
        found = submit_step(
            load_config(config),
            folder,
            step="skim" if step == "skim" else "score",
            jobs=jobs,
            chunks_per_job=chunks_per_job,
            site=site,
            dry_run=dry_run,
            reporter=RichReporter(err),
        )
    _tell(found, folder)


def collect(
    folder: Annotated[Path, typer.Argument(help="The folder of `oddjet submit`.")],
    resubmit: Annotated[
        bool, typer.Option("--resubmit", help="Submit again what no job will do any more.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Finish with what is there; list the rest.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Gather what jobs made, say what is missing and why; finish when everything is there."""
    from oddjet.analysis.jobs.submit import collect as collect_step  # noqa: PLC0415 (slow imports)

    with exit_on_error():
        found = collect_step(
            folder, resubmit=resubmit, allow_missing=allow_missing, dry_run=dry_run
        )
    _tell(found, folder)
    if found.manifest is None and not found.n_jobs:
        raise typer.Exit(1)


def _tell(found: Collected, folder: Path) -> None:
    out.print(f"{found.n_done} of {found.n_chunks} chunks done", highlight=False)
    if found.missing:
        table = Table("job", "folder", "state", "missing", "why", show_lines=True)
        for job in found.missing:
            cells = [job.job or "–", job.name, job.state.state, str(job.n_missing)]
            table.add_row(*cells, Text(job.reason))
        out.print(table)
    if found.manifest is not None:
        if found.manifest.missing:
            text = found.manifest.describe_missing()
            err.print(text, style="bold yellow", markup=False, highlight=False)
        jets = sum(chunk.n_jets for chunk in found.manifest.chunks)
        out.print(f"complete: {len(found.manifest.chunks)} chunks, {jets:,} jets", highlight=False)
        return
    if found.n_jobs and found.cluster is not None:
        text = f"submitted {found.n_jobs} jobs as cluster {found.cluster}; then: oddjet collect {folder}"
        out.print(text, highlight=False, soft_wrap=True)
    elif found.n_jobs:
        text = f"{found.n_jobs} jobs written, not submitted: {found.folder}/jobs.sub"
        out.print(text, highlight=False, soft_wrap=True)
    elif any(not job.state.is_active for job in found.missing):
        out.print(f"next: oddjet collect {folder} --resubmit", highlight=False, soft_wrap=True)
