"""The pictures of Buss et al., drawn from our results."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from oddjet.analysis.report.figures.curves import curves
from oddjet.analysis.report.figures.mixtures import MixtureSample, mixture_pictures, mixture_weights
from oddjet.analysis.report.page import Picture
from oddjet.analysis.studies.reproduce.document import Results, drawing
from oddjet.analysis.studies.reproduce.pictures import (
    LABEL,
    area_interval,
    average_pictures,
    roc_picture,
)
from oddjet.datasets.folds import jets_hash
from oddjet.ml.evaluation.roc import auc, background_rejection
from oddjet.ml.representations.jet_image import JetImage

__all__ = ["drawings"]

DARK = {"qcd_dark": "QCD", "aachen": "Aachen", "heidelberg": "Heidelberg"}
POWERS = (1.0, 0.5, 0.25, 0.1)
REWEIGHTINGS = (0.0, 0.1, 0.2, 1 / 3, 0.5, 0.75, 1.0)
KMEANS_SCORES = ("min_d", "knc5", "mlled", "mll1d", "mlln")
SIGNAL_EFFICIENCY = 0.2


def drawings(results: Results) -> Iterator[Picture]:
    """Draw figures 1, 8 to 11, 13 and 14, and the mixtures."""
    result = results["kmeans n=0.25 σ=3"]
    yield average_pictures(
        "buss-average-images",
        "Average images after preprocessing (figure 1)",
        results,
        {name: (result, dataset) for dataset, name in DARK.items()},
        JetImage.ene(),
    )
    yield from _kmeans(results)
    yield from _mixtures(results)
    yield from _dirichlet(results)
    yield from _powers(results)
    yield from _reweightings(results)


def _kmeans(results: Results) -> Iterator[Picture]:
    for label, signal, caption in (
        ("kmeans n=1 σ=3, top", "top", "k-means: top among QCD jets (figure 8, left)"),
        (
            "kmeans n=1 σ=3 (trained on top)",
            "qcd_top",
            "k-means: QCD among top jets (figure 8, right)",
        ),
        ("kmeans n=1 σ=3", "aachen", "k-means, n = 1: Aachen (figure 9)"),
        ("kmeans n=0.25 σ=3", "aachen", "k-means, n = ¼: Aachen (figure 9)"),
        ("kmeans n=1 σ=3", "heidelberg", "k-means, n = 1: Heidelberg (figure 9)"),
        ("kmeans n=0.25 σ=3", "heidelberg", "k-means, n = ¼: Heidelberg (figure 9)"),
    ):
        lines = [(score, results[label], signal, score) for score in KMEANS_SCORES]
        power = "quarter" if "0.25" in label else "one"
        name = f"buss-kmeans-{signal.replace('_', '-')}-{power}"
        yield roc_picture(name, caption, lines)


def _mixtures(results: Results) -> Iterator[Picture]:
    for label in ("dirichlet n=0.25 σ=1", "dirichlet R=3"):
        result = results[label]
        detector = result.load_detector()
        half_width = detector.representation.half_width
        count = len(detector.alpha)
        yield drawing(
            f"buss-mixtures-{count}",
            mixture_pictures(
                detector.mixtures(), half_width=half_width, alpha=detector.alpha, label=LABEL
            ),
            f"The {count} mixtures of the Dirichlet autoencoder",
        )
        samples = [
            MixtureSample(
                name, detector.latent(results.jets(result, dataset)), dataset != "qcd_dark"
            )
            for dataset, name in DARK.items()
        ]
        yield drawing(
            f"buss-mixture-weights-{count}",
            mixture_weights(samples, alpha=detector.alpha, label=LABEL),
            f"Mixture weights, R = {count}",
        )


def _dirichlet(results: Results) -> Iterator[Picture]:
    for signal in ("aachen", "heidelberg"):
        lines = [
            (f"n = {power:g}", results[f"dirichlet n={power:g} σ=1"], signal, "reconstruction")
            for power in POWERS
        ]
        yield roc_picture(
            f"buss-dirichlet-{signal}", f"Dirichlet: {signal.capitalize()} (figure 10)", lines
        )
        lines = [
            (score, results["dirichlet EFP"], signal, score)
            for score in ("reconstruction", "kl", "latent")
        ]
        yield roc_picture(
            f"buss-dirichlet-efp-{signal}",
            f"Dirichlet on energy flow polynomials: {signal.capitalize()} (figure 11)",
            lines,
        )
        lines = [
            (score, results["inn"], signal, score)
            for score in ("log_p", "log_p_third", "log_p_log", "latent")
        ]
        yield roc_picture(
            f"buss-inn-{signal}", f"Invertible network: {signal.capitalize()} (figure 14)", lines
        )


def _powers(results: Results) -> Iterator[Picture]:
    for signal in ("aachen", "heidelberg"):
        lines = {}
        for name, label, score in (
            *((s, "kmeans n={:g} σ=1", s) for s in ("min_d", "mll1d", "mlln")),
            ("Dirichlet", "dirichlet n={:g} σ=1", "reconstruction"),
        ):
            lines[name] = [
                area_interval(results[label.format(n)], signal, score) for n in sorted(POWERS)
            ]
        axis = "Power n of the pixels"
        figure = curves(
            sorted(POWERS), lines, axis_label=axis, value_label="AUC", log=True, label=LABEL
        )
        yield drawing(
            f"buss-powers-{signal}", figure, f"AUC against the power: {signal.capitalize()}"
        )


def _reweightings(results: Results) -> Iterator[Picture]:
    """AUC and rejection of the invertible network against n, without training anew."""
    result = results["inn"]
    detector = result.load_detector()
    areas, rejections = {}, {}
    background = results.jets(result, "qcd_dark")
    for signal in ("aachen", "heidelberg"):
        jets = results.jets(result, signal)
        pairs = []
        for n in REWEIGHTINGS:
            parts = [detector.scores_reweighted(part, n) for part in (jets, background)]
            is_signal = np.repeat([True, False], [len(part) for part in parts])
            pairs.append((np.concatenate(parts), is_signal))
        events = np.concatenate([jets_hash(jets), jets_hash(background)])
        name = signal.capitalize()
        areas[name] = [auc(*pair, events=events, replicas=100) for pair in pairs]
        rejections[name] = [
            background_rejection(
                *pair, signal_efficiency=SIGNAL_EFFICIENCY, events=events, replicas=100
            )
            for pair in pairs
        ]
    axis = "Power n of the polynomials (0: logarithm)"
    yield drawing(
        "buss-inn-auc",
        curves(REWEIGHTINGS, areas, axis_label=axis, value_label="AUC", label=LABEL),
        "Invertible network: AUC against n (figure 13)",
    )
    yield drawing(
        "buss-inn-rejection",
        curves(
            REWEIGHTINGS,
            rejections,
            axis_label=axis,
            value_label="1/ε_b at ε_s = 0.2",
            label=LABEL,
        ),
        "Invertible network: rejection against n (figure 13)",
    )
