"""Correlation: does a score follow the jet's mass and pt, and what is left of it at fixed mass?

References:
    T. Golling et al., The Mass-ive Issue: Anomaly Detection in Jet Physics (2020), section 4: the mean
    squared error 'is highly correlated to jet mass, and anti correlated to jet pT'.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from oddjet.analysis.report.figures.dots import Dots, dot_rows
from oddjet.analysis.report.figures.matrix import coefficient_matrix
from oddjet.analysis.studies.jets import StudyJets
from oddjet.analysis.studies.study import (
    Cell,
    Setting,
    StudyResult,
    common_fields,
    evaluate_pair,
    interval_text,
    score_test_jets,
    select_score,
    train_model,
    training_jets,
)
from oddjet.datasets.jets import require_columns
from oddjet.errors import TooFewJetsError
from oddjet.ml.evaluation.correlation import Correlation, correlate
from oddjet.ml.evaluation.fixed_mass import FixedAuc, auc_at_fixed
from oddjet.ml.evaluation.roc import Evaluation
from oddjet.typing import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from oddjet.analysis.report.figures.style import PlotLabel

__all__ = ["CorrelatedScore", "Correlations", "correlate_scores"]


NAMES = {"mass": "mass", "msoftdrop": "soft-drop mass", "pt": "$p_T$"}


@dataclasses.dataclass(frozen=True)
class CorrelatedScore:
    """One score: how it goes with each variable, and what it finds with and without the mass.

    Attributes:
        detector: Key of the detector.
        score: Its name.
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
        variables: What the scores were correlated with.
        fixed: What was held fixed.
        scores: One entry a detector and score.
    """

    study: ClassVar[str] = "correlation"

    variables: tuple[str, ...]
    fixed: str
    scores: tuple[CorrelatedScore, ...]

    @property
    def headers(self) -> tuple[str, ...]:
        """Headings of the table."""
        return (
            *("detector", "score"),
            *(f"Spearman, {variable}" for variable in self.variables),
            *("signal", "AUC", f"AUC, fixed {self.fixed}", "signal used"),
        )

    def rows(self) -> list[tuple[Cell, ...]]:
        """Give one line a score and signal; Pearson's coefficients are in the JSON."""
        return [
            (
                each.detector,
                each.score,
                *(interval_text(each.correlations[v].spearman, digits=2) for v in self.variables),
                signal,
                interval_text(each.evaluations[signal].auc),
                *_fixed(each.fixed[signal]),
            )
            for each in self.scores
            for signal in self.signals
        ]

    def figures(self, *, label: PlotLabel | None = None) -> dict[str, Figure]:
        """Draw the coefficients as a matrix, and the areas with and without the mass."""
        names = [each.name for each in self.scores]
        drawn = {
            f"correlation_{kind}": coefficient_matrix(
                np.array(
                    [
                        [getattr(one, kind).value for one in each.correlations.values()]
                        for each in self.scores
                    ]
                ),
                rows=names,
                columns=[NAMES.get(variable, variable) for variable in self.variables],
                value_label=f"{kind.capitalize()}'s coefficient",
                column_label=f"among {self.background} jets, with",
                label=label,
            )
            for kind in ("spearman", "pearson")
        }
        for signal in self.signals:
            areas = {each.name: each.evaluations[signal].auc for each in self.scores}
            at_fixed = {
                each.name: None if (found := each.fixed[signal]) is None else found.auc
                for each in self.scores
            }
            held = f"at fixed {NAMES.get(self.fixed, self.fixed)}"
            drawn[f"correlation_auc_{signal}"] = dot_rows(
                [Dots("AUC", areas), Dots(f"AUC {held}", at_fixed)],
                axis_label=f"AUC, {signal} against {self.background}",
                reference=0.5,
                label=label,
            )
        return drawn


def correlate_scores(
    jets: StudyJets,
    setting: Setting,
    *,
    variables: Sequence[str] = ("mass", "pt"),
    fixed: str = "mass",
) -> Correlations:
    """Train on the background, correlate every score with mass and pt, and hold the mass fixed.

    Args:
        jets: The jets.
        setting: Detectors and seed.
        variables: Columns of the jets to correlate with.
        fixed: Column of the jets to hold fixed.

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
    for detector in setting.detectors:
        some = training_jets(jets, detector, seed=setting.seed)
        model = train_model(detector, some, setting, what=background)
        found = score_test_jets(model, jets)
        coefficients = correlate(
            found[background], columns, jets.weights(background), seed=setting.seed
        )
        evaluations = {
            signal: evaluate_pair(jets, found, signal, seed=setting.seed) for signal in jets.signals
        }
        for i, score in enumerate(model.score_names):
            scores.append(
                CorrelatedScore(
                    detector.key,
                    score,
                    {each.variable: each for each in coefficients if each.score == score},
                    {signal: rows[i] for signal, rows in evaluations.items()},
                    {
                        signal: _at_fixed(
                            jets, select_score(found, score), masses, signal, setting.seed
                        )
                        for signal in jets.signals
                    },
                )
            )
    return Correlations(
        **common_fields(jets, setting),
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
        return auc_at_fixed(scores, is_signal, mass, weights, seed=seed)
    except TooFewJetsError:
        return None


def _fixed(found: FixedAuc | None) -> tuple[Cell, Cell]:
    if found is None:
        return "too few jets", "–"
    return interval_text(found.auc), f"{100 * found.used:.0f} %"
