"""The section of the selection: cut flow and jet spectra."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial

from oddjet.analysis.report.figures.spectra import cut_flow_bars, spectrum
from oddjet.analysis.report.figures.style import Histogram, PlotLabel, legend_text
from oddjet.analysis.report.page import Picture, Section, Table
from oddjet.analysis.report.sections.reading import reading_numbers, reading_tables
from oddjet.datasets.skims.manifest import CutStep, DatasetSummary
from oddjet.processors.blinding import Blinding

__all__ = ["cut_flow_section"]


def cut_flow_section(
    cutflow: Mapping[str, Sequence[CutStep]],
    *,
    labels: Mapping[str, str] | None = None,
    warnings: Mapping[str, Mapping[str, int]] | None = None,
    datasets: Mapping[str, DatasetSummary] | None = None,
    spectra: Sequence[Histogram] = (),
    label: PlotLabel | None = None,
    blinding: Blinding | None = None,
) -> Section:
    """Show what each cut left, and the pt spectrum of what is left in the end.

    `cutflow` are the steps by dataset, in order; `warnings` what was counted, such as
    jets_without_links, by dataset; `datasets` what the manifest says of each; `spectra` the jet pt
    of each after the selection. What `blinding` hides is in none of them: they are made without it.
    """
    hidden = blinding.datasets if blinding else ()
    names = {name: (labels or {}).get(name) or name for name in cutflow}
    tables = [_flow_table(names[name], steps) for name, steps in cutflow.items()]
    rows = tuple(
        (names.get(dataset, dataset), what.replace("_", " "), count)
        for dataset, counts in (warnings or {}).items()
        for what, count in counts.items()
    )
    if rows:
        caption = "What was counted on the way; nothing of it is silently dropped."
        tables.append(Table(("Dataset", "What", "Number"), rows, caption))
    tables += reading_tables(datasets or {}, labels, hidden=hidden)
    return Section(
        title="Selection",
        anchor="selection",
        paragraphs=(
            (
                "Each row is what is left after the cut of that name. Σw is the sum of the "
                "generator weights of the events left; for data it equals their number."
            ),
            *([] if blinding is None else [blinding.sentence]),
        ),
        tables=tuple(tables),
        pictures=_pictures(
            {names[name]: s for name, s in cutflow.items() if s and name not in hidden},
            spectra,
            label,
        ),
        numbers={
            name: {
                "cutflow": [step.model_dump() for step in steps],
                "counts": dict((warnings or {}).get(name, {})),
                **reading_numbers((datasets or {}).get(name)),
            }
            for name, steps in cutflow.items()
        },
    )


def _pictures(
    flows: Mapping[str, Sequence[CutStep]], spectra: Sequence[Histogram], label: PlotLabel | None
) -> tuple[Picture, ...]:
    pictures = []
    bars = {legend_text(name): _jet_steps(steps) for name, steps in flows.items()}
    if bars and len({len(steps) for steps in bars.values()}) == 1:
        pictures.append(
            Picture(
                partial(cut_flow_bars, bars, label=label),
                "Events left after each step of the selection, as a fraction of all events read.",
                hint="one long step down means that this cut decides; check it first.",
                alt="Bars of the fraction of events left after each cut",
                name="cut_flow",
            )
        )
    if spectra:
        named = [dataclasses.replace(h, label=legend_text(h.label)) for h in spectra]
        pictures.append(
            Picture(
                partial(spectrum, named, label=label),
                "Transverse momentum of the selected jets, as simulated or recorded (unweighted).",
                hint="it has to fall from the cut on; a turn-on above the cut means that the "
                "sample was generated too hard.",
                alt="Jet pt spectra",
                name="pt",
            )
        )
    return tuple(pictures)


def _jet_steps(steps: Sequence[CutStep]) -> list[tuple[str, float]]:
    return [(legend_text(step.name.replace("_", " ")), float(step.n_events)) for step in steps]


def _flow_table(name: str, steps: Sequence[CutStep]) -> Table:
    first = steps[0].n_events if steps else 0
    rows = tuple(
        (
            step.name.replace("_", " "),
            step.n_events,
            step.n_jets,
            step.sumw,
            f"{100 * step.n_events / first:.3g} %" if first else "–",
        )
        for step in steps
    )
    return Table(("Cut", "Events", "Jets", "Σw", "Events left"), rows, f"Cut flow of {name}.")
