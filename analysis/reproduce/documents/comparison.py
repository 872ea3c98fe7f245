"""All detectors on the same jets: W, top, dark jets, and QCD jets among top jets."""

from __future__ import annotations

from oddjet.analysis.reproduce.document import Document, Scale
from oddjet.analysis.reproduce.settings import ceiling, make_trial
from oddjet.analysis.reproduce.trial import Trial

__all__ = ["COMPARISON", "on_top"]

EVERYWHERE = (
    "khanal",
    "golling",
    "kmeans n=1 σ=3",
    "kmeans n=0.5 σ=1",
    "kmeans n=0.1 σ=1",
    "gmm EFP β=½ log",
    "gmm EFP β=1 n=⅓",
    "gmm shapes",
    "gmm log shapes",
    "dirichlet n=0.25 σ=1",
    "dirichlet n=0.5 σ=1",
    "inn",
    "inn log",
    "autoencoder",
    "nae",
    "foils",
)
"""Trained on every sample, with the same settings."""
LARGE = ("ene", "lund autoencoder", "lund nae", "gmm images")
"""Trained on the top window alone."""


def on_top(label: str) -> str:
    """Name a detector that is trained on top jets."""
    return f"{label} (trained on top)"


def _trials(scale: Scale) -> list[Trial]:
    trials = []
    for window in ("w", "top", "dark"):
        labels = (*EVERYWHERE, *LARGE) if window == "top" else EVERYWHERE
        trials += [
            make_trial(label, window, scale, label=f"{label}, {window}") for label in labels
        ]
    trials += [
        make_trial(label, "top", scale, nominal="top", label=on_top(label))
        for label in (*EVERYWHERE, *LARGE)
    ]
    signals = {"w": ("w",), "top": ("top",), "dark": ("aachen", "heidelberg")}
    trials += [ceiling(window, signal, scale) for window in signals for signal in signals[window]]
    trials.append(ceiling("top", "qcd_top", scale, nominal="top"))
    return trials


COMPARISON = Document(
    name="comparison",
    title="All detectors on the same jets",
    reference="not a document: oddjet's own comparison",
    trials=_trials,
)
