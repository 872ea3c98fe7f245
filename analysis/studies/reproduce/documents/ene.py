"""Ene: an autoencoder on preprocessed images finds top jets, compared with τ3/τ2."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from oddjet.analysis.report.figures.jets import reconstruction_pictures
from oddjet.analysis.report.figures.mass import mass_before_after
from oddjet.analysis.report.page import Picture
from oddjet.analysis.studies.latent_scan import draw_latent_scan
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
    average_pictures,
    histogram,
    roc_picture,
)
from oddjet.analysis.studies.reproduce.settings import ceiling, make_trial
from oddjet.analysis.studies.reproduce.trial import Trial
from oddjet.ml.representations.jet_image import JetImage

__all__ = ["ENE"]

LATENT_SIZES = (2, 4, 6, 8, 10, 12, 16, 20, 32)
TRAININGS = 5
REJECTIONS = (50, 100)
PICTURE_JETS = 2_000


def _scan_label(latent: int, training: int) -> str:
    return f"ene, latent {latent}, training {training}"


def _trials(scale: Scale) -> list[Trial]:
    trials = [
        make_trial("ene", "ene", scale),
        make_trial("observables", "ene", scale),
        ceiling("ene", "top", scale),
    ]
    if scale == "full":
        trials += [
            make_trial(
                "ene",
                "ene",
                scale,
                label=_scan_label(latent, training),
                seed=training,
                changes={"latent": latent},
            )
            for latent in LATENT_SIZES
            for training in range(1, TRAININGS + 1)
        ]
    return trials


def _trends(results: Results) -> Iterator[Trend]:
    yield results.compare(
        "The autoencoder does not outperform a cut on τ3/τ2",
        ("observables", "top", "tau32"),
        ("ene", "top", "mse"),
        "AUC of −τ3/τ2 minus AUC of the MSE",
    )


def _drawings(results: Results) -> Iterator[Picture]:
    result = results["ene"]
    both = {"QCD": (result, "qcd_top"), "top": (result, "top")}
    yield average_pictures(
        "ene-average-images", "Average images after preprocessing", results, both, JetImage.ene()
    )
    detector = result.load_detector()
    pictures = {}
    for name, dataset in (("QCD", "qcd_top"), ("top", "top")):
        jets = results.jets(result, dataset, PICTURE_JETS)
        pictures[name] = (detector.representation(jets), detector.reconstruct(jets))
    figure = reconstruction_pictures(
        pictures, half_width=detector.representation.half_width, label=LABEL
    )
    yield drawing("ene-reconstruction", figure, "Input, output and squared error, averaged")
    yield roc_picture(
        "ene-roc",
        "The autoencoder beside τ3/τ2",
        [("MSE", result, "top", "mse"), ("τ3/τ2", results["observables"], "top", "tau32")],
    )
    yield _mass_drawing(results)
    if _scan_label(LATENT_SIZES[0], 1) in results.by_label:
        yield _scan_drawing(results)


def _mass_drawing(results: Results) -> Picture:
    table = results["ene"].tables["qcd_top", "test"]
    edges = np.linspace(0, 300, 31)
    before = histogram("all QCD jets", table["jet_mass"], edges)
    after = []
    for rejection in REJECTIONS:
        passes = table["mse"] >= np.quantile(table["mse"], 1 - 1 / rejection)
        after.append(histogram(f"rejection {rejection}", table["jet_mass"][passes], edges))
    figure = mass_before_after(before, after, axis_label="Jet mass [GeV]", label=LABEL)
    return drawing("ene-mass", figure, "Mass of QCD jets that pass a cut on the MSE")


def _scan_drawing(results: Results) -> Picture:
    losses = [
        [
            min(results[_scan_label(latent, training)].load_detector().history_["val_loss"])
            for training in range(1, TRAININGS + 1)
        ]
        for latent in LATENT_SIZES
    ]
    figure = draw_latent_scan(LATENT_SIZES, losses, label=LABEL)
    return drawing("ene-latent-scan", figure, "Validation loss against the latent size")


ENE = Document(
    name="ene",
    title="Anomalies in Hadronic Resonances using Autoencoders",
    reference="I. Ene (2022)",
    trials=_trials,
    published=(
        Published("ene", "mse", "top", rejection=(0.1, 35.0)),
        Published("observables", "tau32", "top", note="better than the autoencoder"),
    ),
    drawings=_drawings,
    trends=_trends,
    remarks=(
        "At `quick` one training on 5,000 jets (100,000 in print), and no scan of the latent size.",
    ),
)
