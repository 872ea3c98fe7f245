"""What all commands share: where they print, how an error is told, tables of two columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from oddjet.errors import ConfigError, OddjetError

__all__ = ["assignments", "err", "exit_on_error", "out", "print_rows"]

out = Console()
err = Console(stderr=True)


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn an error raised on purpose into one message and exit code 1."""
    try:
        yield
    except OddjetError as error:
        err.print(f"[bold red]error:[/] {type(error).__name__}", highlight=False)
        err.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error


def assignments(texts: Sequence[str]) -> dict[str, Any]:
    """Read NAME=VALUE pairs, the value as YAML reads it.

    Raises:
        ConfigError: If a text is no such pair.
    """
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            msg = f"expected --set NAME=VALUE, received {text!r}"
            raise ConfigError(msg)
        values[name] = yaml.safe_load(value)
    return values


def print_rows(title: str, headings: tuple[str, str], rows: Sequence[tuple[str, str]]) -> None:
    """Print a table of two columns."""
    table = Table(*headings, title=title, title_justify="left")
    for name, value in rows:
        table.add_row(name, value)
    out.print(table)
