"""CMS: autoencoders and normalised autoencoders find semivisible jets, top jets and QCD jets."""

from __future__ import annotations

from collections.abc import Iterator

from oddjet.analysis.report.figures.normalised import NormalisedTraining, normalised_trainings
from oddjet.analysis.report.page import Picture
from oddjet.analysis.studies.reproduce.document import (
    Document,
    Published,
    Results,
    Scale,
    Trend,
    drawing,
)
from oddjet.analysis.studies.reproduce.pictures import LABEL, roc_picture
from oddjet.analysis.studies.reproduce.settings import ceiling, make_trial, on_top
from oddjet.analysis.studies.reproduce.trial import Trial

__all__ = ["CMS"]

QCD, TOP, SVJ = "qcd_boosted", "top_boosted", "svj"
AUTOENCODERS = {
    "autoencoder": "mse",
    "nae": "energy",
    "lund autoencoder": "energy",
    "lund nae": "energy",
}
"""Label → score."""
FAST = {"nae": "nae, fast", "nae without guard": "nae, fast, without guard"}
"""Settings → label of the trainings that show what the guard is for."""
RIGHT, WRONG = "BDT trained on SVJ", "BDT trained on top"


def _trials(scale: Scale) -> list[Trial]:
    trials = []
    for label in AUTOENCODERS:
        trials.append(make_trial(label, "svj", scale))
        trials.append(make_trial(label, "svj", scale, nominal=TOP, label=on_top(label)))
    # Fast steps let the energies part where nothing holds them.
    fast = {"learning_rate": 5e-3} | ({} if scale == "tiny" else {"epochs": 40})
    trials += [
        make_trial(key, "svj", scale, label=label, changes=fast) for key, label in FAST.items()
    ]
    references = [(RIGHT, SVJ), (WRONG, TOP)]
    trials += [
        make_trial("supervised ceiling", "svj", scale, signal=signal, label=label)
        for label, signal in references
    ]
    trials += [ceiling("svj", signal, scale, nominal=TOP) for signal in (SVJ, QCD)]
    return trials


def _trends(results: Results) -> Iterator[Trend]:
    simple = ("autoencoder", SVJ, "mse")
    yield results.compare(
        "Even a simple autoencoder outperforms a BDT trained on the wrong signal",
        simple,
        (WRONG, SVJ, "log_odds"),
        "AUC of the autoencoder minus that of the BDT, SVJ among QCD jets",
    )
    for kind in ("", "lund "):
        plain, normalised = f"{kind}autoencoder", f"{kind}nae"
        for signal, name in ((SVJ, "SVJ"), (QCD, "QCD jets")):
            yield results.compare(
                f"Normalised, the {plain} trained on top finds {name} better",
                (on_top(normalised), signal, AUTOENCODERS[normalised]),
                (on_top(plain), signal, AUTOENCODERS[plain]),
                "AUC of the normalised one minus that of the plain one",
            )
    yield results.compare(
        "Trained on QCD, the simple autoencoder finds SVJ; trained on top it does not",
        simple,
        (on_top("autoencoder"), SVJ, "mse"),
        "AUC among QCD jets minus AUC among top jets",
    )


def _drawings(results: Results) -> Iterator[Picture]:
    for signal, name in ((SVJ, "SVJ"), (QCD, "QCD jets")):
        curves = [
            (label, results[on_top(label)], signal, score) for label, score in AUTOENCODERS.items()
        ]
        yield roc_picture(
            f"cms-{signal.replace('_', '-')}-among-top", f"{name} among top jets", curves
        )
    curves = [(label, results[label], SVJ, score) for label, score in AUTOENCODERS.items()]
    curves += [(label, results[label], SVJ, "log_odds") for label in (RIGHT, WRONG)]
    yield roc_picture("cms-svj-among-qcd", "SVJ among QCD jets", curves)
    trainings = [
        NormalisedTraining(label, results[label].load_detector().history_)
        for label in FAST.values()
    ]
    yield drawing(
        "cms-collapse",
        normalised_trainings(trainings, label=LABEL),
        "Energies and earth mover's distance by epoch: the collapse without the guard",
    )


CMS = Document(
    name="cms",
    title="Advanced anomaly detection algorithms to search for semivisible jets in CMS",
    reference="CMS-DP-2023-071 and the talk",
    trials=_trials,
    published=(
        Published(on_top("autoencoder"), "mse", SVJ, note="no discrimination"),
        Published(on_top("nae"), "energy", SVJ, note="a large gain"),
    ),
    drawings=_drawings,
    trends=_trends,
    remarks=(
        (
            "The talk does not list its jet features; ours are those of `JetFeatures`. Figures in it have no "
            "numbers, so that only the order can be compared."
        ),
    ),
)
