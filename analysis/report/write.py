"""The one writer of results: their numbers as JSON, their pictures as PNG, each atomically."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.page import Picture, Section
from oddjet.analysis.report.sections.limits import limits_section, spectrum_picture
from oddjet.analysis.statistics.exchange.datacard import write_datacard
from oddjet.analysis.statistics.exchange.model import safe_names
from oddjet.analysis.statistics.exchange.workspace import write_workspace
from oddjet.analysis.statistics.limits.spectrum import SpectrumLimit
from oddjet.datasets.disk.atomic import atomic_write
from oddjet.datasets.disk.numbers import jsonable, write_json
from oddjet.datasets.disk.state import write_state

__all__ = ["write_limits", "write_models", "write_pictures", "write_section"]


def write_section(
    folder: Path | str,
    section: Section,
    *,
    name: str = "",
    numbers: Any = None,
    sealed: bool = False,
) -> list[Path]:
    """Write the numbers of a section, and its pictures that have a name.

    The JSON file is called by the section's anchor, or `name`; it holds `numbers`, or the
    section's; `sealed` where oddjet reads them again, see `oddjet.datasets.disk.state`.

    Returns:
        The files, the JSON file first.
    """
    numbers = section.numbers if numbers is None else numbers
    path = Path(folder) / f"{name or section.anchor}.json"
    if sealed:
        write_state(path, jsonable(numbers))
    else:
        write_json(path, numbers)
    return [path, *write_pictures(folder, section.pictures)]


def write_pictures(folder: Path | str, pictures: Iterable[Picture]) -> list[Path]:
    """Write pictures as PNG files of their names, unusual letters as ``_``; others are left out."""
    paths = []
    for picture in pictures:
        if picture.name:
            path = Path(folder) / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', picture.name)}.png"
            with atomic_write(path) as temporary:
                temporary.write_bytes(picture.png)
            paths.append(path)
    return paths


def write_limits(
    folder: Path | str,
    results: Sequence[SpectrumLimit],
    *,
    label: PlotLabel | None = None,
    axis_label: str = "Jet mass [GeV]",
) -> list[Path]:
    """Write ``limits.json`` and pictures, and for each mass a model for pyhf and Combine.

    The model of a mass is ``workspace.json``, ``datacard.txt`` and ``shapes.root``, the last not for jets that pass and
    fail; with several masses each has a folder of its own, such as ``m85``.

    Returns:
        The files, ``limits.json`` first.
    """
    folder, single = Path(folder), len(results) == 1
    section = limits_section(results, label=label, axis_label=axis_label)
    written = write_section(folder, section, numbers={"limits": section.numbers})
    written += write_models(folder, results)
    drawn = () if single or any(result.name for result in results) else results
    for result, name in zip(drawn, model_folders(drawn), strict=True):
        picture = spectrum_picture(result.limit, label=label, axis_label=axis_label)
        written += write_pictures(folder / name, [picture])
    return written


def model_folders(results: Sequence[SpectrumLimit]) -> tuple[str, ...]:
    """How the folders of limits' models are called, each in another way."""
    return safe_names(result.name or f"m{result.limit.mass:g}" for result in results)


def write_models(folder: Path, results: Sequence[SpectrumLimit]) -> list[Path]:
    """Write the model of each limit for pyhf and Combine; of several, each into a folder of its own."""
    written: list[Path] = []
    for result, name in zip(results, model_folders(results), strict=True):
        at = folder if len(results) == 1 else folder / name
        channel = result.limit.inputs.channel()
        write_workspace(at / "workspace.json", channel, mu_max=result.limit.mu_max)
        written += [at / "workspace.json", *write_datacard(at, channel)]
    return written
