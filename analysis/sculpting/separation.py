"""How well a score tells a signal from background, at any mass and at the same mass."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from oddjet.analysis.sculpting.cut import JetSample
from oddjet.analysis.sculpting.efficiencies import EfficiencyStep
from oddjet.ml.evaluation.bootstrap import Interval
from oddjet.ml.evaluation.fixed_mass import auc_at_fixed
from oddjet.ml.evaluation.roc import auc

__all__ = ["Separation", "separations"]

REPLICAS = 20


@dataclasses.dataclass(frozen=True)
class Separation:
    """Of one signal.

    Attributes:
        auc: Area under the ROC curve.
        auc_at_fixed_mass: The same among jets of the same mass; NaN where there are too few.
        best_sic: Largest ε_s/√ε_b among the working points, both counted inside the signal window;
            None without a window.
        best_sic_at: Background efficiency in the window that it is reached at.
    """

    auc: Interval
    auc_at_fixed_mass: Interval
    best_sic: float | None
    best_sic_at: float | None


def separations(
    background: JetSample,
    signals: Mapping[str, JetSample],
    steps: Sequence[EfficiencyStep],
    *,
    seed: int,
) -> dict[str, Separation]:
    """Measure each signal against the background, with `scan_efficiencies`' steps over all pt."""
    result = {}
    for name, jets in signals.items():
        scores, mass, weights = (
            np.concatenate([getattr(background, field), getattr(jets, field)])
            for field in ("scores", "mass", "weights")
        )
        # Events of signal and of background are drawn apart: their numbers may be the same.
        events = np.concatenate([background.events, jets.events])
        is_signal = np.repeat([False, True], [len(background), len(jets)])
        sics = [
            (step.in_window[name] / np.sqrt(step.working_point), step.working_point)
            for step in steps
            if name in step.in_window and np.isfinite(step.in_window[name])
        ]
        best = max(sics, default=(None, None))
        drawn: dict[str, Any] = {"events": events, "replicas": REPLICAS, "seed": seed}
        fixed = auc_at_fixed(scores, is_signal, mass, weights, **drawn)
        result[name] = Separation(
            auc=auc(scores, is_signal, weights, **drawn),
            auc_at_fixed_mass=fixed.auc,
            best_sic=None if best[0] is None else float(best[0]),
            best_sic_at=best[1],
        )
    return result
