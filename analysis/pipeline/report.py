"""The report of a run: its outputs gathered into sections."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import awkward as ak
import numpy as np

from oddjet.analysis.hunt.reach import expected_reach
from oddjet.analysis.pipeline.certify import certificate_sections
from oddjet.analysis.pipeline.folder import Run
from oddjet.analysis.report.figures.style import Histogram, PlotLabel
from oddjet.analysis.report.figures.training import LossCurve
from oddjet.analysis.report.page import Card, Report, Section, Table
from oddjet.analysis.report.sections import (
    anomalies_section,
    bump_hunt_section,
    cut_flow_section,
    fit_section,
    headline_cards,
    headline_numbers,
    images_section,
    injection_section,
    ledger_section,
    limits_section,
    mass_section,
    peaks_section,
    provenance_section,
    quality_section,
    reach_section,
    scores_section,
    sculpting_section,
    training_section,
)
from oddjet.analysis.report.sections.labels import mass_name, sample_label
from oddjet.analysis.report.sections.skim import pt_edges
from oddjet.analysis.report.show import section_of
from oddjet.analysis.scores.anomalies import AnomalousJet, most_anomalous
from oddjet.analysis.scores.blinding import shown_cutflow
from oddjet.analysis.scores.columns import scores_of
from oddjet.analysis.scores.learning import learning_sentence
from oddjet.analysis.scores.quality import (
    EpochQuality,
    Quality,
    epoch_quality,
    score_quality,
    signal_jets,
)
from oddjet.analysis.scores.sample import hunted_rows
from oddjet.datasets.folds import event_hash
from oddjet.datasets.jets import Jets
from oddjet.datasets.kinematics.geometry import wrap_phi
from oddjet.datasets.skims.manifest import CutStep, Manifest
from oddjet.datasets.skims.skim import Skim
from oddjet.ml.representations.jet_image import JetImage
from oddjet.ml.score_names import ScoreName
from oddjet.processors.blinding import EVENT

__all__ = ["build_report"]

AVERAGED_JETS = 10_000


def build_report(run: Run, seconds: Mapping[str, float]) -> Report:
    """Gather a run's outputs into a report."""
    datasets = run.datasets
    # Without a luminosity the samples are still added in the ratio of their cross sections.
    scales = run.scales(unknown_lumi_ifb=1.0)
    names = scores_of(run.detectors)
    columns = [name.column for name in names if not name.method]
    qualities = score_quality(run.table, datasets, [name.column for name in names], scales)
    label = PlotLabel("simulation", "13 TeV")
    injection = run.injection
    sections = [
        _cut_flow(run, label),
        _images(run, label),
        _training(run),
        scores_section(
            run.table,
            columns,
            datasets,
            working_points=run.config.hunt.working_points,
            label=label,
        ),
        _quality(run, qualities, label),
        _mass(run, scales, label),
        *([] if run.sculpting is None else [sculpting_section(run.sculpting)]),
        *([peaks_section(run.hunt)] if run.hunt.has_peaks else []),
        fit_section(run.hunt),
        bump_hunt_section(run.hunt),
        *([ledger_section(run.ledger)] if run.hunt.sample.kind == "data" else []),
        *_limits(run),
        *_reach(run, label),
        *([] if injection is None else [injection_section(injection, label=label)]),
        *certificate_sections(run),
        _anomalies(run),
        provenance_section(
            config=run.settings,
            manifest=run.skim.manifest,
            commands=[run.command],
            seconds=seconds,
        ),
    ]
    return Report(
        title=run.config.name,
        lead=_lead(run),
        sections=tuple(sections),
        cards=_cards(run, qualities),
        footer=f"oddjet {run.skim.manifest.versions.get('oddjet', '')}",
        summary=headline_numbers(
            n_jets=int(run.visible.sum()),
            qualities=qualities,
            hunt=run.hunt,
            sculpting=run.sculpting,
        ),
    )


def _cards(run: Run, qualities: list[Quality]) -> tuple[Card, ...]:
    """The headline, with what is missing said first."""
    cards = headline_cards(
        n_jets=int(run.visible.sum()),
        blinded=run.blinding is not None,
        qualities=qualities,
        hunt=run.hunt,
        sculpting=run.sculpting,
        sculpting_problem=run.sculpting_problem,
    )
    manifest = run.skim.manifest
    if manifest.caveats:
        cards = (Card("Accepted", "see below", "; ".join(manifest.caveats), "warning"), *cards)
    if missing := manifest.describe_missing(shown=0):
        cards = (Card("Incomplete", "parts are missing", missing, "warning"), *cards)
    return cards


