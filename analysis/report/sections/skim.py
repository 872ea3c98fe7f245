"""The section of a skim or of a scores table: what is in it, its cut flow, its scores, its pt."""

from __future__ import annotations

from functools import partial

import numpy as np
from matplotlib.figure import Figure

from oddjet.analysis.report.figures.spectra import spectrum
from oddjet.analysis.report.figures.style import Histogram, PlotLabel, legend_text
from oddjet.analysis.report.page import Picture, Section, Table
from oddjet.analysis.report.sections.cutflow import cut_flow_section
from oddjet.analysis.report.sections.scores import scores_section
from oddjet.analysis.scores.blinding import (
    blinding_of_folder,
    shown_cutflow,
    shown_jets,
    told_alone,
)
from oddjet.datasets.skims.skim import Skim
from oddjet.ml.score_names import ScoreName
from oddjet.processors.blinding import Blinding
from oddjet.processors.scores import Scores

__all__ = ["pt_edges", "skim_section"]

SIMULATED = ("background", "peaking", "signal")


def skim_section(skim: Skim) -> Section:
    """Show the datasets of a skim or a scores table; pictures are drawn when they are asked for.

    Masses of data are in none of them, nor their scores; nor what their run hides, see `blinding_of_folder`. The
    rows themselves, and manifests, which say how many there are, are complete.
    """
    manifest = skim.manifest
    blinding = blinding_of_folder(skim.folder, manifest)
    jets = shown_jets(manifest, blinding)
    rows = tuple(
        (name, dataset.kind, dataset.n_events, jets[name], dataset.cross_section_pb)
        for name, dataset in manifest.datasets.items()
    )
    pt = Picture(partial(_draw_pt, skim, blinding), "Transverse momentum of the jets.", name="pt")
    steps = shown_cutflow(manifest, blinding)
    flow = cut_flow_section(steps, labels=_labels(skim), label=_label(skim), blinding=blinding)
    scores = _score_pictures(skim) if isinstance(skim, Scores) else []
    return Section(
        title=f"{manifest.kind} {skim.folder}",
        anchor=manifest.kind,
        statements=(
            f"columns: {', '.join(skim.fields)}",
            *([] if blinding is None else [blinding.sentence]),
            *told_alone(skim.folder, manifest),
        ),
        warnings=tuple(manifest.describe_caveats().splitlines()),
        tables=(Table(("dataset", "kind", "events", "jets", "cross section [pb]"), rows),),
        pictures=(*scores, *flow.pictures, pt),
        numbers=flow.numbers,
    )


def pt_edges(low: float, pt: np.typing.ArrayLike) -> np.typing.NDArray[np.float64]:
    """Edges of 40 bins of pt, from the lowest to what 99.9 % of the jets lie below [GeV].

    Args:
        low: The lower end.
        pt: Of the jets, shape (n,).
    """
    pt = np.asarray(pt)
    high = float(np.quantile(pt, 0.999)) if pt.size else 1000.0
    return np.linspace(low, max(high, low + 1), 41)


def _labels(skim: Skim) -> dict[str, str]:
    return {name: dataset.label or name for name, dataset in skim.manifest.datasets.items()}


def _label(skim: Skim) -> PlotLabel:
    kinds = {"data" if d.kind == "data" else "simulation" for d in skim.manifest.datasets.values()}
    return PlotLabel(" and ".join(sorted(kinds)))


def _draw_pt(skim: Skim, blinding: Blinding | None) -> Figure:
    labels = _labels(skim)
    more = blinding.columns if blinding else ()
    pt = {}
    for name in labels:
        jets = skim.jets(name, columns=["pt", *more])
        seen = blinding.visible(jets, name) if blinding else slice(None)
        pt[name] = np.asarray(jets["pt"])[seen]
    everything = np.concatenate([np.zeros(0), *pt.values()])
    edges = pt_edges(float(everything.min()) if everything.size else 0.0, everything)
    shapes = [Histogram.fill(legend_text(labels[n]), values, edges) for n, values in pt.items()]
    return spectrum(shapes, label=_label(skim))


def _score_pictures(scores: Scores) -> list[Picture]:
    if all(dataset.kind == "data" for dataset in scores.manifest.datasets.values()):
        return []
    columns = [name.raw for name in ScoreName.find_all(scores.names) if not name.method]
    caption = "raw (left), and calibrated to −log10 of the background's survival (right)."
    return [
        Picture(partial(_draw_score, scores, column), f"{column}: {caption}", name=column)
        for column in columns
    ]


def _draw_score(scores: Scores, column: str) -> Figure:
    names = (column, ScoreName(column).calibrated, "dataset", "label", "weight")
    table = scores.columns([n for n in names if n in scores.names], kinds=SIMULATED)
    (picture,) = scores_section(table, [column], scores.manifest.datasets).pictures
    assert not isinstance(picture.source, str)
    return picture.source()
