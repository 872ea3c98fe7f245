"""How many jets a second every representation and every detector manages on this machine."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np

from oddjet.analysis.studies.benchmarks.detectors import random_jets
from oddjet.analysis.studies.benchmarks.timing import timed
from oddjet.datasets.jets import Jets, Truth
from oddjet.ml import create, detector_class
from oddjet.ml.detectors.base import Detector
from oddjet.ml.evaluation.transport import emds, pt_eta_phi
from oddjet.ml.representations import REPRESENTATIONS, representation_from_identity
from oddjet.ml.representations.leading_constituents import LeadingConstituents

__all__ = [
    "detector_rates",
    "emd_rate",
    "quick_hyper_parameters",
    "representation_rates",
    "training_jets",
]

TRAINING_JETS = 1000
SECONDS = 1.0
"""Long enough to time; slow things are timed on fewer jets."""


def representation_rates(n_jets: int = 20_000, seed: int = 1) -> dict[str, float]:
    """Time every registered representation with its defaults, on one thread: name → jets/s."""
    jets = _nanoaod_like(n_jets, seed)
    return {
        name: _rate(representation_from_identity({"class": name}), jets) for name in REPRESENTATIONS
    }


def detector_rates(name: str, n_jets: int = 20_000, seed: int = 1) -> dict[str, float]:
    """Time a detector's scores, all of them together, with the network in its full size.

    It is trained for an epoch on 1000 jets, or on as many as it keeps for its scores: how good it is
    does not matter to how fast it is.

    Returns:
        `jets_per_second`, from jets to scores, and `representation_jets_per_second`, the way to the
        network's input alone.
    """
    cls = detector_class(name)
    training = _nanoaod_like(training_jets(cls), seed + 1)
    if cls.supervised:
        half = np.arange(len(training)) % 2 == 0
        label = np.where(half, Truth.MERGED, Truth.BACKGROUND).astype(np.int8)
        training = ak.with_field(training, label, "label")
    detector = create(name, **quick_hyper_parameters(cls)).fit(training, seed=seed)
    jets = _nanoaod_like(n_jets, seed)
    return {
        "jets_per_second": _rate(detector.scores, jets),
        "representation_jets_per_second": _rate(detector.representation, jets),
    }


def quick_hyper_parameters(cls: type[Detector]) -> dict[str, Any]:
    """Choose hyper-parameters that shorten a training and leave the trained thing as large.

    Returns:
        1 for whatever counts epochs, also in a list of stages, and for the number of starts.
    """
    quick: dict[str, Any] = {}
    for name, default in cls.hyper_parameter_defaults().items():
        if "epochs" in name or name in ("stages", "starts"):
            if isinstance(default, list | tuple):
                quick[name] = [1] * len(default)
            elif isinstance(default, int):
                quick[name] = min(default, 1)
    return quick


def emd_rate(n_jets: int = 20_000, seed: int = 1) -> float:
    """Time the energy mover's distance of jets of 20 constituents to the next ones: distances/s."""
    representation = LeadingConstituents(n=20)
    jets = random_jets(n_jets, np.random.default_rng(seed))
    particles = pt_eta_phi(representation(jets).reshape(n_jets, 20, 4))

    def work(part: Any) -> Any:
        return emds(part, np.roll(part, 1, axis=0), radius=0.8)

    return _rate(work, particles)


def training_jets(cls: type[Detector]) -> int:
    """Count the jets that suffice to train on, and to fill what is kept of them for the scores.

    Hyper-parameters `…_jets` and `…_codes` are numbers of jets that a detector keeps.
    """
    kept = [
        value
        for name, value in cls.hyper_parameter_defaults().items()
        if name.endswith(("_jets", "_codes")) and isinstance(value, int)
    ]
    return max(TRAINING_JETS, cls.min_jets, *kept)


def _nanoaod_like(n_jets: int, seed: int) -> Jets:
    """Random jets with the substructure that NanoAOD gives."""
    rng = np.random.default_rng(seed)
    jets = random_jets(n_jets, rng)
    columns = {f"tau{n}": rng.uniform(0.1, 0.5, n_jets) / n for n in range(1, 5)}
    for name, values in (columns | {"msoftdrop": rng.uniform(5, 200, n_jets)}).items():
        jets = ak.with_field(jets, values, name)
    return jets


def _rate(work: Callable[[Any], Any], jets: Any) -> float:
    """Jets/s of a function at its best of three, on as many as take a second, or all."""
    n = min(256, len(jets))
    work(_first(n, jets))  # compiles, traces, touches memory
    while True:
        run = functools.partial(work, _first(n, jets))
        seconds, _ = timed(run, time.perf_counter)
        if n == len(jets) or seconds > SECONDS:
            return n / min(seconds, *(timed(run, time.perf_counter)[0] for _ in range(2)))
        n = min(len(jets), max(2 * n, int(1.2 * n * SECONDS / max(seconds, 1e-6))))


def _first(n: int, jets: Any) -> Any:
    return ak.to_packed(jets[:n]) if isinstance(jets, ak.Array) else jets[:n]
