"""Known peaks among the jets that are hunted in: templates by bin of pt and pattern of cuts, out of histograms."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from oddjet.analysis.hunt.result import spectrum_name
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.components import Component
from oddjet.errors import FitError
from oddjet.processors.histograms import HUNTED, PEAKS, Histograms, HistogramSettings
from oddjet.typing import Floats

__all__ = ["joint_table"]

MOST_NEGATIVE = 0.01
"""Part of a peak that cells below 0 may hold."""

_log = logging.getLogger(__name__)


def joint_table(histograms: Histograms, filled: HistogramSettings) -> JointTable:
    """Take the joint table out of histograms, with what is expected of known peaks.

    Args:
        histograms: The joint table under `HUNTED`, that of peaks under `PEAKS`; the latter is optional.
        filled: What they were filled with.

    Raises:
        FitError: A peak has too much of negative weight.
    """
    table = histograms[HUNTED]
    peaks = histograms.get(PEAKS)
    names = sorted({*table.axes["pattern"], *(() if peaks is None else peaks.axes["pattern"])})
    counts = _cells(table, names, np.asarray(table.values())).sum(axis=0)
    expected, squares = {}, {}
    if peaks is not None:
        parts = zip(
            _cells(peaks, names, np.asarray(peaks.values())),
            _cells(peaks, names, np.asarray(peaks.variances())),
            strict=True,
        )
        for name, (contents, variances) in zip(peaks.axes["dataset"], parts, strict=True):
            if name in filled.peaks:
                expected[name], squares[name] = _positive(name, contents), variances
    used = counts.any(axis=1)
    for contents in expected.values():
        used |= contents.any(axis=1)
    members = np.array([[bit == "1" for bit in name] for name in names], np.bool_)
    members = members.reshape(-1, len(filled.spectra))
    return JointTable(
        tuple(spectrum_name(*point) for point in filled.spectra),
        table.axes[filled.mass].edges,
        np.tile(members, (len(filled.regions), 1)).T,
        counts,
        regions=filled.regions,
        region_of=np.repeat(np.arange(len(filled.regions)), len(names)),
        peaks=tuple(Component(name, expected[name], squares[name]) for name in expected),
    ).keep(used)


def _positive(name: str, contents: Floats) -> Floats:
    """Take cells below 0, of simulation with negative weights, for empty where they hold next to nothing.

    Raises:
        FitError: They hold more than `MOST_NEGATIVE` of the peak.
    """
    negative = float(-contents[contents < 0].sum())
    if not negative:
        return contents
    positive = float(contents[contents > 0].sum())
    share = negative / positive if positive else np.inf
    words = (
        f"{name}: {np.count_nonzero(contents < 0)} of {np.count_nonzero(contents)} cells of its template, by pt, score and "
        f"mass, are below 0, by {100 * share:.2g} % of the peak"
    )
    if not share <= MOST_NEGATIVE:
        msg = (
            f"{words}: expected at most {100 * MOST_NEGATIVE:g} %. Simulate more events, or fewer of negative weight, or "
            "take wider mass bins and fewer cuts"
        )
        raise FitError(msg)
    _log.warning("%s: they are taken for empty", words)
    return np.maximum(contents, 0.0)


def _cells(table: Any, names: list[str], values: Floats) -> Floats:
    """Bring contents into the shape (n_datasets, n_regions · n_names, n_bins)."""
    if values.ndim == 3:
        values = values[..., None]
    cells = np.zeros((values.shape[0], values.shape[3], len(names), values.shape[2]))
    places = [names.index(name) for name in table.axes["pattern"]]
    cells[:, :, places] = values.transpose(0, 3, 1, 2)
    return cells.reshape(len(cells), -1, values.shape[2])
