"""Mass histograms of other tools: read from ROOT and UHI JSON, written as ROOT.

What to read is written ``FILE[:NAME][?AXIS=VALUE&...]``: the file, the histogram in it (with its
folders, left out where the file has one alone), and, for a histogram of several axes, what to take
of the others: a category, a number inside a bin, or ``sum`` (flow included).

References:
    UHI serialisation, https://uhi.readthedocs.io/en/latest/serialization.html.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import hist
import numpy as np
import uhi.io.json

from oddjet.analysis.statistics.background.binned import BinnedCounts, Window, check_counts
from oddjet.datasets.disk.atomic import atomic_write
from oddjet.errors import BadFileError, FitError, InputError, did_you_mean
from oddjet.typing import Floats

__all__ = ["MassHistogram", "check_same_edges", "histogram_names", "read_histogram", "write_root"]


SYNTAX = "FILE[:NAME][?AXIS=VALUE&...]"
MANY = 20
"""Names that a message lists at most."""

SAME_EDGES = 1e-6
"""How far apart edges of equal bins may be [narrowest bin]."""


@dataclasses.dataclass(frozen=True)
class MassHistogram:
    """One histogram of mass, as it stands in a file; `checked` looks at its contents.

    Attributes:
        name: Name in the file.
        edges: Bin edges, n_bins + 1 of them [GeV].
        counts: Contents, shape (n_bins,).
        variances: Σw² a bin, shape (n_bins,); None where the file keeps none.
        underflow: Content below the first edge.
        overflow: Content above the last edge.
    """

    name: str
    edges: Floats
    counts: Floats
    variances: Floats | None
    underflow: float = 0.0
    overflow: float = 0.0

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return int(self.counts.size)

    @property
    def flow_note(self) -> str:
        """A sentence about what lies outside the range, empty where nothing does."""
        if self.underflow == 0 and self.overflow == 0:
            return ""
        return (
            f"{self.name}: {self.underflow:g} below {self.edges[0]:g} GeV and {self.overflow:g} "
            f"above {self.edges[-1]:g} GeV are not used"
        )

    def within(self, low: float, high: float) -> MassHistogram:
        """Take the bins that lie wholly in [low, high] [GeV]; the others count as flow.

        Raises:
            InputError: No bin does.
        """
        slack = 1e-9 * (self.edges[-1] - self.edges[0])
        keep = (self.edges[:-1] >= low - slack) & (self.edges[1:] <= high + slack)
        if not keep.any():
            msg = (
                f"{self.name}: no bin lies in [{low:g}, {high:g}] GeV; the histogram covers "
                f"[{self.edges[0]:g}, {self.edges[-1]:g}] GeV"
            )
            raise InputError(msg)
        first, last = np.flatnonzero(keep)[[0, -1]]
        return MassHistogram(
            self.name,
            self.edges[first : last + 2],
            self.counts[first : last + 1],
            None if self.variances is None else self.variances[first : last + 1],
            self.underflow + float(self.counts[:first].sum()),
            self.overflow + float(self.counts[last + 1 :].sum()),
        )

    def checked(self, *, is_data: bool, blind_window: Window | None = None) -> BinnedCounts:
        """Check the contents; see `check_counts`.

        Raises:
            FitError: Negative, NaN or infinite contents; Σw² ≠ Σw in what is called data; no
                variances in what is not.
        """
        return check_counts(
            self.counts,
            self.edges,
            variances=self.variances,
            is_data=is_data,
            blind_window=blind_window,
        )


def read_histogram(source: str | Path) -> MassHistogram:
    """Read one histogram of mass.

    A ROOT histogram without Sumw2 was filled without weights, so its variances are its contents;
    the same holds for plain counts in UHI JSON.

    Args:
        source: ``FILE[:NAME][?AXIS=VALUE&...]``, ROOT or UHI JSON.

    Raises:
        BadFileError: The file is missing or cannot be read.
        InputError: There is no such histogram in it, or it is a profile or has several axes.
    """
    path, name, choices = _parts(str(source))
    if path.suffix == ".json":
        return _from_json(path, name, choices)
    if choices:
        msg = f"{source}: only histograms in UHI JSON have axes to choose from with '?'"
        raise InputError(msg)
    return _from_root(path, name)


def histogram_names(path: str | Path) -> list[str]:
    """Names of the histograms in a file, folders included.

    Raises:
        BadFileError: The file is missing or cannot be read.
    """
    if Path(path).suffix == ".json":
        return sorted(_load_json(Path(path)))
    with _open_root(Path(path)) as file:
        return _root_names(file)


def write_root(path: str | Path, histograms: Mapping[str, Any]) -> None:
    """Write histograms to a ROOT file, atomically.

    Args:
        path: The file.
        histograms: Name, with folders as in ``signal/mass``, to any histogram that uproot writes:
            of hist or boost-histogram, or a tuple (contents, edges).
    """
    import uproot  # noqa: PLC0415

    with atomic_write(path) as temporary, uproot.recreate(temporary) as file:
        for name, histogram in histograms.items():
            file[name] = histogram


def check_same_edges(edges: Floats, wanted: Floats, name: str) -> None:
    """Check that a background or template has the bins of the spectrum.

    Args:
        edges: Its bin edges [GeV].
        wanted: Those of the spectrum [GeV].
        name: What it is called in the message.

    Raises:
        FitError: It has others.
    """
    width = float(np.diff(wanted).min())
    if edges.shape == wanted.shape and np.allclose(edges, wanted, rtol=0, atol=SAME_EDGES * width):
        return
    msg = (
        f"{name} has {edges.size - 1} bins in [{edges[0]:g}, {edges[-1]:g}] GeV, the spectrum "
        f"{wanted.size - 1} in [{wanted[0]:g}, {wanted[-1]:g}] GeV: give both the same bins"
    )
    raise FitError(msg)


def _parts(source: str) -> tuple[Path, str, dict[str, str]]:
    """File, name of the histogram, chosen values by axis."""
    if Path(source).exists():
        return Path(source), "", {}
    rest, _, query = source.partition("?")
    file, colon, name = rest.rpartition(":")
    if not colon or Path(rest).exists():
        file, name = rest, ""
    path = Path(file)
    if not path.is_file():
        msg = f"{source}: there is no file {file}; expected {SYNTAX}"
        raise BadFileError(msg)
    choices = dict(parse_qsl(query))
    if query and not choices:
        msg = f"{source}: expected AXIS=VALUE&... after '?', received '{query}'"
        raise InputError(msg)
    return path, name, choices


def _choose(path: Path, name: str, names: list[str]) -> str:
    if not names:
        msg = f"{path} holds no histograms"
        raise InputError(msg)
    if name in names:
        return name
    if not name and len(names) == 1:
        return names[0]
    listed = ", ".join(names[:MANY]) + (f" and {len(names) - MANY} more" * (len(names) > MANY))
    if not name:
        msg = f"{path} holds {len(names)} histograms: write {path}:NAME with one of {listed}"
        raise InputError(msg)
    msg = f"{path} holds no histogram '{name}', but {listed}.{did_you_mean(name, names)}"
    raise InputError(msg)


def _open_root(path: Path) -> Any:
    import uproot  # noqa: PLC0415

    try:
        return uproot.open(path)
    except (OSError, ValueError, KeyError, IndexError, uproot.DeserializationError) as error:
        msg = f"{path} cannot be read as ROOT: {error}"
        raise BadFileError(msg) from error


def _root_names(file: Any) -> list[str]:
    classes = file.classnames(recursive=True, cycle=False)
    return [key for key, kind in classes.items() if kind.startswith(("TH", "TProfile"))]


def _from_root(path: Path, name: str) -> MassHistogram:
    with _open_root(path) as file:
        if name and (kind := file.classnames(cycle=False).get(name, "")):
            _check_class(path, name, kind)
        chosen = _choose(path, name, _root_names(file))
        _check_class(path, chosen, file.classnames(cycle=False)[chosen])
        histogram = file[chosen]
        values = np.asarray(histogram.values(flow=True), np.float64)
        variances = values
        if histogram.weighted:
            variances = np.asarray(histogram.variances(flow=True), np.float64)
        edges = np.asarray(histogram.axis().edges(), np.float64)
    return MassHistogram(
        chosen, edges, values[1:-1], variances[1:-1], float(values[0]), float(values[-1])
    )


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


def _load_json(path: Path) -> dict[str, Any]:
    """UHI histograms by name; a file that is one histogram has the name of the file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_hook=uhi.io.json.object_hook)
    except (OSError, ValueError, TypeError, KeyError) as error:
        msg = f"{path} cannot be read as JSON: {error}"
        raise BadFileError(msg) from error
    if isinstance(content, dict):
        if "axes" in content:
            return {path.stem: content}
        found = {
            name: each
            for name, each in content.items()
            if isinstance(each, dict) and "axes" in each
        }
        if found:
            return found
    msg = f"{path} holds no histograms in UHI JSON: expected axes and storage"
    raise InputError(msg)


