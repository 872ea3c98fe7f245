"""The detectors as they are trained here, by label: what is published, and what a laptop can do.

One set of settings for every sample, so that detectors are compared as they are, not as they were
tuned to a signal. At `full` the published settings; at `quick` fewer epochs, larger batches or fewer
jets, as the entries show. `tiny` is for tests: every code path runs, and the numbers mean nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from oddjet.analysis.studies.reproduce.document import Scale
from oddjet.analysis.studies.reproduce.trial import CEILING, Trial
from oddjet.analysis.studies.reproduce.windows import get_window
from oddjet.errors import look_up
from oddjet.ml.representations.energy_flow import EnergyFlow, Reweight
from oddjet.ml.representations.jet_image import JetImage
from oddjet.ml.representations.jet_shapes import JetShapes

__all__ = ["Settings", "ceiling", "labels", "make_trial", "on_top", "settings"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a detector is trained.

    Attributes:
        detector: Name, as `oddjet.ml.create` takes it.
        hyper_parameters: What differs from the published defaults.
        max_jets: Train on so many at most; None for all there are.
        max_scored: Score so many of a dataset and role at most; None for all there are.
        cost: Rough seconds, so that the longest begin first.
    """

    detector: str
    hyper_parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    max_jets: int | None = None
    max_scored: int | None = None
    cost: float = 60.0

    def replace(self, *, cost: float = 60.0, **changes: Any) -> Settings:
        """Change the cost, hyper-parameters, and the numbers of jets by their names."""
        limits = {name: changes.pop(name) for name in ("max_jets", "max_scored") if name in changes}
        hyper_parameters = {**self.hyper_parameters, **changes}
        return dataclasses.replace(self, hyper_parameters=hyper_parameters, cost=cost, **limits)


def _images(power: float, sigma: float) -> JetImage:
    return JetImage.buss(power=power, sigma=sigma)


def _published() -> dict[str, Settings]:
    """Give the settings in print, which mostly are the detectors' defaults."""
    published = {
        "khanal": Settings("khanal", cost=2400),
        "ene": Settings("ene", max_jets=125_000, cost=9000),
        # A sixteenth of the arithmetic, for comparisons on many jets.
        "ene, 32 filters": Settings("ene", {"filters": 32}, max_jets=125_000, cost=600),
        "golling": Settings("golling", cost=1800),
        "inn": Settings("inn", cost=6000),
        "inn log": Settings("inn", {"representation": EnergyFlow(reweight="log")}, cost=6000),
        "inn without PCA": Settings("inn", {"pca": False}, cost=6000),
        "autoencoder": Settings("autoencoder", cost=120),
        "nae": Settings("nae", cost=600),
        "nae without guard": Settings("nae", {"guard": False}, cost=600),
        "lund autoencoder": Settings("lund_nae", {"normalised": False}, cost=1200),
        "lund nae": Settings("lund_nae", cost=3000),
        "observables": Settings("observables", cost=15),
        CEILING: Settings("bdt", cost=30),
        "gmm images": Settings("gmm", cost=240),
        "dirichlet EFP": Settings(
            "dirichlet", {"pca": 8, "representation": EnergyFlow(reweight="log")}
        ),
        "dirichlet R=3": Settings(
            "dirichlet", {"alpha": [1.0, 0.25, 0.1], "representation": _images(0.25, 1.0)}
        ),
    }
    for power in (1.0, 0.5, 0.25, 0.1):
        for sigma in (1.0, 3.0):
            hyper_parameters = {"representation": _images(power, sigma)}
            published[f"kmeans n={power:g} σ={sigma:g}"] = Settings("kmeans", hyper_parameters)
        for sigma in (0.0, 1.0):
            hyper_parameters = {"representation": _images(power, sigma)}
            published[f"dirichlet n={power:g} σ={sigma:g}"] = Settings(
                "dirichlet", hyper_parameters
            )
    shapes = (("shapes", 20, 1e-3, JetShapes()), ("log shapes", 50, 1e-2, JetShapes(log=True)))
    for name, components, beta, representation in shapes:
        mixture = {"components": components, "covariance": "full", "beta": beta}
        mixture |= {"pca": len(JetShapes.names), "representation": representation}
        published[f"gmm {name}"] = Settings("gmm", mixture)
    mixtures: tuple[tuple[str, float, Reweight], ...] = (
        ("β=½ log", 0.5, "log"),
        ("β=1 n=⅓", 1.0, 1 / 3),
    )
    for name, beta, reweight in mixtures:
        polynomials = EnergyFlow(beta=beta, reweight=reweight)
        mixture = {"components": 50, "covariance": "full", "pca": 8, "representation": polynomials}
        published[f"gmm EFP {name}"] = Settings("gmm", mixture, cost=30)
    return published