def _lead(run: Run) -> str:
    kinds = {name: dataset.kind for name, dataset in run.datasets.items()}
    config = run.config
    learned = learning_sentence(
        kinds, config.training, config.hunt, maps=config.decorrelation is not None
    )
    hidden = "" if run.blinding is None else " that are not blinded"
    text = (
        f"{int(run.visible.sum()):,} jets{hidden} from {len(kinds)} datasets, every jet scored by a model that never saw its "
        f"event ({', '.join(run.detectors)}). {learned} The spectrum of {run.hunt.mass} is cut on "
        f"{', '.join(run.hunt.columns)}, fitted and scanned."
    )
    if run.hunt.blinded:
        text += " The signal window of the data is blinded."
    if run.hunt.sample.kind == "pseudo-data":
        text += " What is hunted in are pseudo-data drawn from the simulation."
    return text + (
        " The global p is corrected for every window, cut and detector that was scanned, and every "
        "pseudo-experiment was fitted again as the data were."
    )


def _cut_flow(run: Run, label: PlotLabel) -> Section:
    manifest: Manifest = run.skim.manifest
    warnings: dict[str, dict[str, int]] = {}
    for chunk in manifest.chunks:
        counts = warnings.setdefault(chunk.dataset, {})
        for name, number in chunk.counts.items():
            counts[name] = counts.get(name, 0) + number
    pt = np.asarray(run.table["pt"])
    edges = pt_edges(run.config.selection.pt_min, pt[run.visible])
    spectra = []
    for name in manifest.datasets:
        chosen = run.visible & (np.asarray(run.table["dataset"]) == name)
        counts_in = np.histogram(pt[chosen], edges)[0]
        counts_in = counts_in.astype(np.float64)
        spectra.append(Histogram(run.labels[name], edges, counts_in, counts_in))
    return cut_flow_section(
        _shown_cutflow(run),
        labels=run.labels,
        warnings=warnings,
        datasets=manifest.datasets,
        spectra=spectra,
        label=label,
        blinding=run.blinding,
    )


def _shown_cutflow(run: Run) -> dict[str, tuple[CutStep, ...]]:
    """The cut flow; of blinded data the cuts on events, and what is selected and may be seen."""
    flow = shown_cutflow(run.skim.manifest, run.blinding)
    for name in run.blinding.datasets if run.blinding else ():
        chosen = run.visible & (np.asarray(run.table["dataset"]) == name)
        events = event_hash(*(np.asarray(run.table[c])[chosen] for c in EVENT))
        n = int(np.unique(events).size)
        seen = CutStep(name="selected, not blinded", n_events=n, n_jets=chosen.sum(), sumw=n)
        flow[name] = (*flow[name], seen)
    return flow


def _images(run: Run, label: PlotLabel) -> Section:
    """Average images by class; jets of data are left out, they may lie in a blinded window."""
    image = run.image or JetImage()
    means, counts = {}, {}
    for name, dataset in run.datasets.items():
        if dataset.kind == "data":
            continue
        jets = run.skim.jets(name)
        text = run.labels[name]
        if dataset.kind in {"signal", "peaking"}:
            chosen, which = signal_jets(jets.label)
            jets, text = jets[chosen], f"{text}, {which}"
        if len(jets):
            means[text] = image(jets[:AVERAGED_JETS]).mean(axis=0)
            counts[text] = min(len(jets), AVERAGED_JETS)
    return images_section(means, half_width=image.half_width, n_jets=counts, label=label)


def _training(run: Run) -> Section:
    trainings = {}
    for name, model in run.detectors.items():
        curves = []
        for fold, detector in enumerate(model.detectors):
            history = getattr(detector, "history_", None)
            if history:
                best = getattr(detector, "best_epoch_", None)
                curves.append(
                    LossCurve(f"fold {fold}", history["loss"], history.get("val_loss"), best)
                )
        if curves:
            trainings[name] = curves
    return training_section(trainings)


def _quality(run: Run, qualities: list[Quality], label: PlotLabel) -> Section:
    signals = [n for n, d in run.datasets.items() if d.kind == "signal"]
    epochs: list[EpochQuality] = []
    best = None
    if signals:
        detector = next(iter(run.detectors.values()))
        epochs = epoch_quality(run.skim, detector, signals[0])
        best = getattr(detector.detectors[0], "best_epoch_", None)
    return quality_section(qualities, epochs, best_epoch=best, labels=run.labels, label=label)