def _from_json(path: Path, name: str, choices: dict[str, str]) -> MassHistogram:
    found = _load_json(path)
    chosen = _choose(path, name, sorted(found))
    where = f"{path}:{chosen}"
    try:
        histogram: hist.Hist[Any] = hist.Hist(found[chosen])
    except (ValueError, TypeError, KeyError) as error:
        msg = f"{where} is no histogram in UHI JSON: {error!r}"
        raise InputError(msg) from error
    if histogram.kind != "COUNT":
        msg = f"{where} is a profile: it holds means, not counts"
        raise InputError(msg)
    histogram = _project(histogram, choices, where)
    axis = histogram.axes[0]
    if not hasattr(axis, "edges") or isinstance(axis, hist.axis.StrCategory):
        msg = f"{where}: the axis that is left, '{axis.name}', is of categories, not of mass"
        raise InputError(msg)
    flow = np.asarray(histogram.values(flow=True), np.float64)
    under, over = int(axis.traits.underflow), int(axis.traits.overflow)
    variances = histogram.variances()
    return MassHistogram(
        chosen,
        np.asarray(axis.edges, np.float64),
        np.asarray(histogram.values(), np.float64),
        None if variances is None else np.asarray(variances, np.float64),
        float(flow[0]) if under else 0.0,
        float(flow[-1]) if over else 0.0,
    )


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
        return ", ".join(map(str, axis))
    return f"{axis.edges[0]:g} to {axis.edges[-1]:g} in {axis.size} bins"


def _pick(axis: Any, name: str, value: str, where: str) -> Any:
    """What to index an axis with: a bin's number, or `sum`."""
    if value == "sum":
        return sum
    if isinstance(axis, hist.axis.StrCategory):
        known = [str(category) for category in axis]
        if value in known:
            return known.index(value)
        msg = f"{where}: the axis {name} has no '{value}', but {', '.join(known)}."
        raise InputError(msg + did_you_mean(value, known))
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
