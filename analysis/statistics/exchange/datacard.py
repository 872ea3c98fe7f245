"""A model as a datacard of Combine, with its shapes in a ROOT file.

References:
    CMS, "The CMS statistical analysis and combination tool: COMBINE", arXiv:2404.06614.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hist
import numpy as np

from oddjet.analysis.statistics.exchange.counting import aligned, counting_card
from oddjet.analysis.statistics.exchange.model import Channel, Sample
from oddjet.datasets.disk.atomic import write_text
from oddjet.datasets.files.rootfiles import write_root
from oddjet.typing import Floats

__all__ = ["write_datacard"]


def write_datacard(folder: str | Path, channel: Channel) -> tuple[Path, ...]:
    """Write ``datacard.txt`` and its shapes, ``shapes.root``, to a folder; gives their paths.

    Bins that are channels of their own need no shapes: see `counting.counting_card`.

    Combine morphs shapes vertically and their yield log-normally, where HistFactory adds: limits
    of the two differ slightly where the signal's yield changes much with a shape. A bin of a varied shape that
    would be below zero is written as zero. A background with log-modes is one process a bin with
    ``lnN`` yields, which is the same in both; a sample of zero mean is a process with a ``rateParam`` that a
    ``param`` constrains. While data are blinded, the observation is the expected background, as
    in an Asimov data set.
    """
    card, shapes = Path(folder) / "datacard.txt", Path(folder) / "shapes.root"
    if channel.cells:
        write_text(card, counting_card(channel))
        return (card,)
    histograms: dict[str, Any] = {
        f"{channel.name}/data_obs": _histogram(channel.edges, channel.data, channel.data)
    }
    samples = [part for sample in channel.samples for part in sample.of_bins()]
    for sample in samples:
        errors = np.zeros(channel.n_bins) if sample.stat_errors is None else sample.stat_errors
        at = f"{channel.name}/{sample.name}"
        histograms[at] = _histogram(channel.edges, sample.expected, errors**2)
        for name, (down, up) in sample.shapes.items():
            for side, values in (("Down", down), ("Up", up)):
                histograms[f"{at}_{name}{side}"] = _histogram(channel.edges, values, errors**2)
    write_root(shapes, histograms)
    write_text(card, _card(channel, samples, shapes.name))
    return card, shapes


def _histogram(edges: Floats, values: Floats, variances: Floats) -> Any:
    filled = hist.Hist(hist.axis.Variable(edges, name="mass"), storage=hist.storage.Weight())
    filled.view().value = np.maximum(values, 0.0)
    filled.view().variance = variances
    return filled


def _card(channel: Channel, samples: list[Sample], shapes: str) -> str:
    # Combine numbers the signal 0 and backgrounds from 1, and wants them in that order.
    samples = sorted(samples, key=lambda sample: not sample.is_signal)
    scaled = [sample for sample in samples if sample.scaled_by]
    names = [n for n in channel.nuisances if n not in {sample.scaled_by for sample in scaled}]
    nuisances = [(name, _kind(name, samples)) for name in names]
    lines = [
        "# Written by oddjet; one channel of jet mass.",
        *(["# Blinded: data_obs is the expected background."] * (channel.observed is None)),
        *(f"# {note}" for note in channel.notes),
        "imax 1  number of channels",
        f"jmax {len(samples) - 1}  number of backgrounds",
        "kmax *  number of nuisance parameters",
        "-" * 72,
        f"shapes * {channel.name} {shapes} $CHANNEL/$PROCESS $CHANNEL/$PROCESS_$SYSTEMATIC",
        "-" * 72,
        f"bin         {channel.name}",
        f"observation {channel.data.sum():.10g}",
        "-" * 72,
    ]
    rows = [
        ["bin", "", *(channel.name for _ in samples)],
        ["process", "", *(sample.name for sample in samples)],
        ["process", "", *(str(number) for number in range(len(samples)))],
        ["rate", "", *(f"{sample.expected.sum():.10g}" for sample in samples)],
        *([name, kind, *(_entry(name, sample) for sample in samples)] for name, kind in nuisances),
    ]
    lines += [*aligned(rows[:4]), "-" * 72, *aligned(rows[4:])]
    for sample in scaled:
        lines.append(f"{sample.scaled_by} rateParam {channel.name} {sample.name} 0 [-7,7]")
        lines.append(f"{sample.scaled_by} param 0 1")
    if any(sample.stat_errors is not None for sample in samples):
        lines.append(f"{channel.name} autoMCStats 0 1")
    return "\n".join(lines) + "\n"


def _kind(name: str, samples: list[Sample]) -> str:
    return "shape" if any(name in sample.shapes for sample in samples) else "lnN"


def _entry(name: str, sample: Sample) -> str:
    if name in sample.shapes:
        return "1"
    return f"{1.0 + sample.norms[name]:.6g}" if name in sample.norms else "-"