def _mass(run: Run, scales: Mapping[str, float], label: PlotLabel) -> Section:
    datasets = run.datasets
    kinds = {name: dataset.kind for name, dataset in datasets.items()}
    backgrounds = [name for name, kind in kinds.items() if kind == "background"]
    # Of data that something was learned on, only a share of the luminosity is hunted in.
    scales = {name: scale * run.hunt.sample.lumi_share for name, scale in scales.items()}
    signals = {
        run.labels[name]: _spectra(run, [name], scales)
        for name, kind in kinds.items()
        if kind in {"signal", "peaking"}
    }
    return mass_section(
        run.hunt,
        window=run.config.hunt.window,
        background=_spectra(run, backgrounds, scales) if backgrounds else (),
        signals=signals,
        label=label,
    )


def _spectra(run: Run, names: list[str], scales: Mapping[str, float]) -> list[Histogram]:
    """Simulated mass at each working point of the hunt, scaled to the luminosity."""
    spectra = []
    for point in run.hunt.main_points:
        counts, variances = run.histograms.mass_spectrum(
            run.hunt.column, point.efficiency, {name: scales[name] for name in names}
        )
        spectra.append(Histogram(point.cut_name, point.edges, counts, variances))
    return spectra


def _limits(run: Run) -> list[Section]:
    if not run.limits:
        return [Section("Limits", "limits", warnings=run.limit_problems)]
    section = limits_section(
        run.limits, label=sample_label(run.hunt.sample), axis_label=mass_name(run.hunt.mass)
    )
    what = (
        f"Set on the spectrum {run.hunt.tightest.name}, the tightest cut on the main score; on a signal of the fileset from "
        "all cuts on that score together."
        if run.hunt.by_share
        else f"Set on the spectrum {run.hunt.tightest.name}, the tightest cut on the main score."
    )
    return [
        dataclasses.replace(
            section,
            paragraphs=(what, *section.paragraphs),
            warnings=(*section.warnings, *run.limit_problems),
        )
    ]


def _reach(run: Run, label: PlotLabel) -> list[Section]:
    """What blinded data would show of the signals of the fileset."""
    if not (run.hunt.blinded and run.hunt.by_share):
        return []
    workers = run.config.cluster.workers
    reaches, problems = expected_reach(run.hunt, run.config.hunt, run.limits, workers=workers)
    return [reach_section(reaches, problems, label=label)]


def _anomalies(run: Run) -> Section:
    """The ten most anomalous of the jets that are hunted in, with pictures."""
    hunt = run.hunt
    # Masses outside the range are shown too: they cannot be hidden in any bin.
    allowed = hunt.sample.rows(run.table)
    allowed &= hunted_rows(run.table, run.config.hunt, blinded=hunt.blinded, in_range=False)
    files = {file.uuid: file.path for file in run.skim.manifest.files}
    column = ScoreName.find(hunt.column, run.table).cut
    anomalies = most_anomalous(run.table, column, n=10, allowed=allowed, files=files)
    image = run.image or JetImage()
    images, constituents = {}, {}
    for jet in anomalies:
        jets = _find(run.skim, jet)
        images[jet.place] = image(jets)[0]
        inside = jets.constituents[0]
        delta_phi = wrap_phi(np.asarray(inside.phi) - float(jets.phi[0]))
        constituents[jet.place] = (
            np.asarray(inside.eta) - float(jets.eta[0]),
            delta_phi,
            np.asarray(inside.pt),
        )
    return anomalies_section(
        anomalies,
        column,
        images=images,
        constituents=constituents,
        half_width=image.half_width,
        blinded=hunt.blinded,
        with_rows=run.blinding is None,
    )


def _find(skim: Skim, jet: AnomalousJet) -> Jets:
    """The one jet of the skim that a row of the scores table stands for."""
    for jets in skim.iter_jets(datasets=jet.dataset):
        same = (
            (jets.entry == jet.entry)
            & (jets.jet_index == jet.jet_index)
            & (ak.Array(jets.file_id) == jet.file_id)
        )
        if ak.any(same):
            return ak.to_packed(jets[same])
    msg = f"jet {jet.key} of the scores table is not in the skim {skim.folder}"
    raise LookupError(msg)


@section_of.register
def _(run: Run) -> Section:
    """Show the headline of a run in a notebook, with the pictures of its hunt."""
    return Section(
        title=run.config.name,
        anchor="run",
        statements=(f"report: {run.report}",),
        tables=(Table(("", "result"), tuple(run.summary)),),
        pictures=section_of(run.hunt).pictures,
    )