def _quick(published: Mapping[str, Settings]) -> dict[str, Settings]:
    """Give what two cores train in an hour, all documents together."""
    quick = dict(published)
    quick |= {
        "khanal": published["khanal"].replace(epochs=15, batch_size=64, cost=150),
        "ene": published["ene"].replace(
            epochs=6, batch_size=128, epsilon=1e-10, max_jets=5_000, max_scored=3_000, cost=600
        ),
        "ene, 32 filters": published["ene, 32 filters"].replace(
            epochs=8, batch_size=128, epsilon=1e-10, max_jets=5_000, cost=60
        ),
        "golling": published["golling"].replace(stages=[20, 4, 20], max_jets=12_000, cost=200),
        "gmm images": published["gmm images"].replace(max_jets=5_000, cost=90),
        "lund autoencoder": published["lund autoencoder"].replace(max_jets=8_000, cost=150),
        "lund nae": published["lund nae"].replace(max_jets=8_000, cost=250),
    }
    # Smaller flows that learn faster come within 0.03 of the published one's areas in a fiftieth of the time.
    flow: dict[str, Any] = {"epochs": 30, "blocks": 8, "units": 128, "learning_rate": 1e-3}
    flow |= {"learning_rate_decay": 0.87, "noise_decay": 0.6}
    for label, known in published.items():
        if known.detector == "inn":
            quick[label] = known.replace(cost=25, **flow)
        elif known.detector == "dirichlet":
            quick[label] = known.replace(epochs=100, cost=60)
    return quick


_TINY: dict[str, dict[str, Any]] = {
    "khanal": {"epochs": 1},
    "ene": {"epochs": 1, "filters": 4},
    "golling": {"stages": [1, 1, 1], "svm_jets": 50},
    "inn": {"epochs": 1, "blocks": 2, "units": 8},
    "autoencoder": {"epochs": 1},
    "nae": {"epochs": 1},
    "lund_nae": {"epochs": 1},
    "kmeans": {"k": 5, "starts": 1},
    "gmm": {"components": 2, "beta": 1e-2},
    "dirichlet": {"epochs": 2},
    "bdt": {"iterations": 5},
}
"""By detector: what makes a training a matter of seconds."""


def _tiny(quick: Mapping[str, Settings]) -> dict[str, Settings]:
    return {
        label: known.replace(max_jets=200, cost=1.0, **_TINY.get(known.detector, {}))
        for label, known in quick.items()
    }


_PUBLISHED = _published()
_SETTINGS: dict[Scale, dict[str, Settings]] = {
    "tiny": _tiny(_quick(_PUBLISHED)),
    "quick": _quick(_PUBLISHED),
    "full": _PUBLISHED,
}


def labels() -> tuple[str, ...]:
    """Give the labels that `settings` knows."""
    return tuple(_PUBLISHED)


def settings(label: str, scale: Scale) -> Settings:
    """Look settings up by one of `labels`; a `ConfigError` if there is no such."""
    return look_up(_SETTINGS[scale], label, "settings")


def make_trial(
    key: str,
    window: str,
    scale: Scale,
    *,
    label: str | None = None,
    changes: Mapping[str, Any] | None = None,
    max_jets: int | None = None,
    **fields: Any,
) -> Trial:
    """Make a trial of a detector with its settings.

    Its label is by default `key`; `changes` are hyper-parameters that differ from the settings;
    `max_jets` counts if the settings have no lower limit; `fields` are others of `Trial`.
    """
    known = settings(key, scale)
    limits = [n for n in (known.max_jets, max_jets) if n is not None]
    # The dataset is always named, so that the same training has one identity.
    fields["nominal"] = fields.get("nominal") or get_window(window).background
    return Trial(
        window=window,
        detector=known.detector,
        label=label or key,
        settings=key,
        hyper_parameters={**known.hyper_parameters, **(changes or {})},
        max_jets=min(limits, default=None),
        max_scored=known.max_scored,
        cost=known.cost,
        **fields,
    )


def ceiling(window: str, signal: str, scale: Scale, *, nominal: str | None = None) -> Trial:
    """Make the trial of the best that can be reached: `signal` trains it beside the nominal jets."""
    return make_trial(CEILING, window, scale, nominal=nominal, signal=signal)


def on_top(label: str) -> str:
    """Name a detector that is trained on top jets."""
    return f"{label} (trained on top)"
