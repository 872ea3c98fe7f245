"""Golling et al.: a variational autoencoder with a critic, five scores, and what they do to the mass."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from oddjet.analysis.report.figures.efficiencies import relative_entropies
from oddjet.analysis.report.figures.mass import mass_before_after
from oddjet.analysis.report.figures.mass_response import MassPair, masses_in_and_out
from oddjet.analysis.report.figures.scores import score_distributions
from oddjet.analysis.report.page import Picture
from oddjet.analysis.sculpting import Sculpted, mass_sculpting
from oddjet.analysis.studies.reproduce.document import (
    Document,
    Published,
    Results,
    Scale,
    Trend,
    drawing,
)
from oddjet.analysis.studies.reproduce.pictures import (
    LABEL,
    area_interval,
    average_pictures,
    histogram,
    roc_picture,
    score_samples,
)
from oddjet.analysis.studies.reproduce.settings import ceiling, make_trial
from oddjet.analysis.studies.reproduce.trial import Trial, TrialResult
from oddjet.ml.evaluation.bootstrap import Interval
from oddjet.ml.representations.jet_image import JetImage

__all__ = ["GOLLING"]

QCD = "qcd_boosted"
SIGNALS = {"top_boosted": "top", "stealth80": "StealthB(80)", "stealth400": "StealthB(400)"}
ON_TOP = "golling (trained on top)"
EFFICIENCIES = (0.5, 0.2, 0.1, 0.05, 0.02)
REFERENCE = 0.1
"""Background efficiency at which the sculpting of the scores is compared."""


def _trials(scale: Scale) -> list[Trial]:
    return [
        make_trial("golling", "golling", scale),
        make_trial("golling", "golling", scale, nominal="top_boosted", label=ON_TOP),
        make_trial("observables", "golling", scale),
        *(ceiling("golling", signal, scale) for signal in SIGNALS),
    ]


def _sculpting(result: TrialResult, score: str, *efficiencies: float) -> list[Sculpted]:
    table = result.tables[QCD, "test"]
    signals = {
        name: result.tables[dataset, "test"][score]
        for dataset, name in SIGNALS.items()
        if dataset != "stealth80"
    }
    return mass_sculpting((table[score], table["jet_mass"]), signals, efficiencies=efficiencies)


def _trends(results: Results) -> Iterator[Trend]:
    result = results["golling"]
    area = area_interval(result, "stealth80", "emd")
    yield Trend(
        "The EMD finds StealthB(80)",
        Interval(area.value - 0.5, area.low - 0.5, area.high - 0.5),
        "AUC of the EMD minus ½",
    )
    for other in ("mse", "knn", "ocsvm", "critic"):
        yield results.compare(
            f"StealthB(80) is found better by the EMD than by {other}",
            ("golling", "stealth80", "emd"),
            ("golling", "stealth80", other),
            f"AUC of the EMD minus AUC of {other}",
        )
    entropies = {
        score: _sculpting(result, score, REFERENCE)[0].entropy for score in result.score_names
    }
    names = sorted(entropies, key=lambda name: entropies[name].value)
    yield _entropy_trend("The kNN sculpts the mass most", entropies, "knn", names[-1], names[-2])
    yield _entropy_trend("The EMD sculpts the mass least", entropies, names[1], "emd", names[0])


def _entropy_trend(
    statement: str, entropies: dict[str, Interval], first: str, second: str, third: str
) -> Trend:
    """Compare an extreme score with the nearest other one, taking the intervals as independent."""
    more = first
    less = second if second != first else third
    a, b = entropies[more], entropies[less]
    value = a.value - b.value
    return Trend(
        statement,
        Interval(
            value,
            value - float(np.hypot(a.value - a.low, b.high - b.value)),
            value + float(np.hypot(a.high - a.value, b.value - b.low)),
        ),
        f"relative entropy of {more} minus that of {less}, at ε_b = {REFERENCE:g}",
    )


def _drawings(results: Results) -> Iterator[Picture]:
    result = results["golling"]
    names = {QCD: "QCD", **SIGNALS}
    yield average_pictures(
        "golling-average-images",
        "Average jets (figure 2)",
        results,
        {name: (result, dataset) for dataset, name in names.items()},
        JetImage.ene(),
    )
    detector = result.load_detector()
    pairs = {}
    for dataset, name in names.items():
        jets = results.jets(result, dataset)
        before, after = detector.reconstruct_masses(jets)
        true = np.asarray(jets["mass"], dtype=np.float64)
        pairs[name] = MassPair(before, after, true, np.ones(len(jets)))
    yield drawing(
        "golling-masses",
        masses_in_and_out(pairs, label=LABEL),
        "Masses in and out (figure 3, left)",
    )
    for dataset, name in SIGNALS.items():
        curves = [(score, result, dataset, score) for score in result.score_names]
        yield roc_picture(f"golling-roc-{dataset.replace('_', '-')}", f"{name} (figure 3)", curves)
    yield from _sculpting_drawings(result)
    for score in ("mse", "knn"):
        samples = []
        for trained, name in ((result, "on QCD"), (results[ON_TOP], "on top")):
            samples.append(score_samples(trained, names, score))
            figure = score_distributions(samples[-1], name=f"{score}, trained {name}", label=LABEL)
            yield drawing(
                f"golling-{score}-{name.replace(' ', '-').lower()}",
                figure,
                f"{score} of the network trained {name} (figure 5)",
            )


def _sculpting_drawings(result: TrialResult) -> Iterator[Picture]:
    edges = np.linspace(0, 400, 41)
    table = result.tables[QCD, "test"]
    before = histogram("all QCD jets", table["jet_mass"], edges)
    for score in ("mse", "emd"):
        after = []
        for efficiency in (0.5, 0.2, 0.1):
            passes = table[score] >= np.quantile(table[score], 1 - efficiency)
            after.append(histogram(f"{efficiency:.0%} pass", table["jet_mass"][passes], edges))
        figure = mass_before_after(before, after, axis_label="Jet mass [GeV]", label=LABEL)
        yield drawing(f"golling-mass-{score}", figure, f"Cuts on the {score} (figure 4, left)")
    curves = {score: _sculpting(result, score, *EFFICIENCIES) for score in result.score_names}
    yield drawing(
        "golling-sculpting",
        relative_entropies(curves, label=LABEL),
        "Sculpting against rejection and signal efficiency (figure 4, right)",
    )


GOLLING = Document(
    name="golling",
    title="The Mass-ive Issue: Anomaly Detection in Jet Physics",
    reference="T. Golling et al., arXiv:2303.14134",
    trials=_trials,
    published=(
        Published("golling", "emd", "stealth80", note="the only score that finds it"),
        Published("golling", "knn", "top_boosted", note="sculpts the mass most"),
    ),
    drawings=_drawings,
    trends=_trends,
    remarks=("AK8 jets stand for jets of radius 1.0: a wide top may lose particles.",),
)
