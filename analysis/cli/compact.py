"""The command `oddjet compact`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddjet.analysis.cli.console import exit_on_error, out

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(compact)


def compact(
    folder: Annotated[Path, typer.Argument(help="A finished skim or scores table.")],
    target_mb: Annotated[float, typer.Option(help="Size of a file [MB].")] = 256.0,
) -> None:
    """Merge the many small files of a skim or scores table in place; every row is kept."""
    from oddjet.datasets.skims.compaction import compact as compact_table  # noqa: PLC0415 (slow imports)

    with exit_on_error():
        done = compact_table(folder, target_mb=target_mb)
    sizes = ", ".join(f"{size:,.1f}" for size in done.megabytes[:5])
    more = ", …" if len(done.megabytes) > 5 else ""
    text = f"{done.n_parts:,} parts: {done.n_files_before:,} → {done.n_files:,} files ({sizes}{more} MB)"
    out.print(text, highlight=False)
