"""Histograms of other libraries, read through the protocol that they share: UHI's PlottableHistogram."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from uhi.typing.plottable import PlottableHistogram

from oddjet.analysis.statistics.contents import whole_numbers
from oddjet.errors import InputError

_NUMBER = r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
_BLINDED = re.compile(f"blinded: {_NUMBER} to {_NUMBER} GeV")

__all__ = ["blind_window", "read_arrays", "read_histogram"]


def read_arrays(histogram: tuple[Any, ...]) -> dict[str, Any]:
    """Read (contents, edges), as `numpy.histogram` gives them: fields of a `Spectrum`.

    Raises:
        InputError: They are not two arrays of numbers.
    """
    try:
        contents, edges = (np.asarray(part, dtype=np.float64) for part in histogram)
    except (TypeError, ValueError) as error:
        msg = f"expected (contents, edges), two arrays of numbers: {error}"
        raise InputError(msg) from error
    return {"edges": edges, "counts": contents}


def read_histogram(histogram: PlottableHistogram, name: str | None) -> dict[str, Any]:
    """Read a histogram of one axis that follows UHI's PlottableHistogram: fields of a `Spectrum`.

    Raises:
        InputError: It is no histogram, or a profile; it has other than one axis of numbers; or it was
            filled with weights in a storage that keeps no Σw².
    """
    if not all(hasattr(histogram, part) for part in ("axes", "kind", "values", "variances")):
        msg = (
            "expected a histogram with one axis (hist, boost-histogram, uproot), or a tuple (contents, "
            f"edges). Received: {type(histogram).__name__}"
        )
        raise InputError(msg)
    histogram_name = getattr(histogram, "name", None) or "" if name is None else name
    where = histogram_name or "the histogram"
    if str(getattr(histogram.kind, "value", histogram.kind)) != "COUNT":
        msg = f"{where} is a profile: it holds means, not counts"
        raise InputError(msg)
    if len(histogram.axes) != 1:
        msg = f"{where} has {len(histogram.axes)} axes: expected one, the mass; project it first"
        raise InputError(msg)
    axis: Any = histogram.axes[0]
    edges = getattr(axis, "edges", None)
    # The edges of a category axis are places, not masses.
    categories = not getattr(axis.traits, "ordered", True)
    if categories or (axis.traits.discrete and (edges is None or isinstance(axis[0], str))):
        axis_name = getattr(axis, "name", "")
        msg = f"{where}: the axis that is left, '{axis_name}', is of categories, not of mass"
        raise InputError(msg)
    if edges is None:
        edges = [axis[0][0], *(high for _, high in axis)]
    counts, variances = histogram.values(), histogram.variances()
    if variances is None and hasattr(histogram, "storage_type"):
        msg = (
            f"{where} was filled with weights, or scaled, in a storage that keeps no Σw², so its "
            "statistical errors are not known: fill it with hist.storage.Weight()"
        )
        raise InputError(msg)
    if not (_keeps_errors(histogram) or whole_numbers(counts).all()):
        variances = None
    underflow, overflow = _flow(histogram)
    return {
        "edges": np.asarray(edges() if callable(edges) else edges, dtype=np.float64),
        "counts": counts,
        "variances": variances,
        "name": histogram_name,
        "underflow": underflow,
        "overflow": overflow,
        "caveats": _caveats(histogram),
        "blind_window": blind_window(_metadata(histogram).get("blinded"))
        or _titled_window(histogram),
    }


def _metadata(histogram: Any) -> dict[str, Any]:
    """What oddjet wrote into the metadata of its histograms."""
    # hist warns where it is asked for metadata that were not set.
    metadata = getattr(histogram, "__dict__", {}).get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _caveats(histogram: Any) -> tuple[str, ...]:
    listed = _metadata(histogram).get("caveats")
    return tuple(map(str, listed)) if isinstance(listed, list | tuple) else ()


def blind_window(told: Any, dataset: str | None = None) -> tuple[float, float] | None:
    """The masses that a file says are hidden of data [GeV]; None where it says so of none.

    Args:
        told: What oddjet wrote of its blinding: ``datasets`` and ``window``.
        dataset: The dataset that is read, None where that is not known; nothing of simulation is hidden.

    Raises:
        InputError: It says something that oddjet does not write.
    """
    if not isinstance(told, dict) or told.get("window") is None:
        return None
    try:
        (low, high), names = map(float, told["window"]), list(told["datasets"])
    except (KeyError, TypeError, ValueError) as error:
        msg = (
            f"what the file says of its blinding cannot be read: {told!r:.200}: make the file again"
        )
        raise InputError(msg) from error
    return (low, high) if dataset is None or dataset in names else None


def _titled_window(histogram: Any) -> tuple[float, float] | None:
    """The masses that the title of a histogram of a ROOT file of oddjet says are hidden [GeV].

    uproot gives it as ``title``, hist as ``label``; arrays alone, (contents, edges), do not have it.
    """
    titles = (getattr(histogram, name, None) for name in ("title", "label"))
    match = next(filter(None, (_BLINDED.search(str(title)) for title in titles)), None)
    return None if match is None else (float(match[1]), float(match[2]))


def _keeps_errors(histogram: Any) -> bool:
    """Whether Σw² is in the histogram, and not the contents that its library gives for it.

    ROOT's histograms without Sumw2 and storages of hist other than weighted ones have none. For whole
    numbers, which are numbers of events, the contents are right.
    """
    storage = getattr(histogram, "storage_type", None)
    if storage is not None:
        return "Weight" in storage.__name__
    return bool(getattr(histogram, "weighted", True))


def _flow(histogram: Any) -> tuple[float, float]:
    """Contents below and above the axis; 0 for a histogram that keeps none."""
    try:
        values = np.asarray(histogram.values(flow=True), dtype=np.float64)
    except TypeError:  # UHI's protocol leaves the argument out
        return 0.0, 0.0
    axis = histogram.axes[0]
    both = values.size == len(axis) + 2
    under, over = (getattr(axis.traits, side, both) for side in ("underflow", "overflow"))
    return float(values[0]) if under else 0.0, float(values[-1]) if over else 0.0
