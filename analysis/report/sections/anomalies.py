"""The section of the most anomalous jets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.analysis.report.figures.jets import jet_picture
from oddjet.analysis.report.page import Cell, Picture, Section, Table
from oddjet.analysis.scores.anomalies import AnomalousJet
from oddjet.datasets.jets import Truth

__all__ = ["anomalies_section"]

Floats = npt.NDArray[np.floating]
Constituents = tuple[Floats, Floats, Floats]


def anomalies_section(
    jets: Sequence[AnomalousJet],
    column: str,
    *,
    images: Mapping[int, Floats] | None = None,
    constituents: Mapping[int, Constituents] | None = None,
    half_width: float = 0.8,
    blinded: bool = False,
    with_rows: bool = True,
) -> Section:
    """Show the most anomalous jets: their pictures and where to find them.

    Images, (n, n) or (n, n, 1) of half a width in Δη and Δφ, and constituents, Δη, Δφ and pt [GeV],
    are by place, 1 for the first. `blinded` says that jets of data inside the signal window were
    kept out; without `with_rows` the numbers do not have the rows of the table, which tell how many were.
    """
    gallery = []
    for jet in jets:
        image = (images or {}).get(jet.place)
        if image is not None:
            inside = (constituents or {}).get(jet.place)
            gallery.append(_picture(jet, image, inside, half_width))
    paragraphs = [
        (
            f"The jets with the highest {column}. run:luminosityBlock:event opens them in an event "
            "display; file and entry, below each picture, find them again in the input."
        )
    ]
    if gallery:
        paragraphs.append(
            "Colour is the share of the jet's pt in a pixel, on a logarithmic scale; each ring is "
            "a constituent, its area growing with pt."
        )
    if blinded:
        paragraphs.append("Jets of data inside the signal window are blinded and left out.")
    return Section(
        title="The most anomalous jets",
        anchor="anomalies",
        paragraphs=tuple(paragraphs),
        tables=(Table.from_records([_record(jet) for jet in jets]),) if jets else (),
        gallery=tuple(gallery),
        numbers={"score": column, "jets": [_numbers(jet, with_rows) for jet in jets]},
    )


def _numbers(jet: AnomalousJet, with_rows: bool) -> dict[str, Any]:
    return {name: value for name, value in jet.to_dict().items() if with_rows or name != "row"}


def _truth(label: int | None) -> str:
    known = {int(truth): truth.name.lower() for truth in Truth}
    return "–" if label is None else known.get(label, str(label))


def _record(jet: AnomalousJet) -> dict[str, Cell]:
    return {
        "#": jet.place,
        "Dataset": jet.dataset,
        "run:lumi:event": jet.event_id,
        "Entry": str(jet.entry),
        "Jet": str(jet.jet_index),
        "pt [GeV]": round(jet.pt, 1),
        "Mass [GeV]": round(jet.mass, 1),
        "Soft drop [GeV]": None if jet.msoftdrop is None else round(jet.msoftdrop, 1),
        "Score": jet.score,
        "Truth": _truth(jet.label),
    }


def _picture(
    jet: AnomalousJet, image: Floats, constituents: Constituents | None, half_width: float
) -> Picture:
    soft = "" if jet.msoftdrop is None else f", soft-drop mass {jet.msoftdrop:.0f} GeV"
    caption = (
        f"#{jet.place} · {jet.event_id} · {jet.dataset} ({_truth(jet.label)})\n"
        f"pt {jet.pt:.0f} GeV, mass {jet.mass:.0f} GeV{soft}\n"
        f"score {jet.score:.4g} · entry {jet.entry}, jet {jet.jet_index}\n"
        f"{jet.file or jet.file_id}"
    )
    draw = partial(jet_picture, image, half_width=half_width, constituents=constituents)
    return Picture(draw, caption, alt=f"Image of jet {jet.event_id}")
