"""Histograms as files for everyone: UHI JSON, and ROOT with one histogram of mass for each cut."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import hist
import numpy as np
import uhi.io.json

from oddjet.datasets.disk.atomic import write_text
from oddjet.datasets.disk.checksums import Verify, fits
from oddjet.datasets.disk.histograms import histogram_of, is_histogram, read_uhi_json
from oddjet.datasets.files.rootfiles import write_root
from oddjet.datasets.skims.manifest import check_output, read_manifest
from oddjet.errors import InputError, OddjetError
from oddjet.processors.blinding import Blinding
from oddjet.processors.histograms import (
    ALL,
    HUNTED,
    PEAKS,
    Histograms,
    HistogramSettings,
    Totals,
    scale_histogram,
    working_point_name,
)

__all__ = [
    "BLINDED",
    "HISTOGRAMS",
    "HISTOGRAMS_ROOT",
    "load_histograms",
    "root_histograms",
    "save_histograms",
    "write_histograms",
]


HISTOGRAMS = "histograms.json"
"""Histograms of a scores table, in its folder."""

HISTOGRAMS_ROOT = "histograms.root"
"""The same beside it, for ROOT."""

BLINDED = "blinded"
"""In the metadata of histograms, and in ROOT as a text: what is hidden of data, as JSON of `Blinding`."""


def write_histograms(
    folder: Path,
    totals: Totals,
    settings: HistogramSettings,
    scales: Mapping[str, float] | None = None,
    caveats: Sequence[str] = (),
) -> Histograms:
    """Write what was added up of a scores table into its folder, as UHI JSON and as ROOT.

    A joint table of pseudo-data that could not be drawn is left out. What is blinded of data is not in
    them, and their bins there are empty.

    Weights are multiplied by `scales` of their dataset, if there are any. Caveats, and what is blinded, stand in
    the metadata of each histogram, and in ROOT as texts; a blinded window is in the titles there, too.

    A ROOT file of the same histograms that is there and whole is kept: its bytes would differ, by its dates.
    """
    histograms = dict(totals.histograms)
    if scales is not None:
        histograms = {name: scale_histogram(h, scales) for name, h in histograms.items()}
    if totals.hunted is not None and totals.weights.usable:
        histograms[HUNTED] = totals.hunted
    if totals.peaks is not None:
        histograms[PEAKS] = totals.peaks
    listed: Iterable[tuple[str, Any]] = root_histograms(histograms, settings)
    told, texts = _told(settings.blinding, caveats)
    if told:
        histograms = {name: histogram.copy() for name, histogram in histograms.items()}
        for histogram in histograms.values():
            histogram.metadata = dict(told)
        listed = itertools.chain(_titled(listed, settings.blinding), texts)
    if not _is_written(folder, histograms, settings):
        write_root(folder / HISTOGRAMS_ROOT, listed)
    save_histograms(folder / HISTOGRAMS, histograms)
    return histograms


def _told(
    blinding: Blinding | None, caveats: Sequence[str]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """What files say beside histograms: metadata for JSON, named texts for ROOT."""
    caveats = [*caveats, *(blinding.caveats if blinding else ())]
    told: dict[str, Any] = {"caveats": caveats} if caveats else {}
    texts = [("caveats", "\n".join(caveats))] if caveats else []
    if blinding is not None:
        told[BLINDED] = json.loads(json.dumps(asdict(blinding)))
        texts.append((BLINDED, json.dumps(told[BLINDED])))
    return told, texts


def _titled(
    listed: Iterable[tuple[str, Any]], blinding: Blinding | None
) -> Iterator[tuple[str, Any]]:
    """Say in the title of each histogram what is hidden in it: it goes with the histogram, out of the file too."""
    for name, histogram in listed:
        parts = name.split("/")  # SCORE/DATASET/…, or what is hunted in
        if blinding and blinding.window and (parts[0] == HUNTED or parts[1] in blinding.datasets):
            low, high = blinding.window
            histogram.title = f"{BLINDED}: {low!r} to {high!r} GeV"
        yield name, histogram


def _is_written(folder: Path, histograms: Histograms, settings: HistogramSettings) -> bool:
    """Whether the ROOT file is whole, and its manifest of these histograms and settings."""
    try:
        known = read_manifest(folder)
    except OddjetError:
        return False
    text = _json_text(histograms)
    return (
        known.config.get("histograms") == settings.model_dump(mode="json")
        and known.outputs.get(HISTOGRAMS) == sha256(text.encode()).hexdigest()
        and HISTOGRAMS_ROOT in known.outputs
        and fits(folder / HISTOGRAMS_ROOT, known.outputs[HISTOGRAMS_ROOT], "always")
    )


def _json_text(histograms: Histograms) -> str:
    return json.dumps(histograms, default=uhi.io.json.default) + "\n"


def save_histograms(path: Path | str, histograms: Histograms) -> None:
    """Write histograms as JSON in the UHI form, atomically."""
    write_text(path, _json_text(histograms))


def load_histograms(path: Path | str, verify: Verify = "first") -> Histograms:
    """Read what `save_histograms` wrote; in the folder of a scores table, `verify` is as of `open_skim`.

    Raises:
        InputError: If the file is missing or holds something else.
        SkimError: If the manifest beside it says that it is not what was written.
    """
    check_output(Path(path), verify)
    content = read_uhi_json(Path(path))
    if not isinstance(content, dict) or not all(map(is_histogram, content.values())):
        msg = f"{path} holds no histograms in UHI JSON: expected axes and storage"
        raise InputError(msg)
    return {name: histogram_of(value, f"{path}:{name}") for name, value in content.items()}


def root_histograms(
    histograms: Histograms, settings: HistogramSettings
) -> Iterator[tuple[str, Any]]:
    """Take histograms apart into those of one or two axes, which every ROOT program reads.

    Args:
        histograms: Score to histogram; under `HUNTED` the joint table, under `PEAKS` that of known peaks, if there are.
        settings: What was filled.

    Yields:
        Name and histogram: ``SCORE/DATASET/VARIATION/POINT/mass``, Σw and Σw² by mass, and
        ``…/mass_pt``, by mass and pt; ``hunted/SCORE/POINT/mass`` and ``hunted/all/mass``, numbers of jets
        that are hunted in; ``hunted/patterns``, the same by pattern and mass; and
        ``peaks/DATASET/…`` likewise, what is expected of known peaks.
    """
    for score, histogram in histograms.items():
        if score == HUNTED:
            yield from _hunted(histogram[::sum, ...], settings, HUNTED)
            continue
        if score == PEAKS:
            for name in histogram.axes["dataset"]:
                peak: Any = histogram[{"dataset": name}]
                yield from _hunted(peak, settings, f"{PEAKS}/{name}")
            continue
        names = [list(histogram.axes[name]) for name in ("dataset", "variation", "working_point")]
        for dataset, variation, point in itertools.product(*names):
            cut: Any = histogram[dataset, variation, point, :, :]
            at = f"{score}/{dataset}/{variation}/{point}"
            yield f"{at}/mass", cut[:, ::sum]
            yield f"{at}/mass_pt", cut


def _hunted(table: Any, settings: HistogramSettings, at: str) -> Iterator[tuple[str, Any]]:
    """Take a table of pattern × mass, × pt, apart."""
    patterns = table[:, :, ::sum] if settings.pt_bins else table
    yield f"{at}/patterns", patterns
    contents = patterns.view(flow=True)
    for place, (score, efficiency) in enumerate(settings.spectra):
        spectrum = hist.Hist(patterns.axes[1], storage=patterns.storage_type())
        inside = np.array([name[place] == "1" for name in patterns.axes[0]], np.bool_)
        for field in contents.dtype.names or (...,):
            spectrum.view(flow=True)[field] = contents[field][: inside.size][inside].sum(axis=0)
        name = f"{score}/{working_point_name(efficiency)}" if score else ALL
        yield f"{at}/{name}/mass", spectrum
