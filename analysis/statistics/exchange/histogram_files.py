"""Mass histograms of other tools, read from ROOT and from UHI JSON, also sparse or in a zip file.

What to read is written ``FILE[:NAME][?AXIS=VALUE&...]``: the file, the histogram in it (with its
folders, left out where the file has one alone), and, for a histogram of several axes, what to take
of the others: a category, a number inside a bin, or ``sum`` (flow included). In names of axes and
values ``%26``, ``%3D`` and ``%25`` stand for ``&``, ``=`` and ``%``; ``+`` is itself. Files and
histograms may have colons in their names.

References:
    UHI serialisation, https://uhi.readthedocs.io/en/latest/serialization.html.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import hist
import uproot

from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.analysis.statistics.uhi import blind_window
from oddjet.bounds import MOST_CELLS
from oddjet.datasets.disk.histograms import (
    histogram_of,
    is_histogram,
    read_uhi_json,
    read_uhi_zip,
)
from oddjet.datasets.skims.manifest import check_output
from oddjet.errors import BadFileError, InputError, OddjetError, did_you_mean
from oddjet.parsing import parse_json

__all__ = ["histogram_names", "read_histogram", "source_parts"]


SYNTAX = "FILE[:NAME][?AXIS=VALUE&...]"
CAVEATS = "caveats"
"""A text in ROOT files of oddjet: what was accepted of the files that histograms were filled from, a line each."""
BLINDED = "blinded"
"""Another, JSON: what of data is hidden in them; in UHI JSON it is in the metadata."""
HUNTED = "hunted"
"""Where in files of oddjet the spectra are that are hunted in."""
UHI_SUFFIXES = (".json", ".zip")
LARGEST = 32 * MOST_CELLS
"""Of a histogram in ROOT, unpacked [bytes]: contents, Σw² and edges in 8 bytes each."""
MANY = 20
"""Names that a message lists at most."""


def read_histogram(source: str | Path) -> Spectrum:
    """Read one histogram of mass.

    Whole numbers in a ROOT histogram without Sumw2, or in a plain storage of UHI, are numbers of events, so
    their variances are the contents. Of other contents without Σw² the errors are not known.

    Args:
        source: ``FILE[:NAME][?AXIS=VALUE&...]``, ROOT, UHI JSON, or a zip file of the latter.

    Raises:
        BadFileError: The file is missing or cannot be read.
        InputError: There is no such histogram in it, or it is a profile or has several axes.
        SkimError: A scores table has it, and it is not what was written.
    """
    path, name, choices = source_parts(str(source))
    check_output(path)
    if path.suffix in UHI_SUFFIXES:
        return _from_uhi(path, name, choices)
    if choices:
        msg = f"{source}: only histograms in UHI JSON have axes to choose from with '?'"
        raise InputError(msg)
    return _from_root(path, name)


def histogram_names(path: str | Path) -> list[str]:
    """Names of the histograms in a file, folders included.

    Raises:
        BadFileError: The file is missing or cannot be read.
    """
    if Path(path).suffix in UHI_SUFFIXES:
        return sorted(_load_uhi(Path(path)))
    with _open_root(Path(path)) as file:
        return _root_names(file)


def source_parts(source: str) -> tuple[Path, str, dict[str, str]]:
    """Take a source apart: file, name of the histogram, chosen values by axis.

    Raises:
        BadFileError: There is no such file.
        InputError: What is chosen of the axes cannot be read.
    """
    ends = [place for place, letter in enumerate(source) if letter in ":?"]
    # The longest name of a file wins: a colon or a question mark may be part of it.
    for end in (len(source), *reversed(ends)):
        if Path(source[:end]).is_file():
            break
    else:
        file = source.partition("?")[0].rpartition(":")[0] or source
        msg = f"{source}: there is no file {file}; expected {SYNTAX}"
        raise BadFileError(msg)
    name, _, query = source[end:].removeprefix(":").partition("?")
    return Path(source[:end]), name, _choices(source, query)


def _choices(source: str, query: str) -> dict[str, str]:
    choices = {}
    for part in query.split("&") if query else ():
        axis, equals, value = (unquote(text) for text in part.partition("="))
        if not (axis and equals):
            msg = f"{source}: expected AXIS=VALUE&... after '?', received '{query}'"
            raise InputError(msg)
        if axis in choices:
            msg = (
                f"{source}: {axis} is chosen twice: choose one value, or {axis}=sum for all of them"
            )
            raise InputError(msg)
        choices[axis] = value
    return choices


def _choose(path: Path, name: str, names: list[str]) -> str:
    if not names:
        msg = f"{path} holds no histograms"
        raise InputError(msg)
    if name in names:
        return name
    if not name and len(names) == 1:
        return names[0]
    listed = _listed(names)
    if not name:
        msg = f"{path} holds {len(names)} histograms: write {path}:NAME with one of {listed}"
        raise InputError(msg)
    msg = f"{path} holds no histogram '{name}', but {listed}.{did_you_mean(name, names)}"
    raise InputError(msg)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:MANY]) + (f" and {len(names) - MANY} more" * (len(names) > MANY))


@contextlib.contextmanager
def _open_root(path: Path) -> Iterator[Any]:
    """Open a ROOT file; whatever its library makes of damaged ones is one error."""
    try:
        with uproot.open(path) as file:
            yield file
    except OddjetError:
        raise
    except Exception as error:
        msg = f"{path} cannot be read as ROOT: {error}"
        raise BadFileError(msg) from error


def _root_names(file: Any) -> list[str]:
    classes = file.classnames(recursive=True, cycle=False)
    return [key for key, kind in classes.items() if kind.startswith(("TH", "TProfile"))]


def _from_root(path: Path, name: str) -> Spectrum:
    with _open_root(path) as file:
        if name and (kind := file.classnames(cycle=False).get(name, "")):
            _check_class(path, name, kind)
        chosen = _choose(path, name, _root_names(file))
        _check_class(path, chosen, file.classnames(cycle=False)[chosen])
        if (size := file.key(chosen).data_uncompressed_bytes) > LARGEST:
            msg = f"{path}:{chosen} unpacks to {size / 2**20:.0f} MiB: expected at most {LARGEST >> 20}"
            raise InputError(msg)
        kinds = file.classnames(recursive=False, cycle=False)
        told = {n: str(file[n]) for n in (CAVEATS, BLINDED) if kinds.get(n) == "TObjString"}
        window = None
        if BLINDED in told:  # SCORE/DATASET/…, or what is hunted in
            parts = chosen.split("/")
            dataset = None if parts[0] == HUNTED or len(parts) < 2 else parts[1]
            window = blind_window(parse_json(told[BLINDED]), dataset)
        spectrum = Spectrum.from_histogram(file[chosen], name=chosen, blind_window=window)
    return dataclasses.replace(spectrum, caveats=tuple(told.get(CAVEATS, "").splitlines()))


def _check_class(path: Path, name: str, kind: str) -> None:
    if kind.startswith("TH1"):
        return
    if kind.startswith("TProfile"):
        msg = f"{path}:{name} is a profile ({kind}): it holds means, not counts; give a TH1"
    elif kind.startswith(("TH2", "TH3")):
        msg = f"{path}:{name} is a {kind}: expected one axis, mass; project it to a TH1 first"
    else:
        msg = f"{path}:{name} is a {kind}, not a histogram; expected a TH1"
    raise InputError(msg)


def _load_uhi(path: Path) -> dict[str, Any]:
    """UHI histograms by name; a JSON file that is one histogram has the name of the file."""
    content = read_uhi_zip(path) if path.suffix == ".zip" else read_uhi_json(path)
    if isinstance(content, dict):
        content = {path.stem: content} if is_histogram(content) else content
        histograms = {name: value for name, value in content.items() if is_histogram(value)}
        if histograms:
            return histograms
    msg = f"{path} holds no histograms in UHI JSON: expected axes and storage"
    raise InputError(msg)


def _from_uhi(path: Path, name: str, choices: dict[str, str]) -> Spectrum:
    histograms = _load_uhi(path)
    chosen = _choose(path, name, sorted(histograms))
    where = f"{path}:{chosen}"
    histogram = histogram_of(histograms[chosen], where)
    told = histogram.__dict__.get("metadata")
    projected = _project(histogram, choices, where)
    dataset = choices.get("dataset", "sum")
    if isinstance(told, dict) and BLINDED in told and dataset != "sum":
        window = blind_window(told[BLINDED], dataset)
        kept = {} if window is None else {BLINDED: told[BLINDED]}
        projected.metadata = {k: v for k, v in told.items() if k != BLINDED} | kept
    spectrum = Spectrum.from_histogram(projected, name=where)
    return dataclasses.replace(spectrum, name=chosen)


def _project(histogram: hist.Hist[Any], choices: dict[str, str], where: str) -> hist.Hist[Any]:
    names = [axis.name or f"axis{i}" for i, axis in enumerate(histogram.axes)]
    for wanted in choices:
        if wanted not in names:
            msg = f"{where} has no axis '{wanted}', but {', '.join(names)}."
            raise InputError(msg + did_you_mean(wanted, names))
    left = [name for name in names if name not in choices]
    if len(left) != 1:
        axes = "; ".join(
            f"{name} ({_span(axis)})" for name, axis in zip(names, histogram.axes, strict=True)
        )
        msg = (
            f"{where} has {len(names)} axes, {axes}: exactly one must be left, the mass. Choose "
            "from the others with ?AXIS=VALUE&AXIS=sum"
        )
        raise InputError(msg)
    taken: dict[int, Any] = {}
    for index, name in enumerate(names):
        if name in choices:
            taken[index] = _pick(histogram.axes[index], name, choices[name], where)
    if not taken:
        return histogram
    projected: Any = histogram[taken]  # type: ignore[index]
    return hist.Hist(projected)


def _span(axis: Any) -> str:
    if axis.traits.discrete:
        return _listed([str(entry) for entry in axis])
    return f"{axis.edges[0]:g} to {axis.edges[-1]:g} in {axis.size} bins"


def _pick(axis: Any, name: str, value: str, where: str) -> Any:
    """What to index an axis with: a bin's number, or `sum`."""
    if value == "sum":
        return sum
    if axis.traits.discrete:
        return _pick_entry(axis, name, value, where)
    try:
        number = float(value)
    except ValueError as error:
        msg = f"{where}: expected {name}=NUMBER or {name}=sum, received '{value}'"
        raise InputError(msg) from error
    index = int(axis.index(number))
    if not 0 <= index < axis.size:
        msg = f"{where}: {name}={value} lies outside the axis, {_span(axis)}"
        raise InputError(msg)
    return index


def _pick_entry(axis: Any, name: str, value: str, where: str) -> int:
    """Place of an entry of a discrete axis: a category, a whole number, a truth value."""
    known = [str(entry) for entry in axis]
    wanted = value
    if not isinstance(axis, hist.axis.StrCategory):
        wanted = {"true": "1", "false": "0"}.get(value.lower(), value)
        with contextlib.suppress(ValueError):
            if (number := float(wanted)).is_integer():
                wanted = str(int(number))
    if wanted in known:
        return known.index(wanted)
    msg = f"{where}: the axis {name} has no '{value}', but {_listed(known)}."
    raise InputError(msg + did_you_mean(value, known))
