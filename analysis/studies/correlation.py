"""Correlation: does a score follow the jet's mass and pt, and what is left of it at fixed mass?

References:
    T. Golling et al., The Mass-ive Issue: Anomaly Detection in Jet Physics (2020), section 4: the mean
    squared error 'is highly correlated to jet mass, and anti correlated to jet pT'.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from oddjet.analysis.report.figures.dots import Dots, dot_rows
from oddjet.analysis.report.figures.matrix import coefficient_matrix
from oddjet.analysis.studies.jets import StudyJets, select_score
from oddjet.analysis.studies.study import (
    Cell,
    Figures,
    PlotLabel,
    Setting,
    StudyResult,
    interval_text,
)
from oddjet.datasets.folds import jets_hash
from oddjet.datasets.jets import require_columns
from oddjet.errors import TooFewJetsError
from oddjet.ml.evaluation.correlation import Correlation, correlate
from oddjet.ml.evaluation.fixed_mass import FixedAuc, auc_at_fixed
from oddjet.ml.evaluation.roc import Evaluation
from oddjet.typing import Floats

__all__ = ["CorrelatedScore", "Correlations", "correlation_study"]


NAMES = {"mass": "mass", "msoftdrop": "soft-drop mass", "pt": "$p_T$"}


@dataclasses.dataclass(frozen=True)
class CorrelatedScore:
    """One score: how it goes with each variable, and what it finds with and without the mass.

    Attributes:
        correlations: Variable → coefficients among the background's test jets.
        evaluations: Signal → AUC and rejection.
        fixed: Signal → AUC at fixed mass; None with too few jets for it.
    """

    detector: str
    score: str
    correlations: dict[str, Correlation]
    evaluations: dict[str, Evaluation]
    fixed: dict[str, FixedAuc | None]

    @property
    def name(self) -> str:
        """Detector and score."""
        return f"{self.detector} {self.score}"


@dataclasses.dataclass(frozen=True, eq=False)
class Correlations(StudyResult):
    """How scores go with mass and pt in background, and their AUC with and without the mass.

    Attributes:
        scores: One entry a detector and score.
    """

    study: ClassVar[str] = "correlation"

    variables: tuple[str, ...]
    fixed: str
    scores: tuple[CorrelatedScore, ...]

    def records(self) -> list[dict[str, Cell]]:
        """Give one line a score and signal; Pearson's coefficients are in the JSON."""
        return [
            {
                "detector": score.detector,
                "score": score.score,
                **{
                    f"Spearman, {variable}": interval_text(
                        score.correlations[variable].spearman, digits=2
                    )
                    for variable in self.variables
                },
                "signal": signal,
                "AUC": interval_text(score.evaluations[signal].auc),
                **self._fixed_cells(score.fixed[signal]),
            }
            for score in self.scores
            for signal in self.signals
        ]

    def _fixed_cells(self, area: FixedAuc | None) -> dict[str, Cell]:
        return {
            f"AUC, fixed {self.fixed}": "too few jets" if area is None else interval_text(area.auc),
            "signal used": "–" if area is None else f"{100 * area.used:.0f} %",
        }

    def figures(self, *, label: PlotLabel | None = None) -> Figures:
        """Draw the coefficients as a matrix, and the areas with and without the mass."""
        figures = {
            f"correlation_{kind}": coefficient_matrix(
                np.array(
                    [
                        [getattr(by_kind, kind).value for by_kind in score.correlations.values()]
                        for score in self.scores
                    ]
                ),
                rows=[score.name for score in self.scores],
                columns=[NAMES.get(variable, variable) for variable in self.variables],
                value_label=f"{kind.capitalize()}'s coefficient",
                column_label=f"among {self.background} jets, with",
                label=label,
            )
            for kind in ("spearman", "pearson")
        }
        held = f"at fixed {NAMES.get(self.fixed, self.fixed)}"
        for signal in self.signals:
            areas = {score.name: score.evaluations[signal].auc for score in self.scores}
            fixed = {score.name: score.fixed[signal] for score in self.scores}
            at_fixed = {name: area.auc if area else None for name, area in fixed.items()}
            figures[f"correlation_auc_{signal}"] = dot_rows(
                [Dots("AUC", areas), Dots(f"AUC {held}", at_fixed)],
                axis_label=f"AUC, {signal} against {self.background}",
                reference=0.5,
                label=label,
            )
        return figures


def correlation_study(
    jets: StudyJets,
    setting: Setting,
    *,
    variables: Sequence[str] = ("mass", "pt"),
    fixed: str = "mass",
) -> Correlations:
    """Train on the background, correlate every score with mass and pt, and hold the mass fixed.

    Raises:
        TooFewJetsError: If a sample has too few jets.
        DetectorError: If the detector is unknown or the training diverges.
        InputError: If the jets have no such column.
    """
    for name in jets.names:
        require_columns(jets.jets(name), (*variables, fixed), where="study correlation")
    scores: list[CorrelatedScore] = []
    background = jets.background_name
    columns = {variable: jets.column(background, variable) for variable in variables}
    masses = {name: jets.column(name, fixed) for name in jets.names}
    for detector, model in setting.train_on_background(jets):
        by_sample = jets.scores(model)
        coefficients = correlate(
            by_sample[background],
            columns,
            jets.weights(background),
            events=jets_hash(jets.test(background)),
            seed=setting.seed,
        )
        evaluations = {
            signal: jets.evaluate(by_sample, signal, seed=setting.seed) for signal in jets.signals
        }
        for i, score in enumerate(model.score_names):
            values = select_score(by_sample, score)
            scores.append(
                CorrelatedScore(
                    detector.key,
                    score,
                    {c.variable: c for c in coefficients if c.score == score},
                    {signal: by_score[i] for signal, by_score in evaluations.items()},
                    {
                        signal: _at_fixed(jets, values, masses, signal, setting.seed)
                        for signal in jets.signals
                    },
                )
            )
    return Correlations(
        **setting.common_fields(jets),
        variables=tuple(variables),
        fixed=fixed,
        scores=tuple(scores),
    )


def _at_fixed(
    jets: StudyJets,
    values: Mapping[str, Floats],
    masses: Mapping[str, Floats],
    signal: str,
    seed: int,
) -> FixedAuc | None:
    scores, is_signal, weights = jets.pair(values, signal)
    mass, _, _ = jets.pair(masses, signal)
    try:
        events = jets.events(signal)
        return auc_at_fixed(scores, is_signal, mass, weights, events=events, seed=seed)
    except TooFewJetsError:
        return None
